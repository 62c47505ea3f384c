"""Rows as a table, as JSON, and beside those of another run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Bound, Row, Target

FORMAT = 1
_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_SIZES = ((2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))


@dataclass(frozen=True, slots=True)
class Run:
    """What one run measured, and on what."""

    machine: Mapping[str, Any]
    rows: tuple[Row, ...]

    def save(self, path: Path) -> None:
        """Keep it as JSON."""
        content = {"format": FORMAT, "machine": dict(self.machine), "rows": [row.as_json() for row in self.rows]}
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Run:
        """What was kept. Raises ValueError where it is of another format."""
        content = json.loads(path.read_text())
        if content.get("format") != FORMAT:
            raise ValueError(f"{path} is not of format {FORMAT}: measure again")
        return cls(content["machine"], tuple(map(Row.from_json, content["rows"])))


def amount(value: float, unit: str) -> str:
    """A duration or size in the unit that suits it: `1.25 ms`."""
    scales = _TIMES if unit == "s" else _SIZES
    scale, word = next((one for one in scales if abs(value) >= one[0]), scales[-1])
    return f"{value / scale:.3g} {word}" if abs(value / scale) < 999.5 else f"{value / scale:.0f} {word}"


def wanted(target: Target | None, unit: str) -> str:
    """A target in words."""
    if target is None:
        return ""
    match target.bound:
        case Bound.RATIO:
            return f"≤ {target.limit:g} ×"
        case Bound.SPEED:
            return f"≥ {target.limit:g} × speed"
        case Bound.MEASURED:
            return f"≤ {amount(target.limit, unit)}"
        case Bound.ABOVE_FLOOR:
            return f"≤ floor + {amount(target.limit, unit)}"


def times(ratio: float) -> str:
    """A ratio, with as many digits as mean something."""
    return f"{ratio:.0f} ×" if ratio >= 100 else f"{ratio:.3g} ×"


HEADINGS = ("what", "size", "measured", "floor", "ratio", "target", "met", "the floor is")
WIDTHS = (52, 24, 10, 10, 9, 17, 4, 0)


def heading(group: str) -> str:
    """The lines over a group of rows."""
    return f"\n{group}\n{_line(HEADINGS)}"


def line(row: Row) -> str:
    """A row of the table."""
    met = "" if row.used is None else "yes" if row.used <= 1 else "NO"
    values = (amount(row.measured, row.unit), amount(row.floor, row.unit), times(row.ratio))
    return _line((row.what, row.size, *values, wanted(row.target, row.unit), met, row.floor_is))


def _line(cells: Iterable[str]) -> str:
    texts = list(cells)
    left = (0, 1, 5, 6, 7)
    return "  ".join(
        text.ljust(width) if at in left else text.rjust(width)
        for at, (text, width) in enumerate(zip(texts, WIDTHS, strict=True))
    ).rstrip()


def table(run: Run) -> str:
    """All rows, by group."""
    lines: list[str] = []
    group = None
    for row in run.rows:
        if row.group != group:
            group = row.group
            lines.append(heading(group))
        lines.append(line(row))
    return "\n".join(lines)


def summary(run: Run) -> str:
    """How many targets are met."""
    used = [row.used for row in run.rows if row.used is not None]
    return f"{sum(share <= 1 for share in used)} of {len(used)} targets met"


def comparison(old: Run, new: Run) -> str:
    """Old beside new for every row that both have: how many times faster (or smaller) the new one is.

    The second column is what holds across machines: the same of the ratios to the floors.
    """
    before = {row.name: row for row in old.rows}
    lines = ["old / new: more than 1 is better now", f"{'measured':>10}  {'to floor':>10}"]
    for row in new.rows:
        was = before.get(row.name)
        if was is not None and row.measured > 0 and row.ratio > 0:
            lines.append(f"{times(was.measured / row.measured):>10}  {times(was.ratio / row.ratio):>10}  {row.name}")
    missing = [name for name in before if name not in {row.name for row in new.rows}]
    lines += [f"{'':>10}  {'':>10}  {name} (old only)" for name in missing]
    return "\n".join(lines)
