"""The table of settings in docs/configuration.md: `python -m tests.configuration_page` writes it anew."""

from __future__ import annotations

from pathlib import Path

from belfry.config import SETTINGS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
BEGIN, END = "<!-- settings: written by python -m tests.configuration_page -->\n", "<!-- end of the settings -->\n"


def table() -> str:
    """Every setting, in the order of the help."""
    lines = ["| variable | flag | default | what it is |", "|---|---|---|---|"]
    for each in SETTINGS.values():
        lines.append(f"| `{each.variable}` | `{each.flag}` | {each.default_text} | {each.help.replace('|', '/')} |")
    return "\n".join(lines) + "\n"


def written() -> str:
    """The page with the present table."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
