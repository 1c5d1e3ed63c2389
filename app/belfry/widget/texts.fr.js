/** @type {import('./elements.js').Texts} */
export default {
  title: 'Notifications', all: 'Toutes', unread: 'Non lues', read: 'Lues', archived: 'Archivées', snoozed: 'En pause',
  count: 'non lues : {n}', fresh: 'Nouvelles : {n}', behind: 'et {n} de plus',
  markAllAsRead: 'Tout marquer comme lu', markAsRead: 'Marquer comme lu', markAsUnread: 'Marquer comme non lu',
  archive: 'Archiver', unarchive: 'Remettre dans la boîte', snooze: 'Me le rappeler', unsnooze: 'Rétablir maintenant',
  hour: 'Dans une heure', tomorrow: 'Demain', week: 'La semaine prochaine',
  empty: 'Vous êtes à jour', error: 'Impossible de charger les notifications', retry: 'Réessayer',
  failed: 'Cela n’a pas fonctionné. Veuillez réessayer.', offline: 'Hors ligne. Reconnexion…',
  unauthorized: 'Veuillez vous reconnecter.',
  preferences: 'Préférences', required: 'Toujours actif', close: 'Fermer', loading: 'Chargement…',
};
