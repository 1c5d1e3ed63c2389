import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createClient } from '../../app/belfry/widget/client.js';
import { page, pass, settle, token } from './fakes.mjs';
import { gist } from './model.mjs';

const SRC = 'https://relay.example';
const NAME = `belfry:${SRC}:["u1",null,null]`;

/** A client whose events are kept. */
function client(options = {}) {
  const made = createClient({ src: SRC, token: token('u1'), ...options });
  made.heard = [];
  for (const name of ['notification', 'change', 'counts', 'status', 'reset', 'error']) {
    made.on(name, (event) => made.heard.push([name, event]));
  }
  made.of = (name) => made.heard.filter((each) => each[0] === name).map((each) => each[1]);
  return made;
}

async function opened(options) {
  const made = client(options);
  made.open();
  await settle();
  assert.equal(made.snapshot.status, 'live');
  return made;
}

function same(made, inbox) {
  assert.deepEqual(gist(made.snapshot.items), gist(inbox.list({ ...made.snapshot.filter, limit: Infinity }).items));
  const { unread, unseen } = inbox.counts;
  assert.deepEqual([made.snapshot.unread, made.snapshot.unseen], [unread, unseen]);
}

// --- opening

test('it loads the list, then opens the stream where the list ends', async (t) => {
  const { relay } = page(t);
  relay.inbox().send();
  const made = await opened();
  same(made, relay.inbox());
  assert.equal(relay.open[0].url.searchParams.get('cursor'), '1');
  assert.equal(relay.open[0].withCredentials, false);
  assert.equal(made.snapshot.recipient, 'u1');
  assert.deepEqual(made.of('status'), ['connecting', 'live']);
  assert.deepEqual(made.of('notification'), []); // what was there is no news
});

test('nothing happens before it is opened, and nothing after it is closed', async (t) => {
  const { relay } = page(t);
  const made = client();
  await pass(60_000);
  assert.deepEqual(relay.requests, []);
  made.open();
  made.open();
  await settle();
  assert.equal(relay.open.length, 1);
  made.close();
  assert.equal(made.snapshot.status, 'closed');
  const before = relay.requests.length;
  await pass(120_000);
  assert.deepEqual([relay.open.length, relay.requests.length], [0, before]);
  made.open();
  await settle();
  assert.equal(made.snapshot.status, 'live');
});

test('closed while it opens, it stays closed', async (t) => {
  const { relay } = page(t);
  const made = client();
  made.open();
  made.close();
  await pass(60_000);
  assert.equal(relay.streams.length, 0);
  assert.equal(made.snapshot.status, 'closed');
});

test('a notification comes to the list, the badge and the listeners, once', async (t) => {
  const { relay } = page(t);
  const made = await opened();
  relay.inbox().send({ title: 'hello' });
  relay.publish();
  same(made, relay.inbox());
  assert.deepEqual(made.of('notification').map(({ item, leading }) => [item.title, leading]), [['hello', true]]);
  assert.deepEqual(made.of('counts'), [{ unread: 1, unseen: 1 }]);
});

test('a listener that was taken off hears nothing, and one that fails harms no other', async (t) => {
  const { relay } = page(t);
  const made = await opened();
  const faults = [];
  globalThis.reportError = (error) => faults.push(error.message);
  const off = made.on('notification', () => assert.fail('it was taken off'));
  off();
  made.on('notification', () => { throw new Error('theirs'); });
  const heard = [];
  made.on('notification', () => heard.push('after it'));
  relay.inbox().send();
  relay.publish();
  assert.deepEqual([faults, heard], [['theirs'], ['after it']]);
});

test('the snapshot is the same object until something in it changes', async (t) => {
  const { relay } = page(t);
  const made = await opened();
  const { snapshot } = made;
  relay.open[0].event('heartbeat', {}, '0');
  assert.equal(made.snapshot, snapshot);
  relay.inbox().send();
  relay.publish();
  assert.notEqual(made.snapshot, snapshot);
});

test('where the list cannot be loaded it says so, and tries until it can', async (t) => {
  const { relay } = page(t);
  relay.refuse = () => 500;
  const made = client();
  made.open();
  await settle();
  assert.match(made.snapshot.error.message, /refused with 500/);
  assert.equal(made.snapshot.loading, false);
  relay.inbox().send();
  relay.refuse = () => undefined;
  await pass(5000);
  same(made, relay.inbox());
  assert.equal(made.snapshot.error, null);
  assert.equal(made.snapshot.status, 'live');
});

// --- the network

test('after an end the browser’s own reconnection is left to it, and nothing is lost', async (t) => {
  const { relay } = page(t);
  const made = await opened();
  const [source] = relay.open;
  relay.inbox().send();
  source.cut(2000);
  assert.equal(made.snapshot.status, 'connecting');
  await pass(2500);
  assert.equal(relay.open[0], source);
  assert.equal(made.snapshot.status, 'live');
  same(made, relay.inbox());
});

test('a stream that the browser gave up is opened anew, from its cursor, with a new ticket', async (t) => {
  const { relay } = page(t);
  const made = await opened();
  relay.inbox().send();
  relay.publish();
  relay.open[0].die();
  relay.inbox().send();
  assert.equal(made.snapshot.status, 'offline');
  const tickets = relay.asked('/v1/tickets');
  await pass(1500);
  assert.equal(relay.open.length, 1);
  assert.equal(relay.open[0].url.searchParams.get('cursor'), '1');
  assert.equal(relay.asked('/v1/tickets'), tickets + 1);
  same(made, relay.inbox());
  assert.equal(made.of('notification').length, 2);
});

test('while the server refuses, the pauses grow to half a minute and no further', async (t) => {
  const { relay } = page(t);
  const made = await opened();
  relay.refuse = (path) => (path === '/v1/stream' ? 503 : undefined);
  relay.open[0].die();
  const tries = async (seconds) => {
    const before = relay.asked('STREAM');
    await pass(seconds * 1000);
    return relay.asked('STREAM') - before;
  };
  const first = await tries(30);
  const later = [await tries(120), await tries(600)];
  assert.ok(first >= 4 && first <= 7, `${first} in the first 30 seconds`);
  assert.ok(later[0] >= 4 && later[0] <= 9, `${later[0]} in two minutes`);
  assert.ok(later[1] >= 20 && later[1] <= 41, `${later[1]} in ten minutes`);
  relay.refuse = () => undefined;
  relay.inbox().send();
  await pass(31_000);
  same(made, relay.inbox());
  assert.equal(made.snapshot.status, 'live');
  relay.open[0].die();
  await pass(1100);
  assert.equal(made.snapshot.status, 'live'); // and begin anew when all was well
});

test('clients that were cut off together do not come back together', async (t) => {
  const { relay } = page(t, { shared: false });
  const made = [];
  for (let i = 0; i < 20; i++) made.push(await opened());
  const before = relay.asked('STREAM');
  for (const source of relay.open) source.die();
  await pass(700, 700);
  const early = relay.asked('STREAM') - before;
  assert.ok(early > 0 && early < 20, `${early} of 20 after 0.7 seconds`);
});

test('a server that is gone is not asked at the browser’s pace for ever', async (t) => {
  const { relay } = page(t);
  await opened();
  relay.refuse = () => 'network';
  relay.open[0].cut(1000);
  await pass(120_000);
  const before = relay.asked('STREAM') + relay.asked('/v1/tickets');
  await pass(120_000);
  const asked = relay.asked('STREAM') + relay.asked('/v1/tickets') - before;
  assert.ok(asked <= 30, `${asked} requests in two minutes`);
});

test('an answer that ends at once does not make a loop', async (t) => {
  const { relay } = page(t);
  await opened();
  relay.silent = true; // 200 and an end before `ready`
  const connect = relay.open[0].constructor.prototype.connect;
  t.after(() => { relay.silent = false; });
  relay.open[0].die();
  let ended = 0;
  const timer = setInterval(() => relay.open.forEach((source) => (ended++, source.cut(1000))), 1);
  await pass(60_000);
  clearInterval(timer);
  assert.ok(connect && ended > 0 && relay.asked('STREAM') < 30, `${relay.asked('STREAM')} in a minute`);
});

test('a half-open stream is noticed by the missing heartbeat', async (t) => {
  const { relay } = page(t);
  const made = await opened();
  const [source] = relay.open;
  relay.silent = true;
  relay.inbox().send();
  await pass(30_000);
  assert.equal(relay.open[0], source); // it may only be quiet
  relay.silent = false;
  source.catchUp = () => {};
  await pass(15_000);
  assert.equal(source.readyState, 2);
  same(made, relay.inbox());
  assert.match(made.of('error')[0].message, /silent/);
});

test('heartbeats keep a quiet stream', async (t) => {
  const { relay } = page(t);
  await opened();
  const [source] = relay.open;
  await relay.quietly(150_000);
  assert.deepEqual(relay.open, [source]);
});

test('after a sleep the stream is opened anew at once', async (t) => {
  const { relay, wake } = page(t);
  const made = await opened();
  const [source] = relay.open;
  source.catchUp = () => {}; // the other end has long gone
  relay.inbox().send();
  t.mock.method(Date, 'now', ((now) => () => now)(Date.now() + 3_600_000)); // timers did not run meanwhile
  wake('visibilitychange');
  await settle();
  assert.equal(source.readyState, 2);
  same(made, relay.inbox());
});

test('offline and online again: the stream is opened anew without a pause', async (t) => {
  const { relay, wake } = page(t);
  const made = await opened();
  relay.refuse = () => 'network';
  wake('offline');
  await pass(20_000);
  assert.equal(made.snapshot.status, 'offline');
  relay.inbox().send();
  relay.refuse = () => undefined;
  wake('online');
  await settle();
  assert.equal(made.snapshot.status, 'live');
  same(made, relay.inbox());
});

test('looking at a page that waits to connect makes it try at once', async (t) => {
  const { relay, wake } = page(t);
  const made = await opened();
  relay.refuse = (path) => (path === '/v1/stream' ? 503 : undefined);
  relay.open[0].die();
  await pass(60_000);
  relay.refuse = () => undefined;
  wake('visibilitychange');
  await settle();
  assert.equal(made.snapshot.status, 'live');
});

test('looking at a page whose stream is well opens nothing', async (t) => {
  const { relay, wake } = page(t);
  await opened();
  const before = relay.requests.length;
  for (const name of ['visibilitychange', 'focus', 'pageshow']) wake(name);
  await settle();
  assert.equal(relay.requests.length, before);
});

test('closed while it waits for a ticket or a page, it opens no stream', async (t) => {
  const { relay } = page(t);
  const made = await opened();
  relay.holding = [];
  relay.open[0].die();
  made.notifications();
  await pass(1500);
  assert.equal(relay.holding.length, 2);
  assert.equal(made.snapshot.loading, true);
  made.close();
  assert.equal(made.snapshot.loading, false);
  relay.holding.forEach((go) => go());
  await settle();
  assert.deepEqual(relay.open, []);
});

// --- credentials

test('a token that has expired is fetched anew, and so is the ticket', async (t) => {
  const { relay } = page(t);
  let calls = 0;
  const made = await opened({ token: async () => token('u1', { exp: Date.now() / 1000 + 300, jti: ++calls }) });
  assert.equal(calls, 1);
  await relay.quietly(290_000);
  relay.open[0].event('goodbye', { reason: 'expired' });
  relay.inbox().send();
  await pass(2000);
  assert.equal(calls, 2);
  assert.equal(made.snapshot.status, 'live');
  same(made, relay.inbox());
});

test('a token that is refused though it seems good is fetched anew once', async (t) => {
  const { relay } = page(t);
  const tokens = [token('u1', { jti: 1 }), token('u1', { jti: 2 })];
  relay.tokens = [tokens[1]];
  let calls = 0;
  const made = await opened({ token: () => tokens[Math.min(calls++, 1)] });
  assert.equal(calls, 2);
  same(made, relay.inbox());
});

test('refused for good, it says so, and goes on trying slowly', async (t) => {
  const { relay } = page(t);
  const made = await opened();
  relay.tokens = [];
  relay.open[0].die();
  await pass(2000);
  assert.equal(made.snapshot.status, 'unauthorized');
  assert.equal(made.of('error').at(-1).status, 401);
  relay.tokens = null;
  relay.inbox().send();
  await pass(60_000);
  same(made, relay.inbox());
});

test('when the token becomes another person’s, nothing of the first is left', async (t) => {
  const { relay } = page(t);
  let sub = 'u1';
  relay.inbox('u1').send({ title: 'for u1' });
  relay.inbox('u2').send({ title: 'for u2' });
  const made = await opened({ token: () => token(sub, { exp: Date.now() / 1000 + 60 }) });
  sub = 'u2';
  await relay.quietly(60_000);
  relay.open[0].die();
  relay.refuse = (path) => (path === '/v1/inbox' ? 500 : undefined);
  await pass(1500);
  assert.deepEqual([made.snapshot.items, made.snapshot.unread, made.snapshot.recipient], [[], 0, '']);
  assert.deepEqual(relay.open, []);
  relay.refuse = () => undefined;
  await pass(5000);
  assert.deepEqual(made.snapshot.items.map(({ title }) => title), ['for u2']);
  assert.equal(made.snapshot.recipient, 'u2');
  assert.deepEqual(relay.open.map(({ inbox }) => inbox), [relay.inbox('u2')]);
});

test('without a token the cookie goes along', async (t) => {
  const { relay } = page(t);
  relay.cookie = token('u1');
  relay.inbox().send();
  const made = await opened({ token: undefined });
  same(made, relay.inbox());
  assert.equal(relay.open[0].withCredentials, true);
});

test('with the cookie too an outage takes nothing from the list', async (t) => {
  const { relay } = page(t);
  relay.cookie = token('u1');
  relay.inbox().send();
  const made = await opened({ token: undefined });
  relay.refuse = () => 503;
  relay.open[0].die();
  await pass(60_000);
  assert.deepEqual([made.snapshot.items.length, made.snapshot.unread, made.snapshot.status], [1, 1, 'offline']);
  relay.refuse = () => undefined;
  relay.inbox().send();
  await pass(31_000);
  same(made, relay.inbox());
});

test('with the cookie it goes without a ticket where the relay makes none', async (t) => {
  const { relay } = page(t);
  relay.cookie = token('u1');
  relay.refuse = (path) => (path === '/v1/tickets' ? 501 : undefined);
  await opened({ token: undefined });
  assert.equal(relay.open[0].url.searchParams.get('ticket'), '');
});

test('who is refused from the start is told so, and let in later', async (t) => {
  const { relay } = page(t);
  relay.tokens = [];
  const made = client();
  made.open();
  await settle();
  assert.equal(made.snapshot.status, 'unauthorized');
  assert.equal(made.snapshot.error.status, 401);
  relay.tokens = null;
  await pass(3000);
  assert.equal(made.snapshot.status, 'live');
  same(made, relay.inbox());
});

test('a ticket may come from elsewhere', async (t) => {
  const { relay } = page(t);
  await opened({ ticket: async () => token('u1', { elsewhere: true }) });
  assert.equal(relay.asked('/v1/tickets'), 0);
  assert.equal(relay.open.length, 1);
});

for (const how of ['loaded', 'loaded further', 'connected to']) {
  test(`when the cookie becomes another person’s and the inbox is ${how}, all begins anew`, async (t) => {
    const { relay } = page(t);
    relay.cookie = token('u1');
    for (let i = 0; i < 30; i++) relay.inbox().send({ title: 'for u1' });
    relay.inbox('u2').send({ title: 'for u2' });
    if (how === 'connected to') relay.refuse = (path) => (path === '/v1/tickets' ? 501 : undefined);
    const made = await opened({ token: undefined });
    const recipients = new Set();
    made.on('snapshot', ({ recipient, items }) => recipients.add(`${recipient}: ${[...new Set(items.map(({ title }) => title))]}`));
    relay.cookie = token('u2');
    if (how === 'loaded') await made.notifications({ state: 'unread' });
    if (how === 'loaded further') await made.loadMore();
    if (how === 'connected to') relay.open[0].cut(100);
    await pass(2000);
    assert.equal(made.snapshot.recipient, 'u2');
    assert.equal(made.snapshot.status, 'live');
    same(made, relay.inbox('u2'));
    assert.deepEqual(relay.open.map(({ inbox }) => inbox), [relay.inbox('u2')]);
    for (const each of recipients) assert.match(each, /^(u1: (for u1)?|u2: (for u2)?|: )$/);
  });
}

test('a relay that does not say whose a page is does as well', async (t) => {
  const { relay } = page(t);
  relay.tells = false;
  relay.inbox().send();
  const made = await opened();
  await made.notifications({ state: 'unread' });
  same(made, relay.inbox());
  assert.equal(made.snapshot.recipient, 'u1');
});

test('a token function that never answers is asked again', async (t) => {
  const { relay } = page(t);
  let calls = 0;
  const made = client({ token: () => (++calls > 1 ? token('u1') : new Promise(() => {})) });
  made.open();
  await pass(14_000);
  assert.equal(calls, 1);
  await pass(20_000);
  assert.equal(made.snapshot.status, 'live');
  same(made, relay.inbox());
});

test('so is one that brings tickets', async (t) => {
  page(t);
  let calls = 0;
  const made = client({ ticket: () => (++calls > 1 ? token('u1', { ticket: true }) : new Promise(() => {})) });
  made.open();
  await pass(40_000);
  assert.equal(made.snapshot.status, 'live');
});

// --- resets and goodbyes

test('a reset is told, the list is loaded anew, and what comes again is no news', async (t) => {
  const { relay } = page(t);
  relay.inbox().send();
  const made = await opened();
  const [source] = relay.open;
  source.event('reset', { reason: 'pruned', cursor: '0' }, '0');
  relay.inbox().send();
  for (const frame of relay.inbox().frames) source.event(frame.name, frame.data, frame.cursor);
  source.event('ready', { recipient: 'u1', ...relay.inbox().counts, heartbeat_seconds: 15 }, '2');
  await pass(1000);
  assert.deepEqual(made.of('reset').map(({ reason }) => reason), ['pruned']);
  same(made, relay.inbox());
  assert.deepEqual(made.of('notification'), []);
  source.sent = 2;
  relay.inbox().send();
  relay.publish();
  assert.equal(made.of('notification').length, 1);
});

test('sent away for its many streams, it does not come back at once', async (t) => {
  const { relay } = page(t);
  await opened();
  relay.open[0].event('goodbye', { reason: 'limit' });
  await pass(10_000);
  assert.equal(relay.open.length, 0);
  await pass(31_000);
  assert.equal(relay.open.length, 1);
});

test('an overloaded server sets the pace', async (t) => {
  const { relay } = page(t);
  const made = await opened();
  const [source] = relay.open;
  relay.silent = true; // there is no `ready` from it
  for (let i = 0; i < 5; i++) {
    source.event('goodbye', { reason: 'overloaded' });
    source.cut(14_000);
    await pass(14_100, 700);
    assert.deepEqual(relay.open, [source]);
  }
  assert.deepEqual(made.of('error'), []);
});

// --- tabs

test('twelve tabs have one stream, and the same list and badge', async (t) => {
  const { relay } = page(t);
  const tabs = [];
  for (let i = 0; i < 12; i++) tabs.push(await opened());
  assert.equal(relay.open.length, 1);
  relay.inbox().send();
  relay.inbox().send();
  relay.publish();
  await settle();
  for (const tab of tabs) same(tab, relay.inbox());
  const asked = relay.requests.length;
  await tabs[7].markAsRead(1);
  relay.publish();
  await settle();
  for (const tab of tabs) same(tab, relay.inbox());
  assert.equal(relay.requests.length, asked + 1); // what the leader tells needs no asking
  assert.deepEqual(tabs.map((tab) => tab.of('notification').length), tabs.map(() => 2));
  assert.equal(tabs.filter((tab) => tab.of('notification')[0].leading).length, 1);
});

test('when the leading tab goes another takes over, and nothing is lost or told twice', async (t) => {
  const { relay } = page(t);
  const [first, ...rest] = [await opened(), await opened(), await opened()];
  relay.inbox().send();
  relay.publish();
  await settle();
  first.close();
  relay.inbox().send();
  await pass(1000);
  assert.equal(relay.open.length, 1);
  for (const tab of rest) {
    same(tab, relay.inbox());
    assert.equal(tab.of('notification').length, 2);
    assert.equal(tab.snapshot.status, 'live');
  }
});

test('a tab that missed what the next leader knows loads the list anew', async (t) => {
  const { relay } = page(t);
  const [first, , third] = [await opened(), await opened(), await opened()];
  const channel = [...globalThis.BroadcastChannel.all][2];
  const hear = channel.onmessage;
  channel.onmessage = () => {};
  relay.inbox().send();
  relay.publish();
  await settle();
  channel.onmessage = hear;
  first.close();
  await settle();
  same(third, relay.inbox());
});

test('a leader whose stream is quiet keeps the lead', async (t) => {
  const { relay } = page(t);
  await opened();
  await opened();
  const [source] = relay.open;
  await relay.quietly(300_000);
  assert.deepEqual(relay.open, [source]);
});

test('a leader does not listen to one that does not know yet that it leads no more', async (t) => {
  page(t);
  const made = await opened();
  const other = new BroadcastChannel(NAME);
  other.postMessage({ me: 1, number: 1, quiet: 1000, message: { status: 'offline' } });
  await settle();
  assert.equal(made.snapshot.status, 'live');
});

test('a tab that comes while the leader cannot connect sees the list, and what comes later', async (t) => {
  const { relay } = page(t);
  const first = await opened();
  relay.refuse = (path) => (path === '/v1/stream' ? 503 : undefined);
  relay.open[0].die();
  relay.inbox().send();
  const second = client();
  second.open();
  await settle();
  same(second, relay.inbox());
  assert.equal(second.snapshot.status, 'offline');
  relay.refuse = () => undefined;
  relay.inbox().send();
  await pass(10_000);
  for (const tab of [first, second]) same(tab, relay.inbox());
});

test('two people in one browser have two streams', async (t) => {
  const { relay } = page(t);
  const [one, two] = [await opened(), await opened({ token: token('u2') })];
  assert.equal(relay.open.length, 2);
  relay.inbox('u2').send({ title: 'for u2' });
  relay.publish();
  await settle();
  assert.deepEqual([one.snapshot.unread, two.snapshot.unread], [0, 1]);
});

test('so have two narrowings of one person', async (t) => {
  const { relay } = page(t);
  await opened();
  await opened({ token: token('u1', { topics: ['a'] }) });
  await opened({ token: token('u1', { topics: ['a'] }) });
  assert.equal(relay.open.length, 2);
});

test('without locks each tab has its own stream', async (t) => {
  const { relay } = page(t, { shared: false });
  await opened();
  await opened();
  assert.equal(relay.open.length, 2);
});

test('where the browser refuses locks, as with storage that is blocked, each tab has its own stream', async (t) => {
  const { relay, locks } = page(t);
  locks.request = () => Promise.reject(new DOMException('denied', 'SecurityError'));
  const [first, second] = [await opened(), await opened()];
  assert.equal(relay.open.length, 2);
  relay.inbox().send();
  relay.publish();
  await settle();
  for (const made of [first, second]) {
    same(made, relay.inbox());
    assert.equal(made.of('notification').length, 1);
    made.close();
  }
  await pass(60_000);
  assert.equal(relay.open.length, 0);
});

test('a leader that is frozen loses the lead to a tab that somebody looks at', async (t) => {
  const { relay, locks } = page(t);
  // Somebody holds the lock and says nothing.
  let stolen = false;
  locks.request(NAME, {}, () => new Promise(() => {})).catch(() => { stolen = true; });
  await settle();
  const made = client();
  made.open();
  await settle();
  assert.equal(relay.open.length, 0);
  await pass(15_000);
  assert.ok(stolen);
  assert.equal(relay.open.length, 1);
  assert.equal(made.snapshot.status, 'live');
});

test('a tab that nobody looks at takes the lead from nobody', async (t) => {
  const { relay, locks } = page(t);
  locks.request(NAME, {}, () => new Promise(() => {}));
  globalThis.document.visibilityState = 'hidden';
  client().open();
  await pass(60_000);
  assert.equal(relay.open.length, 0);
});

test('a leader whose lock was taken stops its stream, and follows', async (t) => {
  const { relay, locks } = page(t);
  const made = await opened();
  let release;
  locks.request(NAME, { steal: true }, () => new Promise((done) => { release = done; }));
  await settle();
  assert.equal(relay.open.length, 0);
  release();
  await settle();
  assert.equal(relay.open.length, 1);
  assert.equal(made.snapshot.status, 'live');
});

test('a leader in its pauses is not taken for frozen', async (t) => {
  const { relay } = page(t);
  const [first] = [await opened(), await opened()];
  relay.refuse = (path) => (path === '/v1/stream' ? 503 : undefined);
  relay.open[0].die();
  await pass(240_000, 1000);
  relay.refuse = () => undefined;
  await relay.quietly(40_000);
  relay.inbox().send();
  relay.publish();
  assert.equal(first.of('notification')[0].leading, true);
});

test('a leader that is refused lets a tab with a better token try', async (t) => {
  const { relay } = page(t);
  const [bad, good] = [token('u1', { jti: 'bad' }), token('u1', { jti: 'good' })];
  const first = await opened({ token: bad });
  const second = await opened({ token: good });
  relay.tokens = [good];
  relay.open[0].die();
  relay.inbox().send();
  await pass(5000);
  assert.equal(relay.open.length, 1);
  for (const tab of [first, second]) {
    same(tab, relay.inbox());
    assert.equal(tab.snapshot.status, 'live');
  }
});

test('a tab that missed a message loads the list anew', async (t) => {
  const { relay } = page(t);
  const tabs = [await opened(), await opened()];
  const [, channel] = [...globalThis.BroadcastChannel.all];
  const hear = channel.onmessage;
  channel.onmessage = () => {}; // frozen
  relay.inbox().send();
  relay.publish();
  await settle();
  channel.onmessage = hear;
  assert.equal(tabs[1].snapshot.unread, 0);
  relay.inbox().send();
  relay.publish();
  await settle();
  same(tabs[1], relay.inbox());
});

// --- marks

test('a mark is seen at once, and confirmed by the stream', async (t) => {
  const { relay } = page(t);
  relay.inbox().send();
  const made = await opened();
  relay.holding = [];
  const done = made.markAsRead([1]);
  assert.deepEqual([made.snapshot.unread, made.snapshot.items[0].read], [0, true]);
  await settle();
  relay.holding.forEach((go) => go());
  assert.equal((await done).changed, 1);
  relay.publish();
  same(made, relay.inbox());
  const before = relay.asked('GET /v1/inbox');
  await pass(20_000);
  assert.equal(relay.asked('GET /v1/inbox'), before);
});

test('a mark that the server refuses is taken back, and the promise says why', async (t) => {
  const { relay } = page(t);
  relay.inbox().send();
  const made = await opened();
  relay.refuse = (path) => (path.endsWith('/read') ? 422 : undefined);
  await assert.rejects(made.markAsRead(1), { status: 422, message: 'refused with 422' });
  same(made, relay.inbox());
  assert.equal(made.of('error').length, 1);
});

test('a mark is tried again where the network fails for a moment', async (t) => {
  const { relay } = page(t);
  relay.inbox().send();
  const made = await opened();
  relay.refuse = (path) => (path.endsWith('/archive') ? 'network' : undefined);
  const done = made.archive(1);
  await settle();
  relay.refuse = () => undefined;
  await pass(1500);
  assert.equal((await done).changed, 1);
  relay.publish();
  same(made, relay.inbox());
});

test('a mark outlives the page that the same click leaves, unless a browser would refuse that', async (t) => {
  const { relay } = page(t);
  relay.inbox().send();
  const kept = [];
  globalThis.fetch = (url, init) => {
    kept.push([new URL(url).pathname, init.keepalive]);
    return relay.fetch(url, init);
  };
  const made = await opened();
  await made.markAsRead(1);
  await made.markAsRead([...Array(10_000).keys()]);
  assert.deepEqual(kept.filter(([path]) => path.includes('inbox')), [
    ['/v1/inbox', false], ['/v1/inbox/read', true], ['/v1/inbox/read', false],
  ]);
});

test('a mark that changed nothing leaves nothing', async (t) => {
  const { relay } = page(t);
  relay.inbox().send();
  const made = await opened();
  relay.inbox().items = []; // it went without a word
  await made.markAsRead(1);
  assert.equal(made.snapshot.unread, 1);
});

test('a mark that the stream does not confirm is seen to by a page', async (t) => {
  const { relay } = page(t);
  relay.inbox().send();
  const made = await opened();
  relay.open[0].catchUp = () => {};
  await made.markAsRead(1);
  assert.equal(made.snapshot.unread, 0);
  const before = relay.asked('GET /v1/inbox');
  await pass(6000);
  assert.equal(relay.asked('GET /v1/inbox'), before + 1);
  same(made, relay.inbox());
  relay.inbox().mark('unread', { ids: [1] });
  await made.notifications();
  same(made, relay.inbox()); // the mark does not lie over it any more
});

test('what stands for a group is marked with all of it', async (t) => {
  const { relay } = page(t);
  for (let i = 0; i < 3; i++) relay.inbox().send({ group_key: 'g' });
  const made = await opened();
  assert.equal(made.snapshot.items.length, 1);
  assert.equal((await made.archive(3)).changed, 3);
  relay.publish();
  assert.equal(made.snapshot.items.length, 0);
  same(made, relay.inbox());
});

test('all read is all up to what this client knows of', async (t) => {
  const { relay } = page(t);
  relay.inbox().send();
  relay.inbox().send();
  const made = await opened();
  relay.inbox().send(); // not here yet
  await made.markAllAsRead();
  relay.publish();
  same(made, relay.inbox());
  assert.equal(made.snapshot.unread, 1);
});

for (const [call, list, gone] of [
  ['markAsUnread', 'all', 0], ['markAsSeen', 'all', 0], ['archive', 'all', 1], ['unarchive', 'archived', 1],
  ['snooze', 'all', 1], ['unsnooze', 'snoozed', 1], ['markAsRead', 'unread', 1],
]) {
  test(`${call} is at the server what it is here`, async (t) => {
    const { relay } = page(t);
    const inbox = relay.inbox();
    inbox.send();
    inbox.send();
    if (call === 'markAsUnread') inbox.mark('read', { ids: [1, 2] });
    if (list === 'archived') inbox.mark('archived', { ids: [1, 2] });
    if (list === 'snoozed') inbox.mark('snoozed', { ids: [1, 2], until: '2030-01-01T00:00:00.000Z' });
    const made = await opened({ filter: { state: list } });
    const done = made[call](1, '2030-01-01T00:00:00Z');
    assert.equal(made.snapshot.items.length, 2 - gone);
    assert.equal((await done).changed, 1);
    relay.publish();
    await pass(1000);
    same(made, relay.inbox());
  });
}

test('no ids are no request', async (t) => {
  const { relay } = page(t);
  const made = await opened();
  const before = relay.requests.length;
  assert.deepEqual(await made.markAsRead([]), { changed: 0, unread: 0, unseen: 0 });
  assert.equal(relay.requests.length, before);
});

// --- reading

test('more is loaded a page at a time, to the end', async (t) => {
  const { relay } = page(t);
  for (let i = 0; i < 45; i++) relay.inbox().send();
  const made = await opened();
  assert.deepEqual([made.snapshot.items.length, made.snapshot.more], [20, true]);
  await made.loadMore();
  await made.loadMore();
  same(made, relay.inbox());
  assert.equal(made.snapshot.more, false);
  const before = relay.requests.length;
  await made.loadMore();
  assert.equal(relay.requests.length, before);
});

test('a page is of as many as the relay allows, whatever was wished for', async (t) => {
  const { relay } = page(t);
  for (let i = 0; i < 250; i++) relay.inbox().send();
  const asked = [];
  globalThis.fetch = (url, ...rest) => {
    asked.push(new URL(url).searchParams.get('limit'));
    return relay.fetch(url, ...rest);
  };
  for (const [limit, wanted] of [[200, '100'], [-5, '1'], [1.5, '1'], [NaN, '20']]) {
    const made = await opened({ limit });
    await made.loadMore();
    assert.deepEqual(asked.splice(0).filter(Boolean), [wanted, wanted], `${limit}`);
    made.close();
  }
});

test('loaded anew, the list is as long as it was', async (t) => {
  const { relay } = page(t);
  for (let i = 0; i < 250; i++) relay.inbox().send();
  const made = await opened({ limit: 100 });
  await made.loadMore();
  await made.loadMore();
  assert.equal(made.snapshot.items.length, 250);
  relay.inbox().import({ title: 'imported' });
  relay.publish();
  await pass(1000);
  same(made, relay.inbox());
});

test('of two lists that are asked for the last one is shown, whichever comes first', async (t) => {
  const { relay } = page(t);
  relay.inbox().send();
  relay.inbox().send();
  relay.inbox().mark('archived', { ids: [1] });
  const made = await opened();
  relay.holding = [];
  const first = made.notifications({ state: 'archived' });
  const second = made.notifications({ state: 'unread' });
  await settle();
  relay.holding.reverse().forEach((go) => go());
  await Promise.all([first, second]);
  same(made, relay.inbox());
  assert.equal(made.snapshot.filter.state, 'unread');
  assert.equal(made.snapshot.loading, false);
});

test('a list that cannot be loaded while the stream is live comes by itself', async (t) => {
  const { relay } = page(t);
  relay.inbox().send();
  const made = await opened();
  relay.refuse = (path) => (path === '/v1/inbox' ? 500 : undefined);
  await assert.rejects(made.notifications({ state: 'unread' }), { status: 500 });
  assert.equal(made.snapshot.loaded, false);
  await pass(2000);
  relay.refuse = () => undefined;
  await pass(8000);
  same(made, relay.inbox());
  assert.equal(made.snapshot.error, null);
});

test('so does one that could not be loaded before the stream was lost, as soon as it is back', async (t) => {
  const { relay } = page(t);
  relay.inbox().send();
  const made = await opened();
  relay.refuse = () => 500;
  relay.open[0].die();
  made.notifications({ state: 'unread' }).catch(() => {});
  await pass(100_000); // the pauses are long by now
  relay.refuse = () => undefined;
  while (made.snapshot.status !== 'live') await pass(100, 100);
  await settle();
  same(made, relay.inbox());
});

test('counts without the relay’s help are asked for', async (t) => {
  const { relay } = page(t);
  relay.inbox().send();
  const made = await opened();
  relay.inbox().items = [];
  relay.inbox().change({ verb: 'retracted', ids: [99] }, false); // and 1, of which nobody told
  relay.publish();
  assert.equal(made.snapshot.unread, 1);
  await pass(6000);
  same(made, relay.inbox());
});

test('counts and preferences are the server’s', async (t) => {
  const { relay } = page(t);
  relay.inbox().send();
  const made = await opened();
  assert.deepEqual(await made.counts(), { unread: 1, unseen: 1, total: 1 });
  assert.deepEqual(await made.preferences(), [{ kind: 'test' }]);
  assert.deepEqual(await made.setPreference('test', false), [{ kind: 'test', enabled: false }]);
  assert.ok(relay.requests.includes('PUT /v1/preferences'));
});
