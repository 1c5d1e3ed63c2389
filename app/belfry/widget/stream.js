/** @import * as T from './types.js' */
import { isRefusal, pause } from './api.js';

const CHECK_MS = 5000;
const OPENING_MS = 30_000;
const LIMITED_ATTEMPT = 5;

/** @type {T.Streaming} */
export const streaming = ({ locate, hear, turn, Source }) => {
  /** @type {EventSource | null} */
  let source = null;
  /** @type {T.Timer} */
  let timer;
  /** @type {T.Timer} */
  let watch;
  let tries = 0; // what comes of an earlier one is dropped
  let attempt = 0;
  let errors = 0;
  let heard = 0;
  let beat = 0; // milliseconds between heartbeats, from `ready` on
  let waiting = false;
  /** @type {T.Status | null} */
  let trouble = null;

  const silent = () => Date.now() - heard;

  const drop = () => {
    tries++;
    source?.close();
    source = null;
    waiting = false;
    clearTimeout(timer);
  };

  /** @type {T.Fail} */
  const fail = (error) => {
    drop();
    waiting = true;
    const wait = pause(attempt++);
    timer = setTimeout(connect, wait);
    if (error) trouble = isRefusal(error) ? 'unauthorized' : 'offline';
    turn(trouble || 'connecting', wait, error);
  };

  const connect = async () => {
    drop();
    const mine = tries;
    turn(trouble || 'connecting');
    try {
      const { url, withCredentials } = await locate();
      if (mine === tries) listen(new Source(url, { withCredentials }));
    } catch (/** @type {any} */ error) {
      if (mine === tries) fail(error);
    }
  };

  /** @type {(opened: EventSource) => void} */
  const listen = (opened) => {
    source = opened;
    errors = beat = 0;
    heard = Date.now();
    for (const name of /** @type {const} */ (['message', 'change', 'ready', 'heartbeat', 'reset', 'goodbye'])) {
      opened.addEventListener(name, (event) => opened === source && take(name, event));
    }
    opened.onerror = () => {
      if (opened !== source) return;
      beat = 0;
      heard = Date.now();
      if (opened.readyState === 2 || errors++) fail(new Error('the stream was refused, or is out of reach'));
      else turn('connecting');
    };
  };

  /** @type {(name: T.Frame['name'], event: MessageEvent) => void} */
  const take = (name, event) => {
    heard = Date.now();
    const data = JSON.parse(event.data);
    if (name === 'ready') {
      attempt = errors = 0;
      trouble = null;
      beat = data.heartbeat_seconds * 1000;
    }
    hear({ name, cursor: event.lastEventId, data });
    if (name === 'ready' && source) turn('live'); // unless what was heard has closed it
    if (name !== 'goodbye') return;
    errors = 0;
    if (data.reason === 'expired') fail(); // a new ticket will do
    if (data.reason !== 'limit') return;
    attempt = Math.max(attempt, LIMITED_ATTEMPT); // do not take the place back at once
    fail(new Error('too many streams of one recipient'));
  };

  // By the wall clock, which tells that the machine has slept.
  const look = () => {
    if (source && silent() > (beat ? beat * 2 + CHECK_MS : OPENING_MS)) fail(new Error('the stream fell silent'));
    watch = setTimeout(look, CHECK_MS);
  };

  return {
    open() {
      clearTimeout(watch);
      look();
      connect();
    },
    close() {
      trouble = null;
      drop();
      clearTimeout(watch);
    },
    poke(force) {
      if (force || waiting || (beat && silent() > beat * 1.2 + 1000)) connect();
    },
  };
};
