"""A chart of how far from its target each row is: plain SVG, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from math import ceil, floor, log10

from benchmarks.measure import Row
from benchmarks.report import Run, times

LABELS, WIDTH, MARGIN, STEP = 430, 940, 60, 17
"""Pixels: where bars may begin, of the whole, to the right of the bars, from bar to bar."""
MET, MISSED = "#2f7d4f", "#b4552d"


def chart(run: Run) -> str:
    """Bars on a logarithmic scale, one per target: the share of what the target allows. The line is the target."""
    rows = [row for row in run.rows if row.used is not None]
    shares = [max(row.used or 0.0, 0.01) for row in rows]
    low, high = floor(log10(min([*shares, 0.1]))), ceil(log10(max([*shares, 10.0])))

    def across(share: float) -> float:
        return LABELS + (log10(share) - low) / (high - low) * (WIDTH - LABELS - MARGIN)

    height = 40 + STEP * (len(rows) + len({row.group for row in rows}))
    parts = [*_scale(range(low, high + 1), across(1.0), height, lambda power: across(10.0**power))]
    group, y = None, 34
    for row, share in zip(rows, shares, strict=True):
        if row.group != group:
            group, y = row.group, y + STEP
            parts.append(f'<text x="4" y="{y}" font-weight="bold">{escape(group)}</text>')
        y += STEP
        parts += _bar(row, y, min(across(share), across(1.0)), max(across(share), across(1.0)))
    style = "font: 11px system-ui, sans-serif"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" style="{style}" fill="#777">'
        f"<title>Measured cost as a share of what each target allows</title>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _scale(powers: Iterable[int], target: float, height: int, across: Callable[[int], float]) -> list[str]:
    lines = []
    for power in powers:
        x = f"{across(power):.1f}"
        lines.append(f'<path d="M{x} 22V{height}" stroke="#777" stroke-opacity=".25"/>')
        lines.append(f'<text x="{x}" y="14" text-anchor="middle">{10.0**power:g}</text>')
    lines.append(f'<path d="M{target:.1f} 22V{height}" stroke="#777" stroke-width="1.5"/>')
    return lines


def _bar(row: Row, y: int, left: float, right: float) -> list[str]:
    met = (row.used or 0) <= 1
    colour = MET if met else MISSED
    end, anchor = (left - 4, "end") if met else (right + 4, "start")
    return [
        f'<text x="14" y="{y}">{escape(row.what)} · {escape(row.size)}</text>',
        f'<rect x="{left:.1f}" y="{y - 9}" width="{max(right - left, 1):.1f}" height="10" rx="2" fill="{colour}"/>',
        f'<text x="{end:.1f}" y="{y}" text-anchor="{anchor}" font-size="9">{times(row.used or 0)}</text>',
    ]
