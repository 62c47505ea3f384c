"""Put back what a backup holds, after verifying all of it; what was there is backed up first, beside the backup.

Files that the backup names are put in place or replaced, all of them or none; others stay, unless --exact is given. A
private key is never lost: one whose file is replaced is kept under another name. Layouts may differ: files go where
this configuration has files of their kind.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from evse_security.cli.backup import add_passphrase, passphrase_of
from evse_security.cli.options import open_station
from evse_security.cli.voice import answer, answer_json, complain
from evse_security.visible import printable

if TYPE_CHECKING:
    from evse_security.station import RestoreReport

MOST_NAMES = 5
"""So many names of leaves are shown."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file, how to open it, and what to do."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the backup")
    add_passphrase(parser)
    parser.add_argument("--exact", action="store_true", help="remove the store's files that the backup does not name")
    parser.add_argument("--dry-run", action="store_true", help="verify, say what would be changed, and change nothing")
    parser.add_argument("--json", action="store_true", help="as JSON: what was changed, and what is worth a warning")
    parser.add_argument("--keep", metavar="PATH", type=Path, help="back up what is there to this file instead")


def run(arguments: argparse.Namespace) -> int:
    """Restore, and say what was changed, one file a line."""
    from evse_security.station import Others

    with open_station(arguments) as station:
        report = station.restore(
            arguments.file,
            passphrase=passphrase_of(arguments.passphrase_file),
            others=Others.GO if arguments.exact else Others.STAY,
            dry_run=arguments.dry_run,
            keep=arguments.keep,
        )
    if arguments.json:
        answer_json(_as_object(report))
        return 0
    if report.names is not None:
        complain(
            f"is this the right backup? Of its leaves none has the name of one that is installed: "
            f"{_listed(report.names.in_backup)} in the backup, {_listed(report.names.installed)} installed"
        )
    for left_out in report.left_out:
        complain(f"not in the backup, since it could not be read then: {left_out.path}: {left_out.why}")
    for change in report.changes:
        answer(printable(f"{'would be ' if report.dry_run else ''}{change.what}: {change.path}"))
    if not report.changes:
        answer(f"nothing to change: all is as it was on {report.made}")
    if report.kept is not None:
        complain(f"what was there before is in {report.kept}")
    return 0


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{'; '.join(names[:MOST_NAMES])}{more}"


def _as_object(report: RestoreReport) -> dict[str, object]:
    return {
        "made": report.made,
        "dry_run": report.dry_run,
        "changes": [{"what": change.what, "path": str(change.path)} for change in report.changes],
        "kept": None if report.kept is None else str(report.kept),
        "left_out": [{"path": one.path, "why": one.why} for one in report.left_out],
        "strange_names": None if report.names is None else report.names._asdict(),
    }
