// @ts-check
/** The code beside the form: tabs, colours, copy buttons. */

import { byId, make } from "./dom.js";
import { curl, plain, python, quoteShell, sqlCall, sqlInsert, sqlSubscribe } from "./snippets.js";

const COPIED_MILLISECONDS = 1_600;
const HANGING_COLUMNS = 2;

/** @typedef {import("./snippets.js").Draft} Draft */
/** @typedef {import("./snippets.js").Piece} Piece */
/** @typedef {{recipient: string, token: string, api_key: string, database_url: string | null}} Session */

/** Show the draft in every language.
 * @param {Draft} draft
 * @param {Session | null} session */
export function show(draft, session) {
  const databaseUrl = session?.database_url ?? null;
  paint("code-call", sqlCall(draft));
  paint("code-insert", sqlInsert(draft));
  byId("insert").hidden = draft.extra?.deliver_at !== undefined; // what is due later is no row yet
  paint("code-curl", curl(draft, { origin: location.origin, apiKey: session?.api_key ?? "" }));
  paint("code-python", python(draft, { databaseUrl }));
  paint("subscribe-sql", sqlSubscribe(draft.recipient, draft.topic));
  byId("psql").hidden = databaseUrl === null;
  if (databaseUrl) paint("code-psql", [["keyword", "psql "], ["string", quoteShell(databaseUrl)]]);
}

/** Make the tabs and the copy buttons work. */
export function start() {
  for (const block of document.querySelectorAll(".block")) addCopy(/** @type {HTMLElement} */ (block));
  const tabs = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[role=tab]")]);
  tabs.forEach((tab, at) => {
    tab.addEventListener("click", () => choose(tabs, tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -at, End: tabs.length - 1 - at }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const next = tabs[(at + step + tabs.length) % tabs.length];
      choose(tabs, next);
      next.focus();
    });
  });
}

/** @param {HTMLElement[]} tabs @param {HTMLElement} chosen */
function choose(tabs, chosen) {
  for (const tab of tabs) {
    tab.setAttribute("aria-selected", String(tab === chosen));
    tab.tabIndex = tab === chosen ? 0 : -1;
    byId(tab.getAttribute("aria-controls") ?? "").hidden = tab !== chosen;
  }
}

/** @param {string} id @param {Piece[]} pieces */
function paint(id, pieces) {
  const code = byId(id);
  if (code.textContent === plain(pieces)) return; // keeps the reader's selection
  code.replaceChildren(...lines(pieces).map(drawLine));
}

/** The pieces of each line, with its line break. @param {Piece[]} pieces */
function lines(pieces) {
  /** @type {Piece[][]} */
  const found = [[]];
  for (const [colour, text] of pieces) {
    text.split(/(?<=\n)/).forEach((part, at) => {
      if (at > 0) found.push([]);
      found[found.length - 1].push([colour, part]);
    });
    if (text.endsWith("\n")) found.push([]);
  }
  return found.filter((line) => line.length > 0);
}

/** A line wraps to a little more than its own indentation. @param {Piece[]} pieces */
function drawLine(pieces) {
  const line = make("span", "line");
  line.append(...pieces.map(([colour, text]) => (colour === "plain" ? text : make("span", colour, text))));
  const indent = plain(pieces).search(/[^ ]/) + HANGING_COLUMNS;
  line.style.setProperty("--indent", `${indent}ch`);
  return line;
}

/** @param {HTMLElement} block */
function addCopy(block) {
  const template = /** @type {HTMLTemplateElement} */ (byId("copy-template"));
  const button = /** @type {HTMLElement} */ (template.content.cloneNode(true)).querySelector("button");
  const label = button?.querySelector("span");
  if (!button || !label) return;
  button.addEventListener("click", async () => {
    const code = block.querySelector("code");
    label.textContent = (await copied(code?.textContent ?? "")) ? "Copied" : "Press Ctrl C";
    if (label.textContent !== "Copied" && code) getSelection()?.selectAllChildren(code);
    setTimeout(() => (label.textContent = "Copy"), COPIED_MILLISECONDS);
  });
  block.append(button);
}

/** @param {string} text */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // no clipboard outside https and localhost, or the browser's reader said no
  }
}
