/** `<belfry-inbox>`: the list. @import * as T from './elements.js' */
import { arrow, hide, icon, link, make, place, tool } from './dom.js';
import { BelfryElement, filterOf } from './element.js';
import { createList } from './list.js';
import { fill } from './texts.js';
import { later } from './time.js';

const TICK_MS = 20_000;
const SEEN_MS = 1000;
const NOTICE_MS = 5000;
const AGAIN_MS = 5000;
const REFUSED_MS = 30_000;
const OFFLINE_MS = 3000; // a reconnect is no news
/** What there is where there is no client. */
const NOBODY = {
  items: [], status: /** @type {T.Status} */ ('idle'), loaded: true, more: false, error: null, unread: 0, unseen: 0,
};
const EVENTS = /** @type {const} */ (['notification', 'counts', 'status', 'error']);

export class BelfryInbox extends BelfryElement {
  #newest = Infinity; // what is newer waits behind the pill
  /** @type {readonly T.Item[]} */
  #shown = [];
  #frame = 0;
  #reload = () => {}; // of the preferences
  #visible = false;
  /** @type {Map<string, T.Timer>} */
  #timers = new Map();
  #list = createList({ select: (...all) => this.select(...all), mark: (...all) => this.#mark(...all) });
  #heading = make('h2', { part: 'heading' });
  #tools = make('div', { part: 'tools' });
  #tabs = make('div', { part: 'tabs', role: 'tablist', onkeydown: (/** @type {KeyboardEvent} */ event) => {
    arrow(event, /** @type {any} */ ([...this.#tabs.children]))?.click();
  } });
  #notice = make('p', { part: 'notice', role: 'status' });
  #pill = make('button', { type: 'button', part: 'pill', hidden: true, onclick: () => this.#release() });
  #rest = make('div', { part: 'rest' });
  #end = make('div', { part: 'end' });
  #scroll = make('div', { part: 'list', role: 'tabpanel', onscroll: () => this.#scrolled(), onpointerleave: () => this.#soon() },
    this.#list.element, this.#rest, this.#end);
  #panel = make('div', { part: 'preferences', hidden: true });
  #menu = make('div', { part: 'menu', role: 'menu', popover: 'auto', onkeydown: (/** @type {KeyboardEvent} */ event) => {
    arrow(event, /** @type {any} */ ([...this.#menu.children]));
  } });
  #box = make('section', { part: 'inbox' },
    make('header', { part: 'header' }, make('slot', { name: 'header' }, this.#heading), this.#tools, make('slot', { name: 'close' })),
    this.#tabs, this.#notice, this.#pill, this.#scroll, this.#panel, make('slot', { name: 'footer' }), this.#menu);

  constructor() {
    super();
    this.root.append(this.#box);
  }

  /** @type {T.Begin} */
  begin(client, signal) {
    const near = new IntersectionObserver(([{ isIntersecting }]) => isIntersecting && client.loadMore().catch(() => {}));
    const watch = () => {
      near.unobserve(this.#end); // else it says nothing while the end stays in sight
      near.observe(this.#end);
    };
    const off = [
      ...EVENTS.map((name) => client.on(name, (event) => this.tell(name, event))),
      client.on('snapshot', ({ more, loading, error }) => {
        this.#soon();
        if (more && !loading) this.#after('more', error ? AGAIN_MS : 0, watch);
      }),
      client.on('change', ({ verb }) => !this.#panel.hidden && verb === 'preference' && this.#reload()),
    ];
    const seer = new IntersectionObserver((all) => this.#look(all));
    seer.observe(this.#box);
    watch();
    const clock = setInterval(() => this.#tick(), TICK_MS);
    document.addEventListener('visibilitychange', () => this.#tick(), { signal });
    signal.addEventListener('abort', () => {
      for (const each of off) each();
      seer.disconnect();
      near.disconnect();
      clearInterval(clock);
      this.#timers.forEach((timer) => clearTimeout(timer));
      this.#timers.clear();
      this.#visible = false;
    });
  }

  forget() {
    hide(this.#menu);
    this.#panel.hidden = true;
    this.#panel.replaceChildren();
    this.#scroll.scrollTop = 0;
    this.#say('');
    this.#draw(true);
  }

  render() {
    const { words, names } = this;
    this.#box.ariaLabel = this.#scroll.ariaLabel = words.title;
    this.#tools.replaceChildren(
      tool('markAllAsRead', words.markAllAsRead, () => this.#try(this.client?.markAllAsRead())),
      ...(this.hasAttribute('preferences') ? [tool('preferences', words.preferences, () => this.#prefer(this.#panel.hidden))] : []));
    this.#tabs.hidden = names.length < 2;
    this.#tabs.replaceChildren(...names.map((name) => make('button', {
      type: 'button', part: 'tab', role: 'tab', dir: 'auto', onclick: () => this.#show(name),
    }, words[name] ?? name.replace(/^\w+:/, ''))));
    this.#rest.dataset.is = ''; // in other words
    if (!names.includes(this.#tab)) this.#show(names[0]);
    this.#prefer(!this.#panel.hidden && this.hasAttribute('preferences'));
  }

  /** The one that shows what the client lists. */
  get #tab() {
    const listed = JSON.stringify(this.client?.snapshot.filter);
    return this.names.find((name) => JSON.stringify(filterOf(name)) === listed) ?? '';
  }

  /** Open what a notification is about, unless the page does it itself. @type {T.Select} */
  select(item, action, event) {
    const url = link(action ? action.url : item.action_url) || null;
    const { ctrlKey, metaKey, shiftKey, button } = /** @type {any} */ (event ?? {});
    if (!item.read) this.#set('markAsRead', item);
    if (url && (ctrlKey || metaKey || shiftKey || button)) return true; // the browser opens it in another tab
    const ours = this.tell('select', { item, action, url });
    if (!ours) event?.preventDefault();
    return ours;
  }

  /** @type {T.MarkItem} */
  #mark(verb, item, event) {
    if (verb !== 'snooze') return this.#set(verb, item);
    this.#menu.replaceChildren(...Object.entries(later(Date.now())).map(([name, until]) => make('button', {
      type: 'button', part: 'choice', role: 'menuitem', onclick: () => {
        this.#menu.hidePopover();
        this.#set(verb, item, new Date(until));
      },
    }, this.words[name])));
    const button = /** @type {HTMLElement} */ (event.currentTarget);
    this.#menu.showPopover();
    this.#menu.addEventListener('beforetoggle', () => this.#list.focus(item.id, button), { once: true });
    place(this.#menu, button);
    /** @type {HTMLElement} */ (this.#menu.firstElementChild).focus();
  }

  /** Of all that a row stands for: where its group has grown, the client knows another item. @type {T.SetItem} */
  #set(verb, item, until) {
    this.#try(/** @type {any} */ (this.client)?.[verb](item.group_ids ?? item.id, until));
    const read = /** @type {Record<string, boolean>} */ ({ markAsRead: true, markAsUnread: false })[verb];
    const set = read === undefined ? [] : { ...item, read };
    this.#shown = this.#shown.flatMap((each) => (each.id === item.id ? set : each));
    this.#soon();
  }

  /** @param {Promise<unknown>} [mark] */
  #try(mark) {
    mark?.catch(() => this.#failed());
  }

  #failed() {
    const { failed } = this.words;
    this.#say(failed);
    this.#soon(); // it may stand in the place of what goes on
    this.#after('notice', NOTICE_MS, () => this.#notice.textContent === failed && this.#say(''));
  }

  /** @param {string} name */
  #show(name) {
    this.#newest = Infinity;
    this.#panel.hidden = true;
    this.#scroll.scrollTop = 0;
    this.client?.notifications(filterOf(name)).catch(() => {}); // the snapshot says it
    this.#draw();
  }

  /** @param {boolean} open */
  #prefer(open) {
    this.#panel.hidden = !open;
    if (open) this.#choose();
    this.#draw();
  }

  /** What few people ever open is not loaded with the page. */
  async #choose() {
    const { client } = this;
    const failed = () => this.#failed();
    const loaded = await import('./preferences.js').catch(failed);
    if (!loaded || !client || this.client !== client || this.#panel.hidden) return;
    this.#reload = loaded.showPreferences(this.#panel, client, this.words, failed);
  }

  #scrolled() {
    this.#menu.hidePopover(); // it would stay where its row was
    this.#soon();
  }

  #release() {
    this.#scroll.scrollTop = 0;
    this.#draw(true);
    this.#list.focus();
  }

  // --- what is to be seen

  /** @param {IntersectionObserverEntry[]} all */
  #look(all) {
    this.#visible = /** @type {IntersectionObserverEntry} */ (all.at(-1)).isIntersecting;
    this.#tick();
  }

  #tick() {
    if (!this.#visible || document.visibilityState !== 'visible') return;
    this.#draw();
    this.#list.tick();
  }

  #soon() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  /** Once, in a while; not again while it is awaited. @param {string} name @param {number} milliseconds @param {() => void} run */
  #after(name, milliseconds, run) {
    if (this.#timers.has(name)) return;
    this.#timers.set(name, setTimeout(() => {
      this.#timers.delete(name);
      run();
    }, milliseconds));
  }

  /** @param {string} text */
  #say(text) {
    if (this.#notice.textContent !== text) this.#notice.textContent = text;
  }

  /**
   * What has come since somebody is busy with the list waits: nothing may move under a finger, and a group that has grown
   * stays as it was.
   * @type {T.Held}
   */
  #held(items) {
    const busy = this.#scroll.scrollTop > 0 || this.#list.element.matches(':hover, :focus-within');
    this.#newest = busy ? Math.min(this.#newest, this.#list.first ?? Infinity) : Infinity;
    const fresh = items.filter(({ id }) => id > this.#newest);
    const before = this.#shown.filter(({ id }) => fresh.some(({ group_ids }) => group_ids.includes(id)));
    const rest = [...before, ...items.slice(fresh.length)].sort((a, b) => b.id - a.id);
    if (rest.length) return [rest, fresh.length];
    this.#newest = Infinity; // all are shown: from here on
    return [items, 0];
  }

  #draw(released = false) {
    const { client } = this;
    const { items, status, loaded, more, error, unread, unseen } = client?.snapshot ?? NOBODY;
    if (released) this.#newest = Infinity;
    const [shown, held] = released ? [items, 0] : this.#held(items);
    this.#shown = shown;
    const panel = !this.#panel.hidden;
    this.#heading.textContent = panel ? this.words.preferences : this.words.title;
    this.#scroll.hidden = panel;
    this.#pill.hidden = !held || panel;
    this.#pill.textContent = fill(this.words.fresh, held, this.speaks);
    if (this.#list.draw(shown, this.words, this.speaks)) this.#soon();
    this.#remain(loaded && (!more || !!items.length), !client || !!items.length, error);
    this.#mind(unread);
    this.#follow(status);
    if (unseen && this.#visible) this.#after('seen', SEEN_MS, () => this.#seen());
  }

  /** @param {number} unread */
  #mind(unread) {
    const now = this.#tab;
    const listed = this.#panel.hidden;
    const chooser = this.#tools.children[1];
    if (chooser) chooser.ariaExpanded = `${!listed}`;
    this.names.forEach((name, at) => {
      const tab = /** @type {HTMLElement} */ (this.#tabs.children[at]);
      if (!tab) return;
      tab.ariaSelected = `${listed && name === now}`;
      tab.tabIndex = name === now ? 0 : -1;
      if (name === 'unread' && unread) tab.dataset.count = unread.toLocaleString(this.speaks);
      else delete tab.dataset.count;
    });
  }

  /** What stands below the rows: nothing, that there are none, or why. @param {boolean} loaded @param {boolean} some @param {Error | null} error */
  #remain(loaded, some, error) {
    const now = error && !loaded ? 'error' : !loaded ? 'loading' : some ? 'some' : 'empty';
    if (this.#rest.dataset.is === now) return;
    this.#rest.dataset.is = now;
    const { words } = this;
    const retry = () => this.client?.notifications().catch(() => {});
    this.#rest.replaceChildren(...(now === 'error' ? [
      make('div', { part: 'error', role: 'alert' }, icon('warning'), make('p', {}, words.error),
        make('button', { type: 'button', part: 'action', onclick: retry }, words.retry)),
    ] : now === 'empty' ? [
      make('slot', { name: 'empty' }, make('div', { part: 'empty' }, icon('markAllAsRead'), make('p', {}, words.empty))),
    ] : now === 'loading' ? [make('span', { part: 'hidden' }, words.loading), ...[1, 2, 3, 4].map(() => make('div', { part: 'ghost' }))] : []));
  }

  /** @param {T.Status} status */
  #follow(status) {
    const now = () => this.client?.snapshot.status;
    const words = { offline: this.words.offline, unauthorized: this.words.unauthorized }[/** @type {string} */ (status)];
    if (words) this.#after('offline', OFFLINE_MS, () => now() === status && this.#say(words));
    else if (status === 'live' && !this.#timers.has('notice')) this.#say('');
  }

  #seen() {
    if (!this.#visible || document.visibilityState !== 'visible') return;
    this.client?.markAllAsSeen().catch(() => this.#after('seen', REFUSED_MS, () => this.#seen()));
  }
}
