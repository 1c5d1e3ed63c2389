/** One notification in a list. @import * as T from './elements.js' */
import { cut, gist, icon, link, make, tool } from './dom.js';
import { fill } from './texts.js';
import { ago, exactly } from './time.js';

const MOST_ACTIONS = 10; // more would be no choice

/** @type {(name: string) => string} */
const initials = (name) => name.trim().split(/\s+/).slice(0, 2).map((word) => [...word][0]).join('');

/** @type {(name: string) => number} */
const hue = (name) => [...name].reduce((sum, letter) => (sum * 31 + (letter.codePointAt(0) ?? 0)) % 360, 7);

/** @type {T.Face} */
export const face = ({ actor, severity }) => {
  const name = cut(actor?.name);
  const inside = name ? initials(name) : icon(severity);
  const face = make('span', { part: `avatar ${severity}`, ariaHidden: 'true' }, inside);
  if (name) face.style.setProperty('--hue', `${hue(name)}`);
  const src = link(actor?.avatar_url);
  const onerror = () => face.replaceChildren(inside);
  if (src) face.replaceChildren(make('img', { alt: '', loading: 'lazy', referrerPolicy: 'no-referrer', onerror, src }));
  return face;
};

/** Empty for what is no action: the table takes any array. @type {(action: T.Action) => string} */
const label = (action) => cut(action?.label) || cut(action?.name);

/** A middle click opens a link in another tab. @type {T.Opening} */
const opening = (select) => ({
  onclick: select,
  onauxclick: (event) => {
    if (event.button === 1 && /** @type {HTMLAnchorElement} */ (event.currentTarget).href) select(event);
  },
});

/** @type {T.Buttons} */
const buttons = (item, select) => (item.actions ?? []).filter(label).slice(0, MOST_ACTIONS).map((action, at) => {
  const href = link(action.url);
  const part = `action${at ? '' : ' primary'}${action.style === 'danger' ? ' danger' : ''}`;
  const acts = opening((event) => select(action, event));
  return make(href ? 'a' : 'button', { part, ...acts, ...(href ? { href } : { type: 'button' }) }, label(action));
});

/** @type {T.Tools} */
const tools = (item, words, mark) => {
  const { read, archived, snoozed_until: snoozed } = item;
  const verbs = [read ? 'markAsUnread' : 'markAsRead'];
  if (!snoozed) verbs.push(archived ? 'unarchive' : 'archive');
  if (!archived) verbs.push(snoozed ? 'unsnooze' : 'snooze');
  return verbs.map((verb) => tool(verb, words[verb], (event) => mark(verb, event)));
};

/** A row looks the same whether it is seen or not. @type {T.LooksOther} */
const looksOther = (one, other) => one !== other && Object.entries(one)
  .some(([name, value]) => name !== 'seen' && value !== /** @type {any} */ (other)[name]);

/** @type {T.CreateRow} */
export const createRow = (act) => {
  /** @type {T.Item} */
  let item;
  /** @type {T.Look} */
  let look;
  /** @type {T.SelectThis} */
  const select = (action, event) => act.select(item, action, event);
  /** @type {T.MarkThis} */
  const mark = (verb, event) => act.mark(verb, item, event);
  const node = make('li');
  const open = make('a', { part: 'title', dir: 'auto', tabIndex: -1, ...opening((event) => select(null, event)) });
  const time = make('time', { part: 'time' });
  /** @type {() => HTMLElement[]} */
  const stops = () => [.../** @type {NodeListOf<HTMLElement>} */ (node.querySelectorAll('a, button'))];

  /** What only shows beside a focus can take it when there is one. @param {number} at */
  const focus = (at) => {
    if (at < 0) return;
    open.focus();
    stops()[at]?.focus();
  };

  const tick = () => {
    const said = ago(Date.parse(item.created_at), Date.now(), look.lang);
    if (time.textContent !== said) time.textContent = said;
  };

  const draw = () => {
    const { read, severity, group_count: count, action_url: url } = item;
    const [title, body] = gist(item);
    const { words, lang, heading } = look;
    const href = link(url);
    if (href) open.href = href;
    else open.removeAttribute('href');
    open.role = href ? null : 'button';
    open.textContent = title;
    time.dateTime = item.created_at;
    time.title = exactly(Date.parse(item.created_at), lang);
    const actions = buttons(item, select);
    node.replaceChildren(
      ...(heading ? [make('h3', { part: 'day' }, heading)] : []),
      make('div', { part: `item ${read ? 'read' : 'unread'} ${severity}` }, face(item),
        make('div', { part: 'text' }, open,
          ...(body ? [make('p', { part: 'body', dir: 'auto' }, body)] : []),
          make('p', { part: 'meta' }, time,
            ...(count > 1 ? [make('span', { part: 'behind' }, fill(words.behind, count - 1, lang))] : []),
            ...(read ? [] : [make('span', { part: 'hidden' }, words.unread)])),
          ...(actions.length ? [make('div', { part: 'actions' }, ...actions)] : []),
          make('div', { part: 'tools' }, ...tools(item, words, mark)))));
    tick();
  };

  return {
    node,
    open,
    tick,
    show(now, as) {
      const changed = !item || looksOther(now, item)
        || as.words !== look.words || as.lang !== look.lang || as.heading !== look.heading;
      const focused = changed ? stops().findIndex((stop) => stop.matches(':focus')) : -1;
      [item, look] = [now, as];
      if (changed) draw();
      focus(focused);
      return changed;
    },
  };
};
