"""The way from a leaf to a trust anchor: we search, OpenSSL judges each candidate.

OpenSSL alone does not backtrack, so it fails on cross-signed sub-CAs and on roots of one name. Here candidate paths are
enumerated by name and key identifier under a budget, and each is judged with only its own anchor trusted. The times of
every certificate, the strength of keys and the profile are checked here, where the reasons can be told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import cached_property
from typing import Self

from evse_security.errors import (
    BadSignature,
    ChainRefused,
    IssuerNotFound,
    NotACa,
    NoTrustAnchor,
    NotYetValid,
    SearchExhausted,
)
from evse_security.pki import profile, verdict
from evse_security.pki.certificate import Certificate
from evse_security.pki.demands import check_digest, check_end_entity, check_key, check_time, why_not_ca
from evse_security.pki.forest import Forest
from evse_security.vocabulary import LeafCertificateType

MAX_CANDIDATES = 64
"""Paths judged by OpenSSL in one search; the hardest real case, a cross-signed sub-CA under renewed roots, needs 4."""
MAX_STEPS = 300
"""Certificates and signatures looked at in one search (webpki allows 100 signatures). A slow station verifies some 50 a
second; 40 roots of one name without key identifiers above three sub-CAs need 50."""
MAX_PATH = 10
"""Certificates of a path, anchor included. ISO 15118 has four."""


class LeafStart(Enum):
    """Whether a leaf may be one that becomes valid later."""

    NOW = "now"
    NOW_OR_LATER = "now or later"
    UNKNOWN = "whenever it is"
    """The clock is not believed: it may be later than it shows, so that no certificate of a path is too new."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a path is verified for."""

    leaf_types: tuple[LeafCertificateType, ...]
    profile: profile.ProfileName = profile.ProfileName.LENIENT
    leaf_start: LeafStart = LeafStart.NOW


class TrustStore:
    """The installed certificates that a path may use: anchors to end at, and sub-CAs to lead there.

    With a prepared one, a verification does not depend on how many are installed.
    """

    def __init__(self, anchors: Iterable[Certificate], sub_cas: Iterable[Certificate] = ()) -> None:
        """Take these as they are."""
        trusted = tuple(anchors)
        self.forest = Forest((*trusted, *sub_cas))  # in the order given: the same search in every process
        self._is_anchor: Callable[[Certificate], bool] = frozenset(trusted).__contains__
        self._is_sub_ca: Callable[[Certificate], bool] = self.forest.__contains__

    @classmethod
    def among(cls, forest: Forest, is_anchor: Callable[[Certificate], bool]) -> Self:
        """Those of a forest that are anchors, and those that are not self-signed.

        The same as one made of the two, but each certificate is asked about when a path comes upon it: the signatures
        of roots that nobody needs are not verified.
        """
        store = cls(())
        store.forest = forest
        store._is_anchor = lambda certificate: certificate in forest and is_anchor(certificate)
        store._is_sub_ca = lambda certificate: not certificate.self_signed
        return store

    @cached_property
    def anchors(self) -> frozenset[Certificate]:
        """The certificates at which a path may end."""
        return frozenset(filter(self._is_anchor, self.forest.certificates))

    @cached_property
    def has_anchors(self) -> bool:
        """Whether there is any."""
        return any(map(self._is_anchor, self.forest.certificates))

    def is_anchor(self, certificate: Certificate) -> bool:
        """Whether a path may end at this certificate."""
        return self._is_anchor(certificate)

    def possible_issuers(self, certificate: Certificate) -> list[Certificate]:
        """Those whose name and key identifier fit, anchors first; their signatures are not looked at."""
        found = [issuer for issuer in self.forest.possible_issuers(certificate) if self._counts(issuer)]
        return found if len(found) < 2 else sorted(found, key=lambda issuer: not self._is_anchor(issuer))

    def has_namesake(self, certificate: Certificate) -> bool:
        """Whether there is one that bears the name of its issuer."""
        return any(map(self._counts, self.forest.named_as_issuer(certificate)))

    def _counts(self, certificate: Certificate) -> bool:
        return self._is_anchor(certificate) or self._is_sub_ca(certificate)


_PROOF = object()


@dataclass(frozen=True)
class VerifiedChain:
    """A leaf, its sub-CAs in TLS order, and the anchor they lead to. Only `verify` makes one: having it is proof."""

    path: tuple[Certificate, ...]
    proof: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.proof is not _PROOF:
            raise TypeError("a VerifiedChain is made by verify() only")

    @property
    def leaf(self) -> Certificate:
        """The end-entity certificate."""
        return self.path[0]

    @property
    def sent(self) -> tuple[Certificate, ...]:
        """What a TLS server sends: leaf first, without the root (RFC 8446 §4.4.2)."""
        return self.path[:-1]

    @property
    def anchor(self) -> Certificate:
        """The trusted certificate at the end."""
        return self.path[-1]


def verify(
    leaf: Certificate,
    *,
    intermediates: Sequence[Certificate],
    trust: TrustStore,
    policy: Policy,
    now: datetime,
) -> VerifiedChain:
    """Find a valid path from a leaf to one of the anchors.

    Self-signed certificates among `intermediates` are never trusted and play no part. Raises the `ChainRefused` of the
    candidate that came nearest to success.
    """
    _check_leaf(leaf, policy, now)
    if not trust.has_anchors:
        raise NoTrustAnchor(" or ".join(policy.leaf_types) or "the domains asked for (there are none)")
    search = _Search(intermediates, trust, now)
    refusals: list[ChainRefused] = []
    for path in search.paths((leaf,)):
        try:
            _judge(path, policy, now)
        except ChainRefused as refusal:
            refusals.append(refusal)
        else:
            return VerifiedChain(path, _PROOF)
        if len(refusals) >= MAX_CANDIDATES:
            refusals.append(SearchExhausted(MAX_CANDIDATES, "candidate paths"))
            break
    raise max(refusals or search.dead_ends, key=lambda refusal: refusal.rank)


def may_be_valid(certificate: Certificate, policy: Policy, now: datetime) -> bool:
    """Whether a certificate is within its validity; while the clock is not believed, that it has not ended."""
    return certificate.valid_at(now) or (policy.leaf_start is LeafStart.UNKNOWN and not certificate.expired(now))


def _check_leaf(leaf: Certificate, policy: Policy, now: datetime) -> None:
    try:
        check_time(leaf, now)
    except NotYetValid:
        if policy.leaf_start is LeafStart.NOW:
            raise
    check_end_entity(leaf, policy.leaf_types)


class _Search:
    """Enumerates paths depth first: anchors before sub-CAs, certificates that are valid now before others."""

    def __init__(self, received: Sequence[Certificate], trust: TrustStore, now: datetime) -> None:
        self.trust = trust
        self.received = Forest(c for c in received if not c.self_signed)
        self.now = now
        self.steps = 0
        self.dead_ends: list[ChainRefused] = []

    def paths(self, path: tuple[Certificate, ...]) -> Iterator[tuple[Certificate, ...]]:
        """All paths to an anchor that begin so."""
        for issuer in self._issuers(path):
            self.steps += 1
            if self.steps > MAX_STEPS:
                self.dead_ends.append(SearchExhausted(MAX_STEPS, "steps"))
                return
            if self.trust.is_anchor(issuer):
                yield (*path, issuer)
            elif len(path) + 1 < MAX_PATH:
                yield from self.paths((*path, issuer))
            else:
                self.dead_ends.append(SearchExhausted(MAX_PATH, "certificates in a path"))

    def _issuers(self, path: tuple[Certificate, ...]) -> list[Certificate]:
        """The candidates one step up. Where there are several, those whose key did not sign are left out."""
        child = path[-1]
        known = (*self.trust.possible_issuers(child), *self.received.possible_issuers(child))
        named = [issuer for issuer in dict.fromkeys(known) if issuer not in path]
        if not named:
            namesake = not known and self.trust.has_namesake(child)
            self.dead_ends.append(IssuerNotFound(child.name, child.issuer_name, namesake=namesake))
        if len(named) == 1:
            return named  # OpenSSL verifies the signature
        signers = list(self._signers(child, named))
        if named and not signers and self.steps <= MAX_STEPS:
            self.dead_ends.append(BadSignature(child.name, child.issuer_name, len(path) - 1))
        return sorted(signers, key=lambda c: (not self.trust.is_anchor(c), not c.valid_at(self.now)))

    def _signers(self, child: Certificate, named: Iterable[Certificate]) -> Iterator[Certificate]:
        for issuer in named:
            self.steps += 1
            if self.steps > MAX_STEPS:
                self.dead_ends.append(SearchExhausted(MAX_STEPS, "steps"))
                return
            if child.signed_by(issuer):
                yield issuer


def _judge(path: tuple[Certificate, ...], policy: Policy, now: datetime) -> None:
    """Say whether one path is valid: 1. CAs, 2. OpenSSL, 3. times, 4. keys and digests, 5. profile. Raises why not."""
    for certificate in path[1:]:
        problem = why_not_ca(certificate)
        if problem is not None:
            raise NotACa(certificate.name, problem)  # 1
    verdict.ask(path)  # 2
    for certificate in path[1:]:
        _check_ca_time(certificate, policy, now)  # 3; the leaf's is checked
    for certificate in path:
        check_key(certificate)  # 4
    for certificate in path[:-1]:
        check_digest(certificate)
    profile.check(policy.profile, path, policy.leaf_types)  # 5


def _check_ca_time(certificate: Certificate, policy: Policy, now: datetime) -> None:
    try:
        check_time(certificate, now)
    except NotYetValid:
        if policy.leaf_start is not LeafStart.UNKNOWN:
            raise
