// @ts-check
/** A few words for the page's own elements. */

/** The element of that id; its absence is a bug of this page.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T} */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return /** @type {T} */ (found);
}

/** A new element with text.
 * @param {string} name
 * @param {string} className
 * @param {string} [text] */
export function make(name, className, text = "") {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}
