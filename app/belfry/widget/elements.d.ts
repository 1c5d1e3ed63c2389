/** The shapes that the elements' modules share. What users need of them, index.d.ts exports. */
import type {
  Action, Client, Counts, Filter, Item, Preference, Snapshot, Standing, Status, Timer, Token,
} from './types.js';

export type { Action, Client, Filter, Item, Preference, Snapshot, Standing, Status, Timer, Token };

/** What the elements say. `{n}` stands for a number. A tab's name may be a key too, or that of a `kind:x` that is shown. */
export type Texts = Record<string, string>;

/** The events of both elements; they bubble and are composed. */
export interface ElementEvents {
  /** One that was not there before; `leading` is true in one tab of the browser alone. */
  'belfry-notification': CustomEvent<{ item: Item; leading: boolean }>;
  'belfry-counts': CustomEvent<Pick<Counts, 'unread' | 'unseen'>>;
  'belfry-status': CustomEvent<Status>;
  /** Somebody opened one, or chose an action of it: `preventDefault()`, and the page goes there itself. */
  'belfry-select': CustomEvent<{ item: Item; action: Action | null; url: string | null }>;
  'belfry-open': CustomEvent<null>;
  'belfry-close': CustomEvent<null>;
  'belfry-error': CustomEvent<Error>;
}

// dom.js
export type Make = <Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag, properties?: Record<string, any>, ...children: (Node | string)[]
) => HTMLElementTagNameMap[Tag];
export type Icon = (name: string) => Element;
export type Tool = (name: string, label: string, onclick: (event: Event) => void) => HTMLButtonElement;
/** The address to go to: http, https, mailto or a path of this origin; empty for anything else. */
export type Link = (value: string | null | undefined) => string;
/** As much of a text as a list can show. */
export type Cut = (text: string | null | undefined) => string;
/** What an item says first, and beside it: its title and its body, as far as it has any. */
export type Gist = (item: Item) => [string, string];
/** Put a popover at its button, inside the window. */
export type Place = (popover: HTMLElement, anchor: HTMLElement) => void;
/** The closest around an element, out of shadow roots too. */
export type Around = (element: HTMLElement, selector: string) => HTMLElement | undefined;
export type Hide = (popover: HTMLElement) => unknown;
/** Focus the one that a key of the keyboard means; undefined: it means none. */
export type Arrow = (event: KeyboardEvent, all: HTMLElement[]) => HTMLElement | undefined;

// time.js
export interface Formats {
  relative: Intl.RelativeTimeFormat;
  date: Intl.DateTimeFormat;
  whole: Intl.DateTimeFormat;
}
export type FormatsOf = (lang: string) => Formats;
/** How long ago, in a word or two; a clock that is ahead is forgiven. */
export type Ago = (then: number, now: number, lang: string) => string;
/** The whole date. */
export type Exactly = (then: number, lang: string) => string;
/** Under which day it stands. */
export type Day = (then: number, now: number, lang: string) => string;
/** Until when one may snooze: in an hour, tomorrow at nine, on Monday at nine. */
export type Later = (now: number) => Record<'hour' | 'tomorrow' | 'week', number>;

// texts.js
/** The texts of a language, if there are any. */
export type TextsOf = (lang: string) => Promise<Texts | undefined>;
/** With a number in it. */
export type Fill = (text: string, n: number, lang: string) => string;

// element.js
/** Dispatch `belfry-<name>`; false: somebody prevented what comes of it. */
export type Tell = (name: string, detail: unknown) => boolean;
/** What a tab shows. */
export type FilterOf = (tab?: string) => Filter;
export type Begin = (client: Client, signal: AbortSignal) => void;

// item.js
export type Select = (item: Item, action: Action | null, event?: Event) => boolean;
export type MarkItem = (verb: string, item: Item, event: Event) => void;
/** What a row asks of the list. */
export interface Act {
  select: Select;
  mark: MarkItem;
}
export type Face = (item: Item) => HTMLElement;
export type SelectThis = (action: Action | null, event: Event) => boolean;
export type MarkThis = (verb: string, event: Event) => void;
export type Opening = (select: (event: Event) => unknown) => {
  onclick: (event: Event) => unknown;
  onauxclick: (event: MouseEvent) => unknown;
};
export type Buttons = (item: Item, select: SelectThis) => HTMLElement[];
export type Tools = (item: Item, words: Texts, mark: MarkThis) => HTMLElement[];
export type LooksOther = (one: Item, other: Item) => boolean;
export interface Look {
  words: Texts;
  lang: string;
  /** Of the day, where the row is its first. */
  heading: string;
}
export interface Row {
  node: HTMLElement;
  /** What opens it; the keyboard goes from one to the next. */
  open: HTMLElement;
  /** Whether it had to be drawn. */
  show(item: Item, look: Look): boolean;
  /** Time has passed. */
  tick(): void;
}
export type CreateRow = (act: Act) => Row;

// list.js
export type Find = (at: number) => Row | undefined;
export interface List {
  element: HTMLElement;
  /** The newest that is drawn. */
  readonly first: number | undefined;
  /** Focus a row, the first by default, or a tool of it. */
  focus(id?: number, tool?: HTMLElement): void;
  tick(): void;
  /** True: there is more to draw, in the next frame. */
  draw(items: readonly Item[], words: Texts, lang: string): boolean;
}
export type CreateList = (act: Act) => List;

// preferences.js
/** What loads them anew. */
export type ShowPreferences = (panel: HTMLElement, client: Client, words: Texts, failed: () => void) => () => void;

// inbox.js
export type SetItem = (verb: string, item: Item, until?: Date) => void;
/** What is to be drawn, and how many wait. */
export type Held = (items: readonly Item[]) => [readonly Item[], number];

// toasts.js
export interface Toasts {
  element: HTMLElement;
  show(item: Item, words: Texts): void;
  /** The list shows them now. */
  clear(): void;
}
export type CreateToasts = (select: (item: Item) => void) => Toasts;
