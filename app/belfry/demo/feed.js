// @ts-check
/** The list of what arrived, newest on top. Everything from a notification is text, never markup. */

import { byId, make } from "./dom.js";
import { safeHref, shortHref } from "./links.js";

const MOST_ITEMS = 200;
const SEVERITIES = new Set(["info", "success", "warning", "error"]);

/** @typedef {Record<string, any>} Notification */

export class Feed {
  #list = byId("items");
  #template = /** @type {HTMLTemplateElement} */ (byId("item-template"));
  /** @type {HTMLElement[]} */ #waiting = [];
  #drawing = false;
  /** @type {Map<number, HTMLElement>} */ #byId = new Map();

  /** Put a notification on top.
   * @param {Notification} notification
   * @param {boolean} replayed */
  add(notification, replayed) {
    const item = this.#draw(notification, replayed);
    this.#byId.set(notification.id, item);
    this.#put(item);
  }

  /** Put a line of our own on top. @param {string} text */
  note(text) {
    this.#put(make("li", "event", text));
  }

  /** Say how long a notification took from the button to here. @param {number} id @param {number} milliseconds */
  took(id, milliseconds) {
    const meta = this.#byId.get(id)?.querySelector(".meta");
    meta?.append(make("span", "took", `${Math.max(1, Math.round(milliseconds))} ms from click to here`));
  }

  /** Show a notification as it reads now. @param {Notification} notification */
  revise(notification) {
    const before = this.#byId.get(notification.id);
    if (!before) return;
    const item = this.#draw(notification, false);
    this.#byId.set(notification.id, item);
    before.replaceWith(item);
  }

  /** Strike out what was withdrawn. @param {number[]} ids */
  strike(ids) {
    for (const id of ids) this.#byId.get(id)?.classList.add("gone");
  }

  clear() {
    this.#waiting = [];
    this.#byId.clear();
    this.#list.replaceChildren();
    byId("empty").hidden = false;
  }

  /** Draw at most once a frame: a busy topic brings hundreds a second. @param {HTMLElement} item */
  #put(item) {
    this.#waiting.push(item);
    if (this.#waiting.length > MOST_ITEMS) this.#forget(/** @type {HTMLElement} */ (this.#waiting.shift()));
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => this.#flush());
  }

  #flush() {
    this.#drawing = false;
    this.#list.prepend(...this.#waiting.splice(0).reverse());
    while (this.#list.children.length > MOST_ITEMS) {
      const last = /** @type {HTMLElement} */ (this.#list.lastElementChild);
      this.#forget(last);
      last.remove();
    }
    byId("empty").hidden = this.#list.children.length > 0;
    for (const body of this.#list.querySelectorAll(".body:not([data-measured])")) offerAll(/** @type {HTMLElement} */ (body));
  }

  /** @param {HTMLElement} item */
  #forget(item) {
    this.#byId.delete(Number(item.dataset.id));
  }

  /** @param {Notification} notification @param {boolean} replayed */
  #draw(notification, replayed) {
    const fragment = /** @type {DocumentFragment} */ (this.#template.content.cloneNode(true));
    const item = /** @type {HTMLElement} */ (fragment.firstElementChild);
    const part = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (item.querySelector(selector));
    const severity = SEVERITIES.has(notification.severity) ? notification.severity : "info";
    item.dataset.id = notification.id;
    item.dataset.severity = severity;
    item.querySelector("use")?.setAttribute("href", `#${severity}`);
    part("h3").textContent = notification.title || notification.kind;
    if (severity !== "info") part("h3").prepend(make("span", "unseen", `${severity}: `));
    part(".body").textContent = notification.body ?? "";
    part(".links").append(...links(notification));
    part(".meta").append(...meta(notification, replayed));
    const at = new Date(notification.created_at);
    const time = /** @type {HTMLTimeElement} */ (part("time"));
    time.textContent = at.toLocaleTimeString();
    time.dateTime = notification.created_at;
    time.title = `sent ${at.toLocaleString()}`;
    return item;
  }
}

/** @param {Notification} notification @param {boolean} replayed */
function meta({ id, kind, topic, actor, tags }, replayed) {
  const audience = topic === "*" ? "everyone" : topic;
  return [
    make("code", "", `#${id}`),
    make("code", "", kind),
    audience && make("span", "to", `to ${audience}`),
    actor?.name && make("span", "", `by ${actor.name}`),
    ...(tags ?? []).map((/** @type {string} */ tag) => make("span", "tag", tag)),
    replayed && make("span", "replayed", "replayed"),
  ].filter(Boolean);
}

/** @param {Notification} notification */
function links({ action_url, actions }) {
  const offered = [{ url: action_url, label: "" }, ...(Array.isArray(actions) ? actions : [])];
  return offered.flatMap(({ url, label }) => {
    const href = safeHref(url, location.href);
    if (!href) return url ? [make("span", "refused", "a link of a kind that this page does not follow")] : [];
    const link = /** @type {HTMLAnchorElement} */ (make("a", "", label || shortHref(href, location.href)));
    link.href = href;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    return [link];
  });
}

/** A button for the rest of a text that was cut short. @param {HTMLElement} body */
function offerAll(body) {
  body.dataset.measured = "";
  const more = /** @type {HTMLButtonElement} */ (body.nextElementSibling);
  if (body.scrollHeight <= body.clientHeight + 1) return;
  more.hidden = false;
  more.addEventListener("click", () => {
    const open = body.classList.toggle("whole");
    more.textContent = open ? "Show less" : "Show all";
    more.setAttribute("aria-expanded", String(open));
  });
}
