/** Requests of a recipient: with their token or cookie, tried again where that may help. @import {Env, RequestError, Token} from './types.js' */
import { pause } from './backoff.js';

const TIMEOUT_MS = 15_000;
const FRESH_MS = 10_000;
const ATTEMPTS = 3;
const PASSING = [429, 502, 503, 504];

/** The claims of a JWT, unverified; none of what is no JWT. @returns {{[name: string]: any}} */
export function claims(/** @type {string} */ token) {
  try {
    const text = atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/'));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
  } catch {
    return {};
  }
}

export class Api {
  /** @type {string | null} */
  #held = null;

  constructor(
    /** @type {Env} */ env, /** @type {string} */ src, /** @type {Token | null | undefined} */ token,
  ) {
    this.env = env;
    this.src = src;
    this.token = token;
  }

  /** Whether the cookie stands for a token. */
  get byCookie() {
    return !this.token;
  }

  /** A token that is still good, as far as it tells itself; null: the cookie. @returns {Promise<string | null>} */
  async bearer(fresh = false) {
    if (typeof this.token !== 'function') return this.token ?? null;
    const { exp = Infinity } = this.#held ? claims(this.#held) : { exp: 0 };
    if (fresh || !this.#held || exp * 1000 < this.env.now() + FRESH_MS) this.#held = await this.token();
    return this.#held;
  }

  /**
   * Ask, and give the answer's JSON. All that is asked may be asked again.
   *
   * @param {string} path
   * @param {object} [body]
   * @returns {Promise<any>}
   * @throws {RequestError}
   */
  async ask(path, body, method = body ? 'POST' : 'GET') {
    for (let attempt = 1, fresh = false; ; ) {
      let wait = pause(attempt - 2, this.env.random);
      try {
        const response = await this.#fetch(path, body, method, fresh);
        if (response.ok) return await response.json();
        if (response.status === 401 && !fresh && typeof this.token === 'function') {
          fresh = true;
          continue;
        }
        const error = await problem(response);
        if (!PASSING.includes(error.status)) attempt = ATTEMPTS;
        wait = Math.max(wait, Math.min(10, Number(response.headers.get('retry-after'))) * 1000 || 0);
        throw error;
      } catch (error) {
        if (++attempt > ATTEMPTS) throw error;
      }
      await new Promise((done) => this.env.setTimeout(() => done(null), wait));
    }
  }

  async #fetch(
    /** @type {string} */ path, /** @type {object | undefined} */ body, /** @type {string} */ method,
    /** @type {boolean} */ fresh,
  ) {
    const bearer = await this.bearer(fresh);
    return this.env.fetch(this.src + path, {
      method,
      credentials: bearer ? 'omit' : 'include',
      cache: 'no-store',
      headers: {
        ...(bearer && { authorization: `Bearer ${bearer}` }),
        ...(body && { 'content-type': 'application/json' }),
      },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  }
}

/** @returns {Promise<RequestError>} */
async function problem(/** @type {Response} */ response) {
  const { title, detail, errors } = await response.json().catch(() => ({}));
  const text = detail ?? title ?? `the server answered ${response.status}`;
  return Object.assign(new Error(text), { status: response.status, errors });
}
