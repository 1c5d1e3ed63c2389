/** `<belfry-bell>`: a button with a badge, and the inbox behind it. @import * as T from './elements.js' */
import { gist, icon, link, make, place, tool } from './dom.js';
import { BelfryElement } from './element.js';
import { BelfryInbox } from './inbox.js';
import { fill } from './texts.js';
import { createToasts } from './toasts.js';

const MOST_SHOWN = 99;
const LOOKED = 'belfry-looked'; // what tabs hold, of which one is looked at
const SPOKEN_MS = 1500; // several that come at once are said once
const CLICK_MS = 300; // at most, from where a finger is lifted to the click
const ATTRIBUTES = ['tabs', 'preferences'];
const SLOTS = ['header', 'empty', 'footer'];
const PARTS = 'inbox header heading tools tool tabs tab notice pill list day item unread read avatar title body text meta time behind action actions menu choice preferences preference empty error'
  .replaceAll(' ', ', ');

/** @param {LockOptions} how @param {(lock: Lock | null) => any} run */
const locked = (how, run) => navigator.locks?.request(LOOKED, how, run).catch(() => {}); // as notifications: in a secure context

export class BelfryBell extends BelfryElement {
  #inbox = new BelfryInbox();
  #badge = make('span', { part: 'badge', ariaHidden: 'true', hidden: true });
  #live = make('span', { part: 'hidden', role: 'status' });
  #button = make('button', { type: 'button', part: 'bell' }, make('slot', { name: 'icon' }, icon('bell')), this.#badge);
  #popover = make('div', { part: 'popover', popover: 'auto', role: 'dialog', tabIndex: -1 });
  #toasts = createToasts((item) => this.#open(item));
  /** @type {T.Timer} */
  #speaking;
  /** @type {T.Item[]} */
  #unsaid = [];
  #unlook = () => {};
  #told = false; // that it is open
  #titled = false; // the page, once
  #dismissed = -Infinity; // when it was closed, not by the page

  constructor() {
    super();
    this.#button.ariaLabel = this.words.title;
    this.root.append(make('div', { part: 'root' }, this.#button, this.#popover, this.#toasts.element, this.#live));
    this.#button.popoverTargetElement = this.#popover;
    this.#inbox.setAttribute('exportparts', PARTS);
    this.#inbox.setAttribute('hosted', ''); // by the bell: it has no client of its own
    this.#popover.append(this.#inbox);
    this.#popover.addEventListener('beforetoggle', () => { this.#dismissed = performance.now(); });
    this.#popover.addEventListener('toggle', (event) => this.#toggled(/** @type {ToggleEvent} */ (event).newState === 'open'));
  }

  get open() {
    return this.#popover.matches(':popover-open');
  }

  set open(open) {
    if (this.isConnected) this.#popover.togglePopover(open);
    this.#dismissed = -Infinity;
  }

  show() {
    this.open = true;
  }

  hide() {
    this.open = false;
  }

  /** A button of the page is elsewhere: its click has closed it before it comes here. */
  toggle() {
    this.open = !this.open && performance.now() - this.#dismissed > CLICK_MS;
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    queueMicrotask(() => this.#say(false)); // of a popover that is taken away the browser says nothing
  }

  /** @type {T.Begin} */
  begin(client, signal) {
    this.#inbox.client = client;
    const off = [
      client.on('counts', () => this.#count()),
      client.on('notification', ({ item, leading }) => this.#arrived(item, leading)),
    ];
    signal.addEventListener('abort', () => {
      for (const each of off) each();
      this.#inbox.client = null;
      this.#unlook();
    });
    const look = () => {
      this.#unlook();
      if (document.visibilityState !== 'visible') return;
      const left = new Promise((done) => { this.#unlook = () => done(null); }); // maybe before the lock is there
      locked({ mode: 'shared' }, () => left);
    };
    look();
    document.addEventListener('visibilitychange', look, { signal });
    addEventListener('resize', () => this.#place(), { signal });
    addEventListener('scroll', () => this.#place(), { signal, capture: true, passive: true });
    this.addEventListener('belfry-select', (event) => queueMicrotask(() => event.defaultPrevented && this.hide()), { signal });
  }

  forget() {
    clearTimeout(this.#speaking);
    this.#speaking = undefined;
    this.#unsaid = [];
    this.#live.textContent = '';
    this.#toasts.clear();
    this.#count();
  }

  render() {
    this.#inbox.texts = this.texts;
    for (const name of ATTRIBUTES) {
      const value = this.getAttribute(name);
      if (value === null) this.#inbox.removeAttribute(name);
      else this.#inbox.setAttribute(name, value);
    }
    this.#inbox.replaceChildren(tool('close', this.words.close, () => this.hide()),
      ...SLOTS.filter((name) => this.querySelector(`:scope > [slot=${name}]`)).map((name) => make('slot', { name, slot: name })));
    /** @type {HTMLElement} */ (this.#inbox.firstElementChild).slot = 'close';
    this.#popover.ariaLabel = this.words.title;
    this.#count();
  }

  #count() {
    const { title, count } = this.words;
    const number = this.client?.snapshot[this.getAttribute('badge') === 'unseen' ? 'unseen' : 'unread'] ?? 0;
    const short = number > MOST_SHOWN ? `${MOST_SHOWN.toLocaleString(this.speaks)}+` : number.toLocaleString(this.speaks);
    this.#badge.hidden = !number;
    this.#badge.textContent = short;
    this.#button.ariaLabel = number ? `${title}, ${fill(count, number, this.speaks)}` : title;
    this.#entitle(number && this.isConnected && this.hasAttribute('title-badge') ? `(${short})` : '');
  }

  /** What few pages ask for is not loaded with all. @param {string} prefix */
  #entitle(prefix) {
    if (this.#titled ||= !!prefix) import('./title.js').then(({ entitle }) => entitle(this, prefix), () => {});
  }

  /** @param {boolean} open */
  #toggled(open) {
    this.#place();
    this.#say(open);
    if (open) {
      this.#toasts.clear();
      this.#popover.focus();
      if (this.hasAttribute('desktop') && globalThis.Notification?.permission === 'default') Notification.requestPermission();
    } else if (this.matches(':focus-within') || document.activeElement === document.body) this.#button.focus();
  }

  /** @param {boolean} open */
  #say(open) {
    if (open !== this.#told) this.tell(open ? 'open' : 'close', null);
    this.#told = open;
  }

  #place() {
    if (this.open) place(this.#popover, this.#button);
  }

  // --- those that come

  /** @param {T.Item} item @param {boolean} leading */
  #arrived(item, leading) {
    const looked = document.visibilityState === 'visible';
    this.#speak(item);
    if (this.hasAttribute('toasts') && looked && !this.open) this.#toasts.show(item, this.words);
    if (this.hasAttribute('desktop') && leading && globalThis.Notification?.permission === 'granted') {
      locked({ ifAvailable: true }, (lock) => lock && this.#notify(item));
    }
  }

  /** @param {T.Item} item */
  #speak(item) {
    this.#unsaid.push(item);
    this.#speaking ??= setTimeout(() => {
      const [first, ...more] = this.#unsaid;
      this.#live.textContent = more.length ? fill(this.words.fresh, more.length + 1, this.speaks) : gist(first)[0];
      this.#unsaid = [];
      this.#speaking = undefined;
    }, SPOKEN_MS);
  }

  /** @param {T.Item} item */
  #notify(item) {
    const { id, actor } = item;
    const [title, body] = gist(item);
    const shown = new Notification(title, { body, icon: link(actor?.avatar_url), tag: `belfry-${id}`, dir: 'auto' });
    shown.onclick = () => {
      focus();
      this.#open(item);
    };
  }

  /** Go where it leads; without a place to go, the inbox. @param {T.Item} item */
  #open(item) {
    if (!this.#inbox.select(item, null)) return;
    const url = link(item.action_url);
    if (url) location.assign(url);
    else this.show();
  }
}
