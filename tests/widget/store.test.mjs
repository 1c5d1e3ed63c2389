import assert from 'node:assert/strict';
import { test } from 'node:test';

import { covers, initial, reduce } from '../../app/belfry/widget/store.js';
import { Inbox, gist, random } from './model.mjs';

const loaded = (inbox, filter = {}) =>
  reduce(initial(filter), { type: 'page', ...inbox.page(filter), settled: [] });
const heard = (state, ...frames) =>
  frames.reduce((next, frame) => reduce(next, { type: 'frame', ...structuredClone(frame) }), state);
const badge = ({ unread, unseen }) => ({ unread, unseen });

/** An inbox of some notifications, and a store that has loaded it. */
function started(count = 3, filter = {}) {
  const inbox = new Inbox();
  for (let i = 0; i < count; i++) inbox.send();
  return { inbox, state: loaded(inbox, filter) };
}

function same(state, inbox) {
  assert.deepEqual(gist(state.items), gist(inbox.list({ ...state.filter, limit: Infinity }).items));
  const { unread, unseen } = inbox.counts;
  assert.deepEqual(badge(state), { unread, unseen });
}

// --- cursors

test('a cursor covers what is at or below its head, but for its gaps', () => {
  for (const [cursor, id, wanted] of [
    ['', 1, false], ['10', 10, true], ['10', 11, false], ['10~3,8-9', 7, false], ['10~3,8-9', 2, false],
    ['10~3,8-9', 1, false], ['10~3,8-9', 3, true], ['10~3,8-9', 8, true], ['abc123.10', 10, true], ['abc123.10', 11, false],
    ['abc123.10~1', 9, false], ['42~0', 42, false],
  ]) assert.equal(covers(cursor, id), wanted, `${cursor} ${id}`);
});

// --- frames

test('a notification comes on top, unread and unseen, and counts one', () => {
  const { inbox, state } = started();
  inbox.send();
  const after = heard(state, ...inbox.frames.slice(-1));
  same(after, inbox);
  assert.equal(after.unread, 4);
});

test('of what comes for weeks the newest thousand stay, and the rest can be loaded', () => {
  const { inbox, state } = started(30);
  for (let i = 0; i < 1500; i++) inbox.send();
  let after = heard(state, ...inbox.frames);
  assert.equal(after.items.length, 1000);
  assert.equal(after.unread, 1530);
  for (let i = 0; i < 10 && after.next; i++) {
    after = reduce(after, { type: 'more', ...inbox.page({ limit: 100, before: after.next }) });
  }
  same(after, inbox);
});

test('what somebody has loaded beyond a thousand stays under them when another comes', () => {
  const { inbox, state } = started(30);
  for (let i = 0; i < 1500; i++) inbox.send();
  let long = heard(state, ...inbox.frames);
  while (long.next) long = reduce(long, { type: 'more', ...inbox.page({ limit: 100, before: long.next }) });
  inbox.send();
  const after = heard(long, ...inbox.frames.slice(-1));
  assert.equal(after.items.length, 1530);
  assert.deepEqual(after.items.slice(1), long.items.slice(0, -1));
  assert.equal(after.next, after.items.at(-1).id);
  same(reduce(after, { type: 'more', ...inbox.page({ limit: 100, before: after.next }) }), inbox);
});

test('a repeated frame changes nothing', () => {
  const { inbox, state } = started();
  inbox.send();
  const [frame] = inbox.frames.slice(-1);
  const once = heard(state, frame);
  const twice = heard(once, frame);
  assert.deepEqual(badge(twice), badge(once));
  assert.equal(twice.items, once.items);
});

test('what is told in parts is heard whole, each part once', () => {
  const { state } = started();
  const part = (...ids) => ({ name: 'change', cursor: '3', data: { id: 4, verb: 'retracted', ids } });
  const choice = { name: 'change', cursor: '4', data: { id: 4, verb: 'preference', kind: 'a.b', enabled: false } };
  const after = heard(state, part(1), part(3), part(1), choice, choice);
  assert.deepEqual(after.items.map(({ id }) => id), [2]);
  assert.deepEqual(after.log.map(({ data }) => [data.verb, data.ids?.[0]]), [
    ['retracted', 1], ['retracted', 3], ['preference', undefined],
  ]);
});

test('what the page has already is no news when the stream brings it', () => {
  const { inbox, state } = started();
  same(heard(state, ...inbox.frames), inbox);
});

test('a late notification goes to its place by id', () => {
  const inbox = new Inbox();
  inbox.send();
  inbox.send();
  const [first, second] = inbox.frames;
  const state = reduce(initial(), { type: 'page', items: [], next: null, unread: 0, unseen: 0, cursor: '0', settled: [] });
  const after = heard(state, second, first);
  assert.deepEqual(after.items.map(({ id }) => id), [2, 1]);
  assert.equal(after.unread, 2);
});

test('a notification that is a gap of the page is news though it is below the page’s head', () => {
  const inbox = new Inbox();
  inbox.send();
  inbox.send();
  const page = { ...inbox.page(), cursor: '2~1', unread: 1, unseen: 1 };
  page.items = page.items.filter(({ id }) => id === 2);
  const after = heard(reduce(initial(), { type: 'page', ...page, settled: [] }), inbox.frames[0]);
  same(after, inbox);
});

for (const verb of ['read', 'unread', 'seen', 'archived', 'unarchived', 'snoozed']) {
  test(`${verb} on another device is ${verb} here`, () => {
    const { inbox } = started();
    inbox.mark('read', { ids: [1, 2] });
    inbox.mark('archived', { ids: [1] });
    let state = loaded(inbox);
    const before = inbox.frames.length;
    inbox.mark(verb, { ids: [1, 2, 3], until: '2030-01-01T00:00:00Z' });
    state = heard(state, ...inbox.frames.slice(before));
    if (verb === 'unarchived') assert.equal(state.stale, true); // 1 was not in the list: a page must bring it
    else same(state, inbox);
  });
}

test('all read up to a position is read up to there alone', () => {
  const { inbox, state } = started(5);
  inbox.mark('read', { through: 3 });
  const after = heard(state, inbox.frames.at(-1));
  same(after, inbox);
  assert.equal(after.unread, 2);
});

test('what is retracted or has expired leaves the list; the frame tells the counts', () => {
  const { inbox, state } = started();
  inbox.retract(2);
  same(heard(state, inbox.frames.at(-1)), inbox);
});

test('what is revised has its new content and its old marks', () => {
  const { inbox } = started();
  inbox.mark('read', { ids: [2] });
  const state = loaded(inbox);
  inbox.revise(2, { title: 'better' });
  const after = heard(state, inbox.frames.at(-1));
  same(after, inbox);
  assert.equal(after.items[1].title, 'better');
  assert.equal(after.owed, false);
});

test('after an unsubscription at p, what that topic brought above p goes', () => {
  const inbox = new Inbox();
  inbox.send({ topic: 'team' });
  inbox.send({ topic: 'team' });
  const state = heard(loaded(inbox), { name: 'change', cursor: '9', data: { id: 1.5, verb: 'unsubscribed', topic: 'team' } });
  assert.deepEqual(state.items.map(({ id }) => id), [2, 1]); // the page's cursor covers it
  const late = heard({ ...state, listed: '' }, {
    name: 'change', cursor: '9', data: { id: 1.6, verb: 'unsubscribed', topic: 'team' },
  });
  assert.deepEqual(late.items.map(({ id }) => id), [1]);
});

test('a kind that is switched off at p goes above p', () => {
  const { state } = started();
  const off = { name: 'change', cursor: '3', data: { id: 2.5, verb: 'preference', kind: 'test', enabled: false } };
  assert.deepEqual(heard({ ...state, listed: '' }, off).items.map(({ id }) => id), [2, 1]);
});

test('ready tells the counts, and who this is', () => {
  const { state } = started();
  const after = heard(state, { name: 'ready', cursor: '7', data: { recipient: 'u1', unread: 8, unseen: 9 } });
  assert.deepEqual(badge(after), { unread: 8, unseen: 9 });
  assert.equal(after.recipient, 'u1');
  assert.equal(after.cursor, '7');
});

test('a change without counts leaves them owed until a frame tells them', () => {
  const { inbox, state } = started();
  const bare = heard(state, { name: 'change', cursor: '4', data: { id: 4, verb: 'retracted', ids: [1] } });
  assert.equal(bare.owed, true);
  const next = heard(bare, { name: 'change', cursor: '5', data: { id: 5, verb: 'read', ids: [2], unread: 1, unseen: 1 } });
  assert.equal(next.owed, false);
  assert.equal(reduce(bare, { type: 'page', ...inbox.page(), settled: [] }).owed, true); // the page is older than the change
  assert.equal(reduce(bare, { type: 'page', ...inbox.page(), cursor: '4', settled: [] }).owed, false);
});

test('a reset makes the list stale, forgets what was seen, and goes on from its cursor', () => {
  const { inbox, state } = started();
  const after = heard(state, { name: 'reset', cursor: 'abc123.1', data: { reason: 'epoch', cursor: 'abc123.1' } });
  assert.equal(after.stale, true);
  assert.equal(after.cursor, 'abc123.1');
  // In the new history 2 is another notification.
  inbox.frames[1].data.title = 'another';
  const page = { items: [], next: null, unread: 0, unseen: 0, cursor: 'abc123.1', settled: [] };
  const again = heard(reduce(after, { type: 'page', ...page }), inbox.frames[1]);
  assert.deepEqual(again.items.map(({ title }) => title), ['another']);
});

// --- pages

test('a page that is older than the stream gets what happened since', () => {
  const { inbox, state } = started();
  const page = inbox.page();
  inbox.send();
  inbox.mark('read', { ids: [2] });
  inbox.send();
  const after = reduce(heard(state, ...inbox.frames.slice(3)), { type: 'page', ...page, settled: [] });
  same(after, inbox);
});

test('a page that is newer than the stream is not counted again when the stream comes up', () => {
  const { inbox, state } = started();
  inbox.send();
  inbox.mark('read', { ids: [2] });
  inbox.send();
  let after = reduce(state, { type: 'page', ...inbox.page(), settled: [] });
  same(after, inbox);
  for (const frame of inbox.frames.slice(3)) {
    after = heard(after, frame);
    same(after, inbox);
  }
});

test('more goes below, and what happened since happens to it too', () => {
  const inbox = new Inbox();
  for (let i = 0; i < 6; i++) inbox.send();
  let state = reduce(initial(), { type: 'page', ...inbox.page({ limit: 3 }), settled: [] });
  assert.equal(state.next, 4);
  const more = inbox.page({ limit: 3, before: 4 });
  inbox.mark('read', { ids: [1, 5] });
  inbox.send();
  state = heard(state, ...inbox.frames.slice(6));
  state = reduce(state, { type: 'more', ...more });
  same(state, inbox);
  assert.equal(state.next, null);
});

test('what lies below what is loaded is not shown before its page', () => {
  const inbox = new Inbox();
  for (let i = 0; i < 5; i++) inbox.send();
  const late = inbox.frames[0];
  inbox.items.pop();
  const page = inbox.page({ limit: 2 });
  const state = heard(reduce(initial(), { type: 'page', ...page, cursor: '5~4', settled: [] }), late);
  assert.deepEqual(state.items.map(({ id }) => id), [5, 4]);
  assert.equal(state.unread, 5);
});

test('ready may be older than the page: then what it lacks is counted when it comes', () => {
  const { inbox, state } = started();
  inbox.send();
  inbox.send();
  const { unread, unseen } = { unread: 4, unseen: 4 }; // as of 4
  let after = reduce(state, { type: 'page', ...inbox.page(), settled: [] });
  after = heard(after, inbox.frames[3], { name: 'ready', cursor: '4', data: { recipient: 'u1', unread, unseen } });
  after = heard(after, inbox.frames[4]);
  same(after, inbox);
});

test('what comes again after a reset is not shown twice', () => {
  const { inbox, state } = started();
  const reset = { name: 'reset', cursor: '0', data: { reason: 'pruned', cursor: '0' } };
  const ready = { name: 'ready', cursor: '3', data: { recipient: 'u1', unread: 3, unseen: 3 } };
  same(heard(state, reset, ...inbox.frames, ready), inbox);
});

// --- lists

test('a list of unread loses what is read, and has it again when it is not', () => {
  const { inbox, state } = started(3, { state: 'unread' });
  inbox.mark('read', { ids: [2] });
  const read = heard(state, inbox.frames.at(-1));
  same(read, inbox);
  inbox.mark('unread', { ids: [2] });
  const again = heard(read, inbox.frames.at(-1));
  same(again, inbox);
  assert.equal(again.stale, false);
});

test('a list of a kind counts the others without showing them', () => {
  const inbox = new Inbox();
  inbox.send({ kind: 'a' });
  const state = loaded(inbox, { kinds: ['a'] });
  inbox.send({ kind: 'b' });
  inbox.send({ kind: 'a', tags: ['x'] });
  const after = heard(state, ...inbox.frames.slice(1));
  same(after, inbox);
  assert.equal(after.items.length, 2);
  assert.equal(after.unread, 3);
});

test('a list of tags shows what has any of them', () => {
  const inbox = new Inbox();
  const state = loaded(inbox, { tags: ['x', 'y'] });
  inbox.send({ tags: ['y', 'z'] });
  inbox.send({ tags: ['z'] });
  inbox.send({ tags: null });
  assert.deepEqual(heard(state, ...inbox.frames).items.map(({ id }) => id), [1]);
});

for (const list of ['archived', 'snoozed', 'read', 'seen']) {
  test(`the list of ${list} knows that it does not know what came into it`, () => {
    const { inbox, state } = started(3, { state: list });
    inbox.mark(list, { ids: [2], until: '2030-01-01T00:00:00Z' });
    const after = heard(state, inbox.frames.at(-1));
    assert.equal(after.stale, true);
    same(reduce(after, { type: 'page', ...inbox.page({ state: list }), settled: [] }), inbox);
  });
}

test('what is brought in silently makes the list stale, not wrong', () => {
  const { inbox, state } = started();
  inbox.import({ title: 'imported' });
  const after = heard(state, inbox.frames.at(-1));
  assert.equal(after.stale, true);
  assert.equal(after.unread, 4);
});

test('another list begins empty, with the same badge', () => {
  const { inbox, state } = started();
  const after = reduce(state, { type: 'filter', filter: { state: 'archived' } });
  assert.deepEqual([after.items, after.loaded, after.unread], [[], false, 3]);
  inbox.send();
  const more = heard(after, inbox.frames.at(-1));
  assert.deepEqual([more.items, more.unread], [[], 4]);
});

// --- groups

test('a newer one of a group stands for all of it', () => {
  const inbox = new Inbox();
  inbox.send({ group_key: 'g' });
  inbox.send();
  let state = loaded(inbox);
  inbox.send({ group_key: 'g' });
  inbox.send({ group_key: 'g' });
  state = heard(state, ...inbox.frames.slice(2));
  same(state, inbox);
  assert.deepEqual(state.items[0].group_ids, [4, 3, 1]);
});

test('a late one of a group stands behind the newer one', () => {
  const inbox = new Inbox();
  inbox.send({ group_key: 'g', title: 'late' });
  inbox.send({ group_key: 'g', title: 'newer' });
  const page = inbox.page();
  Object.assign(page, { cursor: '2~1', unread: 1, unseen: 1 });
  Object.assign(page.items[0], { group_count: 1, group_ids: [2] });
  same(heard(reduce(initial(), { type: 'page', ...page, settled: [] }), inbox.frames[0]), inbox);
});

test('groups of two audiences are two', () => {
  const inbox = new Inbox();
  inbox.send({ group_key: 'g', topic: 'a' });
  const state = loaded(inbox);
  inbox.send({ group_key: 'g', topic: 'b' });
  assert.equal(heard(state, inbox.frames.at(-1)).items.length, 2);
});

test('when a part of a group leaves, a page must tell who stands for the rest', () => {
  const inbox = new Inbox();
  inbox.send({ group_key: 'g' });
  inbox.send({ group_key: 'g' });
  const state = loaded(inbox);
  const before = inbox.frames.length;
  inbox.mark('archived', { ids: [2] });
  assert.equal(heard(state, ...inbox.frames.slice(before)).stale, true);
  inbox.mark('archived', { ids: [1] });
  const both = { name: 'change', cursor: '4', data: { id: 4, verb: 'archived', ids: [1, 2], unread: 0, unseen: 0 } };
  const after = heard(state, both);
  assert.deepEqual([after.stale, after.items], [false, []]);
});

// --- optimistic marks

const marked = (state, verb, ids, key = 1) => reduce(state, { type: 'mark', key, verb, ids });

test('a mark is shown at once, and goes without a trace when it is undone', () => {
  const { state } = started();
  const after = marked(state, 'read', [2]);
  assert.deepEqual(badge(after), { unread: 2, unseen: 2 });
  assert.equal(after.items[1].read, true);
  const undone = reduce(after, { type: 'undo', key: 1 });
  assert.deepEqual([undone.items, badge(undone)], [state.items, badge(state)]);
});

test('a mark that a replay confirms, without counts, leaves the badge where it is', () => {
  const { inbox, state } = started();
  inbox.mark('read', { ids: [1] });
  const { unread, unseen, ...data } = inbox.frames.at(-1).data;
  const after = heard(marked(state, 'read', [1]), { ...inbox.frames.at(-1), data });
  assert.deepEqual([after.marks, after.owed], [[], true]);
  same(after, inbox);
});

test('the stream’s change takes the place of the mark', () => {
  const { inbox, state } = started();
  inbox.mark('read', { ids: [2] });
  const after = heard(marked(state, 'read', [2]), inbox.frames.at(-1));
  assert.deepEqual(after.marks, []);
  same(after, inbox);
});

test('a mark that another device made first is not counted twice', () => {
  const { inbox, state } = started();
  inbox.mark('read', { ids: [2, 3] });
  const after = heard(marked(state, 'seen', [2, 3]), inbox.frames.at(-1));
  assert.deepEqual(badge(after), { unread: 1, unseen: 1 });
  assert.equal(after.marks.length, 1);
});

test('of two marks on one item each can be undone alone', () => {
  const { state } = started();
  const both = marked(marked(state, 'read', [2], 1), 'archived', [2], 2);
  assert.deepEqual(both.items.map(({ id }) => id), [3, 1]);
  const one = reduce(both, { type: 'undo', key: 2 });
  assert.deepEqual([one.items.length, one.items[1].read, one.unread], [3, true, 2]);
});

test('all read is nothing unread, though more was unread than is loaded; what comes then is', () => {
  const inbox = new Inbox();
  for (let i = 0; i < 9; i++) inbox.send();
  const state = reduce(initial(), { type: 'page', ...inbox.page({ limit: 3 }), settled: [] });
  const after = marked(state, 'read', null);
  assert.deepEqual(badge(after), { unread: 0, unseen: 0 });
  assert.equal(after.marks[0].through, 9);
  inbox.send();
  const then = heard(after, inbox.frames.at(-1));
  assert.deepEqual(badge(then), { unread: 1, unseen: 1 });
  inbox.mark('read', { through: 9 });
  const confirmed = heard(then, inbox.frames.at(-1));
  assert.deepEqual([confirmed.marks, confirmed.unread], [[], 1]);
});

test('all seen leaves unread what is', () => {
  const { state } = started();
  assert.deepEqual(badge(marked(state, 'seen', null)), { unread: 3, unseen: 0 });
});

test('all archived empties the list', () => {
  const { state } = started();
  const after = marked(state, 'archived', null);
  assert.deepEqual([after.items, badge(after)], [[], { unread: 0, unseen: 0 }]);
});

test('a snooze says until when, and takes it out of list and counts', () => {
  const { state } = started();
  const after = reduce(state, { type: 'mark', key: 1, verb: 'snoozed', ids: [2], until: '2030-01-01T00:00:00.000Z' });
  assert.deepEqual([after.items.length, after.unread], [2, 2]);
});

test('a page drops the marks that were settled when it was asked for, and no others', () => {
  const { inbox, state } = started();
  let after = marked(marked(state, 'read', [1], 1), 'read', [2], 2);
  after = reduce(after, { type: 'settle', key: 1 });
  inbox.mark('read', { ids: [1] });
  after = reduce(after, { type: 'page', ...inbox.page(), settled: [1] });
  assert.deepEqual(after.marks.map(({ key }) => key), [2]);
  assert.equal(after.unread, 1);
});

test('the state that was is left as it was', () => {
  const freeze = (value) => {
    if (value && typeof value === 'object' && !Object.isFrozen(value)) Object.values(Object.freeze(value)).forEach(freeze);
    return value;
  };
  const { inbox, state } = started();
  let frozen = freeze(marked(state, 'read', [1]));
  inbox.send();
  inbox.mark('read', { ids: [3] });
  inbox.retract(2);
  for (const frame of inbox.frames.slice(3)) frozen = freeze(heard(frozen, frame));
  freeze(reduce(frozen, { type: 'more', ...inbox.page() }));
});

// --- anything, in any order that can happen

for (let seed = 1; seed <= 60; seed++) {
  test(`whatever happens and however late pages are, list and badge end as the server’s (${seed})`, () => {
    const number = random(seed);
    const pick = (array) => array[Math.floor(number() * array.length)];
    const filter = { state: pick(['all', 'all', 'unread', 'archived', 'seen']), ...(number() < 0.3 && { kinds: ['test'] }) };
    const inbox = new Inbox();
    const calm = number() < 0.4; // no change comes to tell the counts anew
    for (let i = 0; i < 5; i++) inbox.send();
    let state = loaded(inbox, filter);
    let told = inbox.frames.length; // frames that the stream has brought
    let page = null; // one that is under way
    const some = () => inbox.items.filter(() => number() < 0.3).map(({ id }) => id);
    for (let step = 0; step < 200; step++) {
      const dice = calm && number() < 0.98 ? pick([0, 0.6, 0.7, 0.9]) : number();
      if (dice < 0.25) inbox.send({ kind: pick(['test', 'other']), group_key: pick([null, null, null, 'g', 'h']) });
      else if (dice < 0.5) {
        inbox.mark(pick(['read', 'unread', 'seen', 'archived', 'unarchived']), { ids: some() });
      } else if (dice < 0.53) inbox.mark(pick(['read', 'seen', 'archived']), { through: inbox.position });
      else if (dice < 0.55 && inbox.items.length) inbox.retract(pick(inbox.items).id);
      else if (dice < 0.57 && inbox.items.length) inbox.revise(pick(inbox.items).id, { title: `revised ${step}` });
      else if (dice < 0.65) page ??= inbox.page({ ...filter, limit: 1000 });
      else if (dice < 0.72 && page) {
        state = reduce(state, { type: 'page', ...page, settled: [] });
        page = null;
      } else if (told < inbox.frames.length) state = heard(state, inbox.frames[told++]);
    }
    state = heard(state, ...inbox.frames.slice(told));
    const { unread, unseen } = inbox.counts;
    assert.deepEqual(badge(state), { unread, unseen }); // exact from frames alone
    if (state.stale) state = reduce(state, { type: 'page', ...inbox.page({ ...filter, limit: 1000 }), settled: [] });
    same(state, inbox);
  });
}
