"""OCSP responses of a throw-away PKI (RFC 6960): good and revoked ones, stale, forged and unsuccessful ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import (
    OCSPCertStatus,
    OCSPRequestBuilder,
    OCSPResponderEncoding,
    OCSPResponseBuilder,
    OCSPResponseStatus,
)

from evse_security.lab.authority import Entity, Template
from evse_security.lab.keys import PrivateKey, natural_hash
from evse_security.lab.resign import SEQUENCE, contents, members, resign, tlv

OCTET_STRING = 0x04
GENERALIZED_TIME = 0x18
RESPONSE_BYTES = 0xA0  # [0] EXPLICIT, RFC 6960 §4.2.1


IdHash = hashes.SHA1 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512
ID_HASHES: Mapping[str, IdHash] = {
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}
"""The digests of a CertID by the names of OCPP's HashAlgorithmEnumType."""


@dataclass(frozen=True, kw_only=True)
class ResponseTemplate:
    """What an OCSP response shall say about a certificate. Times are aware, to the second."""

    this_update: datetime
    next_update: datetime | None
    """None: newer information is available all the time (RFC 6960 §4.2.2.1)."""
    produced_at: datetime | None = None
    """None: at this_update."""
    status: OCSPCertStatus = OCSPCertStatus.GOOD
    revoked_at: datetime | None = None
    """None: at this_update, if the status is REVOKED."""
    hash_algorithm: IdHash = field(default_factory=hashes.SHA1)
    """Of the CertID; SHA-1 is what most responders answer with (RFC 5019 §2.1.1)."""
    responder_id: OCSPResponderEncoding = OCSPResponderEncoding.HASH
    embedded: tuple[x509.Certificate, ...] | None = None
    """The certificates sent along. None: the responder's, unless the issuer answers itself."""
    signed_by: PrivateKey | None = field(default=None, repr=False)
    """None: the responder's key; any other of its kind makes a forgery."""


def ocsp_response(
    subject: x509.Certificate | int, issuer: Entity, responder: Entity, template: ResponseTemplate
) -> bytes:
    """The DER of a successful OCSPResponse about a certificate of the issuer, or about one of its serial numbers.

    The responder is the issuer itself or one it has delegated to (RFC 6960 §4.2.2.2).
    """
    if isinstance(subject, int):
        subject = issuer.certify(issuer.key.public_key(), Template(serial_number=subject))
    revoked = template.status is OCSPCertStatus.REVOKED
    embedded = template.embedded
    if embedded is None:
        embedded = () if responder is issuer else (responder.certificate,)
    builder = (
        OCSPResponseBuilder()
        .add_response(
            cert=subject,
            issuer=issuer.certificate,
            algorithm=template.hash_algorithm,
            cert_status=template.status,
            this_update=template.this_update,
            next_update=template.next_update,
            revocation_time=(template.revoked_at or template.this_update) if revoked else None,
            revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
        )
        .responder_id(template.responder_id, responder.certificate)
    )
    if embedded:
        builder = builder.certificates(embedded)
    response = builder.sign(responder.key, natural_hash(responder.key)).public_bytes(Encoding.DER)
    return _produced_at(response, template.produced_at or template.this_update, template.signed_by or responder.key)


def unsuccessful_response(status: OCSPResponseStatus) -> bytes:
    """The DER of an OCSPResponse that says why there is no answer: TRY_LATER, UNAUTHORIZED, …"""
    return OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


def certificate_id(issuer: Entity, hash_algorithm: IdHash) -> tuple[bytes, bytes]:
    """Name hash and key hash of an issuer, as the CertIDs of its certificates carry them (RFC 6960 §4.1.1)."""
    certificate = issuer.certificate
    request = OCSPRequestBuilder().add_certificate(certificate, certificate, hash_algorithm).build()
    digest = hashes.Hash(hash_algorithm)  # the request has the name of who issued the issuer
    digest.update(certificate.subject.public_bytes())
    return digest.finalize(), request.issuer_key_hash


def _produced_at(response: bytes, moment: datetime, key: PrivateKey) -> bytes:
    """The response with its producedAt set: the builder takes it from the system's clock."""
    text = moment.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode("ascii")

    def alter(fields: list[bytes]) -> list[bytes]:
        return [tlv(GENERALIZED_TIME, text) if one[0] == GENERALIZED_TIME else one for one in fields]

    status, response_bytes = members(response)
    [typed] = members(response_bytes)
    kind, octets = members(typed)
    basic = resign(contents(octets), key, alter)
    return tlv(SEQUENCE, status, tlv(RESPONSE_BYTES, tlv(SEQUENCE, kind, tlv(OCTET_STRING, basic))))
