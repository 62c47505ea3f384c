"""Taking a CA certificate out when its successor has proven itself (M05.FR.13)."""

from __future__ import annotations

from evse_security.additions import roots_update
from evse_security.errors import MustStay
from evse_security.pki.certificate import Certificate
from evse_security.pki.forest import Forest
from evse_security.pki.path import TrustStore
from evse_security.store.changes import Decision
from evse_security.store.rules.delete import without
from evse_security.store.snapshot import CaStore, Snapshot
from evse_security.vocabulary import CertificateStoreUpdateOperation


def retire(snapshot: Snapshot, store: CaStore, old: Certificate) -> Decision:
    """Decide on the removal of one CA certificate alone: what it issued stays, its successor first of all.

    Raises `MustStay` where nothing would be left to trust.
    """
    if not any(one != old for one in store.anchors):
        raise MustStay(old.name, "it is the last root of its domain")
    update = roots_update(CertificateStoreUpdateOperation.Deleted, store.ca_type)
    identity = snapshot.forest.id_of(old)
    concerned = () if identity is None else (identity,)
    return Decision(tuple(without(snapshot, store, (old,))), (update,), concerned=concerned)


def trust_without(store: CaStore, old: Certificate) -> TrustStore:
    """What a path may use once a certificate is gone."""
    left = tuple(one for one in store.certificates if one != old)
    anchors = frozenset(store.anchors)
    return TrustStore.among(Forest(left), lambda one: one != old and one in anchors)
