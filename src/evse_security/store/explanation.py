"""Why each certificate of a trust domain is or is not used, with every path of each chain that was tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from evse_security.clock import Moment
from evse_security.errors import BadText, NotExactlyOne, Refusal
from evse_security.pki import pem
from evse_security.pki.candidates import Tried, candidates
from evse_security.pki.certificate import Certificate
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.path import LeafStart, Policy
from evse_security.pki.profile import ProfileName
from evse_security.store import layout
from evse_security.store.kinds import LEAF_KINDS, TRUST
from evse_security.store.limits import Limits, with_room
from evse_security.store.reasons import Domain, Reason, Role
from evse_security.store.rules.install import install
from evse_security.store.rules.renew import renew
from evse_security.store.rules.revoked import NONE, Revocations
from evse_security.store.rules.times import verified
from evse_security.store.snapshot import CaStore, Leaf, Snapshot
from evse_security.vocabulary import CaCertificateType, LeafCertificateType

VERIFIED = Reason("Valid", "valid: every signature, time and rule holds")


@dataclass(frozen=True, slots=True)
class PathTried:
    """One way from a leaf up, as names; the last is the anchor, unless the search ended before one."""

    names: tuple[str, ...]
    taken: bool
    """Whether it is the one that a verification takes: the first that is valid."""
    reason: Reason


@dataclass(frozen=True, slots=True)
class LeafExplained:
    """A leaf: whether it is in use, by which rule, and the paths that were tried."""

    name: str
    serial: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    files: tuple[Path, ...]
    private_key: Path | None
    closed_keys: int
    """Where it has none: how many keys there cannot be opened, one of which may be its own."""
    used: bool
    reason: Reason
    rule: str | None
    """What decided between it and the leaf in use, where both can be used."""
    paths: tuple[PathTried, ...]


@dataclass(frozen=True, slots=True)
class AuthorityExplained:
    """A CA certificate: whether it is trusted, and why."""

    role: Role
    name: str
    serial: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    files: tuple[Path, ...]
    used: bool
    reason: Reason


@dataclass(frozen=True, slots=True)
class Explanation:
    """A trust domain, the certificate in use first."""

    domain: CaCertificateType
    path: Path
    newest_by: str
    clock: str | None
    """Why the clock is not believed."""
    leaves: tuple[LeafExplained, ...]
    authorities: tuple[AuthorityExplained, ...]


def explain(
    snapshot: Snapshot,
    store: CaStore,
    moment: Moment,
    newest_by: str,
    profile: ProfileName = ProfileName.LENIENT,
    said: Revocations = NONE,
) -> Explanation:
    """Explain one domain."""
    domain = Domain(snapshot, store, moment, newest_by, profile, said)
    explained = [_leaf(domain, leaf) for leaf in domain.leaves.values()]
    cas = [c for c in domain.forest.certificates if c not in domain.leaves]
    return Explanation(
        domain=store.ca_type,
        path=store.path,
        newest_by=newest_by,
        clock=moment.doubt,
        leaves=tuple(sorted(explained, key=lambda one: (not one.used, -one.not_after.timestamp()))),
        authorities=tuple(_authority(domain, certificate) for certificate in cas),
    )


def _leaf(domain: Domain, leaf: Leaf) -> LeafExplained:
    certificate, use = leaf.certificate, domain.leaf_use(leaf)
    tried = candidates(
        certificate,
        intermediates=leaf.chain.certificates[1:] if leaf.chain else (),
        trust=domain.store.trust,
        policy=domain.policy,
        now=domain.now,
    )
    return LeafExplained(
        name=certificate.name,
        serial=certificate.serial_text,
        fingerprint=certificate.fingerprint,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        files=tuple(file.path for file in leaf.copies),
        private_key=None if leaf.key is None else leaf.key.path,
        closed_keys=_closed_keys(domain) if leaf.key is None else 0,
        used=use.used,
        reason=use.reason,
        rule=_rule(domain, leaf, use.reason),
        paths=tuple(_paths(tried, certificate)),
    )


def _closed_keys(domain: Domain) -> int:
    keys = () if domain.leaf_store is None else domain.leaf_store.keys
    return sum(key.token is None for key in keys)


def _paths(tried: Tried, leaf: Certificate) -> Iterator[PathTried]:
    if tried.leaf is not None:
        yield PathTried((leaf.name,), False, Reason.of(tried.leaf))
    for one in tried.candidates:
        reason = VERIFIED if one.refusal is None else Reason.of(one.refusal)
        yield PathTried(tuple(c.name for c in one.path), one is tried.taken, reason)
    for refusal in dict.fromkeys(Reason.of(dead) for dead in tried.dead_ends):
        yield PathTried((leaf.name,), False, refusal)


def _rule(domain: Domain, leaf: Leaf, reason: Reason) -> str | None:
    """What made one of two usable leaves the newer one."""
    if domain.chosen is None or reason.code != "NotNewest":
        return None
    return f"{_older(domain.chosen, leaf, domain.newest_by)} (newest_by = {domain.newest_by})"


_QUESTIONS: dict[str, tuple[str, Callable[[Leaf], datetime | None]]] = {
    "not_after": ("is valid until", lambda leaf: leaf.certificate.not_after),
    "not_before": ("is valid from", lambda leaf: leaf.certificate.not_before),
    "key": ("has a key of", lambda leaf: leaf.key.modified if leaf.key is not None else None),
}


def _older(chosen: Leaf, other: Leaf, newest_by: str) -> str:
    """By what the chosen leaf is newer: the first of the questions that tells them apart."""
    first, second = ("not_after", "not_before") if newest_by == "not_after" else ("not_before", "not_after")
    for name in (first, second, "key"):
        said, of = _QUESTIONS[name]
        one, two = of(chosen), of(other)
        if one is not None and two is not None and one != two:
            return f"the one in use {said} {one:%Y-%m-%d %H:%M:%SZ}, this one {two:%Y-%m-%d %H:%M:%SZ}"
    return "both are equally new: the one in use comes first in the directory"


def _authority(domain: Domain, certificate: Certificate) -> AuthorityExplained:
    use = domain.ca_use(certificate)
    return AuthorityExplained(
        role=domain.role(certificate),
        name=certificate.name,
        serial=certificate.serial_text,
        fingerprint=certificate.fingerprint,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        files=domain.files.get(certificate, ()),
        used=use.used,
        reason=use.reason,
    )


# ---- certificates that are not installed


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one command would make of the certificates, for one domain."""

    command: str
    type: str
    accepted: bool
    reason: Reason
    paths: tuple[PathTried, ...] = ()


@dataclass(frozen=True, slots=True)
class FileExplanation:
    """What each command would make of certificates that are not installed."""

    names: tuple[str, ...]
    """The certificates in their order; none where the text cannot be read."""
    installed: tuple[tuple[Path, ...], ...]
    """Where each of them lies, if it is installed."""
    clock: str | None
    attempts: tuple[Attempt, ...]


def explain_text(
    snapshot: Snapshot, text: str, moment: Moment, limits: Limits, profile: ProfileName = ProfileName.LENIENT
) -> FileExplanation:
    """Try certificates (PEM, leaf first) with each command for each domain, on the snapshot only."""
    trial = _Trial(snapshot, moment, limits, profile)
    try:
        received = pem.chain(text, "the file")
    except BadText as refusal:
        return FileExplanation((), (), moment.doubt, (Attempt("any", "any", False, Reason.of(refusal)),))
    attempts = [trial.install(received, ca_type) for ca_type in snapshot.cas]
    attempts += [trial.update(received, leaf_type) for leaf_type in LEAF_KINDS]
    attempts += [trial.verify(received, leaf_type) for leaf_type in TRUST]
    places = tuple(tuple(_places(snapshot, certificate)) for certificate in received)
    return FileExplanation(tuple(c.name for c in received), places, moment.doubt, tuple(attempts))


def _places(snapshot: Snapshot, certificate: Certificate) -> Iterator[Path]:
    files = {file.path: file for store in snapshot.stores for file in store.files}
    yield from (path for path, file in files.items() if certificate in file.certificates)


class _Trial:
    """The rules of the commands, whose decisions are thrown away."""

    def __init__(self, snapshot: Snapshot, moment: Moment, limits: Limits, profile: ProfileName) -> None:
        self.snapshot, self.moment, self.limits, self.profile = snapshot, moment, limits, profile
        self.token = layout.token(moment.now, 0, 0)

    def install(self, received: Sequence[Certificate], ca_type: CaCertificateType) -> Attempt:
        def ask() -> None:
            if len(received) != 1:
                raise NotExactlyOne(len(received))
            store = self.snapshot.cas[ca_type]
            now, at_least = self.moment.now, self.moment.at_least
            decision = install(self.snapshot, received[0], store, self.limits, now, self.token, at_least=at_least)
            with_room(decision, self.snapshot, self.limits, self.moment)

        return _attempt("install_ca_certificate", ca_type, ask)

    def update(self, received: Sequence[Certificate], leaf_type: LeafCertificateType) -> Attempt:
        def ask() -> None:
            trust = self.snapshot.trust((TRUST[leaf_type],))
            chain = verified(received[0], received[1:], trust, self._policy(leaf_type), self.moment)
            decision = renew(self.snapshot.leaves[leaf_type], chain, self.token)
            with_room(decision, self.snapshot, self.limits, self.moment, (token_of_certificate(chain.leaf),))

        return _attempt("update_leaf_certificate", leaf_type, ask)

    def verify(self, received: Sequence[Certificate], leaf_type: LeafCertificateType) -> Attempt:
        """With all paths that are tried."""
        trust, policy = self.snapshot.trust((TRUST[leaf_type],)), self._policy(leaf_type)
        leaf, *sent, now = *received, self.moment.now
        tried = candidates(leaf, intermediates=sent, trust=trust, policy=policy, now=now)

        def ask() -> None:
            verified(leaf, sent, trust, policy, self.moment)

        return _attempt("verify_certificate", leaf_type, ask, tuple(_paths(tried, leaf)))

    def _policy(self, leaf_type: LeafCertificateType) -> Policy:
        """Only leaves that the station itself will use may become valid later."""
        start = LeafStart.NOW_OR_LATER if leaf_type in LEAF_KINDS else LeafStart.NOW
        return Policy((leaf_type,), self.profile, start)


def _attempt(command: str, kind: str, ask: Callable[[], None], paths: tuple[PathTried, ...] = ()) -> Attempt:
    try:
        ask()
    except Refusal as refusal:
        return Attempt(command, str(kind), False, Reason.of(refusal), paths)
    return Attempt(command, str(kind), True, Reason("Accepted", "it would be accepted"), paths)
