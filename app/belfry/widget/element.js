/** What bell and inbox share: a client of one's own or a given one, language, theme. @import * as T from './elements.js' */
import { claims } from './api.js';
import { createClient } from './client.js';
import { around } from './dom.js';
import { sheet } from './styles.js';
import { english, textsOf } from './texts.js';

const RIGHT_TO_LEFT = /^(ar|fa|he|ur)\b/;
const PROPERTIES = ['client', 'token', 'texts'];
const Base = globalThis.HTMLElement ?? class {}; // a server may import this

/** @type {T.FilterOf} */
export const filterOf = (tab = 'all') => {
  const [, name, value] = /^(kind|tag):(.+)$/.exec(tab) ?? [];
  return name ? { [`${name}s`]: [value] } : tab === 'all' ? {} : { state: /** @type {T.Standing} */ (tab) };
};

export class BelfryElement extends Base {
  static observedAttributes = ['src', 'token', 'lang', 'dir', 'tabs', 'limit', 'badge', 'preferences', 'title-badge'];

  /** @type {T.Client | null} */
  #given = null;
  /** @type {T.Client | null} */
  #own = null;
  /** @type {T.Token | null} */
  #token = null;
  /** @type {T.Texts} */
  #texts = {};
  /** @type {AbortController | null} */
  #begun = null;
  /** @type {Promise<T.Texts | undefined> | null} */
  #translating = null;
  /** @type {T.Texts} */
  words = english;
  speaks = 'en';

  constructor() {
    super();
    this.attachShadow({ mode: 'open' }).adoptedStyleSheets = [sheet()];
    this.root = /** @type {ShadowRoot} */ (this.shadowRoot);
  }

  /** A client that somebody else opens and closes; without one the element has its own. */
  get client() {
    return this.#given ?? this.#own;
  }

  set client(client) {
    if (client === this.client) return;
    this.#given = client;
    this.#restart();
  }

  /** The recipient's JWT, or what brings a fresh one; it wins over the attribute. */
  get token() {
    return this.#token ?? this.getAttribute('token');
  }

  set token(token) {
    const before = this.token;
    this.#token = token;
    this.#renew(before);
  }

  /** Words of your own in place of ours. */
  get texts() {
    return this.#texts;
  }

  set texts(texts) {
    this.#texts = texts ?? {};
    this.#translate();
  }

  /** The tabs, by the attribute. @type {string[]} */
  get names() {
    return (this.getAttribute('tabs') ?? 'all unread archived').match(/\S+/g) ?? ['all'];
  }

  connectedCallback() {
    for (const name of PROPERTIES) this.#upgrade(name);
    this.#settle();
  }

  disconnectedCallback() {
    this.#settle();
  }

  /** @param {string} name @param {string | null} before @param {string | null} now */
  attributeChangedCallback(name, before, now) {
    if (before === now || !this.#begun) return;
    if (name === 'token') this.#renew(before);
    else if (name === 'src' || name === 'limit') this.#restart();
    else if (name === 'lang' || name === 'dir') this.#translate();
    else this.render(true);
  }

  /** @type {T.Tell} */
  tell(name, detail) {
    return this.dispatchEvent(new CustomEvent(`belfry-${name}`, { detail, bubbles: true, composed: true, cancelable: true }));
  }

  /** Draw what there is; `all`: words or attributes are others now. @type {(all?: boolean) => void} */
  render() {}

  /** A client is there; what is registered with the signal ends with it. @type {T.Begin} */
  begin() {}

  /** Nothing of the person before may stay. */
  forget() {}

  /** What was set before the element was defined. @param {string} name */
  #upgrade(name) {
    if (!Object.hasOwn(this, name)) return;
    const self = /** @type {any} */ (this);
    const value = self[name];
    delete self[name];
    self[name] = value;
  }

  /** After the present task: whoever sets `client` next, or moves the element, does not cost a stream. */
  #settle() {
    queueMicrotask(() => (this.isConnected ? this.#start() : this.#end()));
  }

  #start() {
    if (this.#begun || (!this.#given && this.hasAttribute('hosted'))) return; // its page will say which client
    const { signal } = this.#begun = new AbortController();
    if (!this.#given) {
      this.#own = this.#make();
      this.#own.open();
    }
    const client = /** @type {T.Client} */ (this.client);
    this.begin(client, signal);
    this.#follow(client, signal);
    const page = new MutationObserver(() => this.#translate());
    page.observe(document.documentElement, { attributeFilter: ['lang', 'dir'] });
    signal.addEventListener('abort', () => page.disconnect());
    this.#translate();
  }

  /** One client may go from person to person: its token is a function, or a cookie. @type {T.Begin} */
  #follow(client, signal) {
    let { recipient: who } = client.snapshot;
    const off = client.on('snapshot', ({ recipient }) => {
      if (who && recipient !== who) this.forget();
      who = recipient;
    });
    signal.addEventListener('abort', off);
  }

  #end() {
    const [begun, own] = [this.#begun, this.#own];
    this.#begun = this.#own = null;
    begun?.abort();
    own?.close();
    if (begun) this.forget();
  }

  #restart() {
    this.#end();
    this.#settle();
  }

  #make() {
    const limit = Number(this.getAttribute('limit')) || undefined;
    const now = () => (typeof this.token === 'function' ? this.token() : this.token || '');
    const src = this.getAttribute('src') || undefined;
    return createClient({ src, limit, token: this.token ? now : null, filter: filterOf(this.names[0]) });
  }

  /** A fresh token of the same person is used when the old one ends; another person is another inbox. @param {T.Token | null} before */
  #renew(before) {
    const [was, is] = [before, this.token].map((token) => {
      const { sub, tenant, topics } = claims(typeof token === 'string' ? token : '');
      return sub && JSON.stringify([sub, tenant, topics]);
    });
    if (!this.#begun || this.#given) return;
    if (!is || was !== is) this.#restart();
    else if (this.#own?.snapshot.status === 'unauthorized') {
      this.#own.close();
      this.#own.open(); // now, and not after the next pause
    }
  }

  async #translate() {
    const wanted = around(this, '[lang]')?.lang || navigator.language;
    const mine = this.#translating = textsOf(wanted).catch(() => undefined);
    const loaded = await mine;
    if (mine !== this.#translating) return; // another language is wanted by now
    const spoken = loaded || Object.keys(this.#texts).length;
    this.speaks = (spoken && known(wanted)) || 'en'; // what is read, not what was wished for
    this.words = { ...english, ...loaded, ...this.#texts };
    const frame = /** @type {HTMLElement} */ (this.root.firstElementChild);
    frame.lang = this.speaks;
    frame.dir = around(this, '[dir]')?.dir || (RIGHT_TO_LEFT.test(this.speaks) ? 'rtl' : 'ltr');
    this.render(true);
  }
}

/** The language, if the browser knows it. @param {string} lang */
const known = (lang) => {
  try {
    return Intl.DateTimeFormat.supportedLocalesOf(lang)[0];
  } catch {
    return ''; // it is no language
  }
};
