"""How much a store may hold, and making room before refusing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from evse_security.clock import Moment
from evse_security.errors import StoreFull
from evse_security.store.changes import Change, Decision, Edit, Remove, Write
from evse_security.store.layout import DER_DIRECTORY
from evse_security.store.rules.sweep import sweep
from evse_security.store.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a store. Entries are files of whatever kind, DER copies excepted; the defaults are EVerest's."""

    max_entries: int
    max_bytes: int
    max_ca_certificates: int | None
    csr_lifetime: timedelta
    keep_newest: int


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
        protected=frozenset(protected),
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
    """What the store would exceed after these changes, if they let it grow. Replacing a file is no growth.

    Files are counted one by one only where there could be too many.
    """
    stays: dict[Path, bool] = {}
    size, appends = snapshot.size, False
    for change in changes:
        stays[change.path] = not isinstance(change, Remove)
        if isinstance(change, Edit):
            appends = appends or bool(change.append)
            size += len(change.append)
        elif isinstance(change, Write):
            size += len(change.content)
    new = {path for path, is_there in stays.items() if is_there and path not in snapshot.names}
    gone = {path for path, is_there in stays.items() if not is_there}
    if len(snapshot.names) + len(new) <= limits.max_entries and size <= limits.max_bytes:
        return None
    if not appends and new.issubset(path for entry in snapshot.ocsp for path in entry.paths):
        return None
    entries = sum(path.parent.name != DER_DIRECTORY for path in (snapshot.names - gone) | new)
    if entries > limits.max_entries:
        return StoreFull("max_store_entries", limits.max_entries)
    return StoreFull("max_store_bytes", limits.max_bytes) if size - _freed(snapshot, gone) > limits.max_bytes else None


def _freed(snapshot: Snapshot, gone: Collection[Path]) -> int:
    """The bytes that go with keys and certificate files, at least; of other files the picture does not tell."""
    stores = snapshot.leaves.values()
    keys = {key.path: key.size for store in stores for key in store.keys}
    ends = {f.path: f.blocks[-1].end for store in snapshot.stores for f in store.files if f.blocks}
    return sum({path: size for path, size in {**keys, **ends}.items() if path in gone}.values())
