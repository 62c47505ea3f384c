"""Write all that the station's store is made of to one new file: certificates, private keys, OCSP responses.

The file is a tar archive, encrypted with a passphrase in the format age: `age -d FILE | tar x` opens it, too. It is for
nobody but its owner, and either whole or not there. Encryption needs the package pyrage (evse-security[backup]).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from evse_security.cli.options import open_station
from evse_security.cli.voice import Unusable, answer, complain, text_of
from evse_security.visible import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file and how it is protected."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the backup to write; there must be no such file")
    protection = parser.add_mutually_exclusive_group(required=True)
    add_passphrase(protection)
    protection.add_argument(
        "--unencrypted", action="store_true", help="leave private keys as they are, for whoever gets hold of the file"
    )


def add_passphrase(parser: argparse._ActionsContainer) -> None:
    """Add where the passphrase is."""
    parser.add_argument("--passphrase-file", metavar="PATH", help="file whose first line is the passphrase; - is stdin")


def run(arguments: argparse.Namespace) -> int:
    """Write the backup, and say what is in it; 1 if a file of the store could not be read."""
    with open_station(arguments, only_reads=True) as station:
        report = station.backup(arguments.file, passphrase=passphrase_of(arguments.passphrase_file))
    if report.plain_keys:
        complain(f"{report.path} holds {report.plain_keys} private keys that anybody who reads it can use")
    for left_out in report.left_out:
        complain(f"not in the backup: {left_out.path}: {left_out.why}")
    answer(printable(f"{report.path}: {report.files} files, {report.size} bytes, SHA-256 {report.sha256}"))
    return 1 if report.left_out else 0


def passphrase_of(source: str | None) -> str | None:
    """The passphrase in a file or on stdin: its first line."""
    if source is None:
        return None
    lines = text_of(source).splitlines()
    if not lines or not lines[0]:
        raise Unusable(f"there is no passphrase in {'stdin' if source == '-' else source}")
    return lines[0]
