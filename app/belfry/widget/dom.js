/** Elements from text alone: nothing of a notification is ever markup. @import * as T from './elements.js' */
const SVG = 'http://www.w3.org/2000/svg';
const GAP = 8;
const LOWEST = 280; // of a list that is still of use
const LONGEST = 500; // characters of a text that are worth a browser's time
const SCHEMES = ['http:', 'https:', 'mailto:'];
/** @type {Record<string, string>} */
const ICONS = {
  bell: 'M6 9a6 6 0 0 1 12 0c0 6 2.5 7 2.5 7h-17S6 15 6 9M10 20a2.2 2.2 0 0 0 4 0',
  markAllAsRead: 'm2 13 4 4 8-9m-3 8 1 1 9-10',
  markAsRead: 'm5 12.5 4.5 4.5L19 7',
  markAsUnread: 'M12 8a4 4 0 1 0 0 8 4 4 0 1 0 0-8',
  archive: 'M3 5h18v4H3zm2 4v10h14V9m-9 4h4',
  unarchive: 'M4 9h11a5 5 0 0 1 0 10H9M8 5 4 9l4 4',
  snooze: 'M12 3a9 9 0 1 0 0 18 9 9 0 1 0 0-18m0 4v5l3 2',
  preferences: 'M4 7h9m4 0h3m-5-2v4M4 17h3m4 0h9M9 15v4',
  close: 'm6 6 12 12m0-12L6 18',
  success: 'M12 3a9 9 0 1 0 0 18 9 9 0 1 0 0-18m-4 9.5 3 3 5-6',
  warning: 'm12 4 9 16H3zm0 6v5m0 2.5v.1',
  error: 'M12 3a9 9 0 1 0 0 18 9 9 0 1 0 0-18m0 4v6m0 3v.1',
};
ICONS.unsnooze = ICONS.unarchive;

/** @type {T.Make} */
export const make = (tag, properties = {}, ...children) => {
  const element = /** @type {any} */ (document.createElement(tag));
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
};

/** @type {T.Icon} */
export const icon = (name) => {
  const [svg, path] = ['svg', 'path'].map((tag) => document.createElementNS(SVG, tag));
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  path.setAttribute('d', ICONS[name] ?? ICONS.bell);
  svg.append(path);
  return svg;
};

/** @type {T.Tool} */
export const tool = (name, label, onclick) =>
  make('button', { type: 'button', part: `tool ${name}`, ariaLabel: label, title: label, onclick }, icon(name));

/** @type {T.Link} */
export const link = (value) => {
  const url = value && typeof value === 'string' && URL.canParse(value, document.baseURI) ? new URL(value, document.baseURI) : null;
  return url && SCHEMES.includes(url.protocol) ? url.href : '';
};

/** @type {T.Cut} */
export const cut = (given) => {
  const text = typeof given === 'string' ? given.trim() : '';
  return text.length > LONGEST ? `${text.slice(0, LONGEST).replace(/[\ud800-\udbff]$/, '')}…` : text;
};

/** @type {T.Gist} */
export const gist = ({ title, body, kind }) => {
  const [first = kind, second = ''] = [title, body].map(cut).filter(Boolean);
  return [first, second];
};

/** @type {T.Place} */
export const place = (popover, anchor) => {
  const { left, right, top, bottom } = anchor.getBoundingClientRect();
  const room = Math.max(top, innerHeight - bottom, LOWEST) - 2 * GAP;
  popover.style.setProperty('--_room', `${room}px`); // beside its button, not above it
  const { offsetWidth: width, offsetHeight: height } = popover;
  const start = getComputedStyle(anchor).direction === 'rtl' ? left : right - width;
  const below = bottom + GAP + height <= innerHeight - GAP || top < height ? bottom + GAP : top - GAP - height;
  /** @type {(value: number, most: number) => string} */
  const inside = (value, most) => `${Math.max(GAP, Math.min(value, most - GAP))}px`;
  popover.style.left = inside(start, innerWidth - width);
  popover.style.top = inside(below, innerHeight - height);
};

/** A popover that is not in a page throws. @type {T.Hide} */
export const hide = (popover) => popover.isConnected && popover.hidePopover();

/** @type {T.Around} */
export const around = (element, selector) => {
  /** @type {any} */
  let at = element;
  while (at?.closest && !at.closest(selector)) at = at.getRootNode().host;
  return at?.closest?.(selector);
};

/** @type {T.Arrow} */
export const arrow = (event, all) => {
  const { key, altKey, ctrlKey, metaKey } = event;
  const at = all.findIndex((one) => one.matches(':focus'));
  const turned = all[0]?.matches(':dir(rtl)') ? -1 : 1;
  /** @type {Record<string, number>} */
  const steps = { ArrowDown: at + 1, ArrowUp: at - 1, ArrowRight: at + turned, ArrowLeft: at - turned, Home: 0, End: all.length - 1 };
  const next = all[steps[key]];
  if (!(key in steps) || altKey || ctrlKey || metaKey) return; // Alt and an arrow: the page before
  event.preventDefault();
  next?.focus();
  return next;
};
