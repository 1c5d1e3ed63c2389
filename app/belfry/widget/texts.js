/** What the elements say; other languages come when they are wanted. @import * as T from './elements.js' */
/** @type {T.Texts} */
export const english = {
  title: 'Notifications', all: 'All', unread: 'Unread', read: 'Read', archived: 'Archived', snoozed: 'Snoozed',
  count: '{n} unread', fresh: '{n} new', behind: '+{n} more',
  markAllAsRead: 'Mark all as read', markAsRead: 'Mark as read', markAsUnread: 'Mark as unread', archive: 'Archive',
  unarchive: 'Move to inbox', snooze: 'Snooze', unsnooze: 'Bring back now',
  hour: 'For an hour', tomorrow: 'Until tomorrow', week: 'Until next week',
  empty: 'You’re all caught up', error: 'Your notifications could not be loaded', retry: 'Try again',
  failed: 'That did not work. Please try again.', offline: 'Offline. Reconnecting…', unauthorized: 'Please sign in again.',
  preferences: 'Preferences', required: 'Always on', close: 'Close', loading: 'Loading…',
};

/** @type {Record<string, () => Promise<{default: T.Texts}>>} */
const LANGUAGES = {
  en: async () => ({ default: english }),
  de: () => import('./texts.de.js'),
  fr: () => import('./texts.fr.js'),
  es: () => import('./texts.es.js'),
  ja: () => import('./texts.ja.js'),
  ar: () => import('./texts.ar.js'),
};

/** @type {T.TextsOf} */
export const textsOf = async (lang) => (await LANGUAGES[lang.slice(0, 2).toLowerCase()]?.())?.default;

/** @type {T.Fill} */
export const fill = (text, n, lang) => text.replace('{n}', n.toLocaleString(lang));
