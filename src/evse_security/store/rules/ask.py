"""What to ask OCSP responders about the SECC chains, and what is cached of their answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from evse_security.clock import Moment
from evse_security.pki import question
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import asked_for
from evse_security.pki.ocsp import OcspStatus, current
from evse_security.pki.question import responder_urls
from evse_security.store.rules.report import v2g_questions
from evse_security.store.rules.revoked import revoked_since
from evse_security.store.snapshot import Snapshot
from evse_security.vocabulary import LeafCertificateType, OCSPRequestData


@dataclass(frozen=True, slots=True)
class OcspState:
    """The cached answer about a certificate."""

    status: str
    this_update: datetime
    next_update: datetime | None
    is_current: bool


@dataclass(frozen=True, slots=True)
class OcspQuestion:
    """One certificate to ask about."""

    request_data: OCSPRequestData
    """As the interface has it."""
    name: str
    serial: str
    fingerprint: str
    is_leaf: bool
    responders: tuple[str, ...]
    """Where to ask, in the certificate's order: HTTP URLs."""
    requests: tuple[bytes, ...]
    """What to ask (OCSPRequest in DER), the best known form first."""
    cached: OcspState | None
    """What is known already. A revocation is none, unless it is to be believed."""


def ocsp_state(snapshot: Snapshot, certificate: Certificate, now: datetime) -> OcspState | None:
    """What the newest cached response says about a certificate; None where there is none."""
    cert_id = snapshot.forest.id_of(certificate)
    entries = snapshot.ocsp_by_id.get(cert_id, []) if cert_id is not None else []
    answers = (entry.answer for entry in entries if entry.answer is not None)
    newest = max(answers, key=lambda one: (one.this_update, one.status is OcspStatus.revoked), default=None)
    if newest is None:
        return None
    return OcspState(newest.status, newest.this_update, newest.next_update, current(newest, now))


def ocsp_questions(snapshot: Snapshot, newest_by: str, moment: Moment) -> tuple[OcspQuestion, ...]:
    """Those of `get_v2g_ocsp_request_data`: SECC leaves with their sub-CAs, intermediates included (M06)."""
    found = []
    leaves = snapshot.leaves[LeafCertificateType.V2G]
    for data in v2g_questions(snapshot, newest_by, moment.earliest):
        wanted = asked_for(data.certificate_hash_data) if data.certificate_hash_data is not None else None
        for certificate in snapshot.forest.identified(wanted) if wanted is not None else ():
            issuer = snapshot.forest.issuer_of(certificate)
            if issuer is not None and responder_urls(certificate):
                cached = ocsp_state(snapshot, certificate, moment.now)
                is_revoked = revoked_since(certificate, issuer, snapshot.revocations) is not None
                if cached is not None and cached.status == OcspStatus.revoked and not is_revoked:
                    cached = None
                found.append(
                    OcspQuestion(
                        request_data=data,
                        name=certificate.name,
                        serial=certificate.serial_text,
                        fingerprint=certificate.fingerprint,
                        is_leaf=leaves.leaf_of(certificate) is not None,
                        responders=responder_urls(certificate),
                        requests=question.questions(certificate, issuer),
                        cached=cached,
                    )
                )
                break
    return tuple(found)
