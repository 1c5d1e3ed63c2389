// The package `eventsource-client`.
import { createEventSource } from "eventsource-client";
import { authorization, say, url } from "./say.mjs";

createEventSource({
  url,
  headers: { authorization },
  onMessage: ({ event, id, data }) => say(event ?? "message", id, data),
});
