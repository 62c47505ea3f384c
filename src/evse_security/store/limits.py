"""How much a store may hold, and making room before refusing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

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
    roomy = Decision((*swept.decision.changes, *decision.changes), (*swept.decision.updates, *decision.updates))
    full = _overflow(roomy.changes, snapshot, limits)
    if full is not None:
        raise full
    return roomy


def _overflow(changes: Iterable[Change], snapshot: Snapshot, limits: Limits) -> StoreFull | None:
    """What the store would exceed after these changes, if they let it grow. Replacing a file is no growth."""
    present = snapshot.names.union(path for entry in snapshot.ocsp for path in entry.paths)
    files, size, grows = set(snapshot.names), snapshot.size, False
    for change in changes:
        if isinstance(change, Remove):
            files.discard(change.path)
        elif isinstance(change, Edit):
            grows = grows or bool(change.append)
            size += len(change.append)
        else:
            grows = grows or change.path not in present
            files.add(change.path)
            size += len(change.content) if isinstance(change, Write) else 0
    entries = sum(path.parent.name != DER_DIRECTORY for path in files)
    if grows and entries > limits.max_entries:
        return StoreFull("max_store_entries", limits.max_entries)
    if grows and size > limits.max_bytes:
        return StoreFull("max_store_bytes", limits.max_bytes)
    return None
