"""Collect garbage: keys of requests that nobody answered, leaves long expired, files left behind.

Prints one line per file: what was done with it, or would be, and why; or that there is nothing to sweep.
"""

from __future__ import annotations

import argparse

from evse_security.cli.options import open_station
from evse_security.cli.voice import answer, complain
from evse_security.visible import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the choice to look only."""
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")


def run(arguments: argparse.Namespace) -> int:
    """Sweep, and say what went; 1 if nothing could, because the clock is not to be believed."""
    with open_station(arguments, only_reads=True) as station:
        report = station.sweep(dry_run=arguments.dry_run)
    if report.kept_because is not None:
        complain(f"nothing swept: {report.kept_because}")
        return 1
    done = "would remove" if report.dry_run else "removed"
    for swept in report.removed:
        answer(printable(f"{done} {swept.path}: {swept.reason}"))
    if not report.removed:
        answer("nothing to sweep")
    return 0
