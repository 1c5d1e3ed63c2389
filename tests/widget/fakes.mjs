/** A browser and a relay without either: what the client takes from the page, under the test's hand. */
import { setMaxListeners } from 'node:events';
import { mock } from 'node:test';

import { Inbox } from './model.mjs';

/** Let everything happen that waits for nothing but its turn. */
export async function settle() {
  for (let i = 0; i < 30; i++) await new Promise((done) => setImmediate(done));
}

/** Let time pass, in steps, so that what a timer starts can start its own. */
export async function pass(milliseconds, step = 500) {
  for (let left = milliseconds; left > 0; left -= step) {
    mock.timers.tick(Math.min(step, left));
    await settle();
  }
}

// --- the relay -----------------------------------------------------------------------------------------------

export const token = (sub, more = {}) =>
  `x.${btoa(JSON.stringify({ sub, exp: 4_000_000_000, ...more })).replaceAll('+', '-').replaceAll('/', '_')}.x`;

const VERBS = {
  read: 'read', unread: 'unread', seen: 'seen', archive: 'archived', unarchive: 'unarchived', snooze: 'snoozed',
  unsnooze: 'unsnoozed',
};

export class Relay {
  inboxes = {};
  requests = []; // 'GET /v1/inbox …'
  streams = [];
  heartbeat = 15;
  tokens = null; // those that are good; null: all
  tells = true; // whose a page is
  /** What to answer instead: (path) => a status, 'network' or undefined. */
  refuse = () => undefined;
  /** Answers wait until the test lets them go. */
  holding = null;

  inbox(recipient = 'u1') {
    return (this.inboxes[recipient] ??= new Inbox());
  }

  /** Frames that are new go to the open streams. */
  publish() {
    for (const stream of this.streams) stream.catchUp();
  }

  /** Let time pass, with heartbeats. */
  async quietly(milliseconds) {
    for (let left = milliseconds; left > 0; left -= 15_000) {
      await pass(Math.min(left, 15_000), 5000);
      for (const stream of this.open) stream.event('heartbeat');
    }
  }

  asked(path) {
    return this.requests.filter((each) => each.includes(path)).length;
  }

  get open() {
    return this.streams.filter((stream) => stream.readyState === 1);
  }

  async fetch(url, { method, headers, body, credentials }) {
    const { pathname: path, searchParams } = new URL(url);
    this.requests.push(`${method} ${path}`);
    const refused = this.refuse(path);
    if (refused === 'network') throw new TypeError('Failed to fetch');
    const given = headers.authorization?.slice(7) ?? (credentials === 'include' ? this.cookie : undefined);
    const answer = (status, json, more = {}) => ({
      ok: status < 400, status, headers: new Map(Object.entries(more)), json: async () => json,
    });
    if (refused) return answer(refused, { title: `refused with ${refused}` });
    if (!given || (this.tokens && !this.tokens.includes(given))) return answer(401, { title: 'Unauthorized' });
    const { sub } = JSON.parse(atob(given.split('.')[1]));
    const json = structuredClone(this.answer(this.inbox(sub), sub, method, path, searchParams, body && JSON.parse(body)));
    if (this.holding) await new Promise((go) => this.holding.push(go));
    return answer(200, json);
  }

  answer(inbox, sub, method, path, query, body) {
    if (path === '/v1/tickets') return { ticket: token(sub, { ticket: true }), expires_in: 3600 };
    if (path === '/v1/inbox/counts') return inbox.counts;
    if (path === '/v1/preferences') return { preferences: [{ kind: 'test', ...body }] };
    if (path === '/v1/inbox') {
      const page = inbox.page({
        state: query.get('state'), limit: Number(query.get('limit')), kinds: query.getAll('kind'),
        before: Number(query.get('before') ?? Infinity),
      });
      return { ...page, recipient: this.tells ? sub : undefined };
    }
    const { ids, through, all, until } = body;
    const changed = inbox.mark(VERBS[path.split('/')[3]], { ids, through: all ? inbox.position : through, until });
    const { unread, unseen } = inbox.counts;
    return { changed, unread, unseen };
  }
}

// --- the browser ---------------------------------------------------------------------------------------------

/** A lock manager that a test can hold a lock of, too. */
class Locks {
  holders = new Map();
  queues = new Map();

  request(name, { steal, signal }, work) {
    return new Promise((resolve, reject) => {
      const each = { resolve, reject, work };
      signal?.addEventListener('abort', () => {
        if (!this.queues.get(name)?.includes(each)) return; // it is granted: too late
        this.queues.set(name, (this.queues.get(name) ?? []).filter((one) => one !== each));
        reject(new DOMException('aborted', 'AbortError'));
      });
      if (steal) {
        this.holders.get(name)?.reject(new DOMException('stolen', 'AbortError'));
        this.holders.delete(name);
      }
      const queue = this.queues.get(name) ?? [];
      this.queues.set(name, steal ? [each, ...queue] : [...queue, each]);
      queueMicrotask(() => this.grant(name));
    });
  }

  grant(name) {
    const [each, ...rest] = this.queues.get(name) ?? [];
    if (!each || this.holders.has(name)) return;
    this.queues.set(name, rest);
    this.holders.set(name, each);
    const gone = () => {
      if (this.holders.get(name) === each) this.holders.delete(name);
      this.grant(name);
    };
    each.work({ name }).then((value) => (gone(), each.resolve(value)), each.reject);
  }
}

/** Messages arrive in order, as copies, later. */
class Channel {
  static all = new Set();
  onmessage = null;

  constructor(name) {
    this.name = name;
    Channel.all.add(this);
  }

  postMessage(message) {
    const data = structuredClone(message);
    for (const each of Channel.all) {
      if (each !== this && each.name === this.name) setImmediate(() => Channel.all.has(each) && each.onmessage?.({ data }));
    }
  }

  close() {
    Channel.all.delete(this);
  }
}

/** As Chromium does: reconnects by itself after an end, gives up after any answer but 200. */
class Source extends EventTarget {
  static relay;
  readyState = 0;
  lastEventId = '';
  sent = 0;

  constructor(url, { withCredentials } = {}) {
    super();
    this.url = new URL(url);
    this.withCredentials = withCredentials;
    this.connect();
  }

  connect() {
    const { relay } = Source;
    relay.requests.push(`STREAM ${this.url.pathname}`);
    setImmediate(() => {
      if (this.readyState === 2) return;
      const refused = relay.refuse('/v1/stream');
      if (refused === 'network') return this.cut();
      if (refused) return this.die();
      this.readyState = 1;
      relay.streams = [...relay.streams.filter((each) => each !== this), this];
      const ticket = this.url.searchParams.get('ticket') || (this.withCredentials && relay.cookie);
      const { sub } = JSON.parse(atob(ticket.split('.')[1]));
      this.inbox = relay.inbox(sub);
      const cursor = this.lastEventId || this.url.searchParams.get('cursor');
      this.sent = cursor === '' ? this.inbox.frames.length
        : this.inbox.frames.findIndex((frame) => Number(frame.cursor) > Number(cursor));
      if (this.sent < 0) this.sent = this.inbox.frames.length;
      if (relay.silent) return;
      this.catchUp();
      const { unread, unseen } = this.inbox.counts;
      const data = { recipient: sub, topics: ['*'], unread, unseen, heartbeat_seconds: relay.heartbeat };
      this.event('ready', data, String(this.inbox.position));
    });
  }

  catchUp() {
    if (this.readyState !== 1 || Source.relay.silent) return;
    while (this.sent < this.inbox.frames.length) {
      const { name, data, cursor } = this.inbox.frames[this.sent++];
      this.event(name, data, cursor);
    }
  }

  event(name, data = {}, cursor = this.lastEventId) {
    if (this.readyState !== 1) return;
    this.lastEventId = cursor;
    this.dispatchEvent(Object.assign(new Event(name), { data: JSON.stringify(data), lastEventId: cursor }));
  }

  /** The connection ends; the browser comes back by itself. */
  cut(retry = 2000) {
    if (this.readyState === 2) return;
    this.readyState = 0;
    setTimeout(() => this.readyState === 0 && this.connect(), retry);
    this.onerror?.(new Event('error'));
  }

  /** The browser gives up. */
  die() {
    if (this.readyState === 2) return;
    this.readyState = 2;
    this.onerror?.(new Event('error'));
  }

  close() {
    this.readyState = 2;
  }
}

/** A page for the client to live in, until the test ends. */
export function page(t, { shared = true } = {}) {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000_000_000 });
  const relay = new Relay();
  const events = new EventTarget();
  setMaxListeners(0, events);
  const before = {};
  const stub = (name, value) => {
    before[name] = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  };
  const locks = shared ? new Locks() : undefined;
  Source.relay = relay;
  stub('fetch', (...request) => relay.fetch(...request));
  stub('EventSource', Source);
  stub('BroadcastChannel', shared ? Channel : undefined);
  stub('navigator', { locks });
  stub('document', { visibilityState: 'visible' });
  stub('addEventListener', events.addEventListener.bind(events));
  stub('reportError', (error) => { throw error; });
  t.after(() => {
    mock.timers.reset();
    Channel.all.clear();
    for (const [name, descriptor] of Object.entries(before)) {
      if (descriptor) Object.defineProperty(globalThis, name, descriptor);
      else delete globalThis[name];
    }
  });
  return { relay, locks, wake: (name) => events.dispatchEvent(new Event(name)) };
}
