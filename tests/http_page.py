"""The reference of the routes, docs/http.md, from the OpenAPI document: `python -m tests.http_page` writes it anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from belfry import create_app
from belfry.config import Config
from belfry.cursor import MAX_POSITION

PAGE = Path(__file__).resolve().parent.parent / "docs" / "http.md"
HEAD = """# The routes, one by one

Written by `python -m tests.http_page` from the OpenAPI document that a relay serves at `/schema/openapi.json`; a test
keeps it true. Errors are problem documents (RFC 9457): `errors` names each field and says what is wrong with it.
"""
METHODS = ("get", "put", "post", "patch", "delete")
WHO = {
    "token": "a recipient's token",
    "cookie": "the cookie `belfry_token`",
    "ticket": "a ticket",
    "api_key": "an API key that may",
}
EVERYWHERE = {"400", "401", "403", "422", "429", "503"}

Document = Mapping[str, Any]


def document() -> Document:
    """What a relay serves."""
    app = create_app(Config(secret="of no use here, but long enough to be one", database_url="postgresql://nowhere/x"))
    return app.openapi_schema.to_schema()


def followed(schema: Any, whole: Document) -> Any:
    """A schema, wherever it stands."""
    if "$ref" in schema:
        return whole["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def kind(schema: Any, whole: Document) -> str:
    """A type in a word or two."""
    schema = followed(schema, whole)
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"] if each is not None)
    some = [each for each in schema.get("oneOf", schema.get("anyOf", ())) if each.get("type") != "null"]
    if some:
        return " or ".join(dict.fromkeys(kind(each, whole) for each in some))
    if schema.get("type") == "array":
        return f"array of {kind(schema['items'], whole)}"
    return str(schema.get("format") or schema.get("type") or "anything")


def body(schema: Any, whole: Document) -> list[str]:
    """The fields of a JSON object, once for an object and an array of it."""
    one, *several = schema.get("oneOf") or [schema]
    begins = "The body, or several in an array" if several else "The body"
    if one.get("type") == "array":
        one, begins = one["items"], "The body is an array of"
    found = followed(one, whole)
    lines = [f"\n{begins}:", "", "| field | type | |", "|---|---|---|"]
    for name, each in found.get("properties", {}).items():
        required = " (required)" if name in found.get("required", ()) else ""
        null = " or null" if {"type": "null"} in each.get("oneOf", ()) else ""
        lines.append(f"| `{name}`{required} | {kind(each, whole)}{null} | {cell(each.get('description', ''))} |")
    example = next(iter(found.get("examples", ())), None)
    shown = ["", "```json", json.dumps(example, ensure_ascii=False, indent=2), "```"] if example else []
    return [*lines, *shown]


def allowed(name: str, scopes: list[str]) -> str:
    """Who may ask."""
    return " ".join([WHO[name], *(f"`{scope}`" for scope in scopes)])


def about(found: Any) -> str:
    """What is said of a parameter, with its bounds and what it is where it is left out."""
    schema = found["schema"]
    lowest, highest, default = (schema.get(name) for name in ("minimum", "maximum", "default"))
    told = [found.get("description", "")]
    if highest is not None and highest < MAX_POSITION:
        told.append(f"{lowest:g} to {highest:g}")
        told += [f"{default} where it is left out"] if default is not None else []
    return cell("; ".join(filter(None, told)))


def operation(path: str, method: str, found: Any, whole: Document) -> list[str]:
    """One route."""
    who = " or ".join(allowed(name, scopes) for each in found.get("security", ()) for name, scopes in each.items())
    summary = found["summary"] + ("" if found["summary"].endswith("?") else ".")
    lines = [f"\n## {method.upper()} {path}\n", f"{summary} {found.get('description', '')}".strip()]
    lines += [f"\nWith {who}."] if who else []
    if parameters := found.get("parameters"):
        lines += ["\n| parameter | type | |", "|---|---|---|"]
        lines += [f"| `{each['name']}` | {kind(each['schema'], whole)} | {about(each)} |" for each in parameters]
    if "requestBody" in found:
        lines += body(found["requestBody"]["content"]["application/json"]["schema"], whole)
    lines.append("\n" + "; ".join(answers(found, whole)).strip() + ".")
    return lines


def answers(found: Any, whole: Document) -> list[str]:
    """What comes back, but the errors that any route may give."""
    told: list[str] = []
    for status, each in found["responses"].items():
        schema = each.get("content", {}).get("application/json", {}).get("schema")
        fields: Document = followed(schema, whole).get("properties", {}) if schema else {}
        if fields:
            told.append(f"**{status}** `{{{', '.join(fields)}}}`")
        elif status not in EVERYWHERE:
            told.append(f"**{status}** {said(each['description'])}")
    return told


def said(text: str) -> str:
    """What a status means; that a request was fulfilled needs no words."""
    return "" if text == "Request fulfilled, document follows" else cell(text).rstrip(".").lower()


def written() -> str:
    """The page."""
    whole = document()
    parts = [
        line
        for path, methods in whole["paths"].items()
        for method, found in methods.items()
        if method in METHODS
        for line in operation(path, method, found, whole)
    ]
    return HEAD + "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
