// @ts-check
/**
 * One recipient's stream, kept open: the browser's own EventSource, re-created with a new ticket and the last cursor
 * whenever the browser gives it up.
 *
 * EventSource reconnects by itself after a dropped connection, and sends Last-Event-ID; it stops for good after any
 * answer but 200, such as the 401 of a ticket that expired. What it cannot notice is a connection that died without
 * a word: heartbeats that fail to come show that.
 *
 * @typedef {"connecting" | "replaying" | "live" | "waiting" | "cut" | "refused"} Phase
 * @typedef {{phase: Phase, reason: string, cursor: string | null, retryAt: number | null}} State
 * @typedef {{type: string, id: string, data: any, raw: string, replayed: boolean}} Frame
 * @typedef {{recipient: string, ticket: string, api_key: string, database_url?: string | null}} Session
 */

import { delay } from "./backoff.js";

export const ROOT = new URL("../", import.meta.url);
const NAMED = ["ready", "change", "heartbeat", "reset", "goodbye"];
const SILENT_HEARTBEATS = 2.5;
const SLOW_TO_OPEN_MILLISECONDS = 8_000;
const CROWDED = "a browser opens six connections to one HTTP/1.1 host: close other tabs of this page";

/** What a `goodbye` means to a reader. */
const REASONS = /** @type {Record<string, string>} */ ({
  drain: "the relay is stopping",
  expired: "the ticket expired",
  lagging: "this page read too slowly",
  rotate: "the stream reached its age",
  overloaded: "the relay is full",
  limit: "this recipient has too many streams open",
});

export class Stream {
  /** @type {EventSource | null} */ #source = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #watchdog;
  #recipient = "";
  #attempt = 0;
  #opening = 0;
  #heartbeatSeconds = 15;
  #goodbye = "";
  /** @type {State} */ state = { phase: "connecting", reason: "", cursor: null, retryAt: null };

  /** @param {{onState(state: State): void, onFrame(frame: Frame): void, onSession(session: Session): void}} listener */
  constructor(listener) {
    this.listener = listener;
  }

  /** Follow this recipient: from now on, or from a cursor (`0`: all that is retained).
   * @param {string} recipient
   * @param {string | null} [cursor] */
  follow(recipient, cursor = null) {
    this.#recipient = recipient;
    this.#attempt = 0;
    this.#become("connecting", "", { cursor });
    void this.#open();
  }

  /** End the connection and stay away; the cursor is kept. */
  cut() {
    this.#close();
    this.#become("cut");
  }

  /** Open again where the last connection ended. */
  resume() {
    this.#attempt = 0;
    this.#become("connecting");
    void this.#open();
  }

  async #open() {
    this.#close();
    const opening = this.#opening;
    try {
      const session = await newSession(this.#recipient);
      if (opening !== this.#opening) return;
      this.listener.onSession(session);
      this.#listen(session.ticket);
    } catch (error) {
      if (opening !== this.#opening) return;
      if (error instanceof Refused) this.#become("refused", error.message);
      else this.#later("the relay does not answer");
    }
  }

  /** @param {string} ticket */
  #listen(ticket) {
    const url = new URL("v1/stream", ROOT);
    url.searchParams.set("ticket", ticket);
    if (this.state.cursor !== null) url.searchParams.set("cursor", this.state.cursor);
    const source = new EventSource(url);
    this.#source = source;
    this.#watchdog = setTimeout(() => this.#become("connecting", CROWDED), SLOW_TO_OPEN_MILLISECONDS);
    source.onopen = () => {
      this.#goodbye = "";
      this.#watch();
      this.#become("replaying");
    };
    source.onmessage = (event) => this.#hear(event);
    for (const name of NAMED) source.addEventListener(name, (event) => this.#hear(/** @type {MessageEvent} */ (event)));
    source.onerror = () => this.#stumble();
  }

  /** @param {MessageEvent} event */
  #hear({ type, lastEventId, data: raw }) {
    this.#watch();
    const data = JSON.parse(raw);
    const replayed = this.state.phase !== "live";
    if (lastEventId) this.state = { ...this.state, cursor: lastEventId };
    if (type === "ready") {
      this.#attempt = 0;
      this.#heartbeatSeconds = data.heartbeat_seconds ?? this.#heartbeatSeconds;
      this.#become("live");
    }
    if (type === "goodbye") this.#goodbye = data.reason;
    this.listener.onFrame({ type, id: lastEventId, data, raw, replayed });
    this.listener.onState(this.state);
    if (type === "goodbye") this.#leave(data.reason);
  }

  /** Some farewells want more than the browser's own reconnect. @param {string} reason */
  #leave(reason) {
    if (reason === "expired") {
      void this.#open(); // the same ticket would only earn a 401
    } else if (reason === "limit") {
      this.#close(); // coming back would end another page's stream, which would come back and end ours
      this.#become("cut", REASONS.limit);
    }
  }

  #stumble() {
    const reason = REASONS[this.#goodbye] ?? (this.#goodbye || "the connection was lost");
    if (this.#source?.readyState === EventSource.CLOSED) return this.#later(reason);
    this.#become("waiting", reason);
    this.#watch();
  }

  /** @param {string} reason */
  #later(reason) {
    this.#close();
    const wait = delay(this.#attempt++);
    this.#timer = setTimeout(() => void this.#open(), wait);
    this.#become("waiting", reason, { retryAt: Date.now() + wait });
  }

  #watch() {
    clearTimeout(this.#watchdog);
    const patience = this.#heartbeatSeconds * SILENT_HEARTBEATS * 1_000;
    this.#watchdog = setTimeout(() => this.#later("no heartbeat came"), patience);
  }

  #close() {
    this.#opening += 1;
    clearTimeout(this.#timer);
    clearTimeout(this.#watchdog);
    this.#source?.close();
    this.#source = null;
  }

  /** @param {Phase} phase @param {string} [reason] @param {Partial<State>} [more] */
  #become(phase, reason = "", more = {}) {
    this.state = { cursor: this.state.cursor, retryAt: null, ...more, phase, reason };
    this.listener.onState(this.state);
  }
}

/** An answer that says no, in the relay's own words. */
export class Refused extends Error {}

/** @param {string} recipient
 * @returns {Promise<Session>} */
async function newSession(recipient) {
  const url = new URL("demo/session", ROOT);
  url.searchParams.set("recipient", recipient);
  const response = await fetch(url);
  if (response.ok) return response.json();
  if (response.status >= 500) throw new Error(`status ${response.status}`);
  throw new Refused(await problem(response));
}

/** Send a notification; its ids.
 * @param {Record<string, unknown>} body
 * @param {string} apiKey
 * @returns {Promise<number[]>} */
export async function send(body, apiKey) {
  const headers = { Authorization: `Bearer ${apiKey}`, "Content-Type": "application/json" };
  const response = await fetch(new URL("v1/notifications", ROOT), { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Refused(await problem(response));
  return (await response.json()).ids;
}

/** What an RFC 9457 problem document says. @param {Response} response */
async function problem(response) {
  const document = await response.json().catch(() => ({}));
  return `${response.status}: ${document.detail || document.title || response.statusText}`;
}
