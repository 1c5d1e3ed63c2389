"""deploy/: what of it can be tried without the platform that it is for. `test_proxies.py` has the proxies."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


class Alive(BaseHTTPRequestHandler):
    """A relay whose database is away."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/live" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def test_the_image_is_made_of_files_that_are_there_and_runs_as_nobody_in_particular() -> None:
    sources = [name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M) for name in line.split()]
    assert len(sources) == 6
    assert [name for name in sources if not (ROOT / name).exists()] == []
    (user,) = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.M)
    assert int(user) > 0


def test_a_container_is_healthy_while_its_database_is_away_and_not_without_a_relay() -> None:
    (line,) = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", DOCKERFILE, re.M)
    program, *words = json.loads(line)
    assert program == "python"
    with HTTPServer(("127.0.0.1", 0), Alive) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {"BELFRY_PORT": str(server.server_port)}
        checked = [sys.executable, *words]
        assert subprocess.run(checked, env=environment, check=False, timeout=30).returncode == 0
        server.shutdown()
    assert subprocess.run(checked, env=environment, check=False, timeout=30, stderr=subprocess.DEVNULL).returncode


def test_compose_starts_one_after_the_other_and_opens_the_proxy_alone() -> None:
    services = COMPOSE["services"]
    # While the image of Postgres sets itself up, a server answers on the socket that no other container reaches.
    assert "--host" in services["postgres"]["healthcheck"]["test"]
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["belfry"]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert [name for name, each in services.items() if "ports" in each] == ["caddy"]
    named = [volume.split(":")[0] for each in services.values() for volume in each.get("volumes", ())]
    assert [name for name in named if name not in COMPOSE["volumes"] and not (DEPLOY / name).is_file()] == []


def test_the_caddyfile_is_the_one_of_compose(tmp_path: Path) -> None:
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("caddy is not installed (Debian: apt install caddy)")
    environment = COMPOSE["services"]["caddy"]["environment"] | {"HOME": str(tmp_path)}
    done = subprocess.run(
        [caddy, "adapt", "--adapter", "caddyfile", "--config", DEPLOY / "Caddyfile"],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"dial":"belfry:8080"' in done.stdout
    assert '"host":["localhost"]' in done.stdout
    assert "/metrics" in done.stdout


def test_systemd_tries_again_for_ever_but_for_a_wrong_setting(tmp_path: Path) -> None:
    text = (DEPLOY / "belfry.service").read_text(encoding="utf-8")
    unit = configparser.RawConfigParser()
    unit.read_string(text)
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert (unit["Service"]["Restart"], unit["Service"]["RestartPreventExitStatus"]) == ("always", "2")
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed (Debian: apt install systemd)")
    (tmp_path / "belfry.service").write_text(text.replace("/opt/belfry/.venv/bin/belfry", sys.executable))
    done = subprocess.run(
        [analyze, "verify", tmp_path / "belfry.service"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
