"""Tells of certificates that expire soon: the leaves in use, and the CA certificates that are trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from evse_security.additions import AnyCaType
from evse_security.agents.patience import ask, wait
from evse_security.pki.profile import EDITION_OF_STRENGTH, Edition
from evse_security.service.eventdata import Expiring, ExpiringCa, ExpiringLeaf
from evse_security.service.events import Event, EventKind
from evse_security.service.renewals import Renewed, named
from evse_security.service.service import Service
from evse_security.station import Moment, Node, Overview, Station
from evse_security.vocabulary import CaCertificateType, LeafCertificateType

DAY = 86_400.0
SETTLED = 10.0
"""Seconds that are waited after a change: many come together, and drawing a large store takes a while."""
LEAF = "leaf"
_AWAITED = (EventKind.certificate_store_update, EventKind.oem_store_update, EventKind.clock)
NOT_NEWEST = "NotNewest"
"""Why a leaf is not in use with which nothing is wrong."""
LEAF_TYPES: Mapping[AnyCaType, LeafCertificateType] = {
    CaCertificateType.V2G: LeafCertificateType.V2G,
    CaCertificateType.CSMS: LeafCertificateType.CSMS,
}
"""Of the leaves whose roots a domain holds."""


class News(NamedTuple):
    """A certificate that expires soon, or has: what is told of it."""

    kind: EventKind
    data: ExpiringLeaf | ExpiringCa


def expiring(overview: Overview, now: datetime, days: int) -> Iterator[News]:
    """What expires within so many days: 1. the leaf in use, or for want of one that which was last, 2. trusted CAs.

    Of SECC leaves there may be one for each edition of ISO 15118.
    """
    for domain in overview.domains:
        nodes = list(_all(domain.trees))
        for leaf in _leaves(domain.domain, nodes, now, days):  # 1
            if _is_soon(leaf, now, days):
                kind = LEAF_TYPES[domain.domain]
                told = _told(leaf, f"the {kind} leaf", now)
                yield News(EventKind.leaf_certificate_expiring, {**told, **named(_renewed(kind, leaf))})
        for node in nodes:
            if node.role != LEAF and node.used and _is_soon(node, now, days):  # 2
                told = _told(node, f"the {domain.domain} {node.role}", now)
                yield News(EventKind.warning, {"ca_certificate_type": domain.domain, **told})


def _all(nodes: Iterable[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _all(node.children)


def _leaves(domain: AnyCaType, nodes: Iterable[Node], now: datetime, days: int) -> Iterator[Node]:
    """The leaf in use; where there is none, the one with a key that ends or ended last.

    Then the same of the other edition, unless it is long gone: a station may have done with that.
    """
    with_key = [node for node in nodes if node.role == LEAF and node.private_key is not None]
    first = _first(with_key)
    if first is None:
        return
    yield first
    other = _first(node for node in with_key if _is_20(node) is not _is_20(first))
    if domain is CaCertificateType.V2G and other is not None and now - other.not_after <= timedelta(days=days):
        yield other


def _first(leaves: Iterable[Node]) -> Node | None:
    return max(leaves, key=lambda node: (node.used, node.reason == NOT_NEWEST, node.not_after), default=None)


def _is_20(leaf: Node) -> bool:
    return EDITION_OF_STRENGTH.get(leaf.key) is Edition.ISO15118_20


def _renewed(kind: LeafCertificateType, leaf: Node) -> Renewed:
    if kind is LeafCertificateType.CSMS:
        return Renewed.CSMS
    return Renewed.V2G20 if _is_20(leaf) else Renewed.V2G


def _is_soon(node: Node, now: datetime, days: int) -> bool:
    return node.not_after - now <= timedelta(days=days)


def _told(node: Node, what: str, now: datetime) -> Expiring:
    days = (node.not_after - now) // timedelta(days=1)
    when = "has expired" if days < 0 else f"expires in {days} days"
    return {
        "certificate": node.name,
        "serial": node.serial,
        "fingerprint": node.fingerprint,
        "not_after": node.not_after.isoformat().replace("+00:00", "Z"),
        "days": days,
        "path": str(node.files[0]) if node.files else None,
        "text": f"{what} {node.name} {when}",
    }


class ExpiryWatch:
    """Tells of each such certificate at most once a day."""

    name = "expiry"

    def __init__(self, service: Service) -> None:
        """With the days of `expiry_warning_days`."""
        self._service, self._days = service, service.config.expiry_warning_days
        self._told: dict[str, float] = {}
        """When each was told of, by fingerprint."""
        self._changed = asyncio.Event()

    async def run(self, ready: Callable[[], None]) -> None:
        """Look once a day, and when certificates come or the clock is set, until cancelled."""
        loop = asyncio.get_running_loop()

        def hear(event: Event) -> None:
            if event.kind in _AWAITED:
                loop.call_soon_threadsafe(self._changed.set)

        stop = self._service.events.hear(hear)
        try:
            ready()
            while True:
                self._changed.clear()
                await self.look(loop.time())
                await wait(self._changed, DAY)
                await asyncio.sleep(SETTLED)
        finally:
            stop()

    async def look(self, elapsed: float) -> None:
        """Look once, and tell of what nobody was told of for a day. Nothing, while the clock is not believed."""
        moment, overview = await ask(self._service, _look, caller=self.name)
        if moment.doubt is not None:
            return
        all_found = list(expiring(overview, moment.now, self._days))
        names = [found.data["fingerprint"] for found in all_found]
        self._told = {name: at for name in names if (at := self._told.get(name)) is not None}
        for name, found in zip(names, all_found, strict=True):
            told = self._told.get(name)
            if told is None or elapsed - told >= DAY - 60:
                self._told[name] = elapsed
                self._service.events.publish(found.kind, found.data)


def _look(station: Station) -> tuple[Moment, Overview]:
    return station.time(), station.overview()
