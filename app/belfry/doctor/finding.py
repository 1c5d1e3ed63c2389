"""What a check has found: a state, what is seen, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from belfry import errors

State = Literal["ok", "warn", "fail", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check. `skipped`: it could not look; `advice` is empty where there is nothing to do."""

    state: State
    seen: str
    advice: str = ""


def ok(seen: str) -> Finding:
    """All is well."""
    return Finding("ok", seen)


def warn(seen: str, advice: str) -> Finding:
    """It works, and will hurt one day."""
    return Finding("warn", seen, advice)


def fail(seen: str, advice: str) -> Finding:
    """It does not work, or is about to stop."""
    return Finding("fail", seen, advice)


def skipped(seen: str, advice: str = "") -> Finding:
    """It could not be looked at."""
    return Finding("skipped", seen, advice)


def refused(error: errors.BelfryError) -> Finding:
    """What the start would refuse; our messages say what is wrong, then a colon, then what to do."""
    seen, _, advice = error.message.partition(": ")
    return fail(_lowered(seen.rstrip(".")), advice.rstrip("."))


def _lowered(sentence: str) -> str:
    """The sentence as the others are written; a name such as BELFRY_SECRET stays."""
    return sentence[:1].lower() + sentence[1:] if sentence.startswith("Th") else sentence
