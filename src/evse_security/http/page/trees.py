"""The overview as the page draws it: what is in use, what expires soon, and trees whose length is bounded. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from evse_security.http.page.words import Badge, Bar, Tone, day, elapsed, minute, remaining, rest, span, title
from evse_security.store.overview import DomainOverview, Node, OcspState, Overview, PendingKey
from evse_security.vocabulary import CaCertificateType

SHOWN = 12
"""Certificates of one issuer that a tree shows; the others are a page away."""
LONGEST_TREE = 120
"""Certificates of one domain on the overview."""
PER_PAGE = 100
MOST_LISTED = 20
"""Of what else is listed: what expires soon, keys that wait, what cannot be read."""

ABOUT = {
    CaCertificateType.V2G: ("Vehicles", "the station's own certificate for ISO 15118, and the roots of its PKI"),
    CaCertificateType.CSMS: ("Backend (CSMS)", "the station's certificate for OCPP, and the roots of the backend's"),
    CaCertificateType.MO: ("Mobility operators", "roots of the contract certificates that vehicles bring"),
    CaCertificateType.MF: ("Manufacturer", "roots of the certificates that sign firmware"),
}
"""What each domain is for."""
WITH_LEAVES = (CaCertificateType.V2G, CaCertificateType.CSMS)
"""Domains of which the station has leaves of its own."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The time that everything is judged by."""

    now: datetime
    warn: timedelta
    """Before their end so long certificates expire soon."""
    doubt: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """One certificate in a tree or list, and those below it as far as they are shown."""

    node: Node
    domain: str
    title: str
    rest: str
    state: Badge
    remaining: str
    bar: Bar | None
    """None while the clock is not believed."""
    ocsp: Badge
    children: tuple[Row, ...] = ()
    more: int = 0
    """How many below it are not shown."""


@dataclass(frozen=True, slots=True)
class DomainView:
    """One trust domain."""

    domain: str
    title: str
    about: str
    path: str
    in_use: Row | None
    has_leaves: bool
    leaves: int
    roots: int
    """Roots that are trusted."""
    trees: tuple[Row, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Pending:
    """A key that waits for its certificate."""

    kind: str
    file: str
    since: str
    age: str


@dataclass(frozen=True, slots=True)
class Some:
    """The first of many lines, and how many more there are."""

    lines: tuple[str, ...]
    more: int


@dataclass(frozen=True, slots=True)
class OverviewView:
    """The first page."""

    soon: tuple[Row, ...]
    soon_more: int
    domains: tuple[DomainView, ...]
    pending: tuple[Pending, ...]
    pending_more: int
    problems: Some
    warnings: Some
    files: int
    kibibytes: int


@dataclass(frozen=True, slots=True)
class Siblings:
    """Some of the certificates of one issuer, or of the trees of a domain, on a page of their own."""

    domain: str
    below: Row | None
    rows: tuple[Row, ...]
    first: int
    count: int

    @property
    def before(self) -> int | None:
        """Where the page before begins."""
        return max(self.first - PER_PAGE, 0) if self.first else None

    @property
    def after(self) -> int | None:
        """Where the next page begins."""
        following = self.first + PER_PAGE
        return following if following < self.count else None


def overview_view(overview: Overview, clock: Clock) -> OverviewView:
    """Draw the first page."""
    soon = list({node.fingerprint: (name, node) for name, node in _expiring(overview, clock)}.values())
    soon.sort(key=lambda found: found[1].not_after)
    problems = [f"{problem.path}: {problem.text}" for problem in overview.problems]
    pending = sorted(overview.pending, key=lambda key: key.since, reverse=True)
    return OverviewView(
        soon=tuple(row(node, name, clock) for name, node in soon[:MOST_LISTED]),
        soon_more=max(len(soon) - MOST_LISTED, 0),
        domains=tuple(_domain(domain, clock) for domain in overview.domains),
        pending=tuple(_pending(key, clock) for key in pending[:MOST_LISTED]),
        pending_more=max(len(pending) - MOST_LISTED, 0),
        problems=some(problems),
        warnings=some(overview.warnings),
        files=overview.files,
        kibibytes=-(-overview.bytes // 1024),
    )


def some(lines: Sequence[str]) -> Some:
    """The first few."""
    return Some(tuple(lines[:MOST_LISTED]), max(len(lines) - MOST_LISTED, 0))


def _expiring(overview: Overview, clock: Clock) -> Iterator[tuple[str, Node]]:
    """What is used and ends soon."""
    if clock.doubt is None:
        for domain in overview.domains:
            for node in walk(domain.trees):
                if node.used and node.not_after - clock.now <= clock.warn:
                    yield domain.domain.value, node


def walk(nodes: Iterable[Node]) -> Iterator[Node]:
    """All certificates of these trees."""
    waiting = [*nodes]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.children


def _domain(domain: DomainOverview, clock: Clock) -> DomainView:
    leaves = roots = 0
    in_use = None
    for node in walk(domain.trees):
        leaves += node.role == "leaf"
        roots += node.role == "root" and node.used
        if node.role == "leaf" and node.used:
            in_use = node
    heading, about = ABOUT[domain.domain]
    drawing = _Drawing(domain.domain.value, clock)
    return DomainView(
        domain=domain.domain.value,
        title=heading,
        about=about,
        path=str(domain.path),
        in_use=None if in_use is None else row(in_use, domain.domain.value, clock),
        has_leaves=domain.domain in WITH_LEAVES,
        leaves=leaves,
        roots=roots,
        trees=drawing.rows(domain.trees),
        more=max(len(domain.trees) - SHOWN, 0),
    )


class _Drawing:
    """Trees of at most so many rows."""

    def __init__(self, domain: str, clock: Clock) -> None:
        self.domain, self.clock, self.left = domain, clock, LONGEST_TREE

    def rows(self, nodes: Sequence[Node]) -> tuple[Row, ...]:
        """The first of these with what is below them; every level is begun before any goes on."""
        chosen = heapq.nsmallest(min(SHOWN, self.left), nodes, key=urgency)
        self.left -= len(chosen)
        drawn = []
        for node in chosen:
            children = self.rows(node.children) if self.left > 0 else ()
            drawn.append(row(node, self.domain, self.clock, children))
        return tuple(drawn)


def siblings(overview: Overview, domain: str, below: str | None, first: int, clock: Clock) -> Siblings | None:
    """A page of the certificates below the one of this fingerprint, or of all trees; None where there is none such."""
    found = next((one for one in overview.domains if one.domain.value == domain), None)
    if found is None:
        return None
    issuer = None if below is None else next((n for n in walk(found.trees) if n.fingerprint == below), None)
    if below is not None and issuer is None:
        return None
    nodes = sorted(found.trees if issuer is None else issuer.children, key=urgency)
    return Siblings(
        domain=domain,
        below=None if issuer is None else row(issuer, domain, clock),
        rows=tuple(row(node, domain, clock) for node in nodes[first : first + PER_PAGE]),
        first=first,
        count=len(nodes),
    )


def places(overview: Overview, fingerprint: str, clock: Clock) -> tuple[Row, ...]:
    """Where a certificate is: a row for each domain, with what it issued there."""
    return tuple(
        row(node, domain.domain.value, clock, tuple(row(c, domain.domain.value, clock) for c in _first(node.children)))
        for domain in overview.domains
        for node in walk(domain.trees)
        if node.fingerprint == fingerprint
    )


def _first(nodes: Sequence[Node]) -> list[Node]:
    return heapq.nsmallest(SHOWN, nodes, key=urgency)


def urgency(node: Node) -> tuple[bool, bool, float]:
    """What comes first: what is used, by when it ends; then what is not, the newest first, what is over last."""
    ends = node.not_after.timestamp()
    return not node.used, node.validity == "expired", ends if node.used else -ends


def row(node: Node, domain: str, clock: Clock, children: tuple[Row, ...] = ()) -> Row:
    """One certificate."""
    soon = node.used and clock.doubt is None and node.not_after - clock.now <= clock.warn
    state = _state(node)
    tone = Tone.SOON if soon and state.tone is Tone.GOOD else state.tone
    bar = None if clock.doubt is not None else Bar(elapsed(node.not_before, node.not_after, clock.now), tone)
    return Row(
        node=node,
        domain=domain,
        title=title(node.name),
        rest=rest(node.name),
        state=state,
        remaining="" if clock.doubt is not None else remaining(node.not_before, node.not_after, clock.now),
        bar=bar,
        ocsp=_ocsp(node.ocsp, names_responder=node.names_responder),
        children=children,
        more=len(node.children) - len(children),
    )


_USED = {"leaf": "in use", "root": "trusted", "sub-CA": "in use for chains"}


def _state(node: Node) -> Badge:
    """Whether it is used, in a word."""
    if node.used:
        flawed = node.role == "leaf" and node.reason != "InUse"
        return Badge("in use, but refused by peers", Tone.BAD) if flawed else Badge(_USED[node.role], Tone.GOOD)
    if node.validity != "valid":
        return Badge(node.validity, Tone.BAD if node.validity == "expired" and node.role != "leaf" else Tone.IDLE)
    harmless = node.reason in ("NotNewest", "NotYetValid")
    return Badge("not used" if node.role == "leaf" else "not trusted", Tone.IDLE if harmless else Tone.BAD)


def _ocsp(state: OcspState | None, *, names_responder: bool) -> Badge:
    if state is None:
        return Badge("no response cached", Tone.SOON) if names_responder else Badge("names no responder", Tone.IDLE)
    if state.status != "good":
        return Badge(state.status, Tone.BAD)
    if not state.is_current:
        return Badge(f"good on {day(state.this_update)}, out of date", Tone.SOON)
    until = f" until {day(state.next_update)}" if state.next_update else f" on {day(state.this_update)}"
    return Badge(f"good{until}", Tone.GOOD)


def _pending(key: PendingKey, clock: Clock) -> Pending:
    doubtful = clock.doubt is not None or key.since > clock.now
    age = "age unknown: the clock" if doubtful else f"{span(clock.now - key.since)} ago"
    return Pending(key.certificate_type.value, str(key.path), minute(key.since), age)
