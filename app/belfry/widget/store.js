/**
 * What a browser knows of one inbox. Pure: `reduce(state, event)` is the next state, and changes nothing.
 *
 * The server's truth (`known`) is kept apart from the optimistic marks that lie over it. Counts are exact from frames
 * alone: absolute where a frame or a page carries them, one more for each notification after it. A page is a snapshot
 * that may be older or newer than the stream: what its cursor does not cover is played over it again, and what it
 * covers is no news when the stream brings it.
 *
 * @import {Change, Event, Filter, Frame, Item, Known, Mark, Notification, Page, Pending, State} from './types.js'
 */
import { covers, head } from './cursor.js';

const LOG_FRAMES = 1000;

/** @returns {State} */
export const initial = (/** @type {Filter} */ filter = {}) => {
  const known = { items: [], unread: 0, unseen: 0 };
  return {
    ...known, known, filter, loaded: false, stale: false, owed: false, next: null, cursor: null, listed: null,
    counted: null, log: [], marks: [], recipient: null,
  };
};

/**
 * @param {State} state
 * @param {Event} event
 * @returns {State}
 */
export function reduce(state, event) {
  const after = step(state, event);
  const same = after.known === state.known && after.marks === state.marks && after.filter === state.filter;
  return same ? after : shown(after);
}

/** @returns {State} */
function step(/** @type {State} */ state, /** @type {Event} */ event) {
  switch (event.type) {
    case 'page':
      return again(event.cursor, true, true, {
        ...state, known: { items: event.items, unread: event.unread, unseen: event.unseen }, loaded: true, stale: false,
        owed: false, next: event.next, cursor: state.cursor ?? event.cursor, listed: event.cursor,
        counted: event.cursor, marks: state.marks.filter((mark) => !event.settled?.includes(mark.key)),
      });
    case 'more':
      return { ...state, next: event.next, known: { ...state.known, items: joined(state, event) } };
    case 'counts':
      return again(event.cursor, false, true, {
        ...state, owed: false, counted: event.cursor,
        known: { ...state.known, unread: event.unread, unseen: event.unseen },
      });
    case 'filter':
      return {
        ...state, filter: event.filter, known: { ...state.known, items: [] }, loaded: false, next: null, listed: null,
      };
    case 'mark':
      return { ...state, marks: [...state.marks, pending(state, event)] };
    case 'settle':
      return {
        ...state, marks: event.changed
          ? state.marks.map((mark) => (mark.key === event.key ? { ...mark, settled: true } : mark))
          : state.marks.filter((mark) => mark.key !== event.key),
      };
    case 'undo':
      return { ...state, marks: state.marks.filter((mark) => mark.key !== event.key) };
    case 'frame':
      return framed(state, event);
  }
}

// --- frames --------------------------------------------------------------------------------------------------

/** @returns {State} */
function framed(/** @type {State} */ state, /** @type {Frame} */ frame) {
  const { name, data } = frame;
  const moved = { ...state, cursor: frame.cursor || state.cursor };
  if (name === 'reset') return { ...moved, log: [], listed: null, counted: null, stale: true };
  if (name === 'ready') return { ...moved, recipient: data.recipient, ...told(state, data) };
  if (name !== 'message' && name !== 'change') return moved;
  if (repeats(state, frame)) return moved;
  const log = [...(state.log.length < 2 * LOG_FRAMES ? state.log : state.log.slice(-LOG_FRAMES)), frame];
  const marks = name === 'change' ? state.marks.filter((mark) => !confirms(data, mark)) : state.marks;
  return applied({ ...moved, log, marks: marks.length < state.marks.length ? marks : state.marks }, frame, true, true);
}

/** Whether that notification or change was here before. */
export const repeats = (/** @type {State} */ state, /** @type {Frame} */ frame) =>
  state.log.some((each) => each.data.id === frame.data.id);

/** Play what a cursor does not cover over a state. */
function again(
  /** @type {string} */ cursor, /** @type {boolean} */ items, /** @type {boolean} */ counts, /** @type {State} */ state,
) {
  return state.log.reduce(
    (next, frame) => (covers(cursor, frame.data.id) ? next : applied(next, frame, items, counts)), state,
  );
}

/** @returns {State} */
function applied(
  /** @type {State} */ state, /** @type {Frame} */ frame, /** @type {boolean} */ items, /** @type {boolean} */ counts,
) {
  const { id } = frame.data;
  const change = frame.name === 'change';
  let next = state;
  if (items && state.loaded && !covers(state.listed, id)) {
    next = change ? changed(state, frame.data) : { ...state, known: { ...state.known, items: inserted(state, frame.data) } };
  }
  if (!counts || covers(state.counted, id)) return next;
  if (change) return { ...next, ...told(next, frame.data), owed: frame.data.unread == null && (state.owed || frame.data.verb !== 'revised') };
  const { unread, unseen } = next.known;
  return { ...next, known: { ...next.known, unread: unread + 1, unseen: unseen + 1 } };
}

/** The counts that a frame carries: they hold at its place in the stream, so whatever follows is not in them. */
const told = (/** @type {State} */ { known }, /** @type {{unread?: number, unseen?: number}} */ { unread, unseen }) =>
  unread == null || unseen == null ? {} : { known: { ...known, unread, unseen }, counted: null, owed: false };

// --- the list ------------------------------------------------------------------------------------------------

/** @type {Record<string, Partial<Item>>} */
const FLAGS = {
  read: { read: true, seen: true },
  unread: { read: false },
  seen: { seen: true },
  archived: { archived: true },
  unarchived: { archived: false },
  snoozed: { snoozed_until: 'infinity' },
  unsnoozed: { snoozed_until: null, read: false, seen: false },
};
const CONTENT_GONE = ['retracted', 'expired'];
const RETURNING = ['unarchived', 'unsnoozed', 'delivered'];

/** Whether an item is in a list of that state: what `belfry.fits` says. */
const fits = (/** @type {Item} */ item, /** @type {Filter} */ { state = 'all' }) => {
  if (state === 'archived') return item.archived;
  if (item.archived || (state === 'snoozed') !== (item.snoozed_until !== null)) return false;
  return state === 'unread' ? !item.read : state === 'unseen' ? !item.seen
    : state === 'read' || state === 'seen' ? item[state] : true;
};

/** A new notification in its place, if it has one in what is loaded. */
function inserted(/** @type {State} */ { known: { items }, filter, next }, /** @type {Notification} */ notification) {
  const { id, kind, tags, group_key, topic } = notification;
  /** @type {Item} */
  let item = {
    ...notification, group_count: 1, group_ids: [id], seen: false, read: false, archived: false, snoozed_until: null,
  };
  if (
    items.some((each) => each.id === id || each.group_ids.includes(id)) || !fits(item, filter) ||
    (filter.kinds && !filter.kinds.includes(kind)) || (filter.tags && !filter.tags.some((tag) => tags?.includes(tag))) ||
    (next && id < next)
  ) return items;
  const twin = group_key != null &&
    items.find((each) => each.group_key === group_key && each.topic === topic && fits(each, filter));
  if (twin) {
    item = twin.id > id ? { ...twin } : item;
    item.group_count = twin.group_count + 1;
    item.group_ids = [...twin.group_ids, id].sort((a, b) => b - a).slice(0, 100);
  }
  return sorted([...items.filter((each) => each !== twin), item]);
}

const sorted = (/** @type {Item[]} */ items) => items.sort((a, b) => b.id - a.id);

/** What is loaded and an older page of it; what happened after that page, happens to it again. */
function joined(/** @type {State} */ state, /** @type {Page} */ page) {
  const fresh = page.items.filter((item) => !state.known.items.some((each) => each.id === item.id));
  const log = state.log.filter((frame) => frame.name === 'change');
  const { items } = again(page.cursor, true, false, {
    ...state, log, listed: null, known: { ...state.known, items: fresh },
  }).known;
  return sorted([...state.known.items, ...items]);
}

/** Which notifications a change is about. */
const about = (/** @type {{ids?: readonly number[] | null, through?: number | null}} */ { ids, through }) => {
  const some = new Set(ids);
  return (/** @type {number} */ id) => some.has(id) || (through != null && id <= through);
};

/** The state after a change; stale where only a page could tell what comes into the list. */
function changed(/** @type {State} */ state, /** @type {Change} */ change) {
  const { verb, id, ids = [] } = change;
  const { items } = state.known;
  const hit = about(change);
  const gone = CONTENT_GONE.includes(verb);
  /** @type {Item[]} */
  let after = items;
  if (gone) after = items.filter((item) => !hit(item.id));
  else if (verb === 'revised') after = items.map((item) => (hit(item.id) ? { ...item, ...change.notification } : item));
  else if (verb === 'unsubscribed') after = items.filter((item) => item.topic !== change.topic || item.id < id);
  else if (verb === 'preference' && change.enabled === false) {
    after = items.filter((item) => item.kind !== change.kind || item.id < id);
  } else if (FLAGS[verb]) after = items.map((item) => (hit(item.id) ? { ...item, ...FLAGS[verb] } : item));
  const stale = splits(state, change, hit) || brings(state, change, ids) ||
    (verb === 'preference' && items.some((item) => item.id > id)) || (verb === 'snoozed' && state.filter.state === verb) ||
    (verb === 'revised' && !!state.filter.tags);
  return { ...state, known: { ...state.known, items: after }, stale: state.stale || stale };
}

/** Whether a change takes a part of a group out of the list: then another stands for the rest. */
function splits(
  /** @type {State} */ { known, filter: { state = 'all' } }, /** @type {Change} */ { verb },
  /** @type {(id: number) => boolean} */ hit,
) {
  if (state === 'all' && ['read', 'unread', 'seen'].includes(verb)) return false;
  return known.items.some(({ group_count, group_ids }) =>
    group_count > 1 && group_ids.some(hit) && !(group_count === group_ids.length && group_ids.every(hit)));
}

/** Whether a change may bring something into what is loaded that is not known here. */
function brings(
  /** @type {State} */ { known, next, filter: { state = 'all' } }, /** @type {Change} */ { verb, through },
  /** @type {number[]} */ ids,
) {
  if (!FLAGS[verb] && verb !== 'delivered') return false;
  if (state === 'all' && !RETURNING.includes(verb)) return false;
  if (through != null && (state === verb || state === 'read' || state === 'seen')) return true;
  return ids.some((id) => !(next && id < next) && !known.items.some((item) => item.group_ids.includes(id)));
}

// --- optimistic marks ----------------------------------------------------------------------------------------

const seenUpTo = (/** @type {State} */ state) =>
  Math.max(head(state.cursor), state.known.items[0]?.id ?? 0);

/** Whether a change of the stream is what a mark has asked for. */
const confirms = (/** @type {Change} */ { verb, ids, through }, /** @type {Pending} */ mark) =>
  verb === mark.verb && (mark.ids ? through != null || mark.ids.some((id) => ids?.includes(id)) : true);

const open = (/** @type {Item} */ item) => !item.archived && item.snoozed_until === null;

/** A mark, and what it does to the counts as they are shown. @returns {Pending} */
function pending(/** @type {State} */ state, /** @type {Event & {type: 'mark'}} */ { key, verb, ids, until }) {
  const mark = { key, verb, ids, until, through: ids ? 0 : seenUpTo(state), unread: 0, unseen: 0, settled: false };
  if (!ids) {
    const unread = verb === 'seen' ? 0 : -state.unread;
    return { ...mark, unread, unseen: -state.unseen };
  }
  const before = overlaid(state, state.marks);
  const after = overlaid(state, [...state.marks, mark]);
  const sum = (/** @type {Item[]} */ items, /** @type {'read' | 'seen'} */ flag) =>
    items.filter((item) => open(item) && !item[flag]).length;
  return { ...mark, unread: sum(after, 'read') - sum(before, 'read'), unseen: sum(after, 'seen') - sum(before, 'seen') };
}

/** The known items with marks over them. */
const overlaid = (/** @type {State} */ { known }, /** @type {Pending[]} */ marks) =>
  marks.reduce((items, mark) => {
    const hit = about(mark);
    const flags = mark.until ? { snoozed_until: mark.until } : FLAGS[mark.verb];
    return items.map((item) => (hit(item.id) ? { ...item, ...flags } : item));
  }, known.items);

/** What the page shows of a state. @returns {State} */
function shown(/** @type {State} */ state) {
  const items = overlaid(state, state.marks);
  const sum = (/** @type {'unread' | 'unseen'} */ name) =>
    Math.max(0, state.marks.reduce((count, mark) => count + mark[name], state.known[name]));
  return {
    ...state, items: items.every((item) => fits(item, state.filter)) ? items : items.filter((item) => fits(item, state.filter)),
    unread: sum('unread'), unseen: sum('unseen'),
  };
}
