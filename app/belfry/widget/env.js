/** What the modules take from the browser; tests bring their own. @import {Env} from './types.js' */

/** @returns {Env} */
export const browser = () => ({
  fetch: (...request) => fetch(...request),
  EventSource: globalThis.EventSource,
  BroadcastChannel: globalThis.BroadcastChannel,
  locks: globalThis.navigator?.locks, // only in a secure context
  now: () => Date.now(),
  random: () => Math.random(),
  setTimeout: (run, milliseconds) => setTimeout(run, milliseconds),
  clearTimeout: (timer) => clearTimeout(timer),
  listen(names, run) {
    const targets = typeof window === 'undefined' ? [] : [window, document];
    const each = (/** @type {'addEventListener' | 'removeEventListener'} */ act) =>
      targets.forEach((target) => names.forEach((name) => target[act](name, run)));
    each('addEventListener');
    return () => each('removeEventListener');
  },
  visible: () => typeof document === 'undefined' || document.visibilityState === 'visible',
});
