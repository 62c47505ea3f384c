"""Show what is installed as a tree: root, sub-CAs, leaves; validity, key and OCSP state of each."""

from __future__ import annotations

import argparse
from typing import Any

from evse_security.cli.options import open_station
from evse_security.cli.voice import answer, answer_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the choice of JSON."""
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the tree."""
    with open_station(arguments) as station:
        overview = station.overview()
    if arguments.json:
        answer_json(overview.as_json())
    else:
        answer(render(overview))
    return 0


def render(overview: Any) -> str:
    """The tree in words."""
    return str(overview)
