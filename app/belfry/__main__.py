"""The command line. Exit codes: 0 done, 1 refused or failed, 2 wrong usage; errors are one line on stderr."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import psycopg

from belfry import __version__, errors, logs
from belfry.commands import common, doctor, erase, export, key, migrate, prune, send, serve, tail, token, trace

COMMANDS = tuple(each.COMMAND for each in (serve, migrate, token, send, tail, key, trace, doctor, prune, erase, export))
DESCRIPTION = "In-app notifications from the Postgres you already have."
EPILOG = """\
examples:
  belfry serve --dev                            everything at once, with a Postgres of its own
  belfry migrate up                             install the schema into BELFRY_DATABASE_URL
  belfry serve                                  serve it
  belfry send u1 comment.created --title Hello
  belfry tail --recipient u1

`belfry COMMAND --help` has more. Settings are read from flags, the environment, and .env.
Exit codes: 0 done, 1 refused or failed, 2 wrong usage."""


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors and without guessed abbreviations."""

    def __init__(self, **options: object) -> None:
        super().__init__(
            **{"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter, **options}  # type: ignore[arg-type]
        )
        self.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, and end with 2."""
        common.note(f"{message}; see `{self.prog} --help`")
        raise SystemExit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    _open_for_writing("stdout")
    _open_for_writing("stderr")
    arguments = parse(typed(sys.argv[1:]) if argv is None else argv)
    debug = getattr(arguments, "debug", False)
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader has what it wanted (`| head`)
        _give_up_writing()
        return 1
    except OSError as error:
        _give_up_writing()
        return fail(errors.BelfryError(f"the system refused: {error.strerror or error}"), debug=debug)
    except errors.BelfryError as error:
        return fail(error, debug=debug)
    except psycopg.Error as error:
        return fail(common.explained(error), debug=debug)
    except Exception as error:  # noqa: BLE001 - the last resort: still one line
        return fail(
            errors.BelfryError(f"a fault of Belfry itself, {type(error).__name__}: {error}; --debug tells more"),
            debug=debug,
        )


def _open_for_writing(name: str) -> None:
    """Have the stream take any text, whatever the locale, and swallow it where it was closed (`>&-`)."""
    stream: object = getattr(sys, name)
    if stream is None:
        setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - to the end of the process
    elif isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def _give_up_writing() -> None:
    """Keep Python from trying once more, and complaining, at its exit."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)


def typed(words: Sequence[str]) -> list[str]:
    """The words as UTF-8, whatever the locale made of them."""
    try:
        return [os.fsencode(word).decode() for word in words]
    except UnicodeDecodeError:
        common.note("an argument is not UTF-8")
        raise SystemExit(2) from None


def fail(error: errors.BelfryError, *, debug: bool) -> int:
    """Report an error, with its traceback only where it was asked for; returns the exit code."""
    if debug:
        sys.stderr.write(logs.redact(traceback.format_exc()))
    common.note(logs.redact(" ".join(error.message.split())))
    return error.exit_code


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments, with the command's `run` among them. Ends the process on wrong usage and on --help."""
    parser = Parser(prog="belfry", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"belfry {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    parsers: dict[str, argparse.ArgumentParser] = {}
    for command in COMMANDS:
        each = commands.add_parser(
            command.name,
            help=command.help,
            description=common.sentence(command.help),
            epilog="examples:\n" + command.examples,
        )
        command.arguments(each)
        each.set_defaults(run=command.run)
        parsers[command.name] = each
    arguments, unknown = parser.parse_known_args(argv)
    if arguments.command is None:
        parser.print_help(sys.stderr)
        raise SystemExit(2)
    if unknown:
        parsers[arguments.command].error(_unknown(unknown[0], parsers[arguments.command]))
    return arguments


def _unknown(word: str, parser: argparse.ArgumentParser) -> str:
    if not word.startswith("-"):
        return f"unexpected argument {word!r}"
    name = word.partition("=")[0]
    near = difflib.get_close_matches(name, parser.format_help().replace(",", " ").split(), n=1)
    return f"unknown option {name}" + (f", did you mean {near[0]}?" if near and near[0].startswith("--") else "")


if __name__ == "__main__":
    sys.exit(main())
