"""The OpenAPI document as JSON, and as a plain page that needs nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Any, cast

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import HTTPRoute
from litestar.serialization import encode_json

DESCRIPTION = """\
Recipients come with a JWT (`sub` is the recipient, `exp` is required; `topics` and `tenant` only narrow) as a bearer \
token or in the cookie `belfry_token`; what changes something with the cookie needs JSON and an `Origin` that is known.
Backends come with an API key as a bearer token: its scope `send` sends, `manage` does all else.
Times are those of RFC 3339 with their offset from UTC, such as `2031-01-31T12:00:00Z`.
Errors are problem documents (RFC 9457); `errors` names the fields at fault.
Every answer has an `X-Request-ID`: that of the request, or a new one; a problem tells it too, and so does the log."""

SCHEMES = {
    "token": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT", description="A recipient's token"),
    "cookie": SecurityScheme(type="apiKey", security_scheme_in="cookie", name="belfry_token", description="The same"),
    "ticket": SecurityScheme(
        type="apiKey", security_scheme_in="query", name="ticket", description="One of `POST /v1/tickets`"
    ),
    "api_key": SecurityScheme(type="http", scheme="bearer", description="A key of `belfry key create`"),
}


def document(version: str) -> OpenAPIConfig:
    """What the document says beside the routes, and how it is shown."""
    return OpenAPIConfig(
        title="Belfry",
        version=version,
        description=DESCRIPTION,
        components=Components(security_schemes={**SCHEMES}),
        path="/schema",
        render_plugins=[PlainPage(path="/"), Json()],
        use_handler_docstrings=True,
    )


# --- what the framework leaves out ---------------------------------------------------------------------------


def exact(request: Request[Any, Any, Any], document: dict[str, Any]) -> dict[str, Any]:
    """The framework's document with the types as msgspec tells them: with every limit that is checked."""
    for route in request.app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            for method in handler.http_methods:
                operation = document["paths"].get(route.path_format, {}).get(method.lower())
                if operation is not None:
                    _make_exact(operation, handler, document["components"]["schemas"])
    return document


def _make_exact(operation: dict[str, Any], handler: HTTPRouteHandler, components: dict[str, Any]) -> None:
    fields = {**handler.parsed_fn_signature.parameters}
    for each in handler.resolve_dependencies().values():  # those of a query, not the application's own
        asked = each.parsed_fn_signature.parameters.items()
        fields |= {name: field for name, field in asked if field.kwarg_definition}
    for parameter in operation.get("parameters", ()):
        if field := fields.get(parameter["name"]):
            parameter["schema"] = _without_null(parameter["schema"], _schema(field.raw, components))
            parameter["schema"] |= _bounds(field.kwarg_definition)
    if "data" in fields:
        operation["requestBody"]["content"]["application/json"]["schema"] = _schema(fields["data"].raw, components)
    answers = [each.data_container for each in cast(dict[int, Any], handler.responses or {}).values()]
    for answer in (handler.parsed_return_field.raw, *answers):
        if isinstance(answer, type) and issubclass(answer, msgspec.Struct):
            _schema(answer, components)


def _schema(kind: Any, components: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type; those that it refers to are put into the components."""
    (schema,), referred = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    components.update(referred)
    return schema


def _without_null(schema: dict[str, Any], exactly: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: what may be left out is simply not there. A list's items are those of `exactly`."""
    own = {name: value for name, value in schema.items() if name != "oneOf"}
    for choice in schema.get("oneOf", ()):
        own |= {} if choice.get("type") == "null" else choice
    if own.get("type") == "array":
        own["items"] = next(each["items"] for each in exactly.get("anyOf", [exactly]) if "items" in each)
    return own


def _bounds(definition: Any) -> dict[str, Any]:
    """The bounds of a number as they are: the framework makes floats of them, which hold no 2^63 - 1."""
    bounds = {"minimum": getattr(definition, "ge", None), "maximum": getattr(definition, "le", None)}
    return {name: bound for name, bound in bounds.items() if bound is not None}


# --- how it is shown -----------------------------------------------------------------------------------------


class Json(JsonRenderPlugin):
    """The document as JSON."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document."""
        return encode_json(exact(request, openapi_schema))


class PlainPage(OpenAPIRenderPlugin):
    """The routes as a page of headings and lists: no script, no style sheet, no font."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The page."""
        beside = "" if request.scope["raw_path"].endswith(b"/") else "schema/"
        return "\n".join(_page(openapi_schema, f"{beside}openapi.json")).encode()


def _page(schema: dict[str, Any], reference: str) -> Iterator[str]:
    """The page; `reference` leads from it to the document, wherever a host has mounted us."""
    title = escape(f"{schema['info']['title']} {schema['info']['version']}")
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
    yield '<meta name="viewport" content="width=device-width">'
    yield "<style>body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font-family: system-ui }</style>"
    yield f"<h1>{title}</h1><p>{escape(schema['info'].get('description', ''))}</p>"
    yield f'<p>The whole document: <a href="{reference}">openapi.json</a>.</p>'
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            yield from _operation(method, path, operation)


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
    texts = (operation.get("summary", ""), operation.get("description", ""))
    yield f"<p>{' '.join(_sentence(text) for text in texts if text)}</p>"
    if parameters := operation.get("parameters"):
        yield "<ul>"
        for each in parameters:
            about = _sentence(each.get("description") or "")
            yield f"<li><code>{escape(each['name'])}</code> ({escape(each['in'])}) {about}</li>"
        yield "</ul>"


def _sentence(text: str) -> str:
    """A text of the document, with its code as code, and an end where it has none."""
    ended = text if not text or text[-1] in ".?!" else f"{text}."
    return re.sub("`([^`]*)`", r"<code>\1</code>", escape(ended))
