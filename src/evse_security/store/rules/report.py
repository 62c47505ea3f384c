"""What is installed, and what to ask OCSP responders about, as hash data."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from evse_security.pki.certificate import Certificate
from evse_security.pki.forest import Forest, lineage
from evse_security.pki.hashdata import certificate_id
from evse_security.pki.ocsp import responder_url
from evse_security.store.kinds import LISTED
from evse_security.store.rules.select import newest_first
from evse_security.store.snapshot import Leaf, Snapshot, may_sign
from evse_security.vocabulary import (
    CaCertificateType,
    CertificateHashData,
    CertificateHashDataChain,
    CertificateType,
    LeafCertificateType,
    OCSPRequestData,
)

MAX_CHILDREN = 4
"""Children of one entry (OCPP 2.0.1 `CertificateHashDataChainType`)."""


def installed(snapshot: Snapshot, kinds: Iterable[CertificateType], newest_by: str) -> list[CertificateHashDataChain]:
    """List CA stores in the order asked for, then V2G chains, newest first. Validity plays no part."""
    asked = list(dict.fromkeys(kinds))
    entries = [entry for kind in asked if kind in LISTED for entry in _domain(snapshot, kind)]
    if CertificateType.V2GCertificateChain in asked:
        leaves = newest_first(snapshot.leaves[LeafCertificateType.V2G], newest_by)
        for leaf in leaves:
            if leaf.key is not None:
                chain = (leaf.certificate, *sub_cas(snapshot, leaf))
                entries += _entry(snapshot, CertificateType.V2GCertificateChain, chain)
    return entries


def _domain(snapshot: Snapshot, kind: CertificateType) -> Iterator[CertificateHashDataChain]:
    """Each top of a store with what it issued there. A top that is no root is listed if its issuer is known.

    Self-signed certificates that may not sign are listed too, so that they can be deleted. Below a sub-CA that nothing
    names, since its issuer is not known, those it issued are tops themselves.
    """
    store = snapshot.cas[LISTED[kind].ca_type]
    for certificate in store.certificates:
        issuer = None if certificate.self_issued else store.forest.issuer_of(certificate)
        parentless = not certificate.self_issued and (issuer is None or snapshot.forest.id_of(issuer) is None)
        if certificate.self_signed or parentless:
            yield from _entry(snapshot, kind, (certificate, *store.forest.descendants(certificate)))


def _entry(
    snapshot: Snapshot, kind: CertificateType, chain: Sequence[Certificate]
) -> Iterator[CertificateHashDataChain]:
    first, *rest = (_hash_data(snapshot, certificate) for certificate in chain)
    children = tuple(dict.fromkeys(child for child in rest if child is not None))[:MAX_CHILDREN]
    if first is not None:
        yield CertificateHashDataChain(
            certificate_type=kind, certificate_hash_data=first, child_certificate_hash_data=children or None
        )


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
    for leaf in newest_first(snapshot.leaves[LeafCertificateType.V2G], newest_by):
        if leaf.key is not None and not leaf.certificate.expired(now):
            asked |= dict.fromkeys(_questions(snapshot, (leaf.certificate, *sub_cas(snapshot, leaf))))
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
