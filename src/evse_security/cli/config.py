"""Print the configuration that takes effect, and where each value came from.

Layers, each over the one before: defaults, the TOML file that --config or EVSE_SECURITY_CONFIG names, variables
EVSE_SECURITY_KEY, options. The password of private keys comes from private_key_password_file, from
EVSE_SECURITY_PRIVATE_KEY_PASSWORD, or from the systemd credential evse-security.private-key-password.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from evse_security.cli.options import settings_of
from evse_security.cli.voice import answer, answer_json
from evse_security.visible import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the choice of JSON."""
    parser.add_argument("--json", action="store_true", help="as JSON: value and source by key")


def run(arguments: argparse.Namespace) -> int:
    """Print every key with its value and source."""
    settings = list(settings_of(arguments).effective())
    if arguments.json:
        answer_json({each.key: {"value": _plain(each.value), "source": each.source} for each in settings})
        return 0
    rows = [(each.key, _text(each.value), printable(each.source)) for each in settings]
    key_width, value_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    for key, value, source in rows:
        answer(f"{key:{key_width}}  {value:{value_width}}  {source}")
    return 0


def _plain(value: object) -> object:
    """A value as JSON has it."""
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _text(value: object) -> str:
    """A value as it would be written on the command line; `-` for none."""
    if isinstance(value, tuple):
        value = ",".join(value)
    if isinstance(value, bool):
        value = str(value).lower()
    return "-" if value is None or value == "" else printable(str(value))
