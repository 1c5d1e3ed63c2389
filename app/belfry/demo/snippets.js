// @ts-check
/**
 * The same notification as SQL, curl and Python. Pure: no DOM, no network.
 *
 * A snippet is a list of pieces, so that the page can colour it without parsing it again; `plain` joins them to the
 * text that is copied. Every piece of user text goes through the quoting of its language, and only through that.
 *
 * @typedef {"recipient" | "topic" | "everyone"} Audience
 * @typedef {{audience: Audience, recipient: string, topic: string, kind: string, title: string, body: string,
 *   severity: string, action_url: string, extra?: Record<string, unknown>}} Draft
 * @typedef {"keyword" | "name" | "string" | "key" | "comment" | "plain"} Colour
 * @typedef {[Colour, string]} Piece
 */

/** @type {Record<string, string>} */
const DEFAULTS = { title: "", body: "", severity: "info", action_url: "" };

/** Control characters, and marks that reorder or hide text: never shown raw in what somebody will paste. */
const UNSEEN = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** The body of POST /v1/notifications: the audience and what differs from the defaults.
 * @param {Draft} draft
 * @returns {Record<string, unknown>} */
export function request(draft) {
  return { ...audience(draft), ...content(draft) };
}

/** SELECT belfry.send(…), belfry.publish(…) or belfry.broadcast(…).
 * @param {Draft} draft
 * @returns {Piece[]} */
export function sqlCall(draft) {
  const named = { ...(draft.audience === "everyone" ? {} : audience(draft)), ...content(draft) };
  /** @type {Piece[]} */
  const pieces = [["keyword", "SELECT "], ["name", `belfry.${verb(draft)}`], ["plain", "(\n"]];
  const entries = Object.entries(named);
  entries.forEach(([name, value], at) => {
    pieces.push(["key", `    ${name}`], ["plain", " => "], ["string", quoteSql(text(value))]);
    pieces.push(["plain", at < entries.length - 1 ? ",\n" : "\n"]);
  });
  return [...pieces, ["plain", ");"]];
}

/** A plain INSERT, which does the same.
 * @param {Draft} draft
 * @returns {Piece[]} */
export function sqlInsert(draft) {
  const target = draft.audience === "everyone" ? { topic: "*" } : audience(draft);
  const row = Object.entries({ ...target, ...content(draft) });
  /** @type {Piece[]} */
  const pieces = [["keyword", "INSERT INTO "], ["name", "belfry.notification"], ["plain", "\n    ("]];
  pieces.push(["key", row.map(([name]) => name).join(", ")], ["plain", ")\n"], ["keyword", "VALUES"], ["plain", " (\n"]);
  row.forEach(([, value], at) => {
    pieces.push(["string", `    ${quoteSql(text(value))}`], ["plain", at < row.length - 1 ? ",\n" : "\n"]);
  });
  return [...pieces, ["plain", ");"]];
}

/** One call of curl, which sends what the form's button sends.
 * @param {Draft} draft
 * @param {{origin: string, apiKey: string}} at
 * @returns {Piece[]} */
export function curl(draft, { origin, apiKey }) {
  /** @type {Piece[]} */
  const pieces = [["keyword", "curl "], ["plain", `${quoteShell(`${origin}/v1/notifications`)} \\\n`]];
  for (const header of [`Authorization: Bearer ${apiKey}`, "Content-Type: application/json"]) {
    pieces.push(["key", "  -H "], ["plain", `${quoteShell(header)} \\\n`]);
  }
  pieces.push(["key", "  -d "], ["plain", "'{\n"]);
  const entries = Object.entries(request(draft));
  entries.forEach(([name, value], at) => {
    pieces.push(["key", `    ${JSON.stringify(name)}`], ["plain", ": "], ["string", insideShell(json(value))]);
    pieces.push(["plain", at < entries.length - 1 ? ",\n" : "\n"]);
  });
  return [...pieces, ["plain", "  }'"]];
}

/** psycopg, with parameters: user text never stands inside the SQL.
 * @param {Draft} draft
 * @param {{databaseUrl: string | null}} at
 * @returns {Piece[]} */
export function python(draft, { databaseUrl }) {
  const named = Object.entries({ ...(draft.audience === "everyone" ? {} : audience(draft)), ...content(draft) });
  const parameters = named.map(([name]) => `            ${name} => %(${name})s`).join(",\n");
  /** @type {Piece[]} */
  const pieces = [...(databaseUrl ? [] : importing("os")), ...importing("psycopg"), ["plain", "\n"]];
  pieces.push(["keyword", "with "], ["name", "psycopg.connect"], ["plain", "("]);
  pieces.push(databaseUrl ? ["string", quotePython(databaseUrl)] : ["plain", 'os.environ["BELFRY_DATABASE_URL"]']);
  pieces.push(["plain", ") "], ["keyword", "as "], ["plain", "connection:\n    connection."], ["name", "execute"]);
  pieces.push(["plain", "(\n"], ["string", `        """SELECT belfry.${verb(draft)}(\n${parameters})"""`]);
  pieces.push(["plain", ",\n        {\n"]);
  for (const [name, value] of named) {
    pieces.push(["key", `            ${quotePython(name)}`], ["plain", ": "]);
    pieces.push(["string", quotePython(text(value))], ["plain", ",\n"]);
  }
  return [...pieces, ["plain", "        },\n    )  "], ["comment", "# the end of the block commits"]];
}

/** SELECT belfry.subscribe(…): what a topic needs before it reaches anybody.
 * @param {string} recipient
 * @param {string} topic
 * @returns {Piece[]} */
export function sqlSubscribe(recipient, topic) {
  return [
    ["keyword", "SELECT "], ["name", "belfry.subscribe"], ["plain", "("], ["string", quoteSql(recipient)],
    ["plain", ", "], ["string", quoteSql(topic)], ["plain", ");"],
  ];
}

/** The text of a snippet, as it is copied.
 * @param {Piece[]} pieces */
export function plain(pieces) {
  return pieces.map(([, text]) => text).join("");
}

/** A string literal of SQL, right with standard_conforming_strings on; with E'' where a character cannot be seen.
 * @param {string} text */
export function quoteSql(text) {
  const quoted = text.replaceAll("'", "''");
  if (quoted.search(UNSEEN) < 0) return `'${quoted}'`;
  return `E'${quoted.replaceAll("\\", "\\\\").replace(UNSEEN, unicodeEscape)}'`;
}

/** One word for a POSIX shell.
 * @param {string} text */
export function quoteShell(text) {
  return `'${insideShell(text)}'`;
}

/** A string literal of Python: JSON's escapes are a subset of Python's.
 * @param {string} text */
export function quotePython(text) {
  return json(text);
}

/** A value as the text that Postgres reads it from. @param {unknown} value */
function text(value) {
  if (Array.isArray(value) && value.every((each) => typeof each === "string")) {
    return `{${value.map((each) => json(each)).join(",")}}`; // an array of text
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** @param {string} text what stands between two single quotes of a shell */
function insideShell(text) {
  return text.replaceAll("'", "'\\''");
}

/** @param {unknown} value */
function json(value) {
  return JSON.stringify(value).replace(UNSEEN, unicodeEscape);
}

/** @param {string} character of the basic plane */
function unicodeEscape(character) {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** @param {string} module
 * @returns {Piece[]} */
function importing(module) {
  return [["keyword", "import "], ["plain", `${module}\n`]];
}

/** @param {Draft} draft */
function verb(draft) {
  return { recipient: "send", topic: "publish", everyone: "broadcast" }[draft.audience];
}

/** @param {Draft} draft
 * @returns {Record<string, string | true>} */
function audience(draft) {
  if (draft.audience === "everyone") return { broadcast: true };
  return draft.audience === "topic" ? { topic: draft.topic } : { recipient: draft.recipient };
}

/** @param {Draft} draft
 * @returns {Record<string, unknown>} */
function content({ kind, title, body, severity, action_url, extra }) {
  const given = Object.entries({ title, body, severity, action_url });
  const differing = given.filter(([name, value]) => value !== DEFAULTS[name]);
  return { kind, ...Object.fromEntries(differing), ...extra };
}
