/** @type {import('./elements.js').Texts} */
export default {
  title: '通知', all: 'すべて', unread: '未読', read: '既読', archived: 'アーカイブ', snoozed: 'スヌーズ中',
  count: '未読{n}件', fresh: '新着{n}件', behind: '他{n}件',
  markAllAsRead: 'すべて既読にする', markAsRead: '既読にする', markAsUnread: '未読にする', archive: 'アーカイブする',
  unarchive: '受信箱に戻す', snooze: 'スヌーズ', unsnooze: '今すぐ戻す',
  hour: '1時間後', tomorrow: '明日', week: '来週',
  empty: '新しい通知はありません', error: '通知を読み込めませんでした', retry: '再試行',
  failed: '処理できませんでした。もう一度お試しください。', offline: 'オフライン。再接続しています…',
  unauthorized: 'もう一度ログインしてください。',
  preferences: '設定', required: '常にオン', close: '閉じる', loading: '読み込み中…',
};
