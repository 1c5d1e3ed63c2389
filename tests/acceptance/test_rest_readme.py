"""The README's commands for the REST API, run in a shell against a server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from streams import SECRET, Serve
from streams import serve as serve

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


async def run(script: str, database: str) -> str:
    """What a shell prints for a script; it ends at the first command that fails."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    running = await asyncio.create_subprocess_exec(
        *("sh", "-euc", script),
        env={"PATH": path, "BELFRY_DATABASE_URL": database, "BELFRY_SECRET": SECRET},
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await asyncio.wait_for(running.communicate(), 60)
    assert running.returncode == 0
    return told.decode()


@pytest.mark.timeout(90)
async def test_the_commands_of_the_rest_api_do_what_they_say(serve: Serve, database: str):
    found = re.search(r"<!-- test: rest -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert found
    belfry = await serve()
    script = found[1].replace("http://127.0.0.1:8080", belfry.url).replace("curl ", "curl -sS --fail-with-body ")
    told = await run(script, database)
    answers: list[Any] = []
    while told.strip():
        answer, end = json.JSONDecoder().raw_decode(told.lstrip())
        told = told.lstrip()[end:]
        answers.append(answer)
    sent, published, page, read, counts = answers
    assert (len(sent["ids"]), len(published["ids"])) == (1, 1)
    assert [item["kind"] for item in page["items"]] == ["deploy.finished", "order.shipped"]
    assert (page["unread"], read["changed"]) == (2, 2)
    assert counts == {"unread": 0, "unseen": 0, "total": 2}
