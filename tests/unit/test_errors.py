"""Every refusal is one line that says what to do, and ends with the right code."""

from __future__ import annotations

import inspect

import pytest

from belfry import errors

ALL = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, errors.BelfryError)]


@pytest.mark.parametrize("kind", ALL)
def test_the_message_is_one_line_and_the_docstring_unless_given(kind: type[errors.BelfryError]) -> None:
    assert "\n" not in kind().message
    assert kind().message.endswith(".")
    assert kind().message == " ".join((kind.__doc__ or "").split())
    assert kind("something else").message == "something else"


@pytest.mark.parametrize("kind", ALL)
def test_exit_code_and_status_are_among_those_that_are_promised(kind: type[errors.BelfryError]) -> None:
    assert kind.exit_code in (1, 2)
    assert 400 <= kind.status < 600
    assert kind.title


def test_wrong_usage_ends_with_two_and_a_refusal_with_one() -> None:
    assert errors.ConfigError.exit_code == 2
    assert errors.SecretMissing.exit_code == 1
    assert errors.DatabaseUnavailable.exit_code == 1


def test_credentials_are_refused_with_their_own_status() -> None:
    assert errors.Unauthorized.status == 401
    assert errors.Forbidden.status == 403
