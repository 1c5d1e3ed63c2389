"""What the acceptance tests share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import until


@pytest.fixture
def project() -> Iterator[Path]:
    """A directory that every user can reach: in pytest's own the server that root starts would live elsewhere."""
    path = Path(tempfile.mkdtemp(prefix="belfry-test-"))
    path.chmod(0o755)
    yield path

    def gone() -> bool:
        shutil.rmtree(path, ignore_errors=True)  # a server on its way out still removes files of its own
        return not path.exists()

    until(gone)
