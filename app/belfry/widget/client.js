/** @import * as T from './types.js' */
import { asking, brought, claims, isRefusal, pause } from './api.js';
import { initial, isNews, reduce } from './store.js';
import { streaming } from './stream.js';
import { sharing } from './tabs.js';

const MAX_ITEMS = 100; // of a page
const UNCONFIRMED_MS = 5000;
const QUIET_MS = 8000;
const WAKING = ['online', 'offline', 'visibilitychange', 'pageshow', 'focus'];

/** @type {T.CreateClient} */
export const createClient = (options = {}) => {
  const { filter = {}, share = true } = options;
  const limit = Math.min(Math.max(1, Math.trunc(options.limit || 20)), MAX_ITEMS);
  const src = (options.src ?? import.meta.url.replace(/\/widget[./].*/, '')).replace(/\/$/, '');
  const { ask, bearer } = asking(src, options.token, options.fetch);
  /** @type {T.Listeners} */
  const listeners = {};
  /** @type {Map<string, T.Timer>} */
  const timers = new Map();
  let state = initial(filter);
  let { status, loading, error } = /** @type {T.Rest} */ ({ status: 'idle', loading: false, error: null });
  /** @type {T.Tabs | null} */
  let tabs = null;
  /** @type {AbortController | null} */
  let opened = null;
  let who = '';
  let asked = 0; // lists; only the latest counts
  let keys = 0;
  let failures = 0;
  let beat = 15_000;
  let refused = false;
  let replaying = false; // after a reset old ones come again

  // --- events

  /** @type {T.Emit} */
  const emit = (name, event) => listeners[name]?.forEach((listener) => {
    try {
      listener(event);
    } catch (fault) {
      reportError(fault); // theirs, not ours
    }
  });

  /** @returns {T.Snapshot} */
  const taken = () => {
    const { items, unread, unseen, loaded, recipient } = state;
    return { items, unread, unseen, loaded, recipient, filter: state.filter, more: !!state.next, status, loading, error };
  };
  let snapshot = taken();

  const draw = () => {
    const before = snapshot;
    const now = taken();
    if (Object.entries(now).every(([name, value]) => value === before[/** @type {keyof T.Snapshot} */ (name)])) return;
    snapshot = now;
    const { unread, unseen } = now;
    if (unread !== before.unread || unseen !== before.unseen) emit('counts', { unread, unseen });
    if (status !== before.status) emit('status', status);
    emit('snapshot', now);
  };

  /** @type {T.Later} */
  const later = (name, milliseconds, run) => {
    if (!opened || timers.has(name)) return;
    timers.set(name, setTimeout(() => {
      timers.delete(name);
      run();
    }, milliseconds));
  };

  /** @type {T.Dispatch} */
  const dispatch = (event) => {
    state = reduce(state, event);
    draw();
    if (state.stale) later('stale', 50 + 450 * Math.random(), refresh);
    if (state.owed) later('owed', 1000 + 4000 * Math.random(), () => state.owed && refresh());
  };

  /** Whether that is another person's inbox: their cookie has come in place of the one before. @type {T.Foreign} */
  const foreign = ({ recipient }) => !!opened && !!recipient && !!state.recipient && recipient !== state.recipient;

  // --- one stream for all tabs

  /** @type {T.Say} */
  const say = (message, wait = 0) => tabs?.say(message, Math.max(wait, 2 * beat) + QUIET_MS);

  /** @type {T.Turn} */
  const turn = (now, wait, fault) => {
    refused = now === 'unauthorized';
    say({ status: now }, wait);
    status = now;
    draw();
    if (fault) emit('error', fault);
  };

  /** @type {(frame: T.Frame) => void} */
  const take = (frame) => {
    const { name, data } = frame;
    if (name === 'ready' && foreign(data)) return restart();
    const news = isNews(state, frame);
    dispatch({ type: 'frame', ...frame });
    if (name === 'ready') {
      [beat, replaying] = [data.heartbeat_seconds * 1000, false];
      if (error) refresh();
    }
    if (name === 'reset') {
      replaying = true;
      emit('reset', data);
    }
    if (news && name === 'change') emit('change', data);
    else if (news && !replaying) emit('notification', { item: data, leading: !!tabs?.leading() });
  };

  /** With the cookie it goes without, where there are none. @returns {Promise<string>} */
  const ticket = async () => (options.ticket ? brought(options.ticket)
    : ask('/v1/tickets', {}).then((answer) => answer.ticket, (fault) => {
      if (options.token || fault.status !== 501) throw fault;
      return '';
    }));

  const identity = async () => {
    const { sub, tenant, topics } = claims(await bearer() || await ticket());
    return sub ? JSON.stringify([sub, tenant, topics]) : '';
  };

  const stream = streaming({
    async locate() {
      if (refused) tabs?.pass(); // another tab may have a better token
      refused = false;
      if (await identity() !== who) {
        restart();
        throw new Error('this is another person’s credential');
      }
      const query = new URLSearchParams({ cursor: state.cursor, ticket: await ticket() });
      return { url: `${src}/v1/stream?${query}`, withCredentials: !options.token };
    },
    hear(frame) {
      say({ frame });
      take(frame);
    },
    turn,
    Source: options.EventSource ?? globalThis.EventSource,
  });

  const joined = () => sharing(share && who ? `belfry:${src}:${who}` : '', {
    lead() {
      say({ lead: state.cursor });
      if (state.cursor) stream.open(); // else the first page says from where on
    },
    follow: stream.close,
    hear({ frame, status: now = status, lead = state.cursor }) {
      if (lead !== state.cursor) refresh(); // it may not have seen what this tab has, nor told what it has
      if (frame) take(frame);
      status = now;
      draw();
    },
    greet: () => say({ status, frame: { name: 'heartbeat', cursor: replaying ? '' : state.cursor, data: {} } }),
    lost: () => refresh(),
  });

  // --- opening and closing

  const start = async () => {
    const mine = opened;
    try {
      const found = await identity();
      if (mine !== opened) return;
      who = found;
      tabs = joined();
      tabs.join();
      refresh();
    } catch (fault) {
      if (mine !== opened) return;
      failed(fault);
      later('start', pause(failures++), start);
    }
  };

  /** @type {(event: {type: string}) => void} */
  const wake = ({ type }) => {
    if (document.visibilityState !== 'visible' && !type.endsWith('line')) return;
    if (tabs?.leading()) stream.poke(type.endsWith('line'));
    else tabs?.poke();
    if (error && type !== 'offline') refresh();
  };

  const open = () => {
    if (opened) return;
    opened = new AbortController();
    const { signal } = opened;
    for (const name of WAKING) addEventListener(name, wake, { signal });
    turn('connecting');
    start();
  };

  const stop = () => {
    opened?.abort();
    opened = null;
    loading = false;
    asked++;
    tabs?.leave();
    tabs = null;
    stream.close();
    timers.forEach((timer) => clearTimeout(timer));
    timers.clear();
  };

  const restart = () => {
    stop();
    state = initial(state.filter);
    open();
  };

  // --- reading

  /** @type {T.Failed} */
  const failed = (fault) => {
    loading = false;
    error = fault;
    if (status === 'connecting') status = isRefusal(fault) ? 'unauthorized' : 'offline';
    draw();
    emit('error', fault);
  };

  /** @type {T.GetPage} */
  const page = (size, before) => {
    const { state: standing = 'all', kinds = [], tags = [] } = state.filter;
    const query = new URLSearchParams([
      ['state', standing], ['limit', `${size}`], ...kinds.map((kind) => ['kind', kind]), ...tags.map((tag) => ['tag', tag]),
    ]);
    if (before) query.set('before', `${before}`);
    return ask(`/v1/inbox?${query}`);
  };

  /** @type {T.Loading} */
  const load = async (get) => {
    const mine = ++asked;
    loading = true;
    draw();
    try {
      const event = await get(() => mine === asked);
      if (mine !== asked) return snapshot;
      loading = false;
      error = null;
      failures = 0;
      if (foreign(event)) {
        restart();
        return snapshot;
      }
      const first = !state.cursor;
      dispatch(event);
      if (first && tabs?.leading()) stream.open();
    } catch (fault) {
      if (mine === asked) failed(fault);
      throw fault;
    }
    return snapshot;
  };

  const reload = () => load(async (current) => {
    const settled = state.marks.filter((mark) => mark.settled).map((mark) => mark.key);
    const wanted = Math.max(state.known.items.length, limit);
    const whole = await page(Math.min(wanted, MAX_ITEMS));
    while (whole.next && whole.items.length < wanted && current()) {
      const { items, next } = await page(MAX_ITEMS, whole.next);
      whole.items.push(...items);
      whole.next = next;
    }
    return { type: 'page', ...whole, settled };
  });

  const refresh = () => {
    const mine = opened;
    const loaded = reload();
    loaded.catch(() => mine === opened && later('refresh', pause(failures++), refresh));
    return loaded;
  };

  // --- marking

  /** @type {(key: number) => boolean} */
  const pending = (key) => state.marks.some((mark) => mark.key === key);

  /** @type {T.Marking} */
  const mark = async (verb, path, ids, time) => {
    const key = ++keys;
    const until = time && new Date(time).toISOString();
    const { items } = state.known; // what stands for a group stands for all of it
    const all = ids === undefined ? null : [...new Set([ids].flat()
      .flatMap((id) => items.find((item) => item.id === id)?.group_ids ?? id))];
    if (all && !all.length) return { changed: 0, unread: state.unread, unseen: state.unseen };
    dispatch({ type: 'mark', key, verb, ids: all, until });
    const { through } = state.marks[state.marks.length - 1];
    try {
      const done = await ask(`/v1/inbox/${path}`, all ? { ids: all, until } : through ? { through } : { all: true });
      dispatch({ type: done.changed ? 'settle' : 'undo', key });
      if (pending(key)) later(`mark${key}`, UNCONFIRMED_MS, () => pending(key) && refresh());
      return done;
    } catch (/** @type {any} */ fault) {
      dispatch({ type: 'undo', key });
      emit('error', fault);
      throw fault;
    }
  };

  return {
    get snapshot() {
      return snapshot;
    },
    on(name, listener) {
      const all = listeners[name] ??= new Set();
      all.add(listener);
      return () => all.delete(listener);
    },
    open,
    close() {
      if (!opened) return;
      stop();
      turn('closed');
    },
    notifications(wanted = state.filter) {
      if (wanted !== state.filter) dispatch({ type: 'filter', filter: wanted });
      return refresh();
    },
    loadMore: async () => (!state.next || loading ? snapshot
      : load(async () => ({ type: 'more', ...await page(limit, state.next) }))),
    counts: () => ask('/v1/inbox/counts'),
    markAsRead: (ids) => mark('read', 'read', ids),
    markAsUnread: (ids) => mark('unread', 'unread', ids),
    markAsSeen: (ids) => mark('seen', 'seen', ids),
    markAllAsRead: () => mark('read', 'read'),
    markAllAsSeen: () => mark('seen', 'seen'),
    archive: (ids) => mark('archived', 'archive', ids),
    unarchive: (ids) => mark('unarchived', 'unarchive', ids),
    archiveAll: () => mark('archived', 'archive'),
    snooze: (ids, until) => mark('snoozed', 'snooze', ids, until),
    unsnooze: (ids) => mark('unsnoozed', 'unsnooze', ids),
    preferences: async () => (await ask('/v1/preferences')).preferences,
    setPreference: async (kind, enabled) => (await ask('/v1/preferences', { kind, enabled }, 'PUT')).preferences,
  };
};
