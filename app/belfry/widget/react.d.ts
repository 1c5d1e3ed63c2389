import type { ComponentType, ForwardRefExoticComponent, HTMLAttributes, ReactNode, RefAttributes } from 'react';
import type { ElementEvents, Texts } from './elements.js';
import type { BelfryBell, BelfryInbox } from './index.js';
import type { Client, Counts, Events, Filter, Item, Options, Snapshot, Token } from './types.js';

export type { Client, Filter, Item, Snapshot, Token };

/** A client of yours, which you open and close; or what one is made of, open as long as the provider is there. */
export type ProviderProperties = { children?: ReactNode } & (
  | { client: Client; token?: undefined }
  | ({ client?: undefined } & Options)
);

/**
 * Gives what is inside one client. A fresh token of the same person is used; another person, `src` or `limit` brings
 * another client. Functions are all alike: where one may bring another person's token, give the provider a `key`.
 */
export const BelfryProvider: ComponentType<ProviderProperties>;

/** The client around this component. Throws outside of a provider. */
export function useClient(): Client;

/** The numbers beside a bell; renders when they change, and only then. */
export function useCounts(): Pick<Counts, 'unread' | 'unseen'>;

/**
 * The list with all that can be done with it. A filter is that of the client: all lists of one provider show the same.
 */
export function useNotifications(filter?: Filter): Omit<Client, 'notifications'> & Omit<Snapshot, 'items'> & {
  notifications: readonly Item[];
};

/** Hear the client's events: `useEvent('notification', ({ item }) => …)`. The listener may be a new one each time. */
export function useEvent<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): void;

type Handlers = {
  [Name in keyof ElementEvents as Name extends `belfry-${infer Word}` ? `on${Capitalize<Word>}` : never]?:
    (event: ElementEvents[Name]) => void;
};

/** What both elements take: their attributes, handlers of their events, words of your own, and what any element takes. */
export type InboxProperties = Handlers & Omit<HTMLAttributes<HTMLElement>, keyof Handlers> & {
  theme?: 'auto' | 'light' | 'dark';
  /** Separated by spaces: all, unread, archived, kind:x, tag:y … */
  tabs?: string;
  preferences?: boolean;
  texts?: Texts;
};

export type BellProperties = InboxProperties & {
  badge?: 'unread' | 'unseen';
  toasts?: boolean;
  titleBadge?: boolean;
  desktop?: boolean;
};

/** `<belfry-inbox>` with the provider's client. */
export const Inbox: ForwardRefExoticComponent<InboxProperties & RefAttributes<BelfryInbox>>;

/** `<belfry-bell>` with the provider's client; a server draws a bell that is not connected. */
export const Bell: ForwardRefExoticComponent<BellProperties & RefAttributes<BelfryBell>>;

// --- inside
export type IdentityOf = (token: Token | null | undefined) => string;
export type Provider = (properties: any) => ReactNode;
export type UseClient = () => Client;
export type UseCounts = typeof useCounts;
export type UseEvent = typeof useEvent;
export type UseNotifications = typeof useNotifications;
export type UsePart = <Part>(part: (snapshot: Snapshot) => Part) => Part;
export type Element = (tag: string, displayName: string, fallback: ReactNode) => ForwardRefExoticComponent<any>;
