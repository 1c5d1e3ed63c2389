/** What index.d.ts promises is what the modules are: each is assignable to the other, or this does not compile. */
import * as promised from '../../app/belfry/widget/index.js'; // index.d.ts, to TypeScript
import { createClient } from '../../app/belfry/widget/client.js';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

export const same: Same<typeof promised.createClient, typeof createClient> = true;

// --- what people write

const client = promised.createClient({ src: 'https://relay.example', token: async () => 'a token' });
const off: () => void = client.on('notification', ({ item, leading }) => {
  const title: string | null = item.title;
  return leading ? title : null;
});
client.on('counts', ({ unread }) => unread.toFixed());
client.on('status', (status) => status === 'live');
void client.markAsRead(client.snapshot.items.map(({ id }) => id)).then(({ changed }) => changed.toFixed());
void client.snooze(1, new Date());
void client.notifications({ state: 'archived', kinds: ['comment.created'] });
off();
addEventListener('belfry-select', (event) => event.detail.url?.startsWith(location.origin) && event.preventDefault());
document.addEventListener('belfry-counts', (event) => event.detail.unread.toFixed());
document.body.addEventListener('belfry-notification', (event) => event.detail.item.title);

// @ts-expect-error no such event
client.on('nothing', () => {});
// @ts-expect-error no such list
void client.notifications({ state: 'deleted' });
// @ts-expect-error a snapshot is not to be written to
client.snapshot.unread = 1;
// @ts-expect-error ids are numbers
void client.archive('1');
