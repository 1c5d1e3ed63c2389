// @ts-check
/** One pane: a device of its own, with its own connection, that can be cut. */

import { BelfryBell, BelfryInbox, createClient } from "../widget.js";
import { make } from "./dom.js";

const NAMES = ["ready", "message", "change", "heartbeat", "reset", "goodbye"];
const PHASES = {
  idle: "Off", connecting: "Connecting", live: "Live", offline: "Offline, trying again", unauthorized: "Refused", closed: "Off",
};
const PEOPLE = ["demo", "ada", "jonas"];

/** @typedef {{type: string, id: string, data: string}} Frame */

/** A device that shows the inbox of somebody. */
export class Device {
  #cut = false;
  /** @type {EventSource | null} */ #source = null;
  #host;
  #heard;
  #client = this.#make("demo");
  #state = make("p", "phase");
  #cursor = make("code", "cursor", "no cursor yet");
  #button = /** @type {HTMLButtonElement} */ (make("button", "cut", "Cut the connection"));
  #person = /** @type {HTMLSelectElement} */ (document.createElement("select"));
  #bell = new BelfryBell();
  #inbox = new BelfryInbox();
  recipient = "demo";

  /** @param {HTMLElement} host @param {string} name @param {(frame: Frame) => void} heard */
  constructor(host, name, heard) {
    this.#host = host;
    this.#heard = heard;
    this.#person.append(...PEOPLE.map((each) => new Option(each)));
    this.#person.setAttribute("aria-label", `${name}: whose inbox`);
    this.#person.addEventListener("change", () => this.follow(this.#person.value));
    this.#button.addEventListener("click", () => (this.#cut ? this.#mend() : this.#sever()));
    this.#state.setAttribute("role", "status");
    const head = make("header", "");
    const who = make("div", "who");
    who.append(make("h2", "", name), this.#person);
    head.append(who, this.#bell);
    const foot = make("footer", "");
    const line = make("div", "line");
    line.append(make("span", "dot"), this.#state, this.#cursor);
    foot.append(line, this.#button);
    this.#inbox.setAttribute("preferences", "");
    this.#bell.setAttribute("preferences", "");
    host.append(head, this.#inbox, foot);
    this.#adopt();
  }

  /** Show somebody else's. @param {string} recipient */
  follow(recipient) {
    this.#client.close();
    this.recipient = recipient;
    this.#client = this.#make(recipient);
    this.#adopt();
    this.#host.dispatchEvent(new CustomEvent("follow", { bubbles: true }));
  }

  #adopt() {
    this.#bell.client = this.#inbox.client = this.#client;
    this.#client.on("status", () => this.#show());
    this.#client.on("snapshot", () => this.#show());
    this.#client.open();
    this.#show();
  }

  /** @param {string} recipient */
  #make(recipient) {
    const device = this;
    /** @type {typeof fetch} */
    const fetched = (...request) => (device.#cut ? Promise.reject(new TypeError("the connection is cut")) : fetch(...request));
    return createClient({
      share: false, // two devices in one page
      fetch: fetched,
      async token() {
        const answer = await fetched(`demo/session?recipient=${encodeURIComponent(recipient)}`);
        return (await answer.json()).token;
      },
      EventSource: class extends EventSource {
        /** @param {string | URL} url @param {EventSourceInit} [init] */
        constructor(url, init) {
          super(url, init);
          device.#source = this;
          for (const type of NAMES) this.addEventListener(type, (event) => device.#hear(type, event));
        }
      },
    });
  }

  /** @param {string} type @param {MessageEvent} event */
  #hear(type, { lastEventId: id, data }) {
    this.#heard({ type, id, data });
    this.#cursor.textContent = id;
    this.#cursor.title = `It has seen everything up to ${id}`;
  }

  /** As when the network goes: what is open breaks, and nothing can be reached. */
  #sever() {
    this.#cut = true;
    this.#source?.close();
    this.#source?.dispatchEvent(new Event("error"));
    this.#show();
  }

  #mend() {
    this.#cut = false;
    this.#client.close(); // or it would wait for its next attempt, some seconds
    this.#client.open();
    this.#show();
  }

  #show() {
    const { status } = this.#client.snapshot;
    this.#host.dataset.phase = this.#cut ? "cut" : status;
    const phase = this.#cut ? "Cut" : PHASES[status];
    if (this.#state.textContent !== phase) this.#state.textContent = phase;
    this.#button.textContent = this.#cut ? "Reconnect" : "Cut the connection";
  }
}
