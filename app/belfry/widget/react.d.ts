import type { ComponentType, HTMLAttributes, ReactNode } from 'react';
import type { ElementEvents, Texts } from './elements.js';
import type { Client, Counts, Filter, Item, Options, Snapshot, Token } from './types.js';

export type { Client, Filter, Item, Snapshot, Token };

/** A client of yours, which you open and close; or what one is made of, opened while the provider is there. */
export type ProviderProperties = { children?: ReactNode } & (
  | { client: Client; token?: undefined }
  | ({ client?: undefined } & Options)
);

/** Gives what is inside one client. A fresh token of the same person is used; another person gets another client. */
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

type Handlers = {
  [Name in keyof ElementEvents as Name extends `belfry-${infer Word}` ? `on${Capitalize<Word>}` : never]?:
    (event: ElementEvents[Name]) => void;
};

/** What both elements take: attributes in camel case, handlers of their events, words of your own. */
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
export const Inbox: ComponentType<InboxProperties>;

/** `<belfry-bell>` with the provider's client; a server draws a bell that is not connected. */
export const Bell: ComponentType<BellProperties>;

// --- inside
export type IdentityOf = (token: Token | null | undefined) => string;
export type Provider = (properties: any) => ReactNode;
export type UseClient = () => Client;
export type UseCounts = typeof useCounts;
export type UseNotifications = typeof useNotifications;
export type UsePart = <Part>(part: (snapshot: Snapshot) => Part) => Part;
export type Attributes = (properties: Record<string, unknown>) => Record<string, unknown>;
export type Element = (tag: string, fallback: ReactNode) => (properties: Record<string, any>) => ReactNode;
