"""What each command would make of certificates that are handed over, and why. Nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from evse_security.additions import AnyCaType
from evse_security.clock import Moment
from evse_security.errors import BadText, NotExactlyOne, Refusal
from evse_security.pki import pem
from evse_security.pki.candidates import candidates
from evse_security.pki.certificate import Certificate
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.path import LeafStart, Policy
from evse_security.pki.profile import ProfileName
from evse_security.store import layout
from evse_security.store.changes import Decision, Remove
from evse_security.store.explanation import PathTried, paths_tried
from evse_security.store.kinds import LEAF_KINDS, TRUST
from evse_security.store.limits import Limits, with_room
from evse_security.store.reasons import Domain, Reason, Role, role_of
from evse_security.store.rules.install import install
from evse_security.store.rules.renew import renew
from evse_security.store.rules.revoked import NONE, Revocations
from evse_security.store.rules.times import verified
from evse_security.store.snapshot import CertificateFile, Snapshot
from evse_security.vocabulary import LeafCertificateType


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one command would make of the certificates, for one domain."""

    command: str
    type: str
    accepted: bool
    reason: Reason
    paths: tuple[PathTried, ...] = ()
    written: tuple[Path, ...] = ()
    """The files that it would write or change; the names of new ones say when they are written."""
    removed: tuple[Path, ...] = ()
    """Files that it would remove: to make room, or since they are superseded."""
    then: str | None = None
    """What the first certificate would be used for once that is done; None where nothing is installed by this."""


@dataclass(frozen=True, slots=True)
class Received:
    """A certificate that is not installed, or not by this."""

    name: str
    issuer: str
    serial: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    key: str
    """Kind and size of its key."""
    role: Role
    installed: tuple[Path, ...]
    """Where it lies, if it is installed."""


@dataclass(frozen=True, slots=True)
class FileExplanation:
    """What each command would make of certificates that are not installed."""

    certificates: tuple[Received, ...]
    """In their order; none where the text cannot be read."""
    clock: str | None
    attempts: tuple[Attempt, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What the certificates are called."""
        return tuple(certificate.name for certificate in self.certificates)

    @property
    def installed(self) -> tuple[tuple[Path, ...], ...]:
        """Where each of them lies, if it is installed."""
        return tuple(certificate.installed for certificate in self.certificates)


def explain_text(
    snapshot: Snapshot,
    text: str,
    moment: Moment,
    limits: Limits,
    profile: ProfileName = ProfileName.LENIENT,
    *,
    newest_by: str = "not_after",
    said: Revocations = NONE,
) -> FileExplanation:
    """Try certificates (PEM, leaf first) with each command for each domain, on the snapshot only."""
    trial = _Trial(snapshot, moment, limits, profile, newest_by, said)
    try:
        received = pem.chain(text, "the file")
    except BadText as refusal:
        return FileExplanation((), moment.doubt, (Attempt("any", "any", False, Reason.of(refusal)),))
    attempts = [trial.install(received, ca_type) for ca_type in snapshot.cas]
    attempts += [trial.update(received, leaf_type) for leaf_type in LEAF_KINDS]
    attempts += [trial.verify(received, leaf_type) for leaf_type in TRUST]
    certificates = tuple(_received(snapshot, certificate) for certificate in received)
    return FileExplanation(certificates, moment.doubt, tuple(attempts))


def _received(snapshot: Snapshot, certificate: Certificate) -> Received:
    kind, bits = certificate.key_strength
    return Received(
        name=certificate.name,
        issuer=certificate.issuer_name,
        serial=certificate.serial_text,
        fingerprint=certificate.fingerprint,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        key=f"{kind} {bits}",
        role=role_of(certificate),
        installed=tuple(_places(snapshot, certificate)),
    )


def _places(snapshot: Snapshot, certificate: Certificate) -> Iterator[Path]:
    files = {file.path: file for store in snapshot.stores for file in store.files}
    yield from (path for path, file in files.items() if certificate in file.certificates)


class _Trial:
    """The rules of the commands, whose decisions are thrown away."""

    def __init__(
        self,
        snapshot: Snapshot,
        moment: Moment,
        limits: Limits,
        profile: ProfileName,
        newest_by: str,
        said: Revocations,
    ) -> None:
        self.snapshot, self.moment, self.limits, self.profile = snapshot, moment, limits, profile
        self.newest_by, self.said = newest_by, said
        self.token = layout.token(moment.now, 0, 0)

    def install(self, received: Sequence[Certificate], ca_type: AnyCaType) -> Attempt:
        def ask() -> Decision:
            if len(received) != 1:
                raise NotExactlyOne(len(received))
            store = self.snapshot.cas[ca_type]
            now, at_least = self.moment.now, self.moment.at_least
            decision = install(self.snapshot, received[0], store, self.limits, now, self.token, at_least=at_least)
            return with_room(decision, self.snapshot, self.limits, self.moment)

        attempt = _attempt("install_ca_certificate", ca_type, ask)
        return self.with_use(attempt, received, ca_type, self.snapshot) if attempt.written else attempt

    def update(self, received: Sequence[Certificate], leaf_type: LeafCertificateType) -> Attempt:
        def ask() -> Decision:
            trust = self.snapshot.trust((TRUST[leaf_type],))
            chain = verified(received[0], received[1:], trust, self._policy(leaf_type), self.moment)
            decision = renew(self.snapshot.leaves[leaf_type], chain, self.token)
            return with_room(decision, self.snapshot, self.limits, self.moment, (token_of_certificate(chain.leaf),))

        attempt = _attempt("update_leaf_certificate", leaf_type, ask)
        if not attempt.written:
            return attempt
        added = _file_of(attempt.written[0], received)
        leaves = self.snapshot.leaves[leaf_type].changed({added.location: added})
        after = replace(self.snapshot, leaves={**self.snapshot.leaves, leaf_type: leaves})
        return self.with_use(attempt, received, TRUST[leaf_type], after)

    def with_use(
        self, attempt: Attempt, received: Sequence[Certificate], ca_type: AnyCaType, after: Snapshot
    ) -> Attempt:
        """With what the first certificate would be used for in a domain, were it in its CA store or a leaf."""
        store = self.snapshot.cas[ca_type]
        if after is self.snapshot:
            store = replace(store, files=(*store.files, _file_of(attempt.written[0], received)))
        domain = Domain(after, store, self.moment, self.newest_by, self.profile, self.said)
        return replace(attempt, then=domain.use(received[0]).reason.text)

    def verify(self, received: Sequence[Certificate], leaf_type: LeafCertificateType) -> Attempt:
        """With all paths that are tried."""
        trust, policy = self.snapshot.trust((TRUST[leaf_type],)), self._policy(leaf_type)
        leaf, *sent, now = *received, self.moment.now
        tried = candidates(leaf, intermediates=sent, trust=trust, policy=policy, now=now)

        def ask() -> Decision:
            verified(leaf, sent, trust, policy, self.moment)
            return Decision()

        return _attempt("verify_certificate", leaf_type, ask, tuple(paths_tried(tried, leaf)))

    def _policy(self, leaf_type: LeafCertificateType) -> Policy:
        """Only leaves that the station itself will use may become valid later."""
        start = LeafStart.NOW_OR_LATER if leaf_type in LEAF_KINDS else LeafStart.NOW
        return Policy((leaf_type,), self.profile, start)


def _file_of(path: Path, certificates: Sequence[Certificate]) -> CertificateFile:
    """A file as it would be, were there nothing else in it."""
    return CertificateFile(path, pem.blocks("".join(each.pem for each in certificates).encode()))


def _attempt(command: str, kind: str, ask: Callable[[], Decision], paths: tuple[PathTried, ...] = ()) -> Attempt:
    try:
        decision = ask()
    except Refusal as refusal:
        return Attempt(command, str(kind), False, Reason.of(refusal), paths)
    removed = {change.path: None for change in decision.changes if isinstance(change, Remove)}
    written = {change.path: None for change in decision.changes if change.path not in removed}
    accepted = Reason("Accepted", "it would be accepted")
    return Attempt(command, str(kind), True, accepted, paths, tuple(written), tuple(removed))
