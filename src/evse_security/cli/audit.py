"""Show the audit log, or check that no line of it was removed, put in, moved or edited.

`audit show` prints one line per entry, the newest last. `audit verify` follows the chain of hashes: 0 if it is whole, 1
if it is not, and then it says where. Note the number and hash that it prints somewhere else: who can write to the log
can make all of it anew, and that shows only against what was noted (`--noted NUMBER:HASH`).
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Any

from evse_security.cli.options import open_station
from evse_security.cli.voice import answer, complain
from evse_security.visible import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to do with the log."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="print the entries, the newest last", allow_abbrev=False)
    show.add_argument("-n", type=_count, default=20, metavar="N", help="so many of the newest (default: 20; 0: all)")
    show.add_argument("--json", action="store_true", help="as they are, one JSON object a line")
    verify = actions.add_parser("verify", help="check that the log is whole", allow_abbrev=False)
    verify.add_argument(
        "--noted", type=_noted, metavar="NUMBER:HASH", help="an entry that must still be there, as verify printed it"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show or check; 1 if the check found something."""
    return _verify(arguments) if arguments.action == "verify" else _show(arguments)


def _verify(arguments: argparse.Namespace) -> int:
    with open_station(arguments, only_reads=True) as station:
        verdict = station.verify_audit_log(arguments.noted)
    for remark in verdict.remarks:
        complain(f"remark: {remark}")
    for finding in verdict.findings:
        answer(printable(str(finding)))
    if verdict.intact:
        last = f"; the last is {verdict.last.number}:{verdict.last.hash}" if verdict.last is not None else ""
        answer(f"whole: {verdict.entries} entries{last}")
    return 0 if verdict.intact else 1


def _show(arguments: argparse.Namespace) -> int:
    with open_station(arguments, only_reads=True) as station:
        entries = station.audit_entries()
        chosen = deque(entries, maxlen=arguments.n) if arguments.n else islice(entries, None)
        for entry in chosen:
            answer(_as_written(entry) if arguments.json else printable(in_words(entry)))
    return 0


def _as_written(entry: Mapping[str, Any]) -> str:
    """The line of the log, of which its hash is: members stay in their order."""
    return json.dumps(entry, separators=(",", ":"))


def in_words(entry: Mapping[str, Any]) -> str:
    """An entry in one line: number, time, who, what, and how it went."""
    who = f"uid {entry.get('uid')} ({entry.get('process')})"
    if "actor" in entry:
        who += f" for {entry['actor']}"
    what = " ".join(str(entry[key]) for key in ("command", "about") if key in entry) or _event(entry)
    match entry.get("given"):
        case [{"name": name}, *_]:
            about = f" {name}"
        case _:
            about = _serials(entry)
    end = f": {entry['result']}" if "result" in entry else ""
    why = f", {entry.get('why') or entry['reason']}" if "reason" in entry else ""
    note = f" ({entry['note']})" if "note" in entry else ""
    return f"{entry.get('n')} {entry.get('time')} {who}: {what}{about}{end}{why}{note}"


def _serials(entry: Mapping[str, Any]) -> str:
    """Which certificate it was about, where none was handed over."""
    match entry.get("certificates"):
        case [{"serial_number": serial}, *others]:
            return f" serial {serial}" + (" and others" if others else "")
        case _:
            return ""


def _event(entry: Mapping[str, Any]) -> str:
    return " ".join(str(entry[key]) for key in ("event", "count") if key in entry)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of entries")
    return int(text)


def _noted(text: str) -> tuple[int, str]:
    number, _, digest = text.partition(":")
    if not (number.isascii() and number.isdigit() and len(digest) == 64):
        raise argparse.ArgumentTypeError("not NUMBER:HASH as verify prints it, with 64 hexadecimal digits")
    return int(number), digest.lower()
