"""Broken on purpose, to see the inbox model go red: `python -m bench.inbox_model --broken FAULT`.

Faults of the schema are put into the run's own database; faults of a relay into its process, as `broken.py` does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import LiteralString

from belfry import __main__ as command_line

SCHEMA: Mapping[str, LiteralString] = {
    # Settled is whatever id was taken: "mark all read" is then a plain `id <=`, and reads what commits late.
    "plain-watermark": """
        CREATE OR REPLACE FUNCTION belfry.settle() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
            UPDATE belfry.settled SET through = greatest(through, belfry.last_position()) RETURNING through $$""",
    # A relay counts all that its snapshot shows, not what its cursor has seen.
    "counts-of-the-snapshot": """
        DO $$ BEGIN EXECUTE replace(replace(pg_get_functiondef('belfry.badges'::regproc),
            'badges.head, gaps)', 'NULL, ''{}'')'), 'LANGUAGE plpgsql', 'LANGUAGE plpgsql'); END $$""",
    # What is muted counts all the same.
    "mute-uncounted": """
        CREATE OR REPLACE FUNCTION belfry.muted(id bigint, kind text, kinds text[], ranges int8multirange[])
            RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT false $$""",
}


def nothing() -> None:
    """The fault is in the schema."""


RELAY: dict[str, Callable[[], None]] = {}
FAULTS: tuple[str, ...] = (*SCHEMA, *RELAY)


def main(arguments: Sequence[str]) -> int:
    """Break it, then run the command line."""
    if not arguments or arguments[0] not in FAULTS:
        print(f"usage: python -m bench.inbox_broken {{{','.join(FAULTS)}}} serve …", file=sys.stderr)
        return 2
    RELAY.get(arguments[0], nothing)()
    return command_line.main(list(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
