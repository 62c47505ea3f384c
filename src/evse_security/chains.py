"""The chains that a TLS stack may send now, verified, with what OCSP says of them; and why others are not sent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from evse_security.additions import AddedCaType
from evse_security.clock import Moment, turns
from evse_security.core import Core
from evse_security.errors import ChainRefused, OcspRefused
from evse_security.leaves import Leaves
from evse_security.pki import names, ocsp, pem
from evse_security.pki.certificate import Certificate
from evse_security.pki.ocsp import OcspStatus
from evse_security.pki.path import VerifiedChain
from evse_security.pki.profile import Edition, edition_of
from evse_security.store.kinds import SECC
from evse_security.store.rules import select
from evse_security.store.rules.cache import offer_changes, offered
from evse_security.store.rules.revoked import NONE, Revocations
from evse_security.store.rules.span import Span, bounds
from evse_security.store.scan import read
from evse_security.store.snapshot import CaStore, Leaf, LeafStore, Snapshot, may_sign
from evse_security.vocabulary import LeafCertificateType

__all__ = ["Authority", "Chain", "Edition", "Installed", "Sent", "Unsent", "roots_in"]

MAX_ROOTS_BYTES = 4 * 1024 * 1024
"""Most that is read of roots outside the store."""
MAX_CHAINS = 128
"""Chains that are verified, the newest first: Hubject's rules want one per root and curve, EVSEs one each."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A certificate that is sent, and the current OCSP response that calls it good."""

    name: str
    serial: str
    pem: str
    response: bytes | None
    """OCSPResponse in DER."""
    problem: str | None
    """Why there is no such response."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA of a chain by all that peers name it by (RFC 6066 §6, RFC 8446 §4.2.4)."""

    name: str
    subject: bytes
    """Name in DER."""
    key_sha1: bytes
    certificate_sha1: bytes


@dataclass(frozen=True, slots=True)
class Chain:
    """A leaf with its key and its sub-CAs, which lead to an installed root now."""

    edition: Edition | None
    """Told by the leaf's key; None where no edition of ISO 15118 has such keys."""
    key_kind: str
    """Kind and size of the leaf's key: `EC 256`."""
    common_name: str
    """Of the leaf: the SECC's or the station's identity."""
    sent: tuple[Sent, ...]
    """Leaf first, without the root."""
    authorities: tuple[Authority, ...]
    """From the leaf's issuer to the root."""
    root: bytes
    """The root (DER)."""
    key: Path
    password: str | None
    fingerprint: str

    def __repr__(self) -> str:
        return f"<Chain of {self}>"

    def __str__(self) -> str:
        return f"{self.sent[0].name}, serial {self.sent[0].serial}, under {self.authorities[-1].name}"

    @property
    def responses(self) -> tuple[bytes | None, ...]:
        """The OCSP responses (DER) that call what is sent good."""
        return tuple(one.response for one in self.sent)

    @property
    def pem(self) -> str:
        """What is sent, in PEM."""
        return "".join(one.pem for one in self.sent)


@dataclass(frozen=True, slots=True)
class Unsent:
    """A leaf that lies in the store and is not sent, and why."""

    name: str
    serial: str
    reason: str


@dataclass(frozen=True, slots=True)
class OemRoots:
    """The roots of car makers that are valid (DER). Of what cannot be read in full none is trusted, and it says so."""

    roots: tuple[bytes, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Installed:
    """What there is of one kind of leaf, the newest first, and the roots of its domain."""

    chains: tuple[Chain, ...]
    unsent: tuple[Unsent, ...]
    roots: tuple[bytes, ...]
    """Those that are valid, in DER."""
    oem: OemRoots = OemRoots()
    """Of V2G chains: those of car makers, which vouch for the cars that they are shown to."""


def roots_in(path: Path) -> tuple[bytes, ...]:
    """The self-signed CA certificates (DER) in a file of PEM outside the store. Raises OSError and ValueError."""
    blocks = pem.blocks(read(path, MAX_ROOTS_BYTES))
    found = (block.certificate for block in blocks if block.certificate is not None)
    return tuple(dict.fromkeys(one.der for one in found if one.self_signed and may_sign(one)))


class Chains:
    """The chains of a store. Safe to use from several threads."""

    def __init__(self, core: Core, leaves: Leaves) -> None:
        """Work on this store."""
        self._core, self._leaves = core, leaves
        self._known: dict[LeafCertificateType, tuple[Snapshot, Span, Installed]] = {}

    def installed(self, kind: LeafCertificateType) -> Installed:
        """The chains of a kind: the same object as before, while the store is the same and nothing begins or ends."""
        known = self._known.get(kind)
        if known is not None:  # asked so at every handshake: looking again would take several times as long
            snapshot, (since, until), found = known
            if self._core.is_still(snapshot) and since <= self._core.config.clock() < until:
                return found
        with self._core.working:
            known = self._known.get(kind)
            snapshot, moment = self._core.look()
            if known is not None and known[0] is snapshot and known[1].covers(moment.now):
                return known[2]
            work = _Work(self._core, self._leaves, snapshot, moment)
            found = work.installed(snapshot.leaves[kind])
            self._known[kind] = snapshot, work.span(), found
            return found


class _Work:
    """One look at the store."""

    def __init__(self, core: Core, leaves: Leaves, snapshot: Snapshot, moment: Moment) -> None:
        self._core, self._leaves, self._snapshot, self._moment = core, leaves, snapshot, moment
        self._certificates: set[Certificate] = set()
        self._moments: list[datetime] = []

    def span(self) -> Span:
        """For how long what was found stays true by itself."""
        ends = sorted({*bounds(self._certificates), *self._moments, *turns(self._snapshot.newest_written)})
        return Span().within(ends, self._moment.now)

    def installed(self, store: LeafStore) -> Installed:
        """Verify all, newest first. Where all are revoked, they are there all the same, if their kind is so offered."""
        chains, unsent = self._looked_through(store, self._core.revocations(self._snapshot))
        if not chains and store.kind.offers_revoked:
            chains, unsent = self._looked_through(store, NONE)
        valid = self._valid(self._snapshot.cas[store.kind.ca_type])
        oem = self._oem() if store.kind is SECC else OemRoots()
        return Installed(tuple(chains), tuple(unsent), valid, oem)

    def _valid(self, roots: CaStore) -> tuple[bytes, ...]:
        self._certificates.update(roots.certificates)
        found = roots.valid_roots(self._moment.earliest) or roots.valid_roots(self._moment.now)
        return tuple(root.der for root in found)

    def _oem(self) -> OemRoots:
        store = self._snapshot.cas.get(AddedCaType.OEM)
        if store is None:
            return OemRoots()
        return OemRoots(self._valid(store)) if store.readable else OemRoots((), f"{store.path} cannot be read in full")

    def _looked_through(self, store: LeafStore, said: Revocations) -> tuple[list[Chain], list[Unsent]]:
        chains: list[Chain] = []
        unsent: list[Unsent] = []
        for leaf in store.newest_first(self._core.config.newest_by):
            self._certificates.update(leaf.file.certificates)
            if len(chains) == MAX_CHAINS:
                unsent.append(Unsent("older leaves", "of any", f"there are {MAX_CHAINS} that are newer"))
                break
            found = self._chain(store, leaf, said)
            if isinstance(found, Chain):
                chains.append(found)
            else:
                unsent.append(Unsent(leaf.certificate.name, leaf.certificate.serial_text, found))
        return chains, unsent

    def _chain(self, store: LeafStore, leaf: Leaf, said: Revocations) -> Chain | str:
        """The chain of a leaf, or why it must not be sent."""
        if leaf.key is None:
            return "its private key is not there or cannot be read"
        if not leaf.servable:
            return "its file is damaged"
        verified = self._verified(store, leaf, said)
        if isinstance(verified, ChainRefused):
            return str(verified)
        self._certificates.update(verified.path)
        return Chain(
            edition=edition_of(verified.leaf),
            key_kind="{} {}".format(*verified.leaf.key_strength),
            common_name=names.last(verified.leaf.subject, names.COMMON_NAME),
            sent=tuple(self._sent(leaf, *pair) for pair in pairwise(verified.path)),
            authorities=tuple(map(_authority, verified.path[1:])),
            root=verified.anchor.der,
            key=leaf.key.path,
            password=self._leaves.password_of(leaf),
            fingerprint=verified.leaf.fingerprint,
        )

    def _verified(self, store: LeafStore, leaf: Leaf, said: Revocations) -> VerifiedChain | ChainRefused:
        trust = self._snapshot.cas[store.kind.ca_type].trust
        attempts = self._leaves.attempts(store, self._moment)
        tried = [select.verified(leaf, trust, policy, now, said) for policy, now in attempts]
        return next((one for one in tried if isinstance(one, VerifiedChain)), tried[0])

    def _sent(self, leaf: Leaf, certificate: Certificate, issuer: Certificate) -> Sent:
        response, problem = None, None
        try:
            response = self._response(leaf, certificate, issuer)
        except (OcspRefused, OSError, ValueError, OverflowError) as error:
            problem = str(error)
        if response is None and problem is None:
            problem = "no current OCSP response is cached" if certificate.ocsp_urls else "it names no OCSP responder"
        return Sent(certificate.name, certificate.serial_text, certificate.pem, response, problem)

    def _response(self, leaf: Leaf, certificate: Certificate, issuer: Certificate) -> bytes | None:
        """The response to staple, verified once more, as others write files, too. Raises why it is none."""
        now = self._moment.now
        self._moments += offer_changes(self._snapshot, (certificate,))
        entry = offered(self._snapshot, certificate, leaf.file.path.parent, now)
        if entry is None:
            return None
        encoded = read(entry.response_path, ocsp.MAX_RESPONSE_BYTES)
        answer = ocsp.believe(encoded, certificate, issuer, now)
        if answer.status is not OcspStatus.good:
            raise ValueError(f"its OCSP response calls it {answer.status}")
        if answer.next_update is not None:
            self._moments.append(answer.next_update)
            if answer.next_update <= now:
                return None  # `believe` forgives clocks that differ; a car need not
        return encoded


def _authority(certificate: Certificate) -> Authority:
    return Authority(
        name=certificate.name,
        subject=certificate.subject,
        key_sha1=hashlib.sha1(certificate.key_bits, usedforsecurity=False).digest(),
        certificate_sha1=hashlib.sha1(certificate.der, usedforsecurity=False).digest(),
    )
