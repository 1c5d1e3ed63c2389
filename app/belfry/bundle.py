"""The widget's modules as one, so that a page asks once: what they import of each other is put together here.

Plain modules stay what is written, tested and shipped; no tool of JavaScript is needed to serve them. A module becomes
a function that returns what it exports, in the order in which they need each other. Comments and spaces go, those of a
sheet too, names stay.
It understands the forms that the widget is written in and refuses others; `import()` stays a request of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import rjsmin  # pyright: ignore[reportMissingTypeStubs] - it has none

IMPORT = re.compile(r"^import \{(.*?)\} from '\./([\w.-]+)';\n", re.MULTILINE)
REEXPORT = re.compile(r"^export \{ ([\w, ]+) \}(?: from '\./([\w.-]+)')?;\n", re.MULTILINE)
DECLARED = re.compile(r"^export (?=(?:const|class) (\w+))", re.MULTILINE)
UNKNOWN = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)
SHEET = re.compile(r"(?<=^const CSS = `)[^`]*", re.MULTILINE)
LAST = re.compile(r";(?=\})")
LOOSE = re.compile(r"\s*\n\s*|\s*(?=[{};,])|(?<=[{};,])\s*|(?<=:) +")


def bundle(modules: Mapping[str, str], entry: str) -> str:
    """One module with the exports of `entry`, from the modules by file name.

    Raises ValueError for an import or export of another form, and for modules that need each other.
    """
    order: list[str] = []
    _visit(entry, modules, order, ())
    parts = [f"const {_variable(name)} = (() => {{\n{_body(modules[name])}}})();\n" for name in order]
    names = ", ".join(_exports(modules[entry]))
    return squeeze("".join(parts)) + f"\nexport const {{ {names} }} = {_variable(entry)};\n"


def squeeze(text: str) -> str:
    """The same script in fewer characters."""
    text = SHEET.sub(lambda found: LOOSE.sub("", found[0]), text)
    return LAST.sub("", str(rjsmin.jsmin(text)))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def _visit(name: str, modules: Mapping[str, str], order: list[str], path: tuple[str, ...]) -> None:
    """What a module needs comes before it."""
    if name in path:
        raise ValueError(f"modules import each other: {' -> '.join((*path, name))}")
    text = modules[name]
    needs = [found[2] for found in IMPORT.finditer(text)] + [found[2] for found in REEXPORT.finditer(text) if found[2]]
    for needed in needs:
        _visit(needed, modules, order, (*path, name))
    if name not in order:
        order.append(name)


def _exports(text: str) -> list[str]:
    listed = [each for found in REEXPORT.finditer(text) for each in found[1].split(", ")]
    return listed + DECLARED.findall(text)


def _body(text: str) -> str:
    """The module's text as that of a function."""
    exported = ", ".join(_exports(text))
    text = IMPORT.sub(lambda found: f"const {{{found[1]}}} = {_variable(found[2])};\n", text)
    text = REEXPORT.sub(lambda found: f"const {{ {found[1]} }} = {_variable(found[2])};\n" if found[2] else "", text)
    text = DECLARED.sub("", text)
    if unknown := UNKNOWN.search(text):
        raise ValueError(f"cannot bundle this form: {unknown[0]}")
    return f"{text}return {{ {exported} }};\n"


def _variable(name: str) -> str:
    return "$" + re.sub(r"\W", "_", name.removesuffix(".js"))
