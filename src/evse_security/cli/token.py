"""Make, list and revoke the tokens that callers of the HTTP API show.

  evse-security --config FILE token add workshop --scope install --days 90
  evse-security --config FILE token list
  evse-security --config FILE token revoke workshop

They are kept in the file that the key http_tokens names. `add` prints the token, once: the file holds its digest only.
The running service takes up changes by itself.

Scopes: read sees everything but passwords; install changes the store, too; admin also sees the passwords of keys.
"""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from evse_security.cli.options import settings_of
from evse_security.cli.voice import Unusable, answer, complain

if TYPE_CHECKING:
    from evse_security.http.tokens import TokenFile

# The words of http.scopes; a test holds them equal.
SCOPES = ("read", "install", "admin")
MOST_DAYS = 3650


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to do with the tokens."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="make a token and print it", allow_abbrev=False)
    add.add_argument("name", metavar="NAME", help="for whom or what it is; the audit log shows it")
    add.add_argument("--scope", required=True, choices=SCOPES, help="what its holder may do")
    add.add_argument("--days", type=_days, metavar="N", help="days until it expires (default: never)")
    actions.add_parser("list", help="print names, scopes and times", allow_abbrev=False)
    revoke = actions.add_parser("revoke", help="let a token be valid no more", allow_abbrev=False)
    revoke.add_argument("name", metavar="NAME")


def run(arguments: argparse.Namespace) -> int:
    """Do it; 1 if there is no token to revoke."""
    from evse_security.clock import system_clock
    from evse_security.http.scopes import Scope
    from evse_security.http.tokens import TokenFile

    path = settings_of(arguments).service_config().http_tokens
    if path is None:
        raise Unusable(
            "no file of tokens is configured: say --http-tokens FILE before token, or http_tokens in the configuration"
        )
    file = TokenFile(path)
    if arguments.action == "add":
        now = system_clock()
        expires = None if arguments.days is None else now + timedelta(days=arguments.days)
        answer(file.add(arguments.name, Scope(arguments.scope), now, expires))
    elif arguments.action == "revoke":
        if not file.revoke(arguments.name):
            complain(f"there is no token {arguments.name}")
            return 1
    else:
        _list(file, system_clock())
    return 0


def _list(file: TokenFile, now: datetime) -> None:
    for token in file.tokens():
        until = "" if token.expires is None else f", until {token.expires:%Y-%m-%d}"
        valid = "" if token.valid_at(now) else " (not valid now)"
        answer(f"{token.name}: {token.scope}, made {token.created:%Y-%m-%d}{until}{valid}")


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_DAYS):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days from 1 to {MOST_DAYS}")
    return int(text)
