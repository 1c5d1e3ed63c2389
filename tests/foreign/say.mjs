// What every runner has: `node runner.mjs STREAM TOKEN TICKET` prints each event as a line of JSON.
export const [url, token, ticket] = process.argv.slice(2);
export const authorization = `Bearer ${token}`;
export const NAMES = ["message", "ready", "change", "heartbeat", "reset", "goodbye"];

export function say(name, id, data) {
  process.stdout.write(`${JSON.stringify({ name, id, data })}\n`);
}

export function listen(source) {
  setInterval(() => {}, 60_000); // the pause before the next attempt does not keep Node alive by itself
  source.addEventListener("error", (event) => console.error(source.readyState, event.code, event.message));
  for (const name of NAMES) {
    source.addEventListener(name, (event) => say(name, event.lastEventId, event.data));
  }
}
