"""GET /widget.js: the bell and the inbox as plain modules, for pages of any origin.

`/widget.js` leads to all of it in one file, under a path that changes with any of them: it may be kept for ever, and
files of two versions never meet in a page. Each module can be asked for as well.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from litestar import Request, Response, route
from litestar.params import FromPath

from belfry import bundle, errors
from belfry.access import SAFE_METHODS

SUFFIX = ".js"
WHOLE = "belfry.js"
ALWAYS_ASK = "no-cache"
FOR_EVER = "public, max-age=31536000, immutable"
HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}

Ours = Request[Any, Any, Any]


@cache
def modules() -> dict[str, bytes]:
    """The files by name; they change only with the program."""
    folder = files("belfry") / "widget"
    texts = {each.name: each.read_text("utf-8") for each in folder.iterdir() if each.name.endswith(SUFFIX)}
    texts[WHOLE] = bundle.bundle(texts, "index.js")
    texts |= {name: bundle.squeeze(text) for name, text in texts.items() if name.startswith("texts.")}
    return {name: text.encode() for name, text in texts.items()}


@cache
def version() -> str:
    """What changes when any file does."""
    digest = hashlib.sha256()
    for name, content in sorted(modules().items()):
        digest.update(f"{name}\n{len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


@cache
def packed(content: bytes) -> bytes:
    """The same in fewer bytes."""
    return gzip.compress(content, mtime=0)


@route("/widget.js", http_method=SAFE_METHODS, include_in_schema=False)
async def entry(request: Ours) -> Response[bytes]:
    """All that there is, in the file of this version."""
    return _answer(request, f'export * from "./widget/{version()}/{WHOLE}";\n'.encode(), ALWAYS_ASK)


@route("/widget/{name:str}", http_method=SAFE_METHODS, include_in_schema=False)
async def module(request: Ours, name: FromPath[str]) -> Response[bytes]:
    """One file, as it is now."""
    return _answer(request, _content(name), ALWAYS_ASK)


@route("/widget/{wanted:str}/{name:str}", http_method=SAFE_METHODS, include_in_schema=False)
async def kept_module(request: Ours, wanted: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """One file of a version; where two relays differ for a while, the other's is what we have, and is not kept."""
    return _answer(request, _content(name), FOR_EVER if wanted == version() else ALWAYS_ASK)


def _content(name: str) -> bytes:
    content = modules().get(name)
    if content is None:
        raise errors.NotFound(f"the widget has no file {name}")
    return content


def _answer(request: Ours, content: bytes, caching: str) -> Response[bytes]:
    """The content, packed where that is understood, or 304 where it is there already."""
    gzipped = _unpacks(request.headers.get("accept-encoding", ""))
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}{"-gzip" if gzipped else ""}"'
    headers = {**HEADERS, "Cache-Control": caching, "ETag": tag}
    there = request.headers.get("if-none-match", "")
    if tag in there or there.strip() == "*":
        return Response(b"", status_code=304, headers=headers)
    if gzipped:
        headers["Content-Encoding"] = "gzip"
    return Response(packed(content) if gzipped else content, media_type="text/javascript", headers=headers)


def _unpacks(accepted: str) -> bool:
    """Whether who accepts these codings takes gzip (RFC 9110, 12.5.3); `*` is any other, a weight of 0 means not."""
    weights = dict(_weighed(each) for each in accepted.lower().split(",") if each.strip())
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _weighed(coding: str) -> tuple[str, float]:
    name, *parameters = (part.strip() for part in coding.split(";"))
    weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
    try:
        return name, float(weight)
    except ValueError:
        return name, 0.0


routes = [entry, module, kept_module]
