/**
 * One EventSource that survives: what the browser gives up, or does not notice, is opened anew.
 *
 * A browser reconnects by itself when a stream ends, after the pause that the server chose; that is left to it. It
 * gives up after any answer but 200, tries a dead server without end at one pace, and never notices a connection that
 * is open at this end alone: those are ours.
 *
 * @import {Env, Frame, Status} from './types.js'
 */
import { pause } from './backoff.js';

const EVENTS = /** @type {const} */ (['message', 'change', 'ready', 'heartbeat', 'reset', 'goodbye']);
const CHECK_MS = 5000;
const OPENING_MS = 30_000;
const LIMITED_ATTEMPT = 5; // another of our own streams took the place: do not take it back at once

export class Stream {
  /** @type {EventSource | null} */
  #source = null;
  #timer = /** @type {any} */ (null);
  #watch = /** @type {any} */ (null);
  #attempt = 0;
  #errors = 0;
  #turn = 0; // of attempts; what comes of an earlier one is dropped
  #heard = 0;
  #beat = 0; // milliseconds between heartbeats; 0 until `ready`
  #waiting = false;

  /**
   * @param {Env} env
   * @param {{
   *   locate: () => Promise<{url: string, withCredentials: boolean}>,
   *   frame: (frame: Frame) => void,
   *   status: (status: Status, wait: number, error?: Error) => void,
   * }} owner
   */
  constructor(env, owner) {
    this.env = env;
    this.owner = owner;
  }

  open() {
    this.#look();
    this.#connect();
  }

  close() {
    this.#drop();
    this.env.clearTimeout(this.#watch);
  }

  /** The page woke up, or the network changed: is the stream still alive? `force`: do not believe it. */
  poke(force = false) {
    if (this.#waiting || force) this.#connect();
    else if (this.#beat && this.#silent() > this.#beat * 1.2 + 1000) this.#connect();
  }

  #silent() {
    return this.env.now() - this.#heard;
  }

  /** The watchdog: by the wall clock, so it also sees that the machine has slept. */
  #look() {
    this.env.clearTimeout(this.#watch);
    const limit = this.#beat ? this.#beat * 2 + 5000 : OPENING_MS;
    if (this.#source && this.#silent() > limit) this.#fail(new Error('the stream fell silent'));
    this.#watch = this.env.setTimeout(() => this.#look(), CHECK_MS);
  }

  #drop() {
    this.#turn++;
    this.#source?.close();
    this.#source = null;
    this.#waiting = false;
    this.env.clearTimeout(this.#timer);
  }

  async #connect() {
    this.#drop();
    const turn = this.#turn;
    this.owner.status('connecting', 0);
    try {
      const { url, withCredentials } = await this.owner.locate();
      if (turn === this.#turn) this.#listen(new this.env.EventSource(url, { withCredentials }), turn);
    } catch (error) {
      if (turn === this.#turn) this.#fail(/** @type {Error} */ (error));
    }
  }

  #listen(/** @type {EventSource} */ source, /** @type {number} */ turn) {
    this.#source = source;
    this.#errors = this.#beat = 0;
    this.#heard = this.env.now();
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => turn === this.#turn && this.#hear(name, event));
    }
    source.onerror = () => turn === this.#turn && this.#lost(source);
  }

  #hear(/** @type {Frame['name']} */ name, /** @type {MessageEvent} */ event) {
    this.#heard = this.env.now();
    const data = JSON.parse(event.data);
    if (name === 'ready') {
      this.#attempt = this.#errors = 0;
      this.#beat = (data.heartbeat_seconds ?? 15) * 1000;
    }
    this.owner.frame({ name, cursor: event.lastEventId, data });
    if (name === 'ready') this.owner.status('live', 0);
    if (name === 'goodbye') this.#goodbye(data.reason);
  }

  #goodbye(/** @type {string} */ reason) {
    this.#errors = 0;
    if (reason === 'limit') this.#attempt = Math.max(this.#attempt, LIMITED_ATTEMPT);
    if (reason === 'limit' || reason === 'expired') this.#fail(new Error(`the stream ended: ${reason}`));
  }

  #lost(/** @type {EventSource} */ source) {
    this.#beat = 0;
    this.#heard = this.env.now();
    if (source.readyState === 2 || this.#errors++) this.#fail(new Error('the stream was refused or is out of reach'));
    else this.owner.status('connecting', 0);
  }

  /** Try again, later each time. */
  #fail(/** @type {Error & {status?: number}} */ error) {
    this.#drop();
    this.#waiting = true;
    const wait = pause(this.#attempt++, this.env.random);
    const refused = error?.status === 401 || error?.status === 403;
    this.#timer = this.env.setTimeout(() => this.#connect(), wait);
    this.owner.status(refused ? 'unauthorized' : 'offline', wait, error);
  }
}
