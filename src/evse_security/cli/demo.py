"""Play the life of a charging station on a real directory, and show each step with its answer and what it means.

A PKI of the ISO 15118-2 shape is made for it, with private keys that lie open beside the station's; then roots are
installed, leaves requested, signed, installed and verified, OCSP responses cached, firmware checked, and TLS
connections made with the files that the station keeps.

The directory is kept: another run goes on with it. The exit code is 1 if a step did not give the expected answer.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where to play."""
    parser.add_argument(
        "--directory",
        metavar="DIRECTORY",
        type=Path,
        default=Path("station"),
        help="new, empty, or of an earlier run (default: ./station)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Play; 1 if a step did not give the expected answer."""
    from evse_security.demo.play import play

    return play(arguments.directory)
