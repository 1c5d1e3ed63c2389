"""Lists, counts and what clients make of frames alone are one: short, and it can go red."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench import inbox_broken, inbox_model, postgres

SHORT = inbox_model.Options(operations=2500, checkpoints=4, recipients=12, clients=14)


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Cluster]:
    """A server of our own: the writers come with the role of a sender alone."""
    with postgres.cluster() as cluster:
        yield cluster


@pytest.mark.timeout(180)
@pytest.mark.majors
def test_functions_clients_and_a_simple_model_agree_on_every_inbox(server: postgres.Cluster, tmp_path: Path) -> None:
    found = inbox_model.run(replace(SHORT, log_directory=tmp_path), server)
    assert found.clean, found
    assert found.operations >= SHORT.operations
    assert found.counts["clients compared"] > 50
    assert found.counts["rolled back"] > 20
    assert found.counts["reconnects"] > 10


@pytest.mark.timeout(240)
@pytest.mark.parametrize("fault", ["plain-watermark", "deaf-to-mutes"])
def test_each_fault_put_in_on_purpose_shows(fault: str, server: postgres.Cluster, tmp_path: Path) -> None:
    many = replace(SHORT, operations=12000, checkpoints=20, broken=fault, log_directory=tmp_path)
    found = inbox_model.run(many, server)  # ends with the first that shows
    assert found.counts[f"fault: {inbox_broken.SHOWS[fault]}"], found
