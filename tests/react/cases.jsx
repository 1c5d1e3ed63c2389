/** What one page has of each, under a test's hand: `draw({ token, … })` mounts a provider, `draw(null)` takes it away. */
import { memo, StrictMode, useRef } from 'react';
import { createRoot } from 'react-dom/client';
import { createClient } from 'belfry-widget';
import { BelfryProvider, Bell, Inbox, useClient, useCounts, useEvent, useNotifications } from 'belfry-widget/react';

const root = createRoot(document.getElementById('root'));
const state = globalThis.state = { asked: 0, clicks: 0, titles: [], opened: 0, counted: 0 };

const Counts = memo(() => {
  state.counted++;
  return <output>{useCounts().unread}</output>;
});

const Inside = ({ filter, inbox }) => {
  state.bell = useRef(null);
  state.client = useClient();
  state.list = useNotifications(filter);
  useEvent('notification', ({ item }) => state.titles.push(item.title));
  return (
    <>
      <Bell ref={state.bell} hidden={false} toasts={false} tabIndex={-1} data-of="me"
        onClick={() => state.clicks++} onOpen={() => state.opened++} />
      <Counts />
      {inbox && <Inbox hidden preferences texts={{ title: 'News' }} />}
    </>
  );
};

globalThis.createClient = createClient;
/** A function that brings a token, and counts. */
globalThis.bringing = (token) => () => {
  state.asked++;
  return token;
};
globalThis.draw = (properties, inside) => root.render(
  <StrictMode>{properties && <BelfryProvider {...properties}><Inside {...inside} /></BelfryProvider>}</StrictMode>,
);
