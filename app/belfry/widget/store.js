/** What a browser knows of one inbox; pure. @import * as T from './types.js' */
const LOG_FRAMES = 1000;
const GROUP_IDS = 100;
const MOST_ITEMS = 1000;
const RETURNING = ['unarchived', 'unsnoozed', 'delivered'];
/** @type {T.Flags} */
const FLAGS = {
  read: { read: true, seen: true },
  unread: { read: false },
  seen: { seen: true },
  archived: { archived: true },
  unarchived: { archived: false },
  snoozed: { snoozed_until: 'infinity' },
  unsnoozed: { snoozed_until: null, read: false, seen: false },
};

/** @type {T.Initial} */
export const initial = (filter = {}) => {
  const known = { items: [], unread: 0, unseen: 0 };
  return {
    ...known, known, filter, loaded: false, stale: false, owed: false, next: null, cursor: '', listed: '', counted: '',
    log: [], marks: [], recipient: '',
  };
};

/** @type {T.Reduce} */
export const reduce = (state, event) => {
  const after = event.type === 'frame' ? framed(state, event) : asked(state, event);
  const { known, marks, filter } = after;
  return known === state.known && marks === state.marks && filter === state.filter ? after : shown(after);
};

/** @type {T.Asked} */
const asked = (state, event) => {
  const { known, marks } = state;
  switch (event.type) {
    case 'page': {
      const { items, unread, unseen, next, cursor, settled, recipient = state.recipient } = event;
      return again(cursor, {
        ...state, known: { items, unread, unseen }, loaded: true, stale: false, owed: false, next,
        cursor: state.cursor || cursor, recipient, listed: cursor, counted: cursor,
        marks: marks.filter(({ key }) => !settled.includes(key)),
      });
    }
    case 'more': {
      const items = event.items.filter(({ id }) => known.items.every((item) => item.id !== id));
      const older = again(event.cursor, { ...state, known: { ...known, items } }, true);
      return { ...state, next: event.next, known: { ...known, items: sorted([...known.items, ...older.known.items]) } };
    }
    case 'filter':
      return { ...state, filter: event.filter, known: { ...known, items: [] }, loaded: false, next: null };
    case 'mark':
      return { ...state, marks: [...marks, { ...event, through: event.ids ? 0 : head(state.cursor), settled: false }] };
    case 'settle':
      return { ...state, marks: marks.map((mark) => (mark.key === event.key ? { ...mark, settled: true } : mark)) };
    default:
      return { ...state, marks: marks.filter(({ key }) => key !== event.key) };
  }
};

// --- cursors: `1042~3,8-9` has gaps, as distances below its head

/** @type {(cursor: string) => number} */
const head = (cursor) => Number(/(\d+)(~|$)/.exec(cursor)?.[1] ?? 0);

/** @type {(cursor: string, id: number) => boolean} */
export const covers = (cursor, id) => {
  const below = head(cursor) - id;
  return below >= 0 && !cursor.split('~')[1]?.split(',').some((gap) => {
    const [near, far = near] = gap.split('-').map(Number);
    return near <= below && below <= far;
  });
};

// --- frames

/** @type {T.IsNews} */
export const isNews = ({ log }, { data: { id, verb, ids } }) =>
  !!id && !log.some(({ data }) => data.id === id && data.verb === verb && data.ids?.[0] === ids?.[0]);

/** @type {T.Step} */
const framed = (before, frame) => {
  const { name, data } = frame;
  const state = { ...before, cursor: frame.cursor || before.cursor };
  if (name === 'reset') return { ...state, log: [], listed: '', counted: '', stale: true };
  if (name === 'ready') return { ...state, recipient: data.recipient, ...told(state, data) };
  if (!isNews(state, frame)) return state;
  const log = [...state.log.slice(state.log.length < 2 * LOG_FRAMES ? 0 : -LOG_FRAMES), frame];
  const marks = state.marks.filter((mark) => !confirms(mark, data));
  return applied({ ...state, log, marks: marks.length < state.marks.length ? marks : state.marks }, frame);
};

/** @type {T.Again} */
const again = (cursor, state, older) => state.log
  .filter(({ name, data }) => !covers(cursor, data.id) && !(older && name === 'message')).reduce(applied, state);

/** @type {T.Step} */
const applied = (state, { name, data }) => {
  const change = name === 'change';
  const known = covers(state.listed, data.id) || !state.loaded;
  const next = known ? state : change ? changed(state, data) : kept(state, inserted(state, data));
  if (covers(state.counted, data.id)) return next;
  if (change) {
    const guess = { ...next.known, ...moved(next.known, state.known.items) };
    return { ...next, known: guess, owed: state.owed || data.verb !== 'revised', ...told(next, data) };
  }
  const { unread, unseen } = next.known;
  return { ...next, known: { ...next.known, unread: unread + 1, unseen: unseen + 1 } };
};

/** @type {T.Told} */
const told = ({ known }, { unread, unseen }) =>
  unread == null || unseen == null ? {} : { known: { ...known, unread, unseen }, counted: '', owed: false };

// --- the list

/** As `belfry.fits`. @type {T.Fits} */
const fits = (item, { state = 'all' }) =>
  state === 'archived' ? item.archived
    : !item.archived && (state === 'snoozed') === !!item.snoozed_until && (
      state === 'unread' ? !item.read : state === 'unseen' ? !item.seen
        : state === 'read' || state === 'seen' ? item[state] : true);

/** @type {T.Sorted} */
const sorted = (items) => items.sort((a, b) => b.id - a.id);

/** @type {T.Inserted} */
const inserted = ({ known: { items }, filter, next }, notification) => {
  const { id, kind, tags, group_key, topic } = notification;
  /** @type {T.Item} */
  let item = {
    ...notification, group_count: 1, group_ids: [id], seen: false, read: false, archived: false, snoozed_until: null,
  };
  if ((next && id < next) || !fits(item, filter) || (filter.kinds && !filter.kinds.includes(kind)) ||
    (filter.tags && !filter.tags.some((tag) => tags?.includes(tag))) ||
    items.some(({ group_ids }) => group_ids.includes(id))) return items;
  const twin = group_key &&
    items.find((each) => each.group_key === group_key && each.topic === topic && fits(each, filter));
  if (twin) {
    if (twin.id > id) item = { ...twin };
    item.group_count = twin.group_count + 1;
    item.group_ids = [id, ...twin.group_ids].sort((a, b) => b - a).slice(0, GROUP_IDS);
  }
  return sorted([...items.filter((each) => each !== twin), item]);
};

/** No more than a page can bear for weeks, or than was loaded; what goes can be again. @type {T.Kept} */
const kept = (state, items) => {
  const most = Math.max(MOST_ITEMS, state.known.items.length);
  const [over] = items.splice(most);
  return { ...state, known: { ...state.known, items }, next: over ? items[most - 1].id : state.next };
};

/** @type {T.About} */
const about = ({ ids, through }) => {
  const some = new Set(ids);
  return (id) => some.has(id) || (through != null && id <= through);
};

/** @type {T.Follow} */
const changed = (state, change) => {
  const { verb, id, topic, kind, notification } = change;
  const hit = about(change);
  const over = ['retracted', 'expired'].includes(verb) ? hit : null;
  const turn = verb === 'revised' ? notification : FLAGS[verb];
  const items = state.known.items
    .filter((item) => !over?.(item.id) && !(item.id > id && (
      verb === 'unsubscribed' ? item.topic === topic
        : verb === 'preference' && change.enabled === false && item.kind === kind)))
    .map((item) => (turn && hit(item.id) ? { ...item, ...turn } : item));
  return { ...state, known: { ...state.known, items }, stale: state.stale || unsure(state, change, hit, !!over) };
};

/** @type {T.Unsure} */
const unsure = ({ known: { items }, next, filter }, { verb, id, ids = [], through }, hit, over) => {
  const { state = 'all', tags } = filter;
  if (verb === 'preference' || verb === 'unsubscribed') return items.some((item) => item.id > id); // it came late, or again
  if (verb === 'revised') return !!tags;
  if (state === 'all' && ['read', 'unread', 'seen'].includes(verb)) return false;
  // A part of a group leaves: another stands for the rest.
  if (items.some(({ group_count, group_ids }) =>
    group_count > 1 && group_ids.some(hit) && (group_count > group_ids.length || !group_ids.every(hit)))) return true;
  // Something comes that is not known here.
  if (over || (state === 'all' && !RETURNING.includes(verb))) return false;
  return (through != null && !state.startsWith('un')) || (verb === 'snoozed' && state === verb) ||
    ids.some((one) => !(next && one < next) && items.every(({ group_ids }) => !group_ids.includes(one)));
};

// --- optimistic marks

/** @type {T.Confirms} */
const confirms = (mark, { verb, ids, through }) =>
  verb === mark.verb && (!mark.ids || through != null || mark.ids.some((id) => ids?.includes(id)));

/** @type {T.Sum} */
const sum = (items, flag) => items.filter((item) => fits(item, {}) && !item[flag]).length;

/** @type {T.Moved} */
const moved = ({ unread, unseen, items }, before) => ({
  unread: Math.max(0, unread + sum(items, 'read') - sum(before, 'read')),
  unseen: Math.max(0, unseen + sum(items, 'seen') - sum(before, 'seen')),
});

/** @type {T.Shown} */
const shown = (state) => {
  const { known, marks, filter } = state;
  const over = marks.reduce((items, mark) => {
    const hit = about(mark);
    const turn = mark.until ? { snoozed_until: mark.until } : FLAGS[mark.verb];
    return items.map((item) => (hit(item.id) ? { ...item, ...turn } : item));
  }, known.items);
  const guess = moved({ ...known, items: over }, known.items);
  /** @type {T.Count} */
  const count = (name, flag) => marks.some(({ ids, verb }) => !ids && (verb !== 'seen' || flag === verb))
    ? sum(over, flag) : guess[name];
  const items = over.filter((item) => fits(item, filter));
  return {
    ...state, items: items.length < over.length ? items : over, unread: count('unread', 'read'),
    unseen: count('unseen', 'seen'),
  };
};
