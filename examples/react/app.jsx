/** A page of a shop: a bell in its header, and a list of its own making of what is unread. */
import { StrictMode } from 'react';
import { BelfryProvider, Bell, useCounts, useNotifications } from 'belfry-widget/react';

const UNREAD = { state: 'unread' };
/** A fresh one, whenever the one before ends. */
const token = async () => (await fetch('/token', { method: 'POST' })).text();

const Greeting = () => {
  const { unread } = useCounts();
  return <p id="greeting">{unread ? `${unread} unread` : 'Nothing unread'}</p>;
};

const Unread = () => {
  const { notifications, loaded, error, more, loadMore, markAsRead } = useNotifications();
  if (!loaded) return <p>{error ? 'It could not be loaded.' : 'Loading…'}</p>;
  return (
    <>
      <ul>
        {notifications.map(({ id, title, kind }) => (
          <li key={id}>
            {title || kind} <button onClick={() => markAsRead(id)}>Mark as read</button>
          </li>
        ))}
      </ul>
      {more && <button onClick={() => loadMore()}>More</button>}
    </>
  );
};

/** A client has one list. The bell's follows its tabs, so a list beside it has a provider too; the stream is one still. */
export const App = ({ relay }) => (
  <StrictMode>
    <BelfryProvider src={relay} token={token}>
      <header>
        <h1>Shop</h1>
        <Bell toasts titleBadge lang="en" />
      </header>
      <main>
        <Greeting />
        <BelfryProvider src={relay} token={token} filter={UNREAD}>
          <Unread />
        </BelfryProvider>
      </main>
    </BelfryProvider>
  </StrictMode>
);
