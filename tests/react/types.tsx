/** What a user of the React part writes must have types; what is wrong must not. */
import { BelfryProvider, Bell, Inbox, useCounts, useNotifications } from '../../app/belfry/widget/react.js';

const Title = () => {
  const { unread, unseen } = useCounts();
  return <h1>{unread + unseen}</h1>;
};

const List = () => {
  const { notifications, markAsRead, loadMore, more, status } = useNotifications({ state: 'unread' });
  return (
    <ul data-status={status} onClick={() => more && loadMore()}>
      {notifications.map(({ id, title, actor }) => (
        <li key={id} onClick={() => markAsRead(id)}>{actor?.name} {title}</li>
      ))}
    </ul>
  );
};

export const Page = () => (
  <BelfryProvider src="https://relay.example.com" token={async () => 'jwt'}>
    <Title />
    <List />
    <Bell titleBadge toasts badge="unseen" onSelect={(event) => event.detail.url && event.preventDefault()} />
    <Inbox tabs="all kind:comment" theme="dark" texts={{ title: 'News' }} className="wide">
      <p slot="empty">Nothing</p>
    </Inbox>
  </BelfryProvider>
);

// @ts-expect-error: no such theme
export const wrong = <Bell theme="pink" />;
