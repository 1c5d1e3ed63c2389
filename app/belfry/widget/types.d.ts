/** The shapes that the widget's modules share. What users need of them, index.d.ts exports. */

/** In the inbox: `all` is neither archived nor snoozed, and so are the rest but the last two. */
export type Standing = 'all' | 'unread' | 'read' | 'unseen' | 'seen' | 'archived' | 'snoozed';

/** What a list shows: how things stand, any of these kinds, any of these tags. */
export interface Filter {
  state?: Standing;
  kinds?: string[];
  tags?: string[];
}

export interface Actor {
  id?: string;
  name?: string;
  avatar_url?: string;
}

export interface Action {
  name?: string;
  label?: string;
  url?: string;
  style?: string;
}

/** A notification as the stream brings it. */
export interface Notification {
  id: number;
  recipient: string | null;
  topic: string | null;
  tenant: string;
  kind: string;
  title: string | null;
  body: string | null;
  action_url: string | null;
  actions: Action[] | null;
  data: any;
  actor: Actor | null;
  tags: string[] | null;
  severity: string;
  created_at: string;
  expires_at?: string | null;
  group_key?: string | null;
}

/** A notification in the inbox; the newest of a `group_key` stands for those in `group_ids` (the newest 100). */
export interface Item extends Notification {
  group_count: number;
  group_ids: number[];
  seen: boolean;
  read: boolean;
  archived: boolean;
  snoozed_until: string | null;
  revised_at?: string | null;
}

export type Mark = 'read' | 'unread' | 'seen' | 'archived' | 'unarchived' | 'snoozed' | 'unsnoozed';
export type Verb =
  | Mark | 'revised' | 'retracted' | 'expired' | 'delivered' | 'subscribed' | 'unsubscribed' | 'preference' | 'declared';

/** What became of notifications. */
export interface Change {
  id: number;
  verb: Verb;
  ids?: number[];
  through?: number;
  topic?: string;
  kind?: string;
  enabled?: boolean;
  notification?: Notification;
  unread?: number;
  unseen?: number;
}

/** `offline`: disconnected, and trying again; `unauthorized` likewise, the credential was refused. */
export type Status = 'idle' | 'connecting' | 'live' | 'offline' | 'unauthorized' | 'closed';

/** All that there is to show. Its parts are new objects when they change, and only then. */
export interface Snapshot {
  readonly items: readonly Item[];
  readonly unread: number;
  readonly unseen: number;
  readonly status: Status;
  readonly filter: Filter;
  /** The first page is there. */
  readonly loaded: boolean;
  /** A page is under way. */
  readonly loading: boolean;
  /** There are older ones: `loadMore()`. */
  readonly more: boolean;
  /** Why the list could not be loaded; gone when it could. */
  readonly error: Error | null;
  readonly recipient: string | null;
}

export interface Counts {
  unread: number;
  unseen: number;
  total: number;
}

export interface Changed {
  changed: number;
  unread: number;
  unseen: number;
}

export interface Preference {
  kind: string;
  label: string;
  required: boolean;
  enabled: boolean;
  chosen: boolean;
}

/** A refused request: what the server's problem document says. */
export interface RequestError extends Error {
  status: number;
  errors?: { field: string; detail: string }[];
}

export interface Events {
  /** One that was not there before: for toasts. Each once, in every tab; `leading` is true in one tab alone. */
  notification: { item: Item; leading: boolean };
  /** A change as the stream brought it. */
  change: Change;
  counts: { unread: number; unseen: number };
  status: Status;
  /** The history that the list tells of is gone; it is loaded anew by itself. */
  reset: { reason: string };
  /** Something failed that is tried again, or a mark that was taken back. */
  error: Error;
  /** Anything of it is new: draw. */
  snapshot: Snapshot;
}

export type Token = string | (() => string | Promise<string>);

export interface Options {
  /** Where the relay is; by default where this script came from. */
  src?: string;
  /** The recipient's JWT, or what brings a fresh one. None: the cookie `belfry_token`. */
  token?: Token | null;
  /** Brings a ticket for the stream, where the relay cannot make them (it knows only public keys). */
  ticket?: () => string | Promise<string>;
  /** What the list shows at first. */
  filter?: Filter;
  /** Items of a page: 20. */
  limit?: number;
  /** false: a stream of its own for each tab. */
  share?: boolean;
  /** Stands for parts of the browser, in tests. */
  env?: Partial<Env>;
}

export type Ids = number | readonly number[];

export interface Client {
  readonly snapshot: Snapshot;
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void;
  /** Load the list, and keep it live. */
  open(): void;
  /** Let go of the stream and of the page's events; `open` again is possible. */
  close(): void;
  /** Show another list, or the same anew. */
  notifications(filter?: Filter): Promise<Snapshot>;
  loadMore(): Promise<Snapshot>;
  counts(): Promise<Counts>;
  markAsRead(ids: Ids): Promise<Changed>;
  markAsUnread(ids: Ids): Promise<Changed>;
  markAsSeen(ids: Ids): Promise<Changed>;
  markAllAsRead(): Promise<Changed>;
  markAllAsSeen(): Promise<Changed>;
  archive(ids: Ids): Promise<Changed>;
  unarchive(ids: Ids): Promise<Changed>;
  archiveAll(): Promise<Changed>;
  snooze(ids: Ids, until: Date | string): Promise<Changed>;
  unsnooze(ids: Ids): Promise<Changed>;
  preferences(): Promise<Preference[]>;
  /** null: as it is for everybody. */
  setPreference(kind: string, enabled: boolean | null): Promise<Preference[]>;
}

// --- between the modules -------------------------------------------------------------------------------------

/** What the modules take from the browser. */
export interface Env {
  fetch: typeof fetch;
  EventSource: typeof EventSource;
  BroadcastChannel: typeof BroadcastChannel | undefined;
  locks: LockManager | undefined;
  now(): number;
  random(): number;
  setTimeout(run: () => void, milliseconds: number): any;
  clearTimeout(timer: any): void;
  /** The page's events: online, visibilitychange …; returns how to stop listening. */
  listen(names: string[], run: (event: { type: string }) => void): () => void;
  /** Whether somebody may be looking. */
  visible(): boolean;
}

/** An event of the stream; `cursor` is its `id:`. */
export interface Frame {
  name: 'message' | 'change' | 'ready' | 'heartbeat' | 'reset' | 'goodbye';
  cursor: string;
  data: any;
}

/** An optimistic mark: shown at once, until the stream confirms it or it is taken back. */
export interface Pending {
  key: number;
  verb: Mark;
  /** null: all up to `through`. */
  ids: readonly number[] | null;
  through: number;
  until?: string;
  /** What it does to the counts. */
  unread: number;
  unseen: number;
  /** The server has answered; only the stream's change is still missing. */
  settled: boolean;
}

/** The list and the counts as the server told them. */
export interface Known {
  items: Item[];
  unread: number;
  unseen: number;
}

export interface State extends Known {
  filter: Filter;
  /** What is shown without the optimistic marks. */
  known: Known;
  loaded: boolean;
  /** Only a page can tell what belongs into the list now. */
  stale: boolean;
  /** Only the server can tell the counts now. */
  owed: boolean;
  /** Where the next page begins. */
  next: number | null;
  /** Where the stream resumes. */
  cursor: string | null;
  /** What the list, and the counts, included when they were loaded: frames at or below are no news to them. */
  listed: string | null;
  counted: string | null;
  /** The latest notifications and changes, to drop repeats, and to bring pages up to date. */
  log: Frame[];
  marks: Pending[];
  recipient: string | null;
}

export interface Page {
  items: Item[];
  next: number | null;
  unread: number;
  unseen: number;
  cursor: string;
}

export type Event =
  | (Page & { type: 'page'; settled?: number[] })
  | (Page & { type: 'more' })
  | { type: 'counts'; unread: number; unseen: number; cursor: string }
  | { type: 'filter'; filter: Filter }
  | { type: 'mark'; key: number; verb: Mark; ids: readonly number[] | null; until?: string }
  | { type: 'settle'; key: number; changed: number }
  | { type: 'undo'; key: number }
  | (Frame & { type: 'frame' });
