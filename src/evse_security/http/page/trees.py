"""The overview as the page draws it: what is in use, what expires soon, and trees whose length is bounded. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evse_security.additions import AddedCaType, AnyCaType
from evse_security.http.page.rows import Clock, Row, row, urgency, walk
from evse_security.http.page.words import minute, span
from evse_security.station import DomainOverview, Node, Overview, PendingKey
from evse_security.vocabulary import CaCertificateType

SHOWN = 12
"""Certificates of one issuer that a tree shows; the others are a page away."""
LONGEST_TREE = 120
"""Certificates of one domain on the overview."""
PER_PAGE = 100
MOST_LISTED = 20
"""Of what else is listed: what expires soon, keys that wait."""

ABOUT: Mapping[AnyCaType, tuple[str, str]] = {
    CaCertificateType.V2G: ("Vehicles", "the station's own certificate for ISO 15118, and the roots of its PKI"),
    CaCertificateType.CSMS: ("Backend", "the station's certificate for OCPP, and the roots of the backend's"),
    CaCertificateType.MO: ("Mobility operators", "roots of the contract certificates that vehicles bring"),
    CaCertificateType.MF: ("Manufacturer", "roots of the certificates that sign firmware"),
    AddedCaType.OEM: ("Car makers", "roots of the certificates that vehicles show, in ISO 15118-20"),
}
"""What each domain is for."""
WITH_LEAVES = (CaCertificateType.V2G, CaCertificateType.CSMS)
"""Domains of which the station has leaves of its own."""


@dataclass(frozen=True, slots=True)
class DomainView:
    """One trust domain."""

    domain: str
    title: str
    about: str
    path: str
    in_use: tuple[Row, ...]
    """More than one where cars of each edition of ISO 15118 are shown another."""
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
class OverviewView:
    """The first page."""

    soon: tuple[Row, ...]
    soon_more: int
    domains: tuple[DomainView, ...]
    pending: tuple[Pending, ...]
    pending_more: int
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
    pending = sorted(overview.pending, key=lambda key: key.since, reverse=True)
    return OverviewView(
        soon=tuple(row(node, name, clock) for name, node in soon[:MOST_LISTED]),
        soon_more=max(len(soon) - MOST_LISTED, 0),
        domains=tuple(_domain(domain, clock) for domain in overview.domains),
        pending=tuple(_pending(key, clock) for key in pending[:MOST_LISTED]),
        pending_more=max(len(pending) - MOST_LISTED, 0),
        files=overview.files,
        kibibytes=-(-overview.bytes // 1024),
    )


def _expiring(overview: Overview, clock: Clock) -> Iterator[tuple[str, Node]]:
    """What is used and ends soon."""
    if clock.doubt is None:
        for domain in overview.domains:
            for node in walk(domain.trees):
                if node.used and node.not_after - clock.now <= clock.warn:
                    yield domain.domain.value, node


def _domain(domain: DomainOverview, clock: Clock) -> DomainView:
    leaves = roots = 0
    in_use: list[Node] = []
    for node in walk(domain.trees):
        leaves += node.role == "leaf"
        roots += node.role == "root" and node.used
        if node.role == "leaf" and node.used:
            in_use.append(node)
    heading, about = ABOUT[domain.domain]
    drawing = _Drawing(domain.domain.value, clock)
    return DomainView(
        domain=domain.domain.value,
        title=heading,
        about=about,
        path=str(domain.path),
        in_use=tuple(row(node, domain.domain.value, clock) for node in in_use[:MOST_LISTED]),
        has_leaves=domain.domain in WITH_LEAVES,
        leaves=leaves,
        roots=roots,
        trees=drawing.rows(domain.trees),
        more=max(len(domain.trees) - SHOWN, 0),
    )


def in_order(nodes: Sequence[Node], most: int | None = None) -> list[Node]:
    """The first of these, or all: what leads to a leaf in use, then by urgency."""

    def place(node: Node) -> tuple[bool, tuple[bool, bool, float]]:
        return not any(one.used and one.role == "leaf" for one in walk((node,))), urgency(node)

    return sorted(nodes, key=place) if most is None else heapq.nsmallest(most, nodes, key=place)


class _Drawing:
    """Trees of at most so many rows. Siblings come before what is below them."""

    def __init__(self, domain: str, clock: Clock) -> None:
        self.domain, self.clock, self.left = domain, clock, LONGEST_TREE

    def rows(self, nodes: Sequence[Node]) -> tuple[Row, ...]:
        """The first of these, with what is below them."""
        chosen = in_order(nodes, min(SHOWN, self.left))
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
    nodes = in_order(found.trees if issuer is None else issuer.children)
    return Siblings(
        domain=domain,
        below=None if issuer is None else row(issuer, domain, clock),
        rows=tuple(row(node, domain, clock) for node in nodes[first : first + PER_PAGE]),
        first=first,
        count=len(nodes),
    )


def places(overview: Overview, fingerprint: str, clock: Clock) -> tuple[Row, ...]:
    """Where a certificate is: a row for each domain, with what it issued there."""
    found = ((domain.domain.value, node) for domain in overview.domains for node in walk(domain.trees))
    return tuple(
        row(node, name, clock, tuple(row(child, name, clock) for child in in_order(node.children, SHOWN)))
        for name, node in found
        if node.fingerprint == fingerprint
    )


def _pending(key: PendingKey, clock: Clock) -> Pending:
    doubtful = clock.doubt is not None or key.since > clock.now
    age = "age unknown: the clock" if doubtful else f"{span(clock.now - key.since)} ago"
    return Pending(key.certificate_type.value, str(key.path), minute(key.since), age)
