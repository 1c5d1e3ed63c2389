"""What all programs here share: a plain table, percentiles, JSON, exit codes, more file descriptors."""

from __future__ import annotations

import json
import resource
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def raise_file_limit(wanted: int = 65536) -> int:
    """Allow this process and its children that many open files, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        for high in (max(hard, wanted), hard):
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, high), high))
                break
            except (ValueError, OSError):
                continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def percentile(values: Sequence[float], q: float) -> float:
    """The q-th percentile (nearest rank); NaN for no values."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q / 100 * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """The median; NaN for no values."""
    return statistics.median(values) if values else float("nan")


def table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Columns padded with spaces; numbers to the right."""
    cells = [list(header), *[[shown(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = [
        "  ".join(
            text.ljust(w) if i == 0 else text.rjust(w) for i, (text, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(line.rstrip() for line in lines)


def shown(value: object) -> str:
    """A figure with about three significant digits."""
    if isinstance(value, float):
        if value != value:
            return "n/a"
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@dataclass(slots=True)
class Report:
    """Figures, marks that were met or missed, and checks of correctness that decide the exit code."""

    name: str
    figures: dict[str, Any] = field(default_factory=dict[str, Any])
    marks: list[tuple[str, bool, str]] = field(default_factory=list[tuple[str, bool, str]])
    faults: list[str] = field(default_factory=list[str])

    def mark(self, what: str, met: bool, detail: str) -> None:
        """Note whether a performance mark was met (reported; decides the exit code with --strict only)."""
        self.marks.append((what, met, detail))

    def check(self, holds: bool, otherwise: str) -> None:
        """Note a fault of correctness unless it holds."""
        if not holds:
            self.faults.append(otherwise)

    def finish(self, *, strict: bool = False, json_path: str | None = None) -> int:
        """Print everything; exit code 1 when a check failed (with strict: or a mark was missed)."""
        if self.figures:
            print(table([(key, value) for key, value in self.figures.items()], (self.name, "")))
        for what, met, detail in self.marks:
            print(f"{'met   ' if met else 'MISSED'}  {what}: {detail}")
        for fault in self.faults:
            print(f"FAULT   {fault}", file=sys.stderr)
        if json_path:
            content = {"name": self.name, "figures": self.figures, "marks": self.marks, "faults": self.faults}
            Path(json_path).write_text(json.dumps(content, indent=2, default=str) + "\n")
        missed = strict and not all(met for _, met, _ in self.marks)
        print(f"{self.name}: {'FAILED' if self.faults or missed else 'ok'}")
        return 1 if self.faults or missed else 0
