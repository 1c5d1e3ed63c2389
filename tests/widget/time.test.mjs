import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ago, day, later } from '../../app/belfry/widget/time.js';

const NOW = new Date(2026, 2, 4, 12).getTime(); // a Wednesday
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

test('how long ago it was is said as people say it, in each language', () => {
  for (const [lang, said] of Object.entries({
    en: '5 minutes ago', de: 'vor 5 Minuten', fr: 'il y a 5 minutes', es: 'hace 5 minutos', ja: '5 分前', ar: 'قبل 5 دقائق',
  })) assert.equal(ago(NOW - 5 * MINUTE, NOW, lang), said);
});

test('from now to years, and a clock that is ahead is forgiven', () => {
  for (const [gone, said] of [
    [-HOUR, 'now'], [59_000, 'now'], [MINUTE, '1 minute ago'], [HOUR, '1 hour ago'], [24 * HOUR, 'yesterday'],
    [15 * 24 * HOUR, '2 weeks ago'], [400 * 24 * HOUR, 'last year'],
  ]) assert.equal(ago(NOW - gone, NOW, 'en'), said);
});

test('yesterday is the day before, and not whatever is less than two days ago', () => {
  for (const [gone, said] of [[36, 'yesterday'], [37, '2 days ago'], [47, '2 days ago'], [6 * 24 + 13, '7 days ago']]) {
    assert.equal(ago(NOW - gone * HOUR, NOW, 'en'), said);
  }
});

test('days have names, the nearest of their own', () => {
  assert.equal(day(NOW, NOW, 'en'), 'Today');
  assert.equal(day(NOW + 24 * HOUR, NOW, 'en'), 'Today'); // a clock that is ahead
  assert.equal(day(NOW - 13 * HOUR, NOW, 'de'), 'Gestern');
  assert.equal(day(NOW - 48 * HOUR, NOW, 'en'), 'Monday, March 2');
});

test('a snooze ends in an hour, tomorrow at nine, or on Monday at nine', () => {
  const { hour, tomorrow, week } = later(NOW);
  assert.deepEqual([hour, tomorrow, week], [NOW + HOUR, new Date(2026, 2, 5, 9).getTime(), new Date(2026, 2, 9, 9).getTime()]);
  const monday = new Date(2026, 2, 9, 8).getTime();
  assert.equal(later(monday).week, new Date(2026, 2, 16, 9).getTime());
});
