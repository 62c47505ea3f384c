"""How much a store may hold, and making room before refusing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from evse_security.clock import Moment
from evse_security.errors import StoreFull
from evse_security.store.changes import Change, Decision, Edit, Remove, Write
from evse_security.store.layout import DER_DIRECTORY
from evse_security.store.listing import directory_name
from evse_security.store.rules.sweep import sweep
from evse_security.store.snapshot import Snapshot
from evse_security.store.stamp import size_of

WARN_DAYS = 30
"""Days before its end from which a certificate is worth a warning. OCPP's renewals begin as early (A02, A03)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a store. Entries are files of whatever kind, DER copies excepted; the defaults are EVerest's."""

    max_entries: int
    max_bytes: int
    max_ca_certificates: int | None
    csr_lifetime: timedelta
    keep_newest: int
    awaited: dict[str, bytes] = field(default_factory=dict, compare=False)
    """Tokens of keys whose certificates are on their way, by who waits: no sweep takes them, however long it is."""

    @property
    def kept(self) -> frozenset[bytes]:
        """Tokens of keys that must stay."""
        return frozenset(self.awaited.values())


def with_room(
    decision: Decision, snapshot: Snapshot, limits: Limits, moment: Moment, protected: Iterable[bytes] = ()
) -> Decision:
    """A decision that fits into the store: as it is, or after sweeping. Raises `StoreFull`.

    `protected` are tokens of keys that the decision is about to use.
    """
    if _overflow(decision.changes, snapshot, limits) is None:
        return decision
    swept = sweep(
        snapshot,
        moment,
        csr_lifetime=limits.csr_lifetime,
        keep_newest=limits.keep_newest,
        protected=limits.kept.union(protected),
    )
    roomy = replace(
        decision,
        changes=(*swept.decision.changes, *decision.changes),
        updates=(*swept.decision.updates, *decision.updates),
    )
    full = _overflow(roomy.changes, snapshot, limits)
    if full is not None:
        raise full
    return roomy


def _overflow(changes: Iterable[Change], snapshot: Snapshot, limits: Limits) -> StoreFull | None:
    """What the store would exceed after these changes, if they let it grow. Replacing a file is no growth."""
    listing = snapshot.listing
    entries, size, grows = listing.entries, listing.size, False
    for location, change in {str(change.path): change for change in changes}.items():
        before = listing.files.get(location)
        counts = directory_name(location) != DER_DIRECTORY
        entries += counts * ((not isinstance(change, Remove)) - (before is not None))
        size += _growth(change, size_of(before) if before is not None else 0)
        grows |= _is_growth(change, is_new=not listing.has(location))
    if grows and entries > limits.max_entries:
        return StoreFull("max_store_entries", limits.max_entries)
    if grows and size > limits.max_bytes:
        return StoreFull("max_store_bytes", limits.max_bytes)
    return None


def _growth(change: Change, before: int) -> int:
    """The bytes by which a file of so many grows; what is cut out of one is not told by the change."""
    match change:
        case Write():
            return len(change.content) - before
        case Edit():
            return len(change.append)
        case Remove():
            return -before
        case _:
            return 0


def _is_growth(change: Change, *, is_new: bool) -> bool:
    return bool(change.append) if isinstance(change, Edit) else is_new and not isinstance(change, Remove)
