// @ts-check
/** The demo page: wires the stream to what is drawn, and the form to POST /v1/notifications. */

import * as code from "./code.js";
import { byId, replayAnimation } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { Feed } from "./feed.js";
import { Frames } from "./frames.js";
import { request } from "./snippets.js";
import { Refused, Stream, send } from "./stream.js";

/** @typedef {import("./stream.js").State} State */
/** @typedef {import("./stream.js").Frame} Frame */
/** @typedef {import("./stream.js").Session} Session */
/** @typedef {import("./snippets.js").Draft} Draft */

const PHASES = {
  connecting: "Connecting",
  replaying: "Replaying",
  live: "Live",
  waiting: "Waiting to reconnect",
  cut: "Cut",
  refused: "Refused",
};
const MOST_REMEMBERED = 10_000;

const feed = new Feed();
const frames = new Frames();
const form = /** @type {HTMLFormElement} */ (byId("compose"));
const recipientField = /** @type {HTMLInputElement} */ (byId("recipient"));
const outcome = byId("outcome");

let recipient = new URL(location.href).searchParams.get("recipient") || "demo";
let example = 0;
/** @type {Session | null} */ let session = null;
/** @type {Set<string>} */ let topics = new Set();
/** @type {Map<number, number>} when each id arrived, of this page's clock */ const arrivals = new Map();
/** @type {Map<number, number>} when the button was pressed, for ids that have not arrived */ const awaited = new Map();
const counted = { received: 0, repeated: 0, replayed: 0, hidden: 0 };
let lastHeard = 0;
let away = "";

const stream = new Stream({ onState: showState, onFrame: hear, onSession: adopt });

// --- the stream ---------------------------------------------------------------------------------------------

/** @param {State} state */
function showState({ phase, reason, cursor }) {
  document.body.dataset.phase = phase;
  setText(byId("phase"), PHASES[phase]);
  setText(byId("cursor"), cursor ?? "none yet");
  byId("cursor").title = cursor ?? "";
  const stopped = phase === "cut" || phase === "refused";
  byId("cut").hidden = stopped;
  byId("resume").hidden = !stopped;
  setText(byId("resume"), cursor ? `Reconnect from ${cursor.length > 12 ? "the cursor" : cursor}` : "Reconnect");
  byId("away").hidden = phase !== "cut";
  setText(byId("away-cursor"), cursor ?? "now");
  showReason(reason);
}

/** @param {string} reason */
function showReason(reason) {
  const { phase, retryAt } = stream.state;
  const seconds = retryAt ? Math.max(0, Math.ceil((retryAt - Date.now()) / 1_000)) : null;
  const text = reason || (phase === "replaying" ? "what was missed comes first" : "");
  setText(byId("reason"), seconds === null ? text : `${text}; again in ${seconds} s`);
}

/** @param {Frame} frame */
function hear(frame) {
  lastHeard = Date.now();
  frames.add(frame);
  showBeat();
  if (frame.type === "message") return receive(frame);
  if (frame.type === "heartbeat") return replayAnimation(byId("pulse"), "beat");
  if (frame.type === "ready") return settle(frame.data);
  if (frame.type === "change") return apply(frame.data);
  if (frame.type === "reset") return feed.note(`Reset (${frame.data.reason}): the cursor was of no use, now ${frame.data.cursor}`);
}

/** @param {Frame} frame */
function receive({ data, replayed }) {
  if (arrivals.has(data.id)) return count("repeated"); // only gaps that were merged to fit a cursor may repeat
  remember(data.id);
  count("received");
  if (replayed) counted.replayed += 1;
  feed.add(data, replayed);
  setText(byId("arrival"), `New: ${data.title || data.kind}`);
  if (document.hidden) showHidden(counted.hidden + 1);
  const pressed = awaited.get(data.id);
  if (pressed !== undefined) arrived(data.id, pressed);
}

/** @param {{topics: string[]}} ready */
function settle(ready) {
  topics = new Set(ready.topics);
  if (away) feed.note(`${away}: ${counted.replayed || "nothing"} replayed`);
  away = "";
  counted.replayed = 0;
  showTopicHint();
}

/** @param {{verb: string, topic?: string, ids?: number[], notification?: any}} change */
function apply({ verb, topic, ids, notification }) {
  if (verb === "subscribed" && topic) topics.add(topic);
  else if (verb === "unsubscribed" && topic) topics.delete(topic);
  else if (verb === "revised" && notification) feed.revise(notification);
  else if ((verb === "retracted" || verb === "expired") && ids) feed.strike(ids);
  if (topic) feed.note(`${recipient} ${verb === "subscribed" ? "subscribed to" : "unsubscribed from"} ${topic}`);
  showTopicHint();
}

/** @param {Session} fresh */
function adopt(fresh) {
  session = fresh;
  showCode();
}

/** Follow somebody, with an empty page. @param {string} whom @param {string | null} [cursor] */
function follow(whom, cursor = null) {
  recipient = whom;
  away = cursor === null ? "" : "All that is retained";
  forget();
  const address = new URL(location.href);
  if (whom === "demo") address.searchParams.delete("recipient");
  else address.searchParams.set("recipient", whom);
  history.replaceState(null, "", address);
  recipientField.value = whom;
  setText(byId("to-recipient"), whom);
  setText(byId("subscribe-who"), whom);
  topics = new Set();
  showCode();
  stream.follow(whom, cursor);
}

// --- the form -----------------------------------------------------------------------------------------------

/** @returns {Draft} */
function draft() {
  const fields = /** @type {Record<string, string>} */ (Object.fromEntries(new FormData(form)));
  return /** @type {Draft} */ (/** @type {unknown} */ ({ ...fields, body: fields.body.replaceAll("\r\n", "\n"), recipient }));
}

/** @param {SubmitEvent} event */
async function submit(event) {
  event.preventDefault();
  const pressed = performance.now();
  const sent = draft();
  say("", "Sending…");
  try {
    const [id] = await send(request(sent), session?.api_key ?? "");
    const arrival = arrivals.get(id);
    if (arrival === undefined) awaited.set(id, pressed);
    else arrived(id, pressed, arrival);
    if (arrival === undefined) say("good", `Committed as #${id}${whyNotHere(sent)}`);
  } catch (error) {
    say("bad", error instanceof Refused ? error.message : "The relay does not answer; nothing is known to be sent.");
  }
}

/** @param {Draft} sent */
function whyNotHere({ audience, topic }) {
  if (stream.state.phase !== "live") return "; it comes when the stream is back.";
  return audience === "topic" && !topics.has(topic) ? `; ${recipient} has not subscribed to ${topic}.` : ".";
}

/** @param {number} id @param {number} pressed @param {number} [at] */
function arrived(id, pressed, at = performance.now()) {
  awaited.delete(id);
  if (stream.state.phase !== "live") return say("good", `Committed as #${id}, and replayed.`);
  feed.took(id, at - pressed);
  say("good", `Committed as #${id}, and received.`);
}

/** @param {string} tone @param {string} text */
function say(tone, text) {
  outcome.className = tone;
  outcome.textContent = text;
}

function showExample() {
  const chosen = EXAMPLES[example++ % EXAMPLES.length];
  for (const [name, value] of Object.entries(chosen)) {
    /** @type {HTMLInputElement} */ (form.elements.namedItem(name)).value = value;
  }
  showCode();
}

function showCode() {
  const now = draft();
  byId("topic-field").hidden = now.audience !== "topic";
  code.show(now, session);
  showTopicHint();
}

function showTopicHint() {
  const { audience, topic } = draft();
  byId("subscribe").hidden = audience !== "topic" || topic === "" || topic === "*" || topics.has(topic);
}

// --- small things -------------------------------------------------------------------------------------------

/** @param {"received" | "repeated"} what */
function count(what) {
  counted[what] += 1;
  setText(byId("received"), counted.received.toLocaleString());
  setText(byId("repeated"), counted.repeated ? `, ${counted.repeated} repeated and dropped` : "");
}

/** @param {number} id */
function remember(id) {
  arrivals.set(id, performance.now());
  if (arrivals.size > MOST_REMEMBERED) arrivals.delete(/** @type {number} */ (arrivals.keys().next().value));
}

function forget() {
  feed.clear();
  arrivals.clear();
  awaited.clear();
  counted.replayed = 0;
  say("", "");
}

function showBeat() {
  if (lastHeard === 0) return;
  const seconds = Math.round((Date.now() - lastHeard) / 1_000);
  setText(byId("beat"), seconds < 1 ? "just now" : `${seconds} s ago`);
}

/** @param {number} number of notifications that came while nobody looked */
function showHidden(number) {
  counted.hidden = number;
  document.title = number ? `(${number}) Belfry demo` : "Belfry demo";
}

/** Changed text only: a status that is written again may be read out again. @param {Element} element @param {string} text */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function start() {
  code.start();
  if (/Mac|iPhone|iPad/.test(navigator.userAgent)) byId("shortcut").textContent = "⌘ ↵";
  form.addEventListener("submit", (event) => void submit(event));
  form.addEventListener("input", showCode);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) form.requestSubmit();
  });
  recipientField.addEventListener("change", () => follow(recipientField.value.trim() || "demo"));
  byId("another").addEventListener("click", showExample);
  byId("clear").addEventListener("click", () => feed.clear());
  byId("replay").addEventListener("click", () => follow(recipient, "0"));
  byId("cut").addEventListener("click", () => (stream.cut(), byId("resume").focus()));
  byId("resume").addEventListener("click", () => {
    away = stream.state.cursor === null ? "" : `Back from ${stream.state.cursor}`;
    counted.replayed = 0;
    stream.resume();
    byId("cut").focus();
  });
  document.addEventListener("visibilitychange", () => document.hidden || showHidden(0));
  setInterval(() => (showBeat(), showReason(stream.state.reason)), 1_000);
  showExample();
  follow(recipient);
}

start();
