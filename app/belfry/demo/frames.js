// @ts-check
/** The log of frames of both devices, newest on top. */

import { byId, make } from "./dom.js";

const MOST_FRAMES = 200;

/** @typedef {import("./device.js").Frame} Frame */

export class Frames {
  #log = byId("frames");
  #beats = /** @type {HTMLInputElement} */ (byId("beats"));

  constructor() {
    this.#beats.addEventListener("change", () => this.#log.classList.toggle("calm", !this.#beats.checked));
    byId("clear-frames").addEventListener("click", () => this.#log.replaceChildren());
  }

  /** @param {string} device @param {Frame} frame */
  add(device, { type, id, data }) {
    const entry = make("div", `frame ${type}`);
    const pre = make("pre", "");
    // A farewell has no id of its own; the browser reports the last one, which is not in the frame.
    if (id && type !== "goodbye") pre.append(make("span", "key", "id: "), `${id}\n`);
    if (type !== "message") pre.append(make("span", "key", "event: "), make("span", "name", type), "\n");
    pre.append(make("span", "key", "data: "), data);
    entry.append(make("time", "", new Date().toLocaleTimeString()), make("span", "from", device), pre);
    this.#log.prepend(entry);
    while (this.#log.children.length > MOST_FRAMES) this.#log.lastElementChild?.remove();
  }
}
