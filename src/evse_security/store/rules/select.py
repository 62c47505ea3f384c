"""Which leaf is used: the newest that is valid, has its key, may act as a leaf, and leads to an installed root."""

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
MAX_TRIED = 16
"""Leaves whose chains are verified before the newest is taken as it is. As installing verifies, one is the rule."""
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


def chosen(store: LeafStore, trust: TrustStore, newest_by: str, policy: Policy, now: datetime) -> Leaf | None:
    """The newest usable leaf whose chain verifies now. Where none does, the newest: peers may know more roots."""
    leaves = usable(store, newest_by, now)
    tried = ((leaf, _verified(leaf, trust, policy, now)) for leaf in leaves[:MAX_TRIED])
    good = (leaf for leaf, found in tried if isinstance(found, VerifiedChain))
    return next(good, next(iter(leaves), None))


def flaw(leaf: Leaf, trust: TrustStore, policy: Policy, now: datetime) -> ChainRefused | None:
    """Why the chain of a leaf does not verify now; None where it does."""
    found = _verified(leaf, trust, policy, now)
    return None if isinstance(found, VerifiedChain) else found


def _verified(leaf: Leaf, trust: TrustStore, policy: Policy, now: datetime) -> VerifiedChain | ChainRefused:
    received = leaf.chain.certificates[1:] if leaf.chain else ()
    try:
        return verify(leaf.certificate, intermediates=received, trust=trust, policy=policy, now=now)
    except ChainRefused as refusal:
        return refusal


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
        chain = _verified(leaf, trust, policy, now)
        if isinstance(chain, VerifiedChain):
            found.setdefault(chain.anchor, (leaf, chain))
    return list(found.values())


VerifiedChainOf = tuple[Leaf, VerifiedChain]
"""A leaf as it lies in the store, and the proof of its chain."""
