/** @import * as T from './types.js' */
const LOOK_MS = 5000;

/** @type {T.Sharing} */
export const sharing = (name, { lead, follow, hear, greet, lost }) => {
  const locks = globalThis.navigator?.locks; // in a secure context alone
  const channel = name && locks && globalThis.BroadcastChannel ? new BroadcastChannel(name) : null;
  const me = Math.random();
  let leading = false;
  let left = false;
  let said = 0;
  let leader = 0; // and what it said last, and how long it may be silent
  let number = 0;
  let until = 0;
  let release = () => {};
  /** @type {T.Timer} */
  let timer;
  /** @type {AbortController} */
  let queue;

  const begin = () => {
    leading = true;
    lead();
  };

  const end = () => {
    release();
    if (leading) follow();
    leading = false;
  };

  const request = (steal = false) => {
    queue?.abort();
    queue = new AbortController();
    until = Date.now() + LOOK_MS;
    let held = false;
    locks.request(name, steal ? { steal } : { signal: queue.signal }, () => new Promise((done) => {
      if (left) return done(null);
      held = true;
      release = () => done(null);
      begin();
    })).catch(({ name: reason }) => {
      if (left) return;
      if (held) { // it was taken away
        end();
        request();
      } else if (reason !== 'AbortError') begin(); // there are none, as where storage is blocked
    });
  };

  const look = () => {
    if (!leading && Date.now() > until && document.visibilityState === 'visible') request(true);
    timer = setTimeout(look, LOOK_MS);
  };

  const hello = () => channel?.postMessage({ hello: true });

  return {
    leading: () => leading,
    join() {
      if (!channel) return begin();
      channel.onmessage = ({ data: { quiet, ...said } }) => {
        if (said.hello || leading) return said.hello && leading && greet();
        until = Date.now() + quiet;
        const missed = leader && (said.me === leader ? said.number !== number + 1 : !('lead' in said.message));
        [leader, number] = [said.me, said.number];
        hear(said.message);
        if (missed) lost();
      };
      request();
      look();
      hello();
    },
    leave() {
      left = true;
      clearTimeout(timer);
      queue?.abort();
      end();
      channel?.close();
    },
    say: (message, quiet) => channel?.postMessage({ me, number: ++said, quiet, message }),
    pass() {
      if (!leading || !channel) return;
      end();
      request();
    },
    poke() {
      until = Math.min(until, Date.now() + LOOK_MS);
      hello();
    },
  };
};
