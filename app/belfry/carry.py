"""Carry the present text of functions, triggers and grants into a new migration, and the text before into its down.

A migration marks what it carries: from `--- functions/send.sql ---` to `--- end ---` it is that file, word for word.
"""

from __future__ import annotations

import re
from pathlib import Path

from belfry import errors, migrations

Texts = dict[str, str]

GRANTS = "grants.sql"

_SECTION = re.compile(r"^--- (?P<file>\S+\.sql) ---\n(?P<text>.*?)^--- end ---$", re.DOTALL | re.MULTILINE)
_OBJECT = re.compile(r"^COMMENT ON (?P<object>(?:FUNCTION|TRIGGER) .+?) IS\s", re.DOTALL | re.MULTILINE)
_HEAD = """\
-- {what}
-- Locks: a replaced function locks no table; a trigger keeps the writers of its table out for an instant.
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE belfry_owner;

"""


def carry(name: str, directory: Path | None = None) -> list[Path]:
    """Write the next migration, up and down, and return both paths.

    Raises MigrationMissing when the name is not one or nothing has changed.
    """
    if not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", name):
        raise errors.MigrationMissing(f"{name!r} is no name of a migration: use a few lower-case words, as mute_kinds")
    source = directory or migrations.source()
    known = migrations.load(source)
    present, before = written(source), carried(known)
    changed = [file for file in sorted({*present, *before}) if present.get(file) != before.get(file)]
    if not changed:
        raise errors.MigrationMissing("The migrations have it all: no function, trigger or grant has changed.")
    version = known[-1].version + 1 if known else 1
    number = f"{version:04}_{name}"
    title = f"{name.replace('_', ' ').capitalize()}: {', '.join(changed)}."
    up = _HEAD.format(what=title) + _change(before, present, changed)
    down = _HEAD.format(what=f"Brings back what was before {number}.") + _change(present, before, changed)
    record = f"INSERT INTO belfry.migration (version, name) VALUES ({version}, '{name}');\n"
    forget = f"DELETE FROM belfry.migration WHERE version = {version};\n"
    paths = [source / "migrations" / f"{number}.{way}.sql" for way in ("up", "down")]
    for path, text in zip(paths, (up + record, down + forget), strict=True):
        path.write_text(text + "SET LOCAL ROLE NONE;\n", encoding="utf-8")
    return paths


def written(source: Path) -> Texts:
    """The present text of each file of functions/ and triggers/, and of grants.sql."""
    files = [*source.glob("functions/*.sql"), *source.glob("triggers/*.sql"), source / GRANTS]
    return {file.relative_to(source).as_posix(): file.read_text(encoding="utf-8") for file in files}


def carried(known: list[migrations.Migration]) -> Texts:
    """The text that the migrations alone give each of these files: the newest that carries it. An empty one is none."""
    texts: Texts = {}
    for migration in known:
        texts.update(sections(migration.up))
    return {file: text for file, text in texts.items() if text.strip()}


def sections(text: str) -> Texts:
    """The files that a migration carries."""
    return {found["file"]: found["text"] for found in _SECTION.finditer(text)}


def _change(old: Texts, new: Texts, changed: list[str]) -> str:
    """The statements that lead from the one to the other.

    The grants come last and always: a function that is new, or new by its arguments, is open to PUBLIC until then.
    """
    files = [*(file for file in changed if file != GRANTS), GRANTS]
    parts: list[str] = []
    for file in reversed(files):
        gone = _objects(old.get(file, "")) - _objects(new.get(file, ""))
        parts += [f"DROP {one};\n" for one in sorted(gone)]
    parts += [f"--- {file} ---\n{new.get(file, '')}--- end ---\n\n" for file in files]
    return "".join(parts)


def _objects(text: str) -> set[str]:
    """The functions, with the types of their arguments, and triggers that a text makes: those it comments on."""
    return {" ".join(found["object"].split()).replace("( ", "(").replace(" )", ")") for found in _OBJECT.finditer(text)}
