/** @type {import('./elements.js').Texts} */
export default {
  title: 'Notificaciones', all: 'Todas', unread: 'No leídas', read: 'Leídas', archived: 'Archivadas', snoozed: 'Pospuestas',
  count: '{n} sin leer', fresh: 'Nuevas: {n}', behind: '+{n} más',
  markAllAsRead: 'Marcar todo como leído', markAsRead: 'Marcar como leída', markAsUnread: 'Marcar como no leída',
  archive: 'Archivar', unarchive: 'Mover a la bandeja', snooze: 'Posponer', unsnooze: 'Recuperar ahora',
  hour: 'En una hora', tomorrow: 'Mañana', week: 'La próxima semana',
  empty: 'Estás al día', error: 'No se pudieron cargar las notificaciones', retry: 'Reintentar',
  failed: 'No ha funcionado. Inténtalo de nuevo.', offline: 'Sin conexión. Reconectando…',
  unauthorized: 'Vuelve a iniciar sesión.',
  preferences: 'Preferencias', required: 'Siempre activo', close: 'Cerrar', loading: 'Cargando…',
};
