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

/** A notification as the stream brings it; a title or body that was not sent is `''`. */
export interface Notification {
  id: number;
  recipient: string | null;
  topic: string | null;
  tenant: string;
  kind: string;
  title: string;
  body: string;
  action_url: string | null;
  actions: Action[];
  data: any;
  actor: Actor | null;
  tags: string[];
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
  /** Empty until it is known. */
  readonly recipient: string;
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
  /** Asks instead of the browser's own. */
  fetch?: typeof fetch;
  /** Opens the stream instead of the browser's own. */
  EventSource?: typeof EventSource;
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

export type Timer = ReturnType<typeof setTimeout> | undefined;

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
  cursor: string;
  /** What the list, and the counts, included when they were loaded: frames at or below are no news to them. */
  listed: string;
  counted: string;
  /** The latest notifications and changes, to drop repeats, and to bring pages up to date. */
  log: Frame[];
  marks: Pending[];
  recipient: string;
}

export interface Page {
  items: Item[];
  next: number | null;
  unread: number;
  unseen: number;
  cursor: string;
  /** Whose it is, where the relay says it. */
  recipient?: string;
}

export type Event =
  | (Page & { type: 'page'; settled: number[] })
  | (Page & { type: 'more' })
  | { type: 'filter'; filter: Filter }
  | { type: 'mark'; key: number; verb: Mark; ids: readonly number[] | null; until?: string }
  | { type: 'settle' | 'undo'; key: number }
  | (Frame & { type: 'frame' });

// store.js: what a browser knows of one inbox. Pure: `reduce(state, event)` is the next state.
//
// What the server said (`known`) is kept apart from the optimistic marks over it. Counts are exact from frames alone:
// absolute where a frame or a page carries them, one more for each notification after it. A page may be older or newer
// than the stream: what its cursor does not cover is played over it again, what it covers is no news when it comes.
export type Flags = { [verb: string]: Partial<Item> };
export type Initial = (filter?: Filter) => State;
export type Reduce = (state: State, event: Event) => State;
export type Asked = (state: State, event: Exclude<Event, { type: 'frame' }>) => State;
export type Step = (state: State, frame: Frame) => State;
/** Play what a cursor does not cover over a state; over an older page changes alone. */
export type Again = (cursor: string, state: State, older?: boolean) => State;
/** Whether that is a notification or a change (all others have no `id`), and was not here before. Parts share an `id`. */
export type IsNews = (state: State, frame: Frame) => boolean;
/** The counts of a frame. They hold at its place in the stream: what follows is not in them. */
export type Told = (state: State, counts: { unread?: number; unseen?: number }) => Partial<State>;
export type Fits = (item: Item, filter: Filter) => boolean;
export type Sorted = (items: Item[]) => Item[];
/** The items with a new notification in its place, if it has one in what is loaded. */
export type Inserted = (state: State, notification: Notification) => Item[];
export type Kept = (state: State, items: Item[]) => State;
export type Hit = (id: number) => boolean;
/** Which ids something is about. */
export type About = (what: { ids?: readonly number[] | null; through?: number }) => Hit;
export type Follow = (state: State, change: Change) => State;
/** Whether only a page can tell what is in the list after a change. */
export type Unsure = (state: State, change: Change, hit: Hit, over: boolean) => boolean;
/** Whether a change is what a mark has asked for. */
export type Confirms = (mark: Pending, change: Change) => boolean;
/** How many count. */
export type Sum = (items: Item[], flag: 'read' | 'seen') => number;
/** The counts when a list has changed, as far as it tells: what they were, and what is more or less in it. */
export type Moved = (after: Known, before: Item[]) => Pick<Known, 'unread' | 'unseen'>;
/** With what the page shows of it. */
export type Shown = (state: State) => State;
export type Count = (name: 'unread' | 'unseen', flag: 'read' | 'seen') => number;

// api.js: requests of a recipient, with their token or cookie. Whatever is asked may be asked again, and is where that may help.
/** Milliseconds before another attempt: half to all of 1, 2, 4 … 30 s; the jitter comes after the cap. */
export type Pause = (attempt: number) => number;
export type Brought = (run: () => string | Promise<string>) => Promise<string>;
/** Whether a credential was refused. */
export type IsRefusal = (error: { status?: number }) => boolean;
/** The claims of a JWT, unverified; none of what is no JWT. */
export type Claims = (token: string) => { [name: string]: any };
/** A token that is good as far as it tells itself; empty: the cookie. */
export type Bearer = (fresh?: boolean) => Promise<string>;
export type Ask = (path: string, body?: object, method?: string, fresh?: boolean) => Promise<any>;
export type Asking = (src: string, token: Token | null | undefined, fetch?: typeof globalThis.fetch) => {
  ask: Ask;
  bearer: Bearer;
};

// stream.js: one EventSource that survives; what the browser gives up, or does not notice, is opened anew.
//
// A browser reconnects by itself when a stream ends, after the pause that the server chose: that is left to it. It gives
// up after any answer but 200, tries a dead server at one pace for ever, and never notices a connection that is open at
// this end alone: those are ours.
export type Turn = (status: Status, wait?: number, error?: Error) => void;
/** Without an error: nothing is wrong, it has to be opened anew. */
export type Fail = (error?: Error & { status?: number }) => void;
export type Streaming = (owner: {
  /** Where to open it, at the present cursor. */
  locate: () => Promise<{ url: string; withCredentials: boolean }>;
  hear: (frame: Frame) => void;
  turn: Turn;
  Source: typeof EventSource;
}) => {
  open(): void;
  close(): void;
  /** The page woke up: is it still alive? `force`: do not believe it. */
  poke(force?: boolean): void;
};

// tabs.js: of the tabs of an origin that show one inbox one leads, holds the stream, and tells the others what it hears.
//
// Who has the lock leads; the browser passes it on when that tab goes. A leader may also be frozen: then a tab that
// somebody looks at takes the lock away. What is said is numbered, so a tab that missed something is told by `lost`.
/** What the leading tab says: a frame, how it stands, or that it leads now, from which cursor on. */
export interface Message {
  frame?: Frame;
  status?: Status;
  lead?: string;
}

export interface Tabs {
  leading(): boolean;
  join(): void;
  leave(): void;
  /** Tell the others, and for how many milliseconds they may hear nothing then. */
  say(message: Message, quiet: number): void;
  /** Let another lead, if there is one. */
  pass(): void;
  /** The page woke up: is there still one who leads? */
  poke(): void;
}

export type Sharing = (name: string, owner: {
  /** This tab leads from now on. */
  lead(): void;
  /** It does not any more. */
  follow(): void;
  hear(message: Message): void;
  /** A tab has come: say how things stand, and where, so that it can lead on from there before it has a list. */
  greet(): void;
  /** Something may have been missed. */
  lost(): void;
}) => Tabs;

// client.js: list, counts and marks of one recipient in a page, live. The elements draw what it says.
export type CreateClient = (options?: Options) => Client;
export type Listeners = { [name: string]: Set<(event: any) => void> };
export type Emit = <Name extends keyof Events>(name: Name, event: Events[Name]) => void;
export type Rest = Pick<Snapshot, 'status' | 'loading' | 'error'>;
/** Run once, after a while; not again while it is awaited. */
export type Later = (name: string, milliseconds: number, run: () => unknown) => void;
/** Let an event happen, and see to what only the server can tell then. */
export type Dispatch = (event: Event) => void;
export type Foreign = (what: { recipient?: string | null }) => boolean;
export type Say = (message: Message, wait?: number) => void;
export type Failed = (error: any) => void;
export type GetPage = (size: number, before?: number | null) => Promise<Page>;
/** Load, and take what came if nothing else was asked for meanwhile. */
export type Loading = (get: (current: () => boolean) => Promise<Extract<Event, Page>>) => Promise<Snapshot>;
/** Show it at once; take it back when the server refuses. */
export type Marking = (verb: Mark, path: string, ids?: Ids, time?: Date | string) => Promise<Changed>;
