// What is drawn of a notification's links and texts.

import assert from "node:assert/strict";
import { test } from "node:test";

import { cut, link } from "../../app/belfry/widget/dom.js";

globalThis.document = { baseURI: "https://app.example.com/inbox/" };

test("only links that are safe to follow are followed", () => {
  assert.equal(link("https://example.com/a"), "https://example.com/a");
  assert.equal(link("mailto:a@example.com"), "mailto:a@example.com");
  assert.equal(link("/docs/7?x=1#y"), "https://app.example.com/docs/7?x=1#y");
  for (const refused of ["javascript:alert(1)", " JaVaScript:alert(1)", "java\nscript:alert(1)", "\u0001javascript:alert(1)",
    "data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:https://app.example.com/1", "https://", "", null, undefined]) {
    assert.equal(link(refused), "", String(refused));
  }
});

test("a text is cut where nobody would read on, and never inside a character", () => {
  assert.equal(cut("short"), "short");
  assert.equal(cut(null), "");
  assert.equal(cut("x".repeat(65536)), `${"x".repeat(500)}…`);
  assert.ok(cut(`${"x".repeat(499)}🔔🔔`).endsWith("x…"));
});
