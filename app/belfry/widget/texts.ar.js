/** @type {import('./elements.js').Texts} */
export default {
  title: 'الإشعارات', all: 'الكل', unread: 'غير مقروءة', read: 'مقروءة', archived: 'مؤرشفة', snoozed: 'مؤجلة',
  count: 'غير مقروءة: {n}', fresh: 'جديدة: {n}', behind: '+{n} أخرى',
  markAllAsRead: 'تحديد الكل كمقروء', markAsRead: 'تحديد كمقروء', markAsUnread: 'تحديد كغير مقروء', archive: 'أرشفة',
  unarchive: 'نقل إلى الوارد', snooze: 'تأجيل', unsnooze: 'إعادة الآن',
  hour: 'بعد ساعة', tomorrow: 'غدًا', week: 'الأسبوع القادم',
  empty: 'لا جديد لديك', error: 'تعذر تحميل الإشعارات', retry: 'إعادة المحاولة',
  failed: 'لم ينجح ذلك. حاول مرة أخرى.', offline: 'غير متصل. جارٍ إعادة الاتصال…', unauthorized: 'يرجى تسجيل الدخول من جديد.',
  preferences: 'التفضيلات', required: 'مفعّل دائمًا', close: 'إغلاق', loading: 'جارٍ التحميل…',
};
