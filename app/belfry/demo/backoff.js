// @ts-check
/** How long to wait before the next attempt. Pure but for chance. */

const FIRST_MILLISECONDS = 1_000;
const CAP_MILLISECONDS = 30_000;

/**
 * Doubles from a second to half a minute, and takes a random part between a half and the whole of it, so that many
 * clients that lost their relay at once do not come back at once.
 * @param {number} attempt from 0
 * @param {() => number} [chance] 0 to 1
 */
export function delay(attempt, chance = Math.random) {
  return Math.min(CAP_MILLISECONDS, FIRST_MILLISECONDS * 2 ** attempt) * (0.5 + chance() / 2);
}
