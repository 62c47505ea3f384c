"""Play the life of a charging station on a real directory, and show each step with its answer and what it means.

A PKI of the ISO 15118-2 shape is made for it, with private keys that lie open beside the station's; then roots are
installed, leaves requested, signed, installed and verified, OCSP responses cached, firmware checked, and TLS
connections made with the files that the station keeps.

The directory is kept: another run goes on with it. The exit code is 1 if a step did not give the expected answer.

With --serve, the station is then served on the loopback interface (HTTP, the page, and MQTT where
EVSE_SECURITY_MQTT_BROKER names a broker), beside a CA that answers its signing requests and its OCSP requests: its SECC
leaf is about to expire, and is renewed while you look.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where to play, and whether to serve."""
    parser.add_argument(
        "--directory",
        metavar="DIRECTORY",
        type=Path,
        default=Path("station"),
        help="new, empty, or of an earlier run (default: ./station)",
    )
    parser.add_argument("--serve", action="store_true", help="then serve the station, until interrupted")
    parser.add_argument(
        "--seconds",
        metavar="N",
        type=float,
        help="serve for so long only; the exit code is 1 if no leaf was renewed or no OCSP response came meanwhile",
    )


def run(arguments: argparse.Namespace) -> int:
    """Play; 1 if a step did not give the expected answer."""
    from evse_security.clock import system_clock
    from evse_security.demo.home import home
    from evse_security.demo.play import play

    with home(arguments.directory.absolute(), system_clock()) as place:
        code = play(place, arguments.directory)
        if code == 0 and (arguments.serve or arguments.seconds is not None):
            from evse_security.demo.serving import serve

            return serve(place, arguments.seconds, arguments.environment)
        return code
