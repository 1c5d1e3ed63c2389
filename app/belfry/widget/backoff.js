/** Milliseconds before another attempt: half to all of 1, 2, 4 … 30 seconds; the jitter comes after the cap. */
export const pause = (/** @type {number} */ attempt, random = Math.random) =>
  Math.min(30_000, 1000 * 2 ** attempt) * (0.5 + random() / 2);
