"""docs/widget.md and docs/frameworks.md name all that the widget has, and nothing that it has not."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
WIDGET = ROOT / "app" / "belfry" / "widget"
PAGE = (ROOT / "docs" / "widget.md").read_text(encoding="utf-8")
FRAMEWORKS = (ROOT / "docs" / "frameworks.md").read_text(encoding="utf-8")
INSIDE = {"root", "hidden", "rest", "end", "ghost"}  # parts that only hold others, or nobody is to style


def source(*names: str) -> str:
    return "\n".join((WIDGET / name).read_text(encoding="utf-8") for name in names)


def section(heading: str) -> str:
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def column(text: str) -> set[str]:
    """The words in code of a table's first column."""
    return {
        word for row in re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE) for word in re.findall(r"`([^`]+)`", row)
    }


def code(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


def elements() -> str:
    return source("element.js", "bell.js", "inbox.js", "item.js", "list.js", "toasts.js", "preferences.js", "dom.js")


def test_the_attributes_are_those_that_the_elements_read() -> None:
    observed = re.search(r"observedAttributes = \[(.*?)\]", elements())
    assert observed
    read = set(re.findall(r"this\.(?:get|has)Attribute\('([\w-]+)'\)", elements()))
    styled = set(re.findall(r":host\(\[(\w+)=", source("styles.js")))
    assert column(section("Attributes")) == read | styled | set(re.findall(r"'([\w-]+)'", observed[1])) | {"dir"}


def test_the_properties_are_those_of_the_elements() -> None:
    found = set(re.findall(r"^  set (\w+)\(", elements(), re.MULTILINE))
    assert column(section("Properties and methods")) == found
    words = re.search(r"english = \{(.*?)\n\};", source("texts.js"), re.DOTALL)
    assert words
    named = set(re.findall(r"(\w+): '", words[1]))
    assert named <= code(section("Properties and methods"))


def test_the_events_are_those_that_are_declared() -> None:
    declared = set(re.findall(r"'(belfry-\w+)': CustomEvent", source("elements.d.ts")))
    assert column(section("Events")) == declared


def test_the_looks_are_those_that_the_sheet_and_the_elements_have() -> None:
    looks = section("Looks")
    named = code(looks)
    assert {word for word in named if word.startswith("--")} == set(re.findall(r"--belfry-[\w-]+", source("styles.js")))
    parts = {word for each in re.findall(r"part: [`']([\w-]+)", elements()) for word in each.split()}
    listed = {word for line in re.findall(r"^(?:- |  `).*", looks, re.MULTILINE) for word in code(line)}
    assert listed == (parts - INSIDE) | {"read", "unread"}


def test_the_client_is_the_one_that_is_declared() -> None:
    client, declared = section("The client"), source("types.d.ts")

    def members(name: str) -> set[str]:
        found = re.search(rf"export interface {name} \{{(.*?)\n\}}", declared, re.DOTALL)
        assert found
        return set(re.findall(r"^  (?:readonly )?(\w+)[?(:<]", found[1], re.MULTILINE))

    calls = {re.sub(r"\(.*", "", word) for word in code(client)}
    assert members("Client") <= calls
    assert members("Options") <= calls
    assert members("Snapshot") <= calls
    assert members("Events") <= calls
    assert {re.sub(r"\(.*", "", word) for word in column(client)} <= members("Client") | members("Options")


def test_the_part_for_react_is_what_it_exports() -> None:
    exported = set(re.findall(r"^export const (\w+)", source("react.js"), re.MULTILINE))
    table = FRAMEWORKS.partition("## React")[2].partition("## Vue")[0]
    assert {re.sub(r"\(.*|[<>]| client>", "", word) for word in column(table)} == exported
