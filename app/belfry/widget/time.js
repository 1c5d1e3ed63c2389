/** Times as people say them. @import * as T from './elements.js' */
const DAY = 864e5;
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [['year', 365 * DAY], ['month', 30 * DAY], ['week', 7 * DAY], ['day', DAY], ['hour', 36e5], ['minute', 6e4], ['second', 6e4]]; // of less than a minute there are none: now
/** @type {Map<string, T.Formats>} */
const made = new Map();

/** @type {T.FormatsOf} */
const formats = (lang) => {
  if (!made.has(lang)) {
    made.set(lang, {
      relative: new Intl.RelativeTimeFormat(lang, { numeric: 'auto' }), // in full: French shortens to -5 min
      date: new Intl.DateTimeFormat(lang, { weekday: 'long', day: 'numeric', month: 'long' }),
      whole: new Intl.DateTimeFormat(lang, { dateStyle: 'full', timeStyle: 'short' }),
    });
  }
  return /** @type {T.Formats} */ (made.get(lang));
};

/** @type {(time: number, days?: number, hour?: number) => number} */
const midnight = (time, days = 0, hour = 0) => {
  const date = new Date(time);
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() + days, hour).getTime();
};

/** By the calendar: what was two evenings ago was not yesterday. @type {(then: number, now: number) => number} */
const daysBack = (then, now) => Math.round((midnight(now) - midnight(then)) / DAY);

/** @type {T.Ago} */
export const ago = (then, now, lang) => {
  const gone = Math.max(0, now - then);
  const [unit, size] = UNITS.find((each) => gone >= each[1]) ?? UNITS[6];
  return formats(lang).relative.format(-(unit === 'day' ? daysBack(then, now) : Math.floor(gone / size)), unit);
};

/** @type {T.Exactly} */
export const exactly = (then, lang) => formats(lang).whole.format(then);

/** @type {T.Day} */
export const day = (then, now, lang) => {
  const { relative, date } = formats(lang);
  const back = daysBack(then, now);
  const name = back < 2 ? relative.format(-Math.max(0, back), 'day') : date.format(then);
  return name.charAt(0).toLocaleUpperCase(lang) + name.slice(1);
};

/** @type {T.Later} */
export const later = (now) => ({
  hour: now + 36e5,
  tomorrow: midnight(now, 1, 9),
  week: midnight(now, ((8 - new Date(now).getDay()) % 7) || 7, 9), // Monday
});
