"""Announces certificates that others place or remove: by hand, or by another process such as the command line.

What is done here is announced by the command that does it. Which files that touched is told before it is answered, so
that what is found in them is not announced again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from evse_security.additions import StoreUpdate, roots_update
from evse_security.agents.patience import ask
from evse_security.service.service import Service, as_event
from evse_security.station import Inventory, Station
from evse_security.vocabulary import CertificateStoreUpdate, CertificateStoreUpdateOperation

PERIOD = 2.0
"""Seconds between looks. One takes microseconds as long as nothing changes."""

Places = Mapping[str, frozenset[str]]
"""The paths of the files that hold each certificate."""
_INSTALLED, _DELETED = CertificateStoreUpdateOperation.Installed, CertificateStoreUpdateOperation.Deleted


def changes(before: Inventory, now: Inventory, ours: frozenset[str]) -> Iterator[StoreUpdate]:
    """What to announce: for each domain and leaf type once that others installed, and once that they deleted.

    A certificate that was or is in one of `ours` came or went by a command here.
    """
    if before is now:
        return
    for ca_type, places in now.cas.items():
        for operation in _changed(before.cas.get(ca_type, {}), places, ours):
            yield roots_update(operation, ca_type)
    for leaf_type, places in now.leaves.items():
        for operation in _changed(before.leaves.get(leaf_type, {}), places, ours):
            yield CertificateStoreUpdate(operation=operation, leaf_certificate_type=leaf_type)


def _changed(before: Places, now: Places, ours: frozenset[str]) -> Iterator[CertificateStoreUpdateOperation]:
    if any(not ours & places for certificate, places in now.items() if certificate not in before):
        yield _INSTALLED
    if any(not ours & places for certificate, places in before.items() if certificate not in now):
        yield _DELETED


class PlacedWatch:
    """Compares what is installed now with what was a moment ago."""

    name = "placed"

    def __init__(self, service: Service, period: float = PERIOD) -> None:
        """Looks every `period` seconds."""
        self._service, self._period = service, period
        self._before: Inventory | None = None
        self._is_hearing = False
        self._ours: set[str] = set()
        """Files that commands here have touched since the last look. Only the service's worker changes it."""

    async def run(self, ready: Callable[[], None]) -> None:
        """Watch until cancelled. What is there at the start is not announced."""
        if not self._is_hearing:  # also while it begins again: what is done meanwhile is not somebody else's
            await ask(self._service, lambda station: station.hear_paths(self._touch), caller=self.name)
            self._is_hearing = True
        while True:
            await self.look()
            ready()
            await asyncio.sleep(self._period)

    async def look(self) -> None:
        """Look once, and announce."""
        for update in await ask(self._service, self._compare, caller=self.name):
            self._service.events.publish(*as_event(update))

    def _touch(self, paths: frozenset[Path]) -> None:
        self._ours.update(map(str, paths))

    def _compare(self, station: Station) -> list[StoreUpdate]:
        """Called where commands are: what is found is either before a command with all its files, or after it."""
        now, ours = station.inventory(), frozenset(self._ours)
        found = [] if self._before is None else list(changes(self._before, now, ours))
        self._before = now
        self._ours.clear()
        return found
