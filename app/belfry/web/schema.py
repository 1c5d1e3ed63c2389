"""The OpenAPI document, as JSON and YAML, and as a plain page that needs nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from litestar import Request
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

DESCRIPTION = """\
Recipients come with a JWT (`sub` is the recipient, `exp` is required; `topics` and `tenant` only narrow) as a bearer \
token or in the cookie `belfry_token`; what changes something with the cookie needs JSON and an `Origin` that is known.
Backends come with an API key as a bearer token: its scope `send` sends, `manage` does all else.
Errors are problem documents (RFC 9457); `errors` names the fields at fault."""

SCHEMES = {
    "token": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT", description="A recipient's token"),
    "cookie": SecurityScheme(type="apiKey", security_scheme_in="cookie", name="belfry_token", description="The same"),
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
        render_plugins=[PlainPage(path="/"), JsonRenderPlugin(), YamlRenderPlugin()],
        use_handler_docstrings=True,
    )


class PlainPage(OpenAPIRenderPlugin):
    """The routes as a page of headings and lists: no script, no style sheet, no font."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The page."""
        return "\n".join(_page(openapi_schema)).encode()


def _page(schema: dict[str, Any]) -> Iterator[str]:
    title = escape(f"{schema['info']['title']} {schema['info']['version']}")
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
    yield "<style>body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font-family: system-ui }</style>"
    yield f"<h1>{title}</h1><p>{escape(schema['info'].get('description', ''))}</p>"
    yield '<p>The whole document: <a href="/schema/openapi.json">JSON</a>, <a href="/schema/openapi.yaml">YAML</a>.</p>'
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            yield from _operation(method, path, operation)


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
    yield f"<p>{escape(operation.get('summary', ''))}. {escape(operation.get('description', ''))}</p><ul>"
    for parameter in operation.get("parameters", ()):
        about = escape(parameter.get("description", "") or "")
        yield f"<li><code>{escape(parameter['name'])}</code> ({escape(parameter['in'])}) {about}</li>"
    yield "</ul>"
