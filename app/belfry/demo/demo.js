// @ts-check
/** The demo page: the form that sends, the code that does the same, and two devices on which it arrives. */

import * as code from "./code.js";
import { Device } from "./device.js";
import { byId, make } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { Frames } from "./frames.js";
import * as looks from "./looks.js";
import { request } from "./snippets.js";

/** @typedef {import("./code.js").Session} Session */
/** @typedef {import("./snippets.js").Draft} Draft */

const frames = new Frames();
const form = /** @type {HTMLFormElement} */ (byId("compose"));
const outcome = byId("outcome");
const panes = [byId("laptop"), byId("phone")];
const [laptop] = panes.map((pane) => {
  const name = pane.dataset.name ?? "";
  return new Device(pane, name, (frame) => frames.add(name, frame));
});

/** @type {Session | null} */ let session = null;
let example = EXAMPLES[0];

/** @returns {Draft} */
function draft() {
  const fields = /** @type {Record<string, string>} */ (Object.fromEntries(new FormData(form)));
  const due = example.delayed && { deliver_at: new Date(Date.now() + 1_000 * example.delayed).toISOString() };
  return /** @type {Draft} */ (/** @type {unknown} */ ({
    ...fields, body: fields.body.replaceAll("\r\n", "\n"), recipient: laptop.recipient, extra: { ...example.extra, ...due },
  }));
}

/** @param {SubmitEvent} event */
async function submit(event) {
  event.preventDefault();
  say("", "Sending…");
  try {
    const [id] = await send(request(draft()));
    say("good", id < 0 ? `Scheduled as ${id}: retract it by that number, or wait.` : `Committed as #${id}.`);
  } catch (error) {
    say("bad", error instanceof TypeError ? "The relay does not answer; nothing is known to be sent." : `${error.message}`);
  }
}

/** @param {Record<string, unknown>} notification @returns {Promise<number[]>} */
async function send(notification) {
  const answer = await fetch("v1/notifications", {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${session?.api_key ?? ""}` },
    body: JSON.stringify(notification),
  });
  const told = await answer.json();
  if (answer.ok) return told.ids;
  throw new Error(told.errors?.map((/** @type {any} */ each) => `${each.field}: ${each.detail}`).join("; ") || told.detail || told.title);
}

/** @param {string} tone @param {string} text */
function say(tone, text) {
  outcome.className = tone;
  outcome.textContent = text;
}

/** @param {typeof EXAMPLES[number]} chosen @param {HTMLElement} chip */
function fill(chosen, chip) {
  example = chosen;
  for (const each of byId("examples").children) each.setAttribute("aria-pressed", String(each === chip));
  const { kind, title, severity = "info", body = "", action_url = "", audience = "recipient", topic = "team:7" } = chosen;
  for (const [name, value] of Object.entries({ kind, title, severity, body, action_url, audience, topic })) {
    /** @type {HTMLInputElement | RadioNodeList} */ (form.elements.namedItem(name)).value = value;
  }
  say("", "");
  showCode();
}

function showCode() {
  const now = draft();
  byId("topic-field").hidden = now.audience !== "topic";
  byId("to-recipient").textContent = byId("subscribe-who").textContent = now.recipient;
  code.show(now, session);
}

/** So that a topic reaches somebody with one click. */
async function subscribe() {
  const { recipient, topic } = draft();
  const answer = await fetch(`v1/topics/${encodeURIComponent(topic)}/subscriptions/${encodeURIComponent(recipient)}`, {
    method: "PUT", headers: { authorization: `Bearer ${session?.api_key ?? ""}` },
  });
  say(answer.ok ? "good" : "bad", answer.ok ? `${recipient} is subscribed to ${topic}.` : "That was refused.");
}

async function start() {
  code.start();
  looks.start(panes);
  const chips = EXAMPLES.map((each) => {
    const chip = make("button", "chip", each.label);
    chip.setAttribute("type", "button");
    chip.addEventListener("click", () => fill(each, chip));
    return chip;
  });
  byId("examples").append(...chips);
  if (/Mac|iPhone|iPad/.test(navigator.userAgent)) byId("shortcut").textContent = "⌘ ↵";
  form.addEventListener("submit", (event) => void submit(event));
  form.addEventListener("input", showCode);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) form.requestSubmit();
  });
  byId("subscribe").addEventListener("click", () => void subscribe());
  document.addEventListener("follow", showCode);
  document.addEventListener("belfry-select", (event) => event.preventDefault()); // its links lead nowhere real
  fill(EXAMPLES[0], chips[0]);
  session = await (await fetch("demo/session")).json();
  showCode();
}

void start();
