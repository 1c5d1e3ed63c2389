/** What `/widget.js` is: the client, and the two elements, defined where there are any. */
import { BelfryBell } from './bell.js';
import { BelfryInbox } from './inbox.js';

export { createClient } from './client.js';
export { BelfryBell, BelfryInbox };

const registry = globalThis.customElements;
if (registry && !registry.get('belfry-inbox')) {
  registry.define('belfry-inbox', BelfryInbox);
  registry.define('belfry-bell', BelfryBell);
}
