/**
 * The tabs of one origin that show the same inbox: one leads, and tells the others all it hears.
 *
 * The lock says who leads: it is passed on when the leader's tab goes. A leader may also be frozen by the browser:
 * then a tab that somebody looks at takes the lock from it. Messages carry a number, so a tab that was frozen itself,
 * or missed the change of leaders, notices and is told so by `lost`.
 *
 * @import {Env} from './types.js'
 */
const CHECK_MS = 5000;
const PATIENCE_MS = 5000;

/**
 * @typedef {object} Owner
 * @property {() => void} lead this tab leads from now on
 * @property {() => void} follow it does not any more
 * @property {(message: any) => void} hear the leader says
 * @property {() => void} greet a tab has come: say how things stand
 * @property {() => void} lost something may have been missed
 */

export class Tabs {
  leading = false;
  #id = '';
  #said = 0;
  #leader = ''; // whom we have heard, and how much of it
  #heard = 0;
  #quietUntil = 0;
  #timer = /** @type {any} */ (null);
  #left = false;
  /** @type {BroadcastChannel | null} */
  #channel = null;
  /** @type {AbortController | null} */
  #queue = null;
  /** @type {(() => void) | null} */
  #release = null;

  /** @param {Env} env @param {string | null} name null: alone @param {Owner} owner */
  constructor(env, name, owner) {
    this.env = env;
    this.name = name;
    this.owner = owner;
  }

  join() {
    const { BroadcastChannel, locks } = this.env;
    if (!this.name || !BroadcastChannel || !locks) return this.#lead();
    this.#id = this.env.random().toString(36).slice(2);
    this.#channel = new BroadcastChannel(this.name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#expect(PATIENCE_MS);
    this.#channel.postMessage({ hello: true });
    this.#watch();
    this.#ask();
  }

  leave() {
    this.#left = true;
    this.env.clearTimeout(this.#timer);
    this.#queue?.abort();
    this.#step();
    this.#channel?.close();
  }

  /** Tell the others, and for how many milliseconds they may hear nothing then. */
  say(/** @type {any} */ message, /** @type {number} */ quiet) {
    this.#channel?.postMessage({ from: this.#id, number: ++this.#said, quiet, message });
  }

  /** Let another lead, if there is one. */
  pass() {
    if (!this.#release) return;
    this.#step();
    this.#ask();
  }

  /** The page woke up: is the leader still there? */
  poke() {
    if (this.leading || !this.#channel) return;
    this.#quietUntil = Math.min(this.#quietUntil, this.env.now() + PATIENCE_MS);
    this.#channel.postMessage({ hello: true });
  }

  /** The leader may be silent for so long. */
  #expect(/** @type {number} */ milliseconds) {
    this.#quietUntil = this.env.now() + milliseconds;
  }

  #watch() {
    if (!this.leading && this.env.visible() && this.env.now() > this.#quietUntil) this.#ask(true);
    this.#timer = this.env.setTimeout(() => this.#watch(), CHECK_MS);
  }

  #ask(steal = false) {
    this.#queue?.abort();
    this.#queue = steal ? null : new AbortController();
    this.#expect(PATIENCE_MS);
    let held = false;
    const hold = () => new Promise((/** @type {(value?: any) => void} */ release) => {
      if (this.#left) return release();
      held = true;
      this.#release = release;
      this.#lead();
    });
    const how = steal ? { steal } : { signal: this.#queue?.signal };
    this.env.locks?.request(this.name ?? '', how, hold).catch(() => {
      if (!held || this.#left) return; // given up before it was given
      this.#step(); // another tab took it
      this.#ask();
    });
  }

  #lead() {
    this.leading = true;
    this.owner.lead();
  }

  #step() {
    this.#release?.();
    this.#release = null;
    if (this.leading) this.owner.follow();
    this.leading = false;
  }

  #hear(/** @type {any} */ { hello, from, number, quiet, message }) {
    if (hello) return this.leading && this.owner.greet();
    if (this.leading) return; // one that does not know yet that it leads no more
    this.#expect(quiet);
    const lost = this.#leader && (from === this.#leader ? number !== this.#heard + 1 : !('lead' in message));
    [this.#leader, this.#heard] = [from, number];
    this.owner.hear(message);
    if (lost) this.owner.lost();
  }
}
