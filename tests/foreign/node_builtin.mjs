// Node's own EventSource (--experimental-eventsource): it knows no headers, so it comes with a ticket.
import { listen, ticket, url } from "./say.mjs";

listen(new EventSource(`${url}?ticket=${encodeURIComponent(ticket)}`));
