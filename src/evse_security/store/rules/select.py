"""Which leaf is used: the newest that is valid, has its key, may act as a leaf, and leads to an installed root.

One that is revoked is not used, but for want of another where its kind is to be offered all the same.

An answer holds until the store changes or a certificate that it was made of begins or ceases to be valid; it is kept
with the store for so long. Opening a TLS connection asks for it, and verifying a chain takes OpenSSL a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import TypeVar, cast

from evse_security.errors import ChainRefused, Revoked
from evse_security.pki.certificate import Certificate
from evse_security.pki.forest import Forest
from evse_security.pki.path import Policy, TrustStore, VerifiedChain, may_be_valid, verify
from evse_security.pki.profile import Edition, serves
from evse_security.store.leafstore import Group, group_of, may_act
from evse_security.store.rules.revoked import NONE, Revocations, revocation
from evse_security.store.rules.span import Span, bounds, kept
from evse_security.store.snapshot import Leaf, LeafStore
from evse_security.vocabulary import GetCertificateInfoStatus

T = TypeVar("T")

MAX_TRIED = 16
"""Leaves whose chains are verified before the newest is taken as it is. As installing verifies, one is the rule."""


def usable(store: LeafStore, newest_by: str, policy: Policy, now: datetime) -> list[Leaf]:
    """The leaves that can be used now, newest first."""
    return [leaf for leaf in store.newest_first(newest_by) if is_usable(leaf, policy, now)]


def is_usable(leaf: Leaf, policy: Policy, now: datetime) -> bool:
    """Whether a leaf that may act as such can be used now."""
    return leaf.key is not None and may_be_valid(leaf.certificate, policy, now) and leaf.servable


def chosen(
    store: LeafStore,
    trust: TrustStore,
    newest_by: str,
    policy: Policy,
    now: datetime,
    said: Revocations = NONE,
    edition: Edition | None = None,
) -> Leaf | None:
    """The newest usable leaf whose chain verifies now. Where none does, the newest: peers may know more roots.

    Those that are revoked come after all others, or are not used at all, by their kind. With an edition of ISO 15118
    only the leaves of that one count.
    """

    def choose() -> tuple[Leaf | None, Iterable[Certificate]]:
        looked_at: list[Leaf] = []
        tried: list[Leaf] = []
        revoked: list[Leaf] = []
        for leaf in _in_turn(store, newest_by, policy, now):
            if not serves(leaf.certificate, edition):
                continue
            looked_at.append(leaf)
            if is_usable(leaf, policy, now):
                verdict = verified(leaf, trust, policy, now, said)
                if isinstance(verdict, VerifiedChain):
                    return leaf, _certificates_of(looked_at)
                (revoked if isinstance(verdict, Revoked) else tried).append(leaf)
            if len(tried) == MAX_TRIED:
                break
        rest = [*tried, *(revoked if store.kind.offers_revoked else ())]
        return next(iter(rest), None), _certificates_of(looked_at)

    return _kept(store, trust, said, ("chosen", newest_by, policy, said, edition), now, choose)


def _in_turn(store: LeafStore, newest_by: str, policy: Policy, now: datetime) -> Iterator[Leaf]:
    """The leaves that may act as such, newest first. Raises `KeysUnread` where that takes keys left for later.

    Of leaves with one validity the newest key decides, so the keys of all of them are needed.
    """
    for _, alike in groupby(store.newest_first(newest_by), key=lambda leaf: leaf.age(newest_by)[:2]):
        leaves = list(alike)
        store.need_keys_of(leaf for leaf in leaves if may_be_valid(leaf.certificate, policy, now))
        yield from leaves


def _certificates_of(leaves: Iterable[Leaf]) -> set[Certificate]:
    """Everything by which a verdict on leaves changes with time, but for what is installed."""
    found: set[Certificate] = set()
    for leaf in leaves:
        found.update(leaf.file.certificates)
    return found


_BOUNDS, _SAID = ("bounds",), ("said",)


def _kept(
    store: LeafStore,
    trust: TrustStore,
    said: Revocations,
    question: tuple[object, ...],
    now: datetime,
    answer: Callable[[], tuple[T, Iterable[Certificate]]],
) -> T:
    """The answer that was given before, if it still holds; else a new one with all certificates that it depends on.

    What was answered when others were said to be revoked is forgotten: responders say it anew each day, for years.
    """
    memory = store.memory.setdefault(trust, {})
    if memory.get(_SAID) != said:
        memory.clear()
        memory[_SAID] = said

    def with_span() -> tuple[T, Span]:
        value, certificates = answer()
        installed = memory.get(_BOUNDS)
        if installed is None:
            installed = memory[_BOUNDS] = bounds(trust.forest.certificates)
        return value, Span().within(cast(Sequence[datetime], installed), now).within(bounds(certificates), now)

    return kept(memory, question, now, with_span)


def flaw(leaf: Leaf, trust: TrustStore, policy: Policy, now: datetime, said: Revocations = NONE) -> ChainRefused | None:
    """Why the chain of a leaf does not verify now, or who of it is revoked; None where all is well."""
    found = verified(leaf, trust, policy, now, said)
    return None if isinstance(found, VerifiedChain) else found


def verified(
    leaf: Leaf, trust: TrustStore, policy: Policy, now: datetime, said: Revocations
) -> VerifiedChain | ChainRefused:
    """The proof of a leaf's chain, or why there is none: who of it is revoked, or what of it does not hold now."""
    revoked = revocation(leaf, trust, said)
    if revoked is not None:
        return revoked
    received = leaf.chain.certificates[1:] if leaf.chain else ()
    try:
        return verify(leaf.certificate, intermediates=received, trust=trust, policy=policy, now=now)
    except ChainRefused as refusal:
        return refusal


def status(store: LeafStore, policy: Policy, now: datetime) -> GetCertificateInfoStatus:
    """Why no leaf is chosen: nothing there, nothing valid, all of it revoked, or no key for what is valid."""
    leaves = [leaf for leaf in store.leaves if leaf.servable and may_act(leaf.certificate, store.kind)]
    if not leaves:
        return GetCertificateInfoStatus.NotFound
    valid = [leaf for leaf in leaves if may_be_valid(leaf.certificate, policy, now)]
    if not valid or any(leaf.key is not None for leaf in valid):
        return GetCertificateInfoStatus.NotFoundValid
    return GetCertificateInfoStatus.PrivateKeyNotFound


VerifiedChainOf = tuple[Leaf, VerifiedChain]
"""A leaf as it lies in the store, and the proof of its chain."""


def newest_per_root(
    store: LeafStore,
    trust: TrustStore,
    newest_by: str,
    policy: Policy,
    now: datetime,
    said: Revocations = NONE,
) -> list[VerifiedChainOf]:
    """The newest usable leaf of each root, with its verified chain. Leaves that lead to no root are left out.

    So are those that are revoked.
    """

    def choose() -> tuple[list[VerifiedChainOf], Iterable[Certificate]]:
        found: dict[Certificate, VerifiedChainOf] = {}
        looked_at: list[Leaf] = []
        reach = {group: _reach(group, example, trust) for group, example in store.groups}
        wanted = {anchor for anchors in reach.values() for anchor in anchors}
        for leaf in store.newest_first(newest_by):
            if wanted <= found.keys():
                break
            looked_at.append(leaf)
            if is_usable(leaf, policy, now) and not reach[group_of(leaf)] <= found.keys():
                chain = verified(leaf, trust, policy, now, said)
                if isinstance(chain, VerifiedChain):
                    found.setdefault(chain.anchor, (leaf, chain))
        return list(found.values()), _certificates_of(looked_at)

    return _kept(store, trust, said, ("per root", newest_by, policy, said), now, choose)


def _reach(group: Group, leaf: Certificate, trust: TrustStore) -> frozenset[Certificate]:
    """To which anchors leaves may lead, by names and key identifiers: nothing better comes of verifying them."""
    received = Forest(group[-1])
    seen: set[Certificate] = {leaf}
    waiting = [leaf]
    while waiting:
        child = waiting.pop()
        issuers = {*trust.possible_issuers(child), *received.possible_issuers(child)} - seen
        seen |= issuers
        waiting += issuers
    return frozenset(filter(trust.is_anchor, seen))
