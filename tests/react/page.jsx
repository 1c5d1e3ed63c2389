/** A page as its author would write it; the tests draw it on a server and in a browser. */
import { StrictMode, useState } from 'react';
import { BelfryProvider, Bell, Inbox, useCounts, useNotifications } from '../../app/belfry/widget/react.js';

const Counts = () => {
  const { unread, unseen } = useCounts();
  return <output id="counts">{unread}/{unseen}</output>;
};

const List = () => {
  const { notifications, status, markAsRead } = useNotifications();
  return (
    <ul id="list" data-status={status}>
      {notifications.map(({ id, title, read }) => (
        <li key={id} className={read ? 'read' : 'unread'} onClick={() => markAsRead(id)}>{title}</li>
      ))}
    </ul>
  );
};

export const Page = ({ src, tokens }) => {
  const [who, choose] = useState(0);
  const [opened, note] = useState('');
  return (
    <StrictMode>
      <button id="other" onClick={() => choose(who + 1)}>the next person</button>
      <output id="opened">{opened}</output>
      {who < tokens.length && (
        <BelfryProvider src={src} token={tokens[who]}>
          <Bell titleBadge lang="en" onSelect={(event) => {
            event.preventDefault();
            note(event.detail.item.title);
          }} />
          <Counts />
          <List />
          <Inbox tabs="all" className="wide" texts={{ title: 'News' }} lang="en" />
        </BelfryProvider>
      )}
    </StrictMode>
  );
};
