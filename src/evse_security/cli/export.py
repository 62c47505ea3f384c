"""Export the station's V2G chain, key and roots for a program that has a layout of its own: PyPI `iso15118` (Josev).

Its setting PKI_PATH is DIR with a slash. All files are replaced in one step, so that it may run meanwhile; it reads
them for each session. The key is copied as it is, its password beside it, for the owner alone. Where nothing can be
exported, the exit code is 1, and what was exported before stays.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from evse_security.cli.options import open_station, settings_of
from evse_security.cli.voice import Unusable, answer, complain
from evse_security.visible import printable

LAYOUTS, EDITIONS = ("iso15118",), {"2": "ISO15118_2", "20": "ISO15118_20"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add for whom, where to, and which chain."""
    parser.add_argument("layout", metavar="LAYOUT", choices=LAYOUTS, help=f"whose layout: {', '.join(LAYOUTS)}")
    parser.add_argument("directory", metavar="DIR", type=Path, help="where to; made if it does not exist")
    parser.add_argument(
        "--edition", choices=tuple(EDITIONS), default="2", metavar="N", help="the part of ISO 15118: 2 (default), 20"
    )
    parser.add_argument(
        "--oem-roots", metavar="FILE", type=Path, help="roots of car makers, PEM, instead of the installed ones"
    )


def run(arguments: argparse.Namespace) -> int:
    """Export, and say what."""
    from evse_security.adapters.iso15118.files import export
    from evse_security.chains import Edition

    settings_of(arguments).station_config().check_apart("DIR", arguments.directory.absolute())
    if os.path.exists(arguments.directory) and not os.path.isdir(arguments.directory):
        raise Unusable(f"{arguments.directory} is no directory")
    with open_station(arguments, only_reads=True) as station:
        try:
            done = export(station, arguments.directory, Edition[EDITIONS[arguments.edition]], arguments.oem_roots)
        except (OSError, ValueError) as problem:
            why = getattr(problem, "strerror", None) or problem
            raise Unusable(f"{arguments.oem_roots} cannot be read: {why}") from None
    for domain in done.more_roots:
        complain(f"there is room for one {domain} root, and more are installed: the first is copied")
    if done.oem_problem is not None:
        complain(f"no OEM root is copied: {printable(done.oem_problem)}")
    answer(printable(f"{done.directory}: {done.chain}"))
    return 0
