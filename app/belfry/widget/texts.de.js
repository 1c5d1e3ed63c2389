/** @type {import('./elements.js').Texts} */
export default {
  title: 'Mitteilungen', all: 'Alle', unread: 'Ungelesen', read: 'Gelesen', archived: 'Archiviert', snoozed: 'Später',
  count: '{n} ungelesen', fresh: '{n} neu', behind: '+{n} weitere',
  markAllAsRead: 'Alle als gelesen markieren', markAsRead: 'Als gelesen markieren', markAsUnread: 'Als ungelesen markieren',
  archive: 'Archivieren', unarchive: 'Zurück in den Eingang', snooze: 'Später erinnern', unsnooze: 'Jetzt zurückholen',
  hour: 'In einer Stunde', tomorrow: 'Morgen', week: 'Nächste Woche',
  empty: 'Alles gelesen', error: 'Die Mitteilungen konnten nicht geladen werden', retry: 'Erneut versuchen',
  failed: 'Das hat nicht geklappt. Bitte erneut versuchen.', offline: 'Offline. Verbindung wird aufgebaut …',
  unauthorized: 'Bitte erneut anmelden.',
  preferences: 'Einstellungen', required: 'Immer an', close: 'Schließen', loading: 'Lädt …',
};
