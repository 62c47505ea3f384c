"""What is installed, as trees: root, sub-CAs, leaves; and why each is used or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from evse_security.clock import Moment
from evse_security.errors import ChainRefused
from evse_security.pki.certificate import Certificate
from evse_security.pki.forest import Forest
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.ocsp import OcspStatus, current
from evse_security.pki.path import Policy, check_end_entity, why_not_ca
from evse_security.pki.profile import ProfileName
from evse_security.store.kinds import LEAF_KINDS
from evse_security.store.rules.select import chosen, flaw
from evse_security.store.snapshot import CaStore, Leaf, LeafStore, Problem, Snapshot, StoreForm
from evse_security.vocabulary import CaCertificateType

_NO_RESPONSE = "no OCSP response in DER that says something (EVerest's own module writes base64 text into such files)"


class Role(StrEnum):
    """What a certificate is in its tree."""

    ROOT = "root"
    SUB_CA = "sub-CA"
    LEAF = "leaf"


@dataclass(frozen=True, slots=True)
class OcspState:
    """The cached answer about a certificate."""

    status: str
    this_update: datetime
    next_update: datetime | None
    is_current: bool


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
    because: str
    """Why it is or is not used, in words."""
    private_key: Path | None
    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class DomainOverview:
    """One trust domain with its trees."""

    domain: CaCertificateType
    path: Path
    form: str
    trees: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything, with what is wrong."""

    domains: tuple[DomainOverview, ...]
    pending_keys: tuple[Path, ...]
    """Keys that wait for their certificate."""
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    files: int
    bytes: int
    clock: str | None
    """Why the clock is not believed."""


def overview(
    snapshot: Snapshot, moment: Moment, newest_by: str, profile: ProfileName = ProfileName.LENIENT
) -> Overview:
    """Draw the store."""
    domains = tuple(_Domain(snapshot, store, moment, newest_by, profile).drawn() for store in snapshot.cas.values())
    revoked = dict.fromkeys(line for domain in domains for line in _revoked(domain.trees))
    return Overview(
        domains=domains,
        pending_keys=_pending(snapshot),
        problems=_problems(snapshot),
        warnings=(*_warnings(snapshot), *revoked),
        files=len(snapshot.names),
        bytes=snapshot.size,
        clock=moment.doubt,
    )


def _pending(snapshot: Snapshot) -> tuple[Path, ...]:
    """Keys of which no certificate is installed anywhere, be it a leaf or a CA, in use or not."""
    taken = {token_of_certificate(certificate) for certificate in snapshot.certificates}
    keys = (key for store in snapshot.leaves.values() for key in store.keys)
    return tuple(sorted({key.path for key in keys if key.token is not None and key.token not in taken}))


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


class _Domain:
    """One domain: its CA store, and the leaves whose roots it holds."""

    def __init__(
        self, snapshot: Snapshot, store: CaStore, moment: Moment, newest_by: str, profile: ProfileName
    ) -> None:
        self.snapshot, self.store, self.moment = snapshot, store, moment
        kind = next((kind for kind in LEAF_KINDS.values() if kind.ca_type is store.ca_type), None)
        self.leaf_store: LeafStore | None = snapshot.leaves[kind.leaf_type] if kind is not None else None
        self.leaf_types = (kind.leaf_type,) if kind is not None else ()
        self.leaves = {leaf.certificate: leaf for leaf in self.leaf_store.leaves} if self.leaf_store else {}
        self.policy = Policy(self.leaf_types, profile)
        self.chosen: Leaf | None = None
        if self.leaf_store is not None:
            self.chosen = chosen(self.leaf_store, store.trust, newest_by, self.policy, moment.now)
        below = self.leaf_store.certificates if self.leaf_store else ()
        self.forest = Forest((*store.certificates, *below))
        self.drawn_once: set[Certificate] = set()

    def drawn(self) -> DomainOverview:
        """The trees: roots first, then whatever hangs under nothing."""
        tops = [c for c in self.forest.certificates if self.forest.issuer_of(c) in (None, c)]
        trees = [self.node(top) for top in tops]
        trees += [self.node(c) for c in self.forest.certificates if c not in self.drawn_once]
        return DomainOverview(self.store.ca_type, self.store.path, self.store.form.value, tuple(trees))

    def node(self, certificate: Certificate) -> Node:
        self.drawn_once.add(certificate)
        leaf = self.leaves.get(certificate)
        used, because = self.leaf_use(leaf) if leaf is not None else self.ca_use(certificate)
        kind, bits = certificate.key_strength
        return Node(
            role=self.role(certificate),
            name=certificate.name,
            serial=certificate.serial_text,
            fingerprint=certificate.fingerprint,
            not_before=certificate.not_before,
            not_after=certificate.not_after,
            validity=self.validity(certificate),
            key=f"{kind} {bits}",
            files=self.files(certificate),
            ocsp=self.ocsp(certificate),
            names_responder=bool(certificate.ocsp_urls),
            used=used,
            because=because,
            private_key=leaf.key.path if leaf is not None and leaf.key is not None else None,
            children=tuple(self.node(one) for one in self.forest.issued_by(certificate) if one not in self.drawn_once),
        )

    def role(self, certificate: Certificate) -> Role:
        if certificate in self.leaves:
            return Role.LEAF
        if certificate.self_issued:
            return Role.ROOT
        constraints = certificate.basic_constraints
        return Role.SUB_CA if constraints is not None and constraints.ca else Role.LEAF

    def validity(self, certificate: Certificate) -> str:
        if certificate.expired(self.moment.now):
            return "expired"
        return "not yet valid" if certificate.not_yet_valid(self.moment.now) else "valid"

    def files(self, certificate: Certificate) -> tuple[Path, ...]:
        files = (*self.store.files, *(self.leaf_store.files if self.leaf_store else ()))
        return tuple(file.path for file in files if certificate in file.certificates)

    def ocsp(self, certificate: Certificate) -> OcspState | None:
        cert_id = self.snapshot.forest.id_of(certificate)
        entries = self.snapshot.ocsp_by_id.get(cert_id, []) if cert_id is not None else []
        newest = max((e.answer for e in entries if e.answer), key=lambda answer: answer.this_update, default=None)
        if newest is None:
            return None
        return OcspState(newest.status, newest.this_update, newest.next_update, current(newest, self.moment.now))

    def ca_use(self, certificate: Certificate) -> tuple[bool, str]:
        problem = why_not_ca(certificate)
        if problem is not None:
            return False, f"not trusted: {problem}"
        if certificate.self_issued and not certificate.self_signed and self.forest.issuer_of(certificate) is None:
            return False, "not trusted: its own key does not confirm its signature"
        if certificate.self_signed and certificate not in self.store.certificates:
            return False, "not trusted: it lies in a leaf directory, not in the CA store"
        if self.validity(certificate) != "valid":
            return False, f"not trusted: {self.validity(certificate)}"
        if certificate in self.store.anchors:
            return True, "trusted as a root"
        if certificate in self.led:
            return True, "used to build chains"
        if self.forest.issuer_of(certificate) is None:
            return False, "not used: its issuer is not installed"
        return False, "not used: leads to no trusted root"

    @cached_property
    def led(self) -> frozenset[Certificate]:
        """The CAs whose line of issuers reaches an anchor, all of it valid now."""
        found = set(self.store.valid_roots(self.moment.now))
        waiting = list(found)
        while waiting:
            issued = self.forest.issued_by(waiting.pop())
            fresh = {c for c in issued if c.valid_at(self.moment.now) and why_not_ca(c) is None} - found
            found |= fresh
            waiting += fresh
        return frozenset(found)

    def leaf_use(self, leaf: Leaf) -> tuple[bool, str]:
        certificate = leaf.certificate
        problem = flaw(leaf, self.store.trust, self.policy, self.moment.now)
        if self.chosen is not None and certificate == self.chosen.certificate:
            if problem is not None:
                return True, f"in use for want of a better one, but peers will refuse it: {problem}"
            return True, "in use: the newest that is valid and has its key"
        try:
            check_end_entity(certificate, self.leaf_types)
        except ChainRefused as refusal:
            return False, f"not used: {refusal}"
        if leaf.key is None:
            return False, "not used: no private key fits"
        if self.validity(certificate) != "valid":
            return False, f"not used: {self.validity(certificate)}"
        if not leaf.servable:
            return False, "not used: no file of it is without a bad block"
        if problem is not None:
            return False, f"not used: {problem}"
        newer = "" if self.chosen is None else self.chosen.file.path.name
        return False, f"not used: another leaf is newer, the one in {newer}"
