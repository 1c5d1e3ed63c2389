"""The process's environment over the `.env` of a directory, as shells write it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from belfry import errors

_LINE = re.compile(
    r"""^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|((?!["']).*?))\s*(?:(?<=\s)\#.*)?$"""
)


def read_env_file(path: Path) -> dict[str, str]:
    """The `NAME=value` lines of a file, none when it is not there; values may be quoted, `#` begins a comment."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as fault:
        raise errors.ConfigError(f"{path} cannot be read: {fault}") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:  # the line itself is not shown: it may hold a secret
            raise errors.ConfigError(f"{path}, line {number}: expected NAME=value")
        name, double, single, bare = match.groups()
        found[name] = re.sub(r'\\(["\\$`])', r"\1", double) if double is not None else single if bare is None else bare
    return found


def environment(environ: Mapping[str, str], directory: Path) -> dict[str, str]:
    """The process's environment over the `.env` of a directory; an empty variable counts as not set."""
    return {**read_env_file(directory / ".env"), **{name: value for name, value in environ.items() if value}}
