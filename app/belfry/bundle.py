"""The widget's modules as one, so that a page asks once: what they import of each other is put together here.

Plain modules stay what is written, tested and shipped; no tool of JavaScript is needed to serve them. They stand one
after the other, in the order in which they need each other, as one module: what two of them declare must have two
names. Comments and spaces go, those of a sheet too. Names stay, but for those that can be told from all else without
reading the script: what is private to a class, and constants in capitals. `const` says the same as `let` by then,
and `true` as `!0`; a line ends with a semicolon or a block, and no text but the sheet goes over several. It understands
the forms that the widget is written in and refuses others; `import()` stays a request of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from string import ascii_lowercase

import rjsmin  # pyright: ignore[reportMissingTypeStubs] - it has none

IMPORT = re.compile(r"^import \{\s*\w+(?:,\s*\w+)*,?\s*\} from '\./([\w.-]+)';\n", re.MULTILINE)
REEXPORT = re.compile(r"^export \{ ([\w, ]+) \}(?: from '\./([\w.-]+)')?;\n", re.MULTILINE)
DECLARED = re.compile(r"^export (?=(?:const|class) (\w+))", re.MULTILINE)
UNKNOWN = re.compile(r"^(?:import|export|(?:const|let|var) [^\w]).*", re.MULTILINE)
NAME = re.compile(r"^(?:const|let|class|(?:async )?function) (\w+)", re.MULTILINE)
SHEET = re.compile(r"(?<=^const CSS = `)[^`]*", re.MULTILINE)
PRIVATE, USED_PRIVATE = re.compile(r"#[a-zA-Z]\w*"), re.compile(r"(?<=\.)#\w+")
CAPITALS = re.compile(r"(?<![\w'])(?<![^.]\.)[A-Z][A-Z_]+\b(?!')")
CONSTANT = re.compile(r"(?<=\bconst )[A-Z][A-Z_]+(?==)")
WORD = re.compile(r"#?\w+")
TRUTH = re.compile(r"(?<=[=(,:?&|])(?:true|false)(?=[,;)}?:&|])")
BLOCK = re.compile(r"(?<=\})\n(?=[\w#])")
CONST = re.compile(r"\bconst(?=[ [{])")
LAST = re.compile(r";(?=\})")
LOOSE = re.compile(r"\s*\n\s*|\s*(?=[{};,])|(?<=[{};,])\s*|(?<=:) +")


def bundle(modules: Mapping[str, str], entry: str) -> str:
    """One module with the exports of `entry`, from the modules by file name.

    Raises ValueError for an import or export of another form, for modules that need each other, for a name that two of
    them declare, and for a constant in capitals that is also a word of a text.
    """
    order: list[str] = []
    _visit(entry, modules, order, ())
    whole = "".join(_body(modules[name]) for name in order)
    counted = Counter(NAME.findall(whole))
    if twice := [name for name, count in counted.items() if count > 1]:
        raise ValueError(f"two modules declare {', '.join(twice)}")
    return squeeze(whole) + f"\nexport {{ {', '.join(_exports(modules[entry]))} }};\n"


def squeeze(text: str) -> str:
    """The same script in fewer characters."""
    text = SHEET.sub(lambda found: LOOSE.sub("", found[0]), text)
    text = str(rjsmin.jsmin(text))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    text = _renamed(text, PRIVATE, set(USED_PRIVATE.findall(text)))
    text = _renamed(text, CAPITALS, set(CONSTANT.findall(text)))
    text = TRUTH.sub(lambda found: "!0" if found[0] == "true" else "!1", text)
    return LAST.sub("", CONST.sub("let", BLOCK.sub("", text)))


def _renamed(text: str, pattern: re.Pattern[str], names: set[str]) -> str:
    """With short names for these, where the pattern finds one: what begins with # keeps that, others get a $."""
    often = [name for name, _ in Counter(pattern.findall(text)).most_common() if name in names]
    short = {name: f"{'#' if name[0] == '#' else '$'}{_letters(at)}" for at, name in enumerate(often)}
    text = pattern.sub(lambda found: short.get(found[0], found[0]), text)
    if left := names.intersection(WORD.findall(text)):
        raise ValueError(f"cannot tell {', '.join(sorted(left))} from a text or a property: choose another name")
    return text


def _letters(at: int) -> str:
    rest, last = divmod(at, len(ascii_lowercase))
    return (_letters(rest - 1) if rest else "") + ascii_lowercase[last]


def _visit(name: str, modules: Mapping[str, str], order: list[str], path: tuple[str, ...]) -> None:
    """What a module needs comes before it."""
    if name in path:
        raise ValueError(f"modules import each other: {' -> '.join((*path, name))}")
    text = modules[name]
    needs = [found[1] for found in IMPORT.finditer(text)] + [found[2] for found in REEXPORT.finditer(text) if found[2]]
    for needed in needs:
        _visit(needed, modules, order, (*path, name))
    if name not in order:
        order.append(name)


def _exports(text: str) -> list[str]:
    listed = [each for found in REEXPORT.finditer(text) for each in found[1].split(", ")]
    return listed + DECLARED.findall(text)


def _body(text: str) -> str:
    """What a module does, without what it asks for and gives."""
    text = DECLARED.sub("", REEXPORT.sub("", IMPORT.sub("", text)))
    if unknown := UNKNOWN.search(text):
        raise ValueError(f"cannot bundle this form: {unknown[0]}")
    return text
