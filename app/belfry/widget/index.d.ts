export type {
  Action, Actor, Change, Changed, Client, Counts, Events, Filter, Ids, Item, Notification, Options, Preference,
  RequestError, Snapshot, Standing, Status, Token, Verb,
} from './types.js';

import type { Client, Options } from './types.js';

/** Make a client; nothing happens before `open()`. */
export function createClient(options?: Options): Client;
