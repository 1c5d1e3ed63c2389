/** The position up to which a cursor tells; 0 for none. `1042~3,8-9` has gaps, as distances below its head. */
export const head = (/** @type {string | null} */ cursor) => Number(/(\d+)(~|$)/.exec(cursor ?? '')?.[1] ?? 0);

/**
 * Whether a cursor says that a position has been seen.
 *
 * @param {string | null} cursor
 * @param {number} id
 */
export function covers(cursor, id) {
  const top = head(cursor);
  const gaps = cursor?.split('~')[1]?.split(',') ?? [];
  return id <= top && !gaps.some((gap) => {
    const [near, far = near] = gap.split('-').map(Number);
    return id <= top - near && id >= top - far;
  });
}
