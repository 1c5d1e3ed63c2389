"""A site with pages that use the widget, and what a page's client shows."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from playwright.sync_api import BrowserContext, Page
from serving import SECONDS, Server, until


class Pages:
    """A site of its own origin; a test says what its paths answer."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[str, str, dict[str, str]]] = {}
        answers = self.answers

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text, kind, headers = answers.get(self.path.partition("?")[0], ("", "text/plain", {}))
                content = text.encode()
                self.send_response(200)
                for name, each in {"Content-Type": f"{kind}; charset=utf-8", **headers}.items():
                    self.send_header(name, each)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://localhost:{self._server.server_address[1]}"

    def __enter__(self) -> Pages:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, path: str, text: str, kind: str = "text/html", **headers: str) -> str:
        """Answer a path from now on; its URL."""
        self.answers[path] = (text, kind, headers)
        return self.origin + path


SCRIPT = """<!doctype html><title>A page with a client</title><script type="module">
import {{ createClient }} from {module};
const heard = globalThis.heard = [];
const options = {options};
globalThis.pendingRequests = 0;
options.fetch = (...request) => {{
  globalThis.pendingRequests++;
  return fetch(...request).finally(() => globalThis.pendingRequests--);
}};
if (options.token_call) options.token = () => globalThis[options.token_call]();
const client = globalThis.client = createClient(options);
for (const name of ['notification', 'status', 'reset', 'error']) {{
  client.on(name, (event) => heard.push([name, event.item?.id ?? event.message ?? event]));
}}
client.open();
</script>"""


class Tab:
    """A page with a client of one recipient."""

    def __init__(self, context: BrowserContext, pages: Pages, server: Server, token: str, **options: Any) -> None:
        given = {"src": server.url, "token": token, **options}
        module = json.dumps(f"{server.url}/widget/client.js")
        url = pages.put(
            f"/{hash((token, json.dumps(options)))}", SCRIPT.format(module=module, options=json.dumps(given))
        )
        self.page: Page = context.new_page()
        self.page.goto(url)

    def evaluate(self, expression: str, *arguments: Any) -> Any:
        return self.page.evaluate(expression, *arguments)

    @property
    def shown(self) -> list[list[Any]]:
        """The list: id, title, seen, read."""
        return self.evaluate("client.snapshot.items.map(({id, title, seen, read}) => [id, title, seen, read])")

    @property
    def badge(self) -> tuple[int, int]:
        unread, unseen = self.evaluate("[client.snapshot.unread, client.snapshot.unseen]")
        return unread, unseen

    @property
    def status(self) -> str:
        return self.evaluate("globalThis.client?.snapshot.status")

    def heard(self, name: str) -> list[Any]:
        """The events of that name, in order."""
        return self.evaluate("(name) => heard.filter((each) => each[0] === name).map((each) => each[1])", name)

    def until_live(self, seconds: float = SECONDS) -> Tab:
        until(lambda: self.status == "live", seconds)
        return self

    def until_shows(self, inbox: list[list[Any]], counts: tuple[int, int], seconds: float = SECONDS) -> None:
        """Return when list and badge are these; else say what they are."""
        try:
            until(lambda: self.badge == counts and self.shown == inbox, seconds)
        except AssertionError:
            assert (self.badge, self.shown) == (counts, inbox)
