"""deploy/alerts.yaml, deploy/grafana.json and docs/runbook.md: they name what /metrics tells, and each other."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from psycopg_pool import AsyncConnectionPool

from belfry.config import Config
from belfry.figures import Figures
from belfry.hub import Hub
from belfry.observing import Observer
from belfry.pruning import Pruning
from belfry.relay import Relay
from belfry.replay import Replay

ROOT = Path(__file__).resolve().parents[2]
ALERTS = [
    rule for group in yaml.safe_load((ROOT / "deploy/alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana.json").read_text())
NAME = re.compile(r"\b(?:belfry|process)_[a-z_]+\b")
LABEL = re.compile(r'(\w+)="([^"]*)"')
UNMADE = {"job", "instance", "le"}
"""Labels that Prometheus adds, or that tell buckets apart."""


@pytest.fixture(scope="module")
def told() -> dict[str, dict[str, set[str]]]:
    """What a fresh relay tells: each sample's name, and the values of its labels."""
    config = Config(database_url="postgresql://localhost/none", secret="s" * 32)
    hub = Hub(retry_milliseconds=1000, heartbeat_seconds=1)
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool("postgresql://localhost/none", open=False)
    replay = Replay(config, hub, pool)
    relay = Relay(config, hub, pool, pool, pool, replay)
    observer = Observer(relay, pool, 1.0)
    for since in ("commit", "begin"):
        observer.delivery.labels(since).observe(1)
    pools = dict.fromkeys(("api", "relay", "listener"), pool)
    figures = Figures("0", relay, replay, observer, Pruning("", 1), pools, 1)
    found: dict[str, dict[str, set[str]]] = {}
    for line in figures.text().decode().splitlines():
        if not line.startswith("#"):
            labels = found.setdefault(re.split(r"[{ ]", line)[0], {})
            for name, value in LABEL.findall(line):
                labels.setdefault(name, set()).add(value)
    return found


def expressions() -> Iterator[str]:
    """Every query of the alerts and of the dashboard."""
    yield from (rule["expr"] for rule in ALERTS)
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def test_every_metric_and_label_that_is_asked_for_is_told(told: dict[str, dict[str, set[str]]]) -> None:
    asked = list(expressions())
    assert len(asked) > 50
    for expression in asked:
        for name in NAME.findall(expression):
            assert name in told, expression
        for metric, selector in re.findall(r"\b((?:belfry|process)_[a-z_]+)\{([^}]*)\}", expression):
            for label, value in LABEL.findall(selector):
                if label not in UNMADE:
                    assert value in told[metric].get(label, ()), expression


def test_every_metric_is_on_the_dashboard(told: dict[str, dict[str, set[str]]]) -> None:
    shown = set(NAME.findall(" ".join(expressions())))
    ours = {name for name in told if name.startswith("belfry_") and not name.endswith(("_created", "_sum", "_count"))}
    assert ours - shown == {"belfry_build_info"}


def test_the_dashboard_has_no_two_panels_in_one_place() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_alert_says_what_it_means_and_where_to_read_on() -> None:
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"].keys() == {"summary", "description", "runbook"}
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"


def test_prometheus_understands_the_alerts_and_the_dashboard(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt install prometheus)")
    rules = [
        {"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "5m").replace("$instance", ".*")}
        for number, query in enumerate(expressions())
    ]
    (tmp_path / "panels.yaml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    for file in (ROOT / "deploy/alerts.yaml", tmp_path / "panels.yaml"):
        done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run(
        [promtool, "test", "rules", ROOT / "deploy/alerts_test.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
