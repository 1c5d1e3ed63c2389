/** A server to hold the widget against: one recipient's inbox as a plain list, told by the same words and frames. */

const counted = (item) => !item.archived && !item.snoozed_until;
const SHOWN = {
  all: counted,
  unread: (item) => counted(item) && !item.read,
  read: (item) => counted(item) && item.read,
  unseen: (item) => counted(item) && !item.seen,
  seen: (item) => counted(item) && item.seen,
  archived: (item) => item.archived,
  snoozed: (item) => !item.archived && !!item.snoozed_until,
};
const VERBS = {
  read: (item) => Object.assign(item, { read: true, seen: true }),
  unread: (item) => Object.assign(item, { read: false }),
  seen: (item) => Object.assign(item, { seen: true }),
  archived: (item) => Object.assign(item, { archived: true }),
  unarchived: (item) => Object.assign(item, { archived: false }),
  snoozed: (item, until) => Object.assign(item, { snoozed_until: until }),
  unsnoozed: (item) => item.snoozed_until && Object.assign(item, { snoozed_until: null, read: false, seen: false }),
};

export class Inbox {
  position = 0;
  items = [];
  frames = [];

  get counts() {
    const count = (list) => this.items.filter(SHOWN[list]).length;
    return { unread: count('unread'), unseen: count('unseen'), total: count('all') };
  }

  send(fields = {}) {
    const id = ++this.position;
    const notification = {
      id, recipient: 'u1', topic: null, tenant: '', kind: 'test', title: `title ${id}`, body: '', action_url: null,
      actions: [], data: {}, actor: null, tags: [], severity: 'info', created_at: '2026-01-01T00:00:00Z',
      expires_at: null, group_key: null, ...fields,
    };
    this.items.unshift({ ...notification, seen: false, read: false, archived: false, snoozed_until: null });
    this.frames.push({ name: 'message', cursor: String(id), data: notification });
    return id;
  }

  /** What a verb does to ids, or to all up to `through`; how many changed. */
  mark(verb, { ids = [], through = 0, until }) {
    const turned = this.items.filter((item) => ids.includes(item.id) || item.id <= through).filter((item) => {
      const before = JSON.stringify(item);
      VERBS[verb](item, until);
      return JSON.stringify(item) !== before;
    }).map(({ id }) => id);
    if (turned.length) this.change({ verb, ...(through ? { through, ids: [] } : { ids: turned }) });
    return turned.length;
  }

  retract(id) {
    this.items = this.items.filter((item) => item.id !== id);
    this.change({ verb: 'retracted', ids: [id] });
  }

  revise(id, fields) {
    const item = this.items.find((each) => each.id === id);
    if (!item) return;
    Object.assign(item, fields);
    const { seen, read, archived, snoozed_until, ...notification } = item;
    this.change({ verb: 'revised', ids: [id], notification }, false);
  }

  /** Something that only a page can bring. */
  import(fields) {
    const id = this.send({ ...fields });
    this.frames.pop();
    this.change({ verb: 'delivered', ids: [id] });
  }

  change(data, counts = true) {
    const { unread, unseen } = this.counts;
    const id = ++this.position;
    this.frames.push({
      name: 'change', cursor: String(id), data: { id, ...data, ...(counts && { unread, unseen }) },
    });
  }

  list({ state = 'all', limit = 20, before = Infinity, kinds = [] } = {}) {
    const shown = this.items.filter(SHOWN[state]).filter(({ kind }) => !kinds.length || kinds.includes(kind));
    const groups = new Map();
    for (const item of shown) {
      const key = item.group_key ?? item.id;
      groups.set(key, [...(groups.get(key) ?? []), item]);
    }
    const all = [...groups.values()].map((group) => ({
      ...group[0], group_count: group.length, group_ids: group.map(({ id }) => id),
    })).filter(({ id }) => id < before);
    return structuredClone({ items: all.slice(0, limit), next: all.length > limit ? all[limit - 1].id : null });
  }

  page(filter) {
    const { unread, unseen } = this.counts;
    return { ...this.list(filter), unread, unseen, cursor: String(this.position) };
  }
}

/** What of a list must be the same. */
export const gist = (items) => items.map(({ id, title, seen, read, archived, group_count }) =>
  `${id} ${title} ${seen ? 'seen' : ''} ${read ? 'read' : ''} ${archived ? 'archived' : ''} ${group_count}`);

/** Random numbers that come again with the same seed. */
export const random = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
