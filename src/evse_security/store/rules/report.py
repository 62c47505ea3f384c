"""What is installed, and what to ask OCSP responders about, as hash data."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from evse_security.additions import AnyCertificateType
from evse_security.pki.certificate import Certificate
from evse_security.pki.forest import Forest, lineage
from evse_security.pki.hashdata import certificate_id
from evse_security.pki.question import responder_url
from evse_security.store.kinds import LISTED
from evse_security.store.snapshot import CaStore, Leaf, Snapshot, may_sign
from evse_security.vocabulary import (
    CaCertificateType,
    CertificateHashData,
    CertificateType,
    LeafCertificateType,
    OCSPRequestData,
)

MAX_CHILDREN = 4
"""Children of one entry (OCPP 2.0.1 `CertificateHashDataChainType`)."""


Entry = TypeVar("Entry")


def installed(
    snapshot: Snapshot,
    kinds: Iterable[AnyCertificateType],
    newest_by: str,
    entry: Callable[..., Entry],
) -> list[Entry]:
    """List CA stores in the order asked for, then V2G chains, newest first. Validity plays no part.

    `entry` makes an entry of its members: those of `CertificateHashDataChain`.
    """
    asked = list(dict.fromkeys(kinds))
    entries = [entry(**found) for kind in asked if kind in LISTED for found in _domain(snapshot, kind)]
    if CertificateType.V2GCertificateChain in asked:
        above = _Above(snapshot)
        for leaf in snapshot.leaves[LeafCertificateType.V2G].newest_first(newest_by):
            first = _hash_data(snapshot, leaf.certificate) if leaf.key is not None else None
            if first is not None:
                entries.append(
                    entry(
                        certificate_type=CertificateType.V2GCertificateChain,
                        certificate_hash_data=first,
                        child_certificate_hash_data=above.hash_data(leaf),
                    )
                )
    return entries


def _domain(snapshot: Snapshot, kind: AnyCertificateType) -> Iterator[dict[str, Any]]:
    """Each top of a store with what it issued there. A top that is no root is listed if its issuer is known.

    Self-signed certificates that may not sign are listed too, so that they can be deleted. Below a sub-CA that nothing
    names, since its issuer is not known, those it issued are tops themselves.
    """
    store = snapshot.cas.get(LISTED[kind].ca_type)
    if store is None:
        return
    for certificate in store.certificates:
        if certificate.self_signed or _is_parentless(snapshot, store, certificate):
            yield from _entry(snapshot, kind, (certificate, *store.forest.descendants(certificate)))


def _is_parentless(snapshot: Snapshot, store: CaStore, certificate: Certificate) -> bool:
    """Whether nothing in a store names who issued a certificate, which did not issue itself."""
    if certificate.self_issued:
        return False
    issuer = store.forest.issuer_of(certificate)
    return issuer is None or snapshot.forest.id_of(issuer) is None


def _entry(snapshot: Snapshot, kind: AnyCertificateType, chain: Sequence[Certificate]) -> Iterator[dict[str, Any]]:
    first, children = _hash_data(snapshot, chain[0]), _children(snapshot, chain[1:])
    if first is not None:
        yield {
            "certificate_type": kind,
            "certificate_hash_data": first,
            "child_certificate_hash_data": children,
        }


def _children(snapshot: Snapshot, certificates: Iterable[Certificate]) -> tuple[CertificateHashData, ...] | None:
    found = dict.fromkeys(_hash_data(snapshot, certificate) for certificate in certificates)
    return tuple(islice((child for child in found if child is not None), MAX_CHILDREN)) or None


class _Above:
    """The sub-CAs above leaves: the same for all leaves that come with the same sub-CAs from one issuer."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.known: dict[object, list[Certificate]] = {}
        self.known_hashes: dict[object, tuple[CertificateHashData, ...] | None] = {}
        self.known_questions: dict[object, tuple[OCSPRequestData, ...]] = {}

    def sub_cas(self, leaf: Leaf) -> list[Certificate]:
        group = self._group(leaf)
        if group not in self.known:
            self.known[group] = sub_cas(self.snapshot, leaf)
        return self.known[group]

    def hash_data(self, leaf: Leaf) -> tuple[CertificateHashData, ...] | None:
        group = self._group(leaf)
        if group not in self.known_hashes:
            self.known_hashes[group] = _children(self.snapshot, self.sub_cas(leaf))
        return self.known_hashes[group]

    def questions(self, leaf: Leaf) -> tuple[OCSPRequestData, ...]:
        group = self._group(leaf)
        if group not in self.known_questions:
            self.known_questions[group] = tuple(_questions(self.snapshot, self.sub_cas(leaf)))
        return self.known_questions[group]

    def _group(self, leaf: Leaf) -> object:
        """Who issued the leaf, as its signature says, and the certificates that came with it."""
        issuer = self.snapshot.forest.issuer_of(leaf.certificate)
        return issuer, leaf.certificate.authority_key_id, leaf.file.certificates[1:]


def _hash_data(snapshot: Snapshot, certificate: Certificate) -> CertificateHashData | None:
    cert_id = snapshot.forest.id_of(certificate)
    return None if cert_id is None else cert_id.hash_data


def sub_cas(snapshot: Snapshot, leaf: Leaf) -> list[Certificate]:
    """The sub-CAs between a leaf and its root: those of its own file first, then those of the V2G store."""
    own = Forest(leaf.file.certificates)
    ca_store = snapshot.cas[CaCertificateType.V2G].forest
    return [certificate for certificate in lineage(leaf.certificate, own, ca_store) if not certificate.self_signed]


def v2g_questions(snapshot: Snapshot, newest_by: str, now: datetime) -> list[OCSPRequestData]:
    """What to ask about the V2G chains that are or become valid: leaf first, only the chain, each once."""
    asked: dict[OCSPRequestData, None] = {}
    above = _Above(snapshot)
    known: set[int] = set()
    for leaf in snapshot.leaves[LeafCertificateType.V2G].newest_first(newest_by):
        if leaf.key is not None and not leaf.certificate.expired(now):
            asked |= dict.fromkeys(_questions(snapshot, (leaf.certificate,)))
            questions = above.questions(leaf)
            if id(questions) not in known:
                known.add(id(questions))
                asked |= dict.fromkeys(questions)
    return list(asked)


def v2g_sub_ca_questions(snapshot: Snapshot) -> list[OCSPRequestData]:
    """What to ask about all sub-CAs of the V2G store."""
    store = snapshot.cas[CaCertificateType.V2G]
    return list(_questions(snapshot, [c for c in store.certificates if not c.self_signed and may_sign(c)]))


def _questions(snapshot: Snapshot, certificates: Iterable[Certificate]) -> Iterator[OCSPRequestData]:
    for certificate in certificates:
        url, hash_data = responder_url(certificate), _hash_data(snapshot, certificate)
        if url is not None and hash_data is not None:
            yield OCSPRequestData(certificate_hash_data=hash_data, responder_url=url)


def contract_questions(snapshot: Snapshot, received: Sequence[Certificate]) -> list[OCSPRequestData]:
    """What to ask about a contract chain, leaf first; its root may be sent along, installed, or unknown."""
    own = Forest(received)
    stores = [snapshot.cas[ca_type].forest for ca_type in (CaCertificateType.MO, CaCertificateType.V2G)]
    chain = [received[0], *lineage(received[0], own, *stores)]
    return [
        OCSPRequestData(certificate_hash_data=certificate_id(certificate, issuer).hash_data, responder_url=url)
        for certificate, issuer in itertools.pairwise(chain)
        if (url := responder_url(certificate)) is not None
    ]
