/**
 * A recipient's inbox in a page: the list, the counts, the marks, live. The elements draw what it says.
 *
 * @import {Change, Changed, Client as Shape, Counts, Env, Event, Events, Filter, Frame, Ids, Mark, Options, Page, Preference, Snapshot, State, Status} from './types.js'
 */
import { Api, claims } from './api.js';
import { pause } from './backoff.js';
import { browser } from './env.js';
import { initial, reduce, repeats } from './store.js';
import { Stream } from './stream.js';
import { Tabs } from './tabs.js';

const PAGE_ITEMS = 20;
const MAX_ITEMS = 100; // of a page
const UNCONFIRMED_MS = 5000;
const PATIENCE_MS = 8000;
const WAKING = ['online', 'visibilitychange', 'pageshow', 'focus', 'resume'];
const PATHS = {
  read: 'read', unread: 'unread', seen: 'seen', archived: 'archive', unarchived: 'unarchive', snoozed: 'snooze',
  unsnoozed: 'unsnooze',
};

/** Make a client; nothing happens before `open()`. @returns {Shape} */
export const createClient = (/** @type {Options} */ options = {}) => new Client(options);

/** @implements {Shape} */
class Client {
  /** @type {{[name: string]: Set<(event: any) => void>}} */
  #listeners = {};
  #timers = new Map(); // by name
  #opened = 0; // how often; what an earlier opening has begun is dropped
  #isOpen = false;
  #asked = 0; // of first pages; only the latest counts
  #keys = 0;
  #beat = 15_000;
  #failures = 0;
  #replaying = false; // after a reset: old ones come again
  #refused = false;
  #who = '';
  /** @type {Status} */
  #status = 'idle';
  #loading = false;
  /** @type {Error | null} */
  #error = null;
  /** @type {Tabs | null} */
  #tabs = null;
  /** @type {() => void} */
  #deaf = () => {};

  constructor(/** @type {Options} */ options) {
    const { src = new URL('..', import.meta.url).href, filter = {}, token, limit = PAGE_ITEMS, share = true } = options;
    /** @type {Env} */
    this.env = { ...browser(), ...options.env };
    this.src = src.replace(/\/$/, '');
    this.options = { ...options, limit, share };
    this.api = new Api(this.env, this.src, token);
    this.state = initial(filter);
    this.stream = new Stream(this.env, {
      locate: () => this.#locate(),
      frame: (frame) => {
        if (frame.name === 'ready') this.#beat = frame.data.heartbeat_seconds * 1000 || this.#beat;
        this.#say({ frame });
        this.#take(frame);
      },
      status: (status, wait, error) => {
        this.#refused = status === 'unauthorized';
        this.#say({ status }, wait);
        this.#turn(status);
        if (error) this.#emit('error', error);
      },
    });
    /** @type {Snapshot} */
    this.snapshot = this.#snapshot();
  }

  // --- events ------------------------------------------------------------------------------------------------

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(event: Events[Name]) => void} listener
   */
  on(name, listener) {
    const all = (this.#listeners[name] ??= new Set());
    all.add(listener);
    return () => void all.delete(listener);
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} event
   */
  #emit(name, event) {
    for (const listener of this.#listeners[name] ?? []) {
      try {
        listener(event);
      } catch (error) {
        this.env.setTimeout(() => { throw error; }, 0); // theirs, not ours
      }
    }
  }

  /** @returns {Snapshot} */
  #snapshot() {
    const { items, unread, unseen, filter, loaded, next, recipient } = this.state;
    return {
      items, unread, unseen, filter, loaded, recipient, status: this.#status, loading: this.#loading, error: this.#error,
      more: next !== null,
    };
  }

  /** Tell of what has changed, if anything has. */
  #draw() {
    const before = /** @type {any} */ (this.snapshot);
    const now = /** @type {any} */ (this.#snapshot());
    if (Object.keys(now).every((name) => now[name] === before[name])) return;
    this.snapshot = now;
    const { unread, unseen, status } = now;
    if (unread !== before.unread || unseen !== before.unseen) this.#emit('counts', { unread, unseen });
    if (status !== before.status) this.#emit('status', status);
    this.#emit('snapshot', now);
  }

  #turn(/** @type {Status} */ status) {
    this.#status = status;
    this.#draw();
  }

  /** Let an event happen, and see to what only the server can tell then. */
  #reduce(/** @type {Event} */ event) {
    this.state = reduce(this.state, event);
    this.#draw();
    const { stale, owed } = this.state;
    const { random } = this.env;
    if (stale) this.#later('stale', 50 + 450 * random(), () => this.#refresh());
    if (owed) this.#later('owed', 1000 + 4000 * random(), () => this.state.owed && this.#recount());
  }

  /** Once, after a while; not again while it is awaited. */
  #later(/** @type {string} */ name, /** @type {number} */ milliseconds, /** @type {() => unknown} */ run) {
    if (this.#timers.has(name) || !this.#isOpen) return;
    this.#timers.set(name, this.env.setTimeout(() => {
      this.#timers.delete(name);
      run();
    }, milliseconds));
  }

  // --- opening and closing -----------------------------------------------------------------------------------

  open() {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#deaf = this.env.listen([...WAKING, 'offline'], (event) => this.#wake(event.type));
    this.#turn('connecting');
    this.#start(++this.#opened);
  }

  close() {
    if (!this.#isOpen) return;
    this.#stop();
    this.#turn('closed');
  }

  #stop() {
    this.#isOpen = false;
    this.#opened++;
    this.#asked++;
    this.#deaf();
    this.#tabs?.leave();
    this.#tabs = null;
    this.stream.close();
    for (const timer of this.#timers.values()) this.env.clearTimeout(timer);
    this.#timers.clear();
  }

  /** Join the tabs of whoever the credential names, and load the list; again until that works. */
  async #start(/** @type {number} */ opening) {
    try {
      const who = await this.#identity();
      if (opening !== this.#opened) return;
      this.#who = who;
      this.#tabs = new Tabs(this.env, this.options.share && who ? `belfry:${this.src}:${who}` : null, {
        lead: () => this.#lead(),
        follow: () => this.stream.close(),
        hear: (message) => this.#hear(message),
        greet: () => this.#say({ status: this.#status, cursor: this.state.cursor, recipient: this.state.recipient }),
        lost: () => this.#refresh(),
      });
      this.#tabs.join();
      this.#refresh();
    } catch (error) {
      if (opening !== this.#opened) return;
      this.#failed(error);
      this.#later('start', pause(this.#failures++, this.env.random), () => this.#start(opening));
    }
  }

  /** Whose inbox this is, and how narrowed: those share a stream. Empty where that cannot be known. */
  async #identity() {
    const token = (await this.api.bearer()) ?? (await this.#ticket().catch(() => '')) ?? '';
    const { sub, tenant = null, topics = null } = claims(token);
    return sub ? JSON.stringify([sub, tenant, topics]) : '';
  }

  /** @returns {Promise<string>} */
  async #ticket() {
    return this.options.ticket ? this.options.ticket() : (await this.api.ask('/v1/tickets', {})).ticket;
  }

  async #locate() {
    if (this.#refused) {
      this.#refused = false;
      this.#tabs?.pass(); // another tab may have a better token
    }
    const who = await this.#identity();
    if (who !== this.#who) {
      this.#restart();
      throw new Error('the token is another person’s now');
    }
    const query = new URLSearchParams({ cursor: this.state.cursor ?? '' });
    const cookie = this.api.byCookie;
    query.set('ticket', await this.#ticket().catch((error) => {
      if (cookie && error.status === 501) return '';
      throw error;
    }));
    return { url: `${this.src}/v1/stream?${query}`, withCredentials: cookie };
  }

  /** Nothing of one person may be left when another comes. */
  #restart() {
    this.#stop();
    this.state = initial(this.state.filter);
    this.open();
  }

  #wake(/** @type {string} */ name) {
    if (name === 'offline') return this.#status === 'live' && this.#tabs?.leading && this.stream.poke(true);
    if (!this.env.visible() && name !== 'online') return;
    if (this.#tabs?.leading) this.stream.poke(name === 'online');
    else this.#tabs?.poke();
    if (this.#error) this.#refresh();
  }

  // --- one stream for all tabs -------------------------------------------------------------------------------

  async #lead() {
    this.#say({ lead: this.state.cursor });
    if (this.state.cursor) this.stream.open();
    // else the first page says from where on
  }

  #say(/** @type {any} */ message, wait = 0) {
    this.#tabs?.say(message, Math.max(wait, 2 * this.#beat) + PATIENCE_MS);
  }

  /** What the leading tab says. */
  #hear(/** @type {any} */ message) {
    const { frame, status, recipient } = message;
    if (frame) this.#take(frame);
    if (recipient) this.state = { ...this.state, recipient };
    if (status) this.#turn(status);
    if ('lead' in message && message.lead !== this.state.cursor) this.#refresh();
  }

  #take(/** @type {Frame} */ frame) {
    const { name, data } = frame;
    const news = (name === 'message' || name === 'change') && !repeats(this.state, frame);
    this.#reduce({ type: 'frame', ...frame });
    if (name === 'ready') this.#replaying = false;
    if (name === 'reset') {
      this.#replaying = true;
      this.#emit('reset', data);
    }
    if (!news) return;
    if (name === 'change') this.#emit('change', data);
    else if (!this.#replaying) this.#emit('notification', { item: data, leading: !!this.#tabs?.leading });
  }

  // --- reading -----------------------------------------------------------------------------------------------

  /** @returns {Promise<Page>} */
  #page(/** @type {number} */ limit, /** @type {number | null} */ before = null) {
    const { state = 'all', kinds = [], tags = [] } = this.state.filter;
    const query = new URLSearchParams({ state, limit: String(limit) });
    if (before) query.set('before', String(before));
    for (const kind of kinds) query.append('kind', kind);
    for (const tag of tags) query.append('tag', tag);
    return this.api.ask(`/v1/inbox?${query}`);
  }

  /** Load what is shown anew, as far as it was loaded. */
  async #load() {
    const asked = ++this.#asked;
    const settled = this.state.marks.filter((mark) => mark.settled).map((mark) => mark.key);
    const wanted = Math.max(this.state.known.items.length, this.options.limit);
    this.#loading = true;
    this.#draw();
    try {
      const page = await this.#page(Math.min(wanted, MAX_ITEMS));
      while (page.next && page.items.length < wanted && asked === this.#asked) {
        const { items, next } = await this.#page(MAX_ITEMS, page.next);
        page.items.push(...items);
        page.next = next;
      }
      if (asked !== this.#asked) return this.snapshot;
      this.#loading = false;
      this.#error = null;
      this.#failures = 0;
      const first = !this.state.cursor;
      this.#reduce({ ...page, type: 'page', settled });
      if (first && this.#tabs?.leading) this.stream.open();
    } catch (error) {
      if (asked === this.#asked) this.#failed(error);
      throw error;
    }
    return this.snapshot;
  }

  #failed(/** @type {any} */ error) {
    this.#loading = false;
    this.#error = error;
    this.#draw();
    this.#emit('error', error);
  }

  /** Load anew, and again until it works. */
  async #refresh() {
    const opening = this.#opened;
    await this.#load().catch(() => {
      if (opening === this.#opened) this.#later('refresh', pause(this.#failures++, this.env.random), () => this.#refresh());
    });
  }

  async #recount() {
    const { unread, unseen, cursor } = await this.#page(1);
    this.#reduce({ type: 'counts', unread, unseen, cursor });
  }

  notifications(/** @type {Filter} */ filter = this.state.filter) {
    if (filter !== this.state.filter) this.#reduce({ type: 'filter', filter });
    return this.#load();
  }

  async loadMore() {
    const { next } = this.state;
    if (!next || this.#loading) return this.snapshot;
    const asked = this.#asked;
    this.#loading = true;
    this.#draw();
    try {
      const page = await this.#page(this.options.limit, next);
      if (asked === this.#asked) {
        this.#loading = false;
        this.#reduce({ ...page, type: 'more' });
      }
    } catch (error) {
      if (asked === this.#asked) this.#failed(error);
      throw error;
    }
    return this.snapshot;
  }

  /** @returns {Promise<Counts>} */
  counts() {
    return this.api.ask('/v1/inbox/counts');
  }

  // --- marking -----------------------------------------------------------------------------------------------

  /** Show it at once; take it back when the server refuses. @returns {Promise<Changed>} */
  async #mark(/** @type {Mark} */ verb, /** @type {Ids | null} */ ids, /** @type {Date | string} */ until = '') {
    const key = ++this.#keys;
    const all = ids === null ? null : this.#groups(typeof ids === 'number' ? [ids] : ids);
    const when = until ? new Date(until).toISOString() : undefined;
    if (all?.length === 0) return { changed: 0, unread: this.state.unread, unseen: this.state.unseen };
    this.#reduce({ type: 'mark', key, verb, ids: all, until: when });
    const { through } = this.state.marks[this.state.marks.length - 1];
    try {
      const body = all ? { ids: all, until: when } : through ? { through } : { all: true };
      const done = await this.api.ask(`/v1/inbox/${PATHS[verb]}`, body);
      this.#reduce({ type: 'settle', key, changed: done.changed });
      if (this.#pending(key)) this.#later(`mark ${key}`, UNCONFIRMED_MS, () => this.#pending(key) && this.#refresh());
      return done;
    } catch (error) {
      this.#reduce({ type: 'undo', key });
      this.#emit('error', /** @type {Error} */ (error));
      throw error;
    }
  }

  #pending(/** @type {number} */ key) {
    return this.state.marks.some((mark) => mark.key === key);
  }

  /** What stands for a group stands for all of it. */
  #groups(/** @type {readonly number[]} */ ids) {
    const { items } = this.state.known;
    return [...new Set(ids.flatMap((id) => [id, ...(items.find((item) => item.id === id)?.group_ids ?? [])]))];
  }

  markAsRead(/** @type {Ids} */ ids) { return this.#mark('read', ids); }
  markAsUnread(/** @type {Ids} */ ids) { return this.#mark('unread', ids); }
  markAsSeen(/** @type {Ids} */ ids) { return this.#mark('seen', ids); }
  markAllAsRead() { return this.#mark('read', null); }
  markAllAsSeen() { return this.#mark('seen', null); }
  archive(/** @type {Ids} */ ids) { return this.#mark('archived', ids); }
  unarchive(/** @type {Ids} */ ids) { return this.#mark('unarchived', ids); }
  archiveAll() { return this.#mark('archived', null); }
  snooze(/** @type {Ids} */ ids, /** @type {Date | string} */ until) { return this.#mark('snoozed', ids, until); }
  unsnooze(/** @type {Ids} */ ids) { return this.#mark('unsnoozed', ids); }

  // --- preferences -------------------------------------------------------------------------------------------

  /** @returns {Promise<Preference[]>} */
  async preferences() {
    return (await this.api.ask('/v1/preferences')).preferences;
  }

  /** @returns {Promise<Preference[]>} */
  async setPreference(/** @type {string} */ kind, /** @type {boolean | null} */ enabled) {
    return (await this.api.ask('/v1/preferences', { kind, enabled }, 'PUT')).preferences;
  }
}
