// @ts-check
/** Which links of a notification may be followed. Pure. */

const SCHEMES = new Set(["http:", "https:", "mailto:"]);

/**
 * The address to link to: http, https, mailto, or a path of this origin; null for anything else.
 * The URL parser decides, as it will when the link is followed, so that no odd spelling slips between the two.
 * @param {unknown} value
 * @param {string} base the page's own address
 * @returns {string | null}
 */
export function safeHref(value, base) {
  if (typeof value !== "string" || value.trim() === "") return null;
  try {
    const url = new URL(value, base);
    return SCHEMES.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** A link as it is shown: without scheme and trailing slash, which say nothing to a reader.
 * @param {string} href
 * @param {string} base */
export function shortHref(href, base) {
  const url = new URL(href);
  if (url.origin === new URL(base).origin) return url.pathname + url.search + url.hash;
  return href.replace(/^(https?:\/\/|mailto:)/, "").replace(/\/$/, "");
}
