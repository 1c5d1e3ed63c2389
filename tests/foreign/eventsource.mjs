// The package `eventsource`: the standard's class, with a fetch of one's own for the headers.
import { EventSource } from "eventsource";
import { authorization, listen, url } from "./say.mjs";

const withToken = (input, init) => fetch(input, { ...init, headers: { ...init.headers, authorization } });
listen(new EventSource(url, { fetch: withToken }));
