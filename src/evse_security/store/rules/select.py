"""Which leaf is used: the newest that is valid, has its key, and may act as a leaf."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from evse_security.errors import ChainRefused
from evse_security.pki.path import Policy, TrustStore, VerifiedChain, check_end_entity, verify
from evse_security.store.snapshot import Leaf, LeafStore
from evse_security.vocabulary import GetCertificateInfoStatus

_AGES: dict[str, Callable[[Leaf], tuple[datetime, datetime]]] = {
    "not_after": lambda leaf: (leaf.certificate.not_after, leaf.certificate.not_before),
    "not_before": lambda leaf: (leaf.certificate.not_before, leaf.certificate.not_after),
}
_NO_KEY = datetime.min.replace(tzinfo=UTC)


def _age(newest_by: str, leaf: Leaf) -> tuple[datetime, datetime, datetime]:
    """Validity has whole seconds: of leaves that a CA issued within one, the newest is the one with the newest key."""
    return *_AGES[newest_by](leaf), leaf.key.modified if leaf.key is not None else _NO_KEY


def newest_first(store: LeafStore, newest_by: str) -> list[Leaf]:
    """The leaves that may act as such, with or without key, whatever their validity."""
    leaves = (leaf for leaf in store.leaves if _may_act(store, leaf))
    return sorted(leaves, key=lambda leaf: _age(newest_by, leaf), reverse=True)


def _may_act(store: LeafStore, leaf: Leaf) -> bool:
    try:
        check_end_entity(leaf.certificate, (store.kind.leaf_type,))
    except ChainRefused:
        return False
    return True


def usable(store: LeafStore, newest_by: str, now: datetime) -> list[Leaf]:
    """The leaves that can be used now, newest first."""
    leaves = newest_first(store, newest_by)
    return [leaf for leaf in leaves if leaf.servable and leaf.key is not None and leaf.certificate.valid_at(now)]


def status(store: LeafStore, now: datetime) -> GetCertificateInfoStatus:
    """Why nothing is usable: nothing there, nothing valid, or no key for what is valid."""
    leaves = [leaf for leaf in store.leaves if leaf.servable and _may_act(store, leaf)]
    if not leaves:
        return GetCertificateInfoStatus.NotFound
    if not any(leaf.certificate.valid_at(now) for leaf in leaves):
        return GetCertificateInfoStatus.NotFoundValid
    return GetCertificateInfoStatus.PrivateKeyNotFound


def newest_per_root(
    store: LeafStore, trust: TrustStore, newest_by: str, policy: Policy, now: datetime
) -> list[VerifiedChainOf]:
    """The newest usable leaf of each root, with its verified chain. Leaves that lead to no root are left out."""
    found: dict[object, VerifiedChainOf] = {}
    for leaf in usable(store, newest_by, now):
        received = leaf.chain.certificates[1:] if leaf.chain else ()
        try:
            chain = verify(leaf.certificate, intermediates=received, trust=trust, policy=policy, now=now)
        except ChainRefused:
            continue
        found.setdefault(chain.anchor, (leaf, chain))
    return list(found.values())


VerifiedChainOf = tuple[Leaf, VerifiedChain]
"""A leaf as it lies in the store, and the proof of its chain."""
