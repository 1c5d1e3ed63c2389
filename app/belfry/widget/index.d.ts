export type { ElementEvents, Texts } from './elements.js';
export type {
  Action, Actor, Change, Changed, Client, Counts, Events, Filter, Ids, Item, Notification, Options, Preference,
  RequestError, Snapshot, Standing, Status, Token, Verb,
} from './types.js';

import type { ElementEvents, Texts } from './elements.js';
import type { Client, Options, Token } from './types.js';

/** Make a client; nothing happens before `open()`. */
export function createClient(options?: Options): Client;

/** What both elements share. Attributes: src, token, theme, lang, tabs, limit, preferences. */
declare class BelfryElement extends HTMLElement {
  /** A client that you open and close; without one the element has its own. */
  get client(): Client | null;
  set client(client: Client | null);
  /** The recipient's JWT, or what brings a fresh one. */
  get token(): Token | null;
  set token(token: Token | null);
  /** Words of your own in place of ours. */
  get texts(): Texts;
  set texts(texts: Texts);
  addEventListener<Name extends keyof ElementEvents>(
    name: Name, listener: (event: ElementEvents[Name]) => void, options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(name: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
}

/** `<belfry-inbox>`: the list. */
export class BelfryInbox extends BelfryElement {}

/** `<belfry-bell>`: the bell, with the inbox behind it. Also: toasts, title-badge, desktop, badge. */
export class BelfryBell extends BelfryElement {
  /** Whether the inbox is to be seen. */
  open: boolean;
  show(): void;
  hide(): void;
  toggle(): void;
}

declare global {
  /** They bubble: whoever listens above the element, a window too, is told the same. */
  interface GlobalEventHandlersEventMap extends ElementEvents {}
  interface HTMLElementTagNameMap {
    'belfry-bell': BelfryBell;
    'belfry-inbox': BelfryInbox;
  }
}
