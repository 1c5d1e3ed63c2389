/** What `/widget.js` is. */
export { createClient } from './client.js';
