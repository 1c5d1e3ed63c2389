// The package `@microsoft/fetch-event-source`, made for browsers. It ends with the stream unless `onclose` throws, and
// remembers an id before the event is whole: cut inside a row it would not ask for that row again, so we keep the id.
import { fetchEventSource } from "@microsoft/fetch-event-source";
import { authorization, say, url } from "./say.mjs";

globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };

let last = "";

await fetchEventSource(url, {
  openWhenHidden: true,
  fetch(input, init) {
    const headers = { ...init.headers, authorization };
    delete headers["last-event-id"];
    return fetch(input, { ...init, headers: last ? { ...headers, "last-event-id": last } : headers });
  },
  onmessage({ event, id, data }) {
    last = id || last;
    say(event || "message", id, data);
  },
  onclose() {
    throw new Error("the stream has ended: once more");
  },
});
