"""Say why each certificate of a trust domain is or is not used: leaves with every path that was tried, then CAs.

  evse-security explain V2G
  evse-security explain chain.pem

With the name of a file instead of a domain it says what each command would make of those certificates, and why not;
nothing is changed. The file is PEM, leaf first, or one certificate in DER (./V2G for a file of that name).

The exit code is 0 if a leaf of the domain is in use with a valid chain, or a root is trusted where the station has no
leaves; of a file, if some command would take it. Else it is 1.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evse_security.additions import ca_type_named
from evse_security.cli.check import pem_of
from evse_security.cli.options import open_station
from evse_security.cli.show import as_json
from evse_security.cli.voice import answer, answer_json
from evse_security.visible import printable
from evse_security.vocabulary import CaCertificateType

if TYPE_CHECKING:
    from evse_security.station import Explanation, FileExplanation
    from evse_security.store.explanation import LeafExplained, PathTried
    from evse_security.store.trial import Attempt

_ARROW = " <- "
_WITH_LEAVES = frozenset({CaCertificateType.V2G, CaCertificateType.CSMS})
"""Domains of which the station has leaves of its own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the domain or file, and the choice of JSON."""
    parser.add_argument(
        "subject", metavar="V2G|CSMS|MO|MF|OEM|FILE", help="a trust domain, or a file that is not installed"
    )
    parser.add_argument("--json", action="store_true", help="as JSON, with files and fingerprints too")


def run(arguments: argparse.Namespace) -> int:
    """Print the explanation; 1 if nothing is used, or no command would take the file."""
    domain = ca_type_named(arguments.subject)
    text = pem_of(arguments.subject) if domain is None else ""
    with open_station(arguments, say=logging.ERROR, only_reads=True) as station:
        if domain is None:
            return _told_of_file(station.explain_text(text), arguments)
        return _told_of_domain(station.explain(domain), arguments)


def _told_of_domain(explained: Explanation, arguments: argparse.Namespace) -> int:
    _say(explained, _domain(explained), arguments)
    if explained.leaves or explained.domain in _WITH_LEAVES:
        return 0 if any(leaf.reason.code == "InUse" for leaf in explained.leaves) else 1
    return 0 if any(each.reason.code == "TrustedRoot" for each in explained.authorities) else 1


def _told_of_file(explained: FileExplanation, arguments: argparse.Namespace) -> int:
    _say(explained, _file(explained), arguments)
    return 0 if any(attempt.accepted for attempt in explained.attempts) else 1


def _say(explained: Explanation | FileExplanation, lines: Iterable[str], arguments: argparse.Namespace) -> None:
    if arguments.json:
        answer_json(as_json(explained))
        return
    if explained.clock is not None:
        answer(printable(f"clock not believed: {explained.clock}"))
    for line in lines:
        answer(printable(line))


# ---- a domain


def _domain(explained: Explanation) -> Iterator[str]:
    if not (explained.leaves or explained.authorities or explained.unread):
        yield f"{explained.domain}  {explained.path}: nothing installed"
    for leaf in explained.leaves:
        yield from _leaf(leaf)
    for each in explained.authorities:
        where = " and ".join(file.name for file in each.files)
        yield f"{each.role} {each.name}, serial {each.serial}, in {where}: {each.reason.text} [{each.reason.code}]"
    yield from (f"cannot be read: {problem.path}: {problem.text}" for problem in explained.unread)


def _leaf(leaf: LeafExplained) -> Iterator[str]:
    yield f"leaf {leaf.name}, serial {leaf.serial}: {leaf.reason.text} [{leaf.reason.code}]"
    yield f"   in {' and '.join(str(file) for file in leaf.files)}"
    closed = f"; {leaf.closed_keys} of the keys there cannot be opened" if leaf.closed_keys else ""
    yield f"   key {leaf.private_key or 'missing'}{closed}"
    yield f"   valid from {leaf.not_before:%Y-%m-%d %H:%M:%SZ} to {leaf.not_after:%Y-%m-%d %H:%M:%SZ}"
    if leaf.rule is not None:
        yield f"   because {leaf.rule}"
    yield from _paths(leaf.paths)


def _paths(tried: Sequence[PathTried]) -> Iterator[str]:
    """Where none is taken, the leaf itself is refused: then a path above it may be valid all the same."""
    also = "valid, too" if any(path.taken for path in tried) else "valid above the leaf"
    return (_path(path, also) for path in tried)


def _path(tried: PathTried, also: str) -> str:
    mark = "taken" if tried.taken else also if tried.reason.code == "Valid" else "refused"
    reason = "" if tried.reason.code == "Valid" else f": {tried.reason.text} [{tried.reason.code}]"
    return f"   path {_ARROW.join(tried.names)}: {mark}{reason}"


# ---- a file


def _installed(files: tuple[Path, ...]) -> str:
    return f"; installed in {' and '.join(map(str, files))}" if files else ""


def _file(explained: FileExplanation) -> Iterator[str]:
    for number, (name, files) in enumerate(zip(explained.names, explained.installed, strict=True), start=1):
        yield f"certificate {number}: {name}{_installed(files)}"
    groups: dict[tuple[str, bool, str, str], list[Attempt]] = {}
    for attempt in explained.attempts:
        key = (attempt.command, attempt.accepted, attempt.reason.code, attempt.reason.text)
        groups.setdefault(key, []).append(attempt)
    for (command, accepted, code, text), attempts in groups.items():
        asked = f"{command} {', '.join(attempt.type for attempt in attempts)}" if explained.names else "any command"
        yield f"{asked}: {'yes' if accepted else 'no'}: {text} [{code}]"
        told = (each for each in attempts if len(each.paths) > 1 or any(len(path.names) > 1 for path in each.paths))
        yield from dict.fromkeys(line for attempt in told for line in _paths(attempt.paths))  # alike in all domains
