// The demo shows its notification as SQL, curl and Python: whatever is typed, each says exactly that and no more.
// Run by tests/unit/demo/test_demo_snippets.py, or alone: node --test tests/unit/demo/

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

import * as snippets from "../../../app/belfry/demo/snippets.js";

const DRAFT = {
  audience: "recipient", recipient: "u1", topic: "team:7", kind: "comment.created",
  title: "Hello", body: "", severity: "info", action_url: "",
};

const AWKWARD = [
  "", "'", "''", "\\", "\\'", "'; DROP TABLE belfry.notification; --", "\"", "\"\"\"", "$HOME `id` $(id) !!", "%s %(x)s %%",
  "two\nlines", "tab\tand\rreturn\r\n", "\u0001\u001b[31m", "nul\u202eevil", "zero\u200bwidth", "line\u2028separator", "é 漢 🔔", "@file", "-x", "{}",
];

test("a string of SQL reads back as what was typed", () => {
  for (const text of AWKWARD) assert.equal(readSql(snippets.quoteSql(text)), text);
});

test("a string of SQL stays plain where it can", () => {
  assert.equal(snippets.quoteSql("it's C:\\new"), "'it''s C:\\new'");
  assert.equal(snippets.quoteSql("it's\ta\\b"), "E'it''s\\u0009a\\\\b'");
});

test("a word for the shell comes out of a shell as what was typed", () => {
  for (const text of AWKWARD) {
    const printed = spawnSync("sh", ["-c", `printf '%s' ${snippets.quoteShell(text)}`], { encoding: "utf8" });
    assert.equal(printed.stdout, text);
  }
});

test("curl posts exactly what the button sends", () => {
  for (const text of AWKWARD) {
    const draft = { ...DRAFT, title: text, body: text, recipient: text };
    const command = snippets.plain(snippets.curl(draft, { origin: "http://localhost:8080", apiKey: "bf_k'ey" }));
    const script = `curl() { for word in "$@"; do printf '%s\\0' "$word"; done; }\n${command}`;
    const words = spawnSync("sh", ["-c", script], { encoding: "utf8" }).stdout.split("\0");
    assert.equal(words[0], "http://localhost:8080/v1/notifications");
    assert.equal(words[2], "Authorization: Bearer bf_k'ey");
    assert.deepEqual(JSON.parse(words[6]), snippets.request(draft));
  }
});

test("the call and the insert name the audience in their own way", () => {
  const said = (/** @type {string} */ audience) => {
    const draft = { ...DRAFT, audience };
    return [snippets.plain(snippets.sqlCall(draft)), snippets.plain(snippets.sqlInsert(draft))];
  };
  assert.deepEqual(said("recipient"), [
    "SELECT belfry.send(\n    recipient => 'u1',\n    kind => 'comment.created',\n    title => 'Hello'\n);",
    "INSERT INTO belfry.notification\n    (recipient, kind, title)\nVALUES (\n    'u1',\n    'comment.created',\n    'Hello'\n);",
  ]);
  assert.match(said("topic")[0], /^SELECT belfry\.publish\(\n {4}topic => 'team:7',/);
  assert.match(said("topic")[1], /\(topic, kind, title\)\nVALUES \(\n {4}'team:7'/);
  assert.match(said("everyone")[0], /^SELECT belfry\.broadcast\(\n {4}kind => /);
  assert.match(said("everyone")[1], /\(topic, kind, title\)\nVALUES \(\n {4}'\*'/);
});

test("what is left at its default is not sent", () => {
  assert.deepEqual(snippets.request(DRAFT), { recipient: "u1", kind: "comment.created", title: "Hello" });
  assert.deepEqual(snippets.request({ ...DRAFT, audience: "everyone", severity: "error" }), {
    broadcast: true, kind: "comment.created", title: "Hello", severity: "error",
  });
});

test("no character that hides or reorders text stands raw in what is copied", () => {
  const draft = { ...DRAFT, title: "nul\u202eevil\u0001\u200b" };
  const at = { origin: "http://localhost:8080", apiKey: "k", databaseUrl: "postgresql://localhost/app" };
  for (const of of [snippets.sqlCall, snippets.sqlInsert, snippets.curl, snippets.python]) {
    assert.doesNotMatch(snippets.plain(of(draft, at)), /[\u0001\u200b\u202e]/);
  }
});

test("objects and lists are said as each language says them", () => {
  const draft = { ...DRAFT, extra: { actor: { name: "O'Brien" }, actions: [{ name: "a" }], tags: ["x", 'y"z'] } };
  const sql = snippets.plain(snippets.sqlCall(draft));
  assert.match(sql, /actor => '\{"name":"O''Brien"\}'/);
  assert.match(sql, /actions => '\[\{"name":"a"\}\]'/);
  assert.match(sql, /tags => '\{"x","y\\"z"\}'/);
  assert.match(snippets.plain(snippets.curl(draft, { origin: "http://x", apiKey: "k" })), /"tags": \["x","y\\"z"\]/);
  assert.match(snippets.plain(snippets.python(draft, { databaseUrl: null })), /"actor": "\{\\"name\\":\\"O'Brien\\"\}"/);
});

/** What Postgres makes of a literal: plain, or with the escapes of E''. */
function readSql(/** @type {string} */ literal) {
  const [, escaped, inside] = /^(E?)'((?:[^']|'')*)'$/s.exec(literal) ?? assert.fail(`${literal} is no one literal`);
  const text = inside.replaceAll("''", "'");
  if (!escaped) return text;
  return text.replace(/\\(?:u([0-9a-f]{4})|(.))/gs, (_, code, self) => (code ? String.fromCharCode(parseInt(code, 16)) : self));
}
