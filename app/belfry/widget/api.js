/** @import * as T from './types.js' */
const TIMEOUT_MS = 15_000;
const FRESH_MS = 10_000;
const ATTEMPTS = 3;
const MOST_KEPT = 10_000; // bytes; a browser refuses when 64 KiB are under way

/** @type {T.Pause} */
export const pause = (attempt) => Math.min(30_000, 1000 * 2 ** attempt) * (0.5 + Math.random() / 2);

/** What the page's function brings; one that never answers has failed. @type {T.Brought} */
export const brought = (run) => Promise.race([run(), new Promise((_, fail) => {
  setTimeout(() => fail(new Error('no token came')), TIMEOUT_MS);
})]);

/** @type {T.IsRefusal} */
export const isRefusal = ({ status }) => status === 401 || status === 403;

/** @type {T.Claims} */
export const claims = (token) => {
  try {
    return JSON.parse(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')));
  } catch {
    return {};
  }
};

/** @type {T.Asking} */
export const asking = (src, token, fetch = globalThis.fetch) => {
  let held = '';

  /** @type {T.Bearer} */
  const bearer = async (fresh) => {
    if (typeof token !== 'function') return token || '';
    if (fresh || !held || claims(held).exp * 1000 < Date.now() + FRESH_MS) held = await brought(token);
    return held;
  };

  /** @type {T.Ask} */
  const once = async (path, body, method, fresh) => {
    const known = await bearer(fresh);
    const sent = body && JSON.stringify(body);
    const response = await fetch(src + path, {
      method,
      keepalive: !!sent && sent.length < MOST_KEPT, // the click that marks may also leave the page
      credentials: known ? 'omit' : 'include',
      headers: { ...(known && { authorization: `Bearer ${known}` }), ...(body && { 'content-type': 'application/json' }) },
      body: sent,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    throw Object.assign(new Error(answer.detail || answer.title || `the server answered ${response.status}`), {
      status: response.status, errors: answer.errors, wait: Math.min(10, +(response.headers.get('retry-after') || 0)) * 1000,
    });
  };

  /** @type {T.Ask} */
  const ask = async (path, body, method = body ? 'POST' : 'GET') => {
    let fresh = false;
    for (let attempt = 1; ; attempt++) {
      try {
        return await once(path, body, method, fresh);
      } catch (/** @type {any} */ error) {
        const { status, wait = 0 } = error;
        const renew = !fresh && status === 401 && typeof token === 'function';
        if (attempt >= ATTEMPTS || (status && !renew && ![429, 502, 503, 504].includes(status))) throw error;
        if (renew) fresh = true;
        else await new Promise((done) => setTimeout(done, Math.max(wait, pause(attempt - 2))));
      }
    }
  };

  return { ask, bearer };
};
