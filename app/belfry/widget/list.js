/** The rows, each drawn when it is new or another; the keyboard goes from one to the next. @import * as T from './elements.js' */
import { arrow, make } from './dom.js';
import { createRow } from './item.js';
import { day } from './time.js';

const SLICE = 25; // rows drawn in one frame: more would be felt

/** @type {T.CreateList} */
export const createList = (act) => {
  /** @type {Map<number, T.Row>} */
  const rows = new Map();
  /** @type {number[]} */
  let order = [];

  /** @type {T.Find} */
  const nth = (at) => rows.get(order[at]);

  /** One row is in the order of the tab key: where somebody was last. @param {T.Row} [now] */
  const rove = (now) => {
    const all = [...rows.values()];
    const one = now ?? all.find(({ open }) => !open.tabIndex) ?? nth(0);
    for (const row of all) row.open.tabIndex = row === one ? 0 : -1;
  };

  const element = make('ul', {
    role: 'list', tabIndex: -1,
    onfocusin: (/** @type {Event} */ { target }) => rove([...rows.values()].find(({ open }) => open === target)),
    onkeydown(/** @type {KeyboardEvent} */ event) {
      const open = /** @type {HTMLElement} */ (event.target);
      if (open.part[0] !== 'title') return;
      if (open.role && [' ', 'Enter'].includes(event.key)) {
        event.preventDefault(); // else the space bar scrolls
        open.click();
      } else if (!/Left|Right/.test(event.key)) arrow(event, order.flatMap((id) => rows.get(id)?.open ?? []));
    },
  });

  /** Let go of those that are no more; who was there goes to the next, or stays in the list. @param {Set<number>} kept */
  const sweep = (kept) => {
    const at = order.findIndex((id) => !kept.has(id) && rows.get(id)?.node.matches(':focus-within'));
    const next = order.slice(at).find((id) => kept.has(id)) ?? order.findLast((id) => kept.has(id));
    for (const [id, { node }] of rows) {
      if (kept.has(id)) continue;
      node.remove();
      rows.delete(id);
    }
    if (at >= 0) (next ? rows.get(next)?.open : element)?.focus();
  };

  return {
    element,
    get first() {
      return order[0];
    },
    focus(id = order[0], tool) {
      rows.get(id)?.open.focus(); // a tool shows, and can take it, beside a focus alone
      tool?.focus();
    },
    tick: () => rows.forEach((row) => row.tick()),
    draw(items, words, lang) {
      sweep(new Set(items.map(({ id }) => id)));
      order = [];
      let before = '';
      let left = SLICE;
      let at = element.firstElementChild;
      for (const item of items) {
        let row = rows.get(item.id);
        if (!row && !left) break;
        if (!row) rows.set(item.id, row = createRow(act));
        const name = day(Date.parse(item.created_at), Date.now(), lang);
        if (left && row.show(item, { words, lang, heading: name === before ? '' : name })) left--;
        before = name;
        if (row.node === at) at = at.nextElementSibling;
        else element.insertBefore(row.node, at);
        order.push(item.id);
      }
      rove();
      return !left;
    },
  };
};
