"""What is installed, as trees: root, sub-CAs, leaves; and why each is used or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from evse_security.additions import AnyCaType
from evse_security.clock import Moment
from evse_security.pki.certificate import Certificate
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.ocsp import OcspStatus
from evse_security.pki.profile import ProfileName
from evse_security.store.reasons import Domain, Role
from evse_security.store.rules.ask import OcspState, ocsp_state
from evse_security.store.rules.revoked import NONE, Revocations
from evse_security.store.snapshot import Problem, Snapshot, StoreForm
from evse_security.vocabulary import CertificateHashData, LeafCertificateType

DEEPEST = 30
"""Certificates below a root in one tree; paths have ten at most. What hangs deeper is drawn as a tree of its own."""
_NO_RESPONSE = "no OCSP response in DER that says something (EVerest's own module writes base64 text into such files)"


@dataclass(frozen=True, slots=True)
class Node:
    """A certificate, and those that it issued."""

    role: Role
    name: str
    serial: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    validity: str
    """`valid`, `expired` or `not yet valid`."""
    key: str
    """Kind and size of its key."""
    files: tuple[Path, ...]
    ocsp: OcspState | None
    names_responder: bool
    used: bool
    """A leaf: whether it is the one in use. A CA: whether it is trusted."""
    reason: str
    """Why it is or is not used, as a stable code."""
    because: str
    """Why it is or is not used, in words."""
    private_key: Path | None
    hash_data: CertificateHashData | None
    """By what it is listed and deleted; None where its issuer, whose key is part of that, is not installed."""
    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class DomainOverview:
    """One trust domain with its trees."""

    domain: AnyCaType
    path: Path
    form: str
    trees: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class PendingKey:
    """A key that waits for its certificate."""

    path: Path
    certificate_type: LeafCertificateType
    since: datetime
    """When it was written."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything, with what is wrong."""

    domains: tuple[DomainOverview, ...]
    pending: tuple[PendingKey, ...]
    """Keys that wait for their certificate, by path."""
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    files: int
    entries: int
    """Files that count towards `max_store_entries`."""
    bytes: int
    clock: str | None
    """Why the clock is not believed."""

    @property
    def pending_keys(self) -> tuple[Path, ...]:
        """The files of the keys that wait for their certificate."""
        return tuple(key.path for key in self.pending)


def overview(
    snapshot: Snapshot,
    moment: Moment,
    newest_by: str,
    profile: ProfileName = ProfileName.LENIENT,
    said: Revocations = NONE,
) -> Overview:
    """Draw the store."""
    domains = tuple(
        _Drawing(Domain(snapshot, store, moment, newest_by, profile, said)).drawn()
        for store in snapshot.cas.values()
        if not store.is_unused
    )
    revoked = dict.fromkeys(line for domain in domains for line in _revoked(domain.trees))
    return Overview(
        domains=domains,
        pending=_pending(snapshot),
        problems=_problems(snapshot),
        warnings=(*_warnings(snapshot), *revoked),
        files=len(snapshot.names),
        entries=snapshot.listing.entries,
        bytes=snapshot.size,
        clock=moment.doubt,
    )


def _pending(snapshot: Snapshot) -> tuple[PendingKey, ...]:
    """Keys of which no certificate is installed anywhere, be it a leaf or a CA, in use or not."""
    taken = {token_of_certificate(certificate) for certificate in snapshot.certificates}
    found: dict[Path, PendingKey] = {}
    for leaf_type, store in snapshot.leaves.items():
        for key in store.keys:
            if key.token is not None and key.token not in taken:
                found.setdefault(key.path, PendingKey(key.path, leaf_type, key.modified))
    return tuple(found[path] for path in sorted(found))


def _problems(snapshot: Snapshot) -> tuple[Problem, ...]:
    """What cannot be read; and files that hold nothing of what their names and places promise.

    A bundle that is one file may be empty: it is the store of a domain without roots. Beside certificates may lie what
    is no certificate, such as a key in PEM.
    """
    bundles = {store.path for store in snapshot.cas.values()}
    files = [file for store in snapshot.cas.values() if store.form is StoreForm.DIRECTORY for file in store.files]
    files += [file for store in snapshot.leaves.values() for file in store.files]
    empty = (
        Problem(file.path, "named like a certificate, but holds none")
        for file in files
        if not (file.blocks or file.problem or file.holds_more) and file.path not in bundles
    )
    strange = (
        Problem(entry.response_path, _NO_RESPONSE)
        for entry in snapshot.ocsp
        if entry.has_response and entry.answer is None
    )
    return tuple(dict.fromkeys((*snapshot.problems, *empty, *strange)))


def _warnings(snapshot: Snapshot) -> list[str]:
    keys = {key.path: key for store in snapshot.leaves.values() for key in store.keys}
    exposed = [key for key in keys.values() if key.mode & 0o077]
    return [f"{key.path}: private key readable by others (mode {key.mode:04o})" for key in exposed]


def _revoked(trees: Iterable[Node]) -> Iterator[str]:
    for node in trees:
        if node.ocsp is not None and node.ocsp.status == OcspStatus.revoked:
            yield f"{node.files[0]}: {node.role} {node.name}, serial {node.serial}, is revoked, says its OCSP response"
        yield from _revoked(node.children)


class _Drawing:
    """The trees of one domain."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.drawn_once: set[Certificate] = set()

    def drawn(self) -> DomainOverview:
        """The trees: roots first, then whatever hangs under nothing."""
        store, forest = self.domain.store, self.domain.forest
        tops = [c for c in forest.certificates if forest.issuer_of(c) in (None, c)]
        trees = [self.node(top) for top in tops]
        trees += [self.node(c) for c in forest.certificates if c not in self.drawn_once]
        return DomainOverview(store.ca_type, store.path, store.form.value, tuple(trees))

    def node(self, certificate: Certificate, depth: int = 0) -> Node:
        self.drawn_once.add(certificate)
        domain = self.domain
        leaf, use = domain.leaves.get(certificate), domain.use(certificate)
        kind, bits = certificate.key_strength
        issued = domain.forest.issued_by(certificate) if depth < DEEPEST else ()
        cert_id = domain.snapshot.forest.id_of(certificate)
        return Node(
            role=domain.role(certificate),
            name=certificate.name,
            serial=certificate.serial_text,
            fingerprint=certificate.fingerprint,
            not_before=certificate.not_before,
            not_after=certificate.not_after,
            validity=domain.validity(certificate),
            key=f"{kind} {bits}",
            files=domain.files.get(certificate, ()),
            ocsp=ocsp_state(domain.snapshot, certificate, domain.moment.now),
            names_responder=bool(certificate.ocsp_urls),
            used=use.used,
            reason=use.reason.code,
            because=use.reason.text,
            private_key=leaf.key.path if leaf is not None and leaf.key is not None else None,
            hash_data=None if cert_id is None else cert_id.hash_data,
            children=tuple(self.node(one, depth + 1) for one in issued if one not in self.drawn_once),
        )
