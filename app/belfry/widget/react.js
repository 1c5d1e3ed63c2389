'use client';
/** Hooks and components for React 18 and 19, over the client and the elements. @import * as T from './react.js' */
import {
  createContext, createElement, forwardRef, useCallback, useContext, useEffect, useImperativeHandle, useLayoutEffect, useMemo,
  useRef, useSyncExternalStore,
} from 'react';
import { claims } from './api.js';
import { createClient } from './index.js';

const BELL = 'M6 9a6 6 0 0 1 12 0c0 6 2.5 7 2.5 7h-17S6 15 6 9M10 20a2.2 2.2 0 0 0 4 0';
const EVENTS = { onNotification: 'notification', onCounts: 'counts', onStatus: 'status', onSelect: 'select', onOpen: 'open', onClose: 'close', onError: 'error' };
/** What a server draws, and the browser until it is there. */
const disconnected = createClient({ src: '.' }).snapshot;
const Context = createContext(/** @type {T.Client | null} */ (null));
const useDrawn = globalThis.document ? useLayoutEffect : useEffect;

/** Whose client it is; functions are all alike. @type {T.IdentityOf} */
const identityOf = (token) => {
  if (!token || typeof token === 'function') return typeof token === 'function' ? 'function' : '';
  const { sub, tenant, topics } = claims(token);
  return JSON.stringify([sub, tenant, topics]);
};

/** @type {T.Provider} */
export const BelfryProvider = ({ client, token, children, ...options }) => {
  const { src, limit } = options;
  const identity = identityOf(token);
  const latest = useRef(token);
  latest.current = token;

  const own = useMemo(() => {
    const now = () => (typeof latest.current === 'function' ? latest.current() : latest.current ?? '');
    return client ? null : createClient({ ...options, token: identity ? now : null });
  }, [client, src, limit, identity]); // another person: another inbox

  useEffect(() => {
    let there = true;
    queueMicrotask(() => there && own?.open()); // strict mode mounts twice: a token is asked for once
    return () => {
      there = false;
      own?.close();
    };
  }, [own]);

  useEffect(() => {
    if (own?.snapshot.status !== 'unauthorized') return;
    own.close();
    own.open(); // with what is good now, and not after the next pause
  }, [own, typeof token === 'string' ? token : '']);
  return createElement(Context.Provider, { value: client ?? own }, children);
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
  const subscribe = useCallback((/** @type {() => void} */ changed) => client.on('snapshot', changed), [client]);
  return useSyncExternalStore(subscribe, () => part(client.snapshot), () => part(disconnected));
};

/** @type {T.UseCounts} */
export const useCounts = () => {
  const unread = usePart((snapshot) => snapshot.unread);
  const unseen = usePart((snapshot) => snapshot.unseen);
  return useMemo(() => ({ unread, unseen }), [unread, unseen]);
};

/** @type {T.UseNotifications} */
export const useNotifications = (filter) => {
  const client = useClient();
  const snapshot = usePart((whole) => whole);
  const wanted = JSON.stringify(filter);
  useEffect(() => {
    if (wanted && wanted !== JSON.stringify(client.snapshot.filter)) client.notifications(JSON.parse(wanted)).catch(() => {}); // `error` says it
  }, [client, wanted]);
  return useMemo(() => {
    const { items: notifications, ...rest } = snapshot;
    return { ...client, ...rest, notifications };
  }, [client, snapshot]);
};

/** @type {T.UseEvent} */
export const useEvent = (name, listener) => {
  const client = useClient();
  const latest = useRef(listener);
  latest.current = listener;
  useEffect(() => {
    const off = client.on(name, (event) => latest.current(event));
    return () => off();
  }, [client, name]);
};

/** @type {T.Element} */
const element = (tag, displayName, fallback) => Object.assign(forwardRef((properties, outer) => {
  const { texts, children, className, titleBadge, ...rest } = /** @type {Record<string, any>} */ (properties);
  const client = useClient();
  const ref = useRef(/** @type {any} */ (null));
  const listeners = useRef(rest);
  listeners.current = rest;
  const words = JSON.stringify(texts);
  useImperativeHandle(outer, () => ref.current, []);
  useDrawn(() => {
    ref.current.client = client;
  }, [client]);
  useDrawn(() => {
    ref.current.texts = words && JSON.parse(words);
  }, [words]);
  useDrawn(() => {
    const ended = new AbortController();
    for (const [name, event] of Object.entries(EVENTS)) {
      ref.current.addEventListener(`belfry-${event}`, (/** @type {Event} */ happened) => listeners.current[name]?.(happened), ended);
    }
    return () => ended.abort();
  }, []);
  // React 18 would write false as a word, and attributes that are there are true
  const plain = Object.entries({ ...rest, class: className, 'title-badge': titleBadge })
    .filter(([name, value]) => !(name in EVENTS) && value !== false);
  return createElement(tag, { ...Object.fromEntries(plain), ref, hosted: '' }, children ?? fallback);
}), { displayName });

/** A picture of a bell, so that a server's page shows one before any script runs. */
const drawn = createElement('svg', {
  slot: 'icon', viewBox: '0 0 24 24', width: 21, height: 21, fill: 'none', stroke: 'currentColor', strokeWidth: 1.75, 'aria-hidden': true,
}, createElement('path', { d: BELL }));

export const Bell = element('belfry-bell', 'Bell', drawn);
export const Inbox = element('belfry-inbox', 'Inbox', null);
