"""Show what is installed as trees: root, sub-CAs, leaves; each with validity, key, OCSP state, and what it is used for.

After the trees: which chain cars of each edition of ISO 15118 are shown, and why not the others; keys that wait for
their certificate, what cannot be used and why, what is dangerous.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from evse_security.cli.options import open_station
from evse_security.cli.voice import answer, answer_json
from evse_security.visible import printable

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from evse_security.cars import ShownToCars
    from evse_security.station import Overview
    from evse_security.store.overview import DomainOverview, Node

SERIAL_DIGITS = 16
"""Of serial numbers so many hexadecimal digits are shown; they have up to 40."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the choice of JSON."""
    parser.add_argument("--json", action="store_true", help="as JSON, with the files and fingerprints too")


def run(arguments: argparse.Namespace) -> int:
    """Print the trees."""
    with open_station(arguments, only_reads=True) as station:
        overview, cars = station.overview(), station.shown_to_cars()
    if arguments.json:
        answer_json({**as_object(overview), "shown_to_cars": as_json(cars)})
    else:
        answer(render(overview, cars))
    return 0


def render(overview: Overview, cars: ShownToCars | None = None) -> str:
    """All of it as lines of text; nothing in it can act on a terminal."""
    return "\n".join(printable(line) for line in _lines(overview, cars))


def as_object(record: DataclassInstance) -> dict[str, object]:
    """A record as a JSON object."""
    return {each.name: as_json(getattr(record, each.name)) for each in fields(record)}


def as_json(value: object) -> object:
    """An overview, or a part of it, as JSON: times in ISO 8601, paths as text, null for what is not there."""
    if is_dataclass(value) and not isinstance(value, type):
        return as_object(value)
    if isinstance(value, tuple):
        return [as_json(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value if value is None or isinstance(value, bool | int) else str(value)


def _lines(overview: Overview, cars: ShownToCars | None) -> Iterator[str]:
    for domain in overview.domains:
        yield from _domain(domain)
    if cars is not None and not cars.is_empty:
        yield from _section("shown to cars", map(str, cars.editions))
        yield from _section("not shown to cars", map(str, cars.others))
    yield from _section("waiting for their certificate", map(str, overview.pending_keys))
    yield from _section("cannot be used", (f"{problem.path}: {problem.text}" for problem in overview.problems))
    yield from _section("dangerous", overview.warnings)
    if overview.clock is not None:
        yield f"clock not believed: {overview.clock}"
    yield f"{overview.files} files, {overview.bytes} bytes"


def _domain(domain: DomainOverview) -> Iterator[str]:
    empty = "" if domain.trees else ": nothing installed"
    yield f"{domain.domain}  {domain.path} ({domain.form}){empty}"
    for index, tree in enumerate(domain.trees):
        yield from _tree(tree, "", last=index == len(domain.trees) - 1)


def _tree(node: Node, indent: str, *, last: bool) -> Iterator[str]:
    yield f"{indent}{'└─' if last else '├─'} {in_words(node)}"
    below = indent + ("   " if last else "│  ")
    for index, child in enumerate(node.children):
        yield from _tree(child, below, last=index == len(node.children) - 1)


def in_words(node: Node) -> str:
    """One certificate in a line."""
    facts = [*_whereabouts(node), _validity(node), node.key, *_ocsp(node)]
    return f"{node.role} {node.name}: {', '.join(facts)}; {node.because}"


def _whereabouts(node: Node) -> Iterator[str]:
    """What tells leaves of one name apart."""
    if node.role == "leaf":
        yield f"serial {node.serial if len(node.serial) <= SERIAL_DIGITS else node.serial[:SERIAL_DIGITS] + '...'}"
        yield f"in {' and '.join(file.name for file in node.files)}"


def _validity(node: Node) -> str:
    if node.validity == "not yet valid":
        return f"valid from {_day(node.not_before)} to {_day(node.not_after)}"
    return f"{'expired' if node.validity == 'expired' else 'valid until'} {_day(node.not_after)}"


def _ocsp(node: Node) -> Iterator[str]:
    if node.ocsp is not None:
        until = f" until {_day(node.ocsp.next_update)}" if node.ocsp.next_update else ""
        yield f"OCSP {node.ocsp.status}{until}" + ("" if node.ocsp.is_current else " (out of date)")
    elif node.names_responder:
        yield "no OCSP response"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    if found:
        yield f"{title}:"
        yield from (f"   {line}" for line in found)
