// @ts-check
/** What a page that embeds the widget may choose: accent, language, direction. */

import { byId } from "./dom.js";

/** @param {HTMLElement[]} panes */
export function start(panes) {
  const accent = /** @type {HTMLSelectElement} */ (byId("accent"));
  const language = /** @type {HTMLSelectElement} */ (byId("language"));
  accent.addEventListener("change", () => {
    for (const pane of panes) pane.style.setProperty("--belfry-accent", accent.value || null);
  });
  language.addEventListener("change", () => {
    for (const pane of panes) {
      for (const element of pane.querySelectorAll("belfry-bell, belfry-inbox")) element.setAttribute("lang", language.value);
    }
  });
}
