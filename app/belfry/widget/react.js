/** Hooks and components for React 18 and 19, over the client and the elements. @import * as T from './react.js' */
import { createContext, createElement, useContext, useEffect, useLayoutEffect, useRef, useState, useSyncExternalStore } from 'react';
import { claims } from './api.js';
import { createClient } from './index.js';

const BELL = 'M6 9a6 6 0 0 1 12 0c0 6 2.5 7 2.5 7h-17S6 15 6 9M10 20a2.2 2.2 0 0 0 4 0';
const EVENTS = { onNotification: 'notification', onCounts: 'counts', onStatus: 'status', onSelect: 'select', onOpen: 'open', onClose: 'close', onError: 'error' };
/** What a server draws, and the browser until it is there. */
const disconnected = createClient({ src: '.' }).snapshot;
const Context = createContext(/** @type {T.Client | null} */ (null));
const useDrawn = globalThis.document ? useLayoutEffect : useEffect;

/** @type {T.IdentityOf} */
const identityOf = (token) => {
  const { sub, tenant, topics } = claims(typeof token === 'string' ? token : '');
  return JSON.stringify([sub, tenant, topics]);
};

/** @type {T.Provider} */
export const BelfryProvider = ({ client, token, children, ...options }) => {
  const latest = useRef(token);
  latest.current = token;
  const now = () => {
    const token = latest.current;
    return typeof token === 'function' ? token() : token ?? '';
  };
  const make = () => createClient({ ...options, token: token ? now : null });
  const about = `${options.src} ${options.limit} ${identityOf(token)}`;
  const [own, setOwn] = useState(() => ({ about, client: client ?? make() }));
  const current = client ?? own.client;
  if (!client && own.about !== about) setOwn({ about, client: make() }); // another person: another inbox

  useEffect(() => {
    if (client) return undefined; // whoever gave it opens and closes it
    current.open();
    return () => current.close();
  }, [client, current]);
  return createElement(Context.Provider, { value: current }, children);
};

/** @type {T.UseClient} */
export const useClient = () => {
  const client = useContext(Context);
  if (!client) throw new Error('there is no <BelfryProvider> around this component');
  return client;
};

/** @type {T.UsePart} */
const usePart = (part) => {
  const client = useClient();
  return useSyncExternalStore((changed) => client.on('snapshot', changed), () => part(client.snapshot), () => part(disconnected));
};

/** @type {T.UseCounts} */
export const useCounts = () => ({ unread: usePart(({ unread }) => unread), unseen: usePart(({ unseen }) => unseen) });

/** @type {T.UseNotifications} */
export const useNotifications = (filter) => {
  const client = useClient();
  const wanted = JSON.stringify(filter);
  useEffect(() => {
    if (wanted && wanted !== JSON.stringify(client.snapshot.filter)) client.notifications(JSON.parse(wanted)).catch(() => {}); // `error` says it
  }, [client, wanted]);
  const { items: notifications, ...rest } = usePart((snapshot) => snapshot);
  return { ...client, ...rest, notifications };
};

/** An attribute of HTML from a property: `titleBadge` is `title-badge`, true is there, false is not. @type {T.Attributes} */
const attributes = (properties) => Object.fromEntries(Object.entries(properties)
  .filter(([, value]) => value != null && value !== false)
  .map(([name, value]) => [name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`), value === true ? '' : value]));

/** @type {T.Element} */
const element = (tag, fallback) => ({ texts, children, className, ...rest }) => {
  const client = useClient();
  const ref = useRef(/** @type {any} */ (null));
  const heard = Object.fromEntries(Object.keys(EVENTS).map((name) => [name, rest[name]]));
  const listeners = useRef(heard);
  listeners.current = heard;
  useDrawn(() => {
    ref.current.client = client;
    ref.current.texts = texts;
  }, [client, texts]);
  useEffect(() => {
    const ended = new AbortController();
    for (const [name, event] of Object.entries(EVENTS)) {
      ref.current.addEventListener(`belfry-${event}`, (/** @type {Event} */ happened) => listeners.current[name]?.(happened), ended);
    }
    return () => ended.abort();
  }, []);
  const plain = Object.fromEntries(Object.entries(rest).filter(([name]) => !(name in EVENTS)));
  return createElement(tag, { ref, hosted: '', class: className, ...attributes(plain) }, children ?? fallback);
};

/** A picture of a bell, so that a server's page shows one before any script runs. */
const drawn = createElement('svg', {
  slot: 'icon', viewBox: '0 0 24 24', width: 21, height: 21, fill: 'none', stroke: 'currentColor', strokeWidth: 1.75, 'aria-hidden': true,
}, createElement('path', { d: BELL }));

export const Bell = element('belfry-bell', drawn);
export const Inbox = element('belfry-inbox', null);
