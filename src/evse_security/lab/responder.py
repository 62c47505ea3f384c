"""An OCSP responder's answers to requests about certificates of a throw-away PKI (RFC 6960)."""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography.x509.ocsp import OCSPResponseStatus, load_der_ocsp_request

from evse_security.lab.hierarchy import Pki
from evse_security.lab.ocsp import ResponseTemplate, unsuccessful_response

WEEK = timedelta(days=7)


def respond(pki: Pki, request: bytes, now: datetime) -> bytes:
    """The DER of the response to a request (DER): good for a week, whatever the serial number."""
    try:
        asked = load_der_ocsp_request(request)
    except ValueError:
        return unsuccessful_response(OCSPResponseStatus.MALFORMED_REQUEST)
    template = ResponseTemplate(this_update=now, next_update=now + WEEK, hash_algorithm=asked.hash_algorithm)  # type: ignore[arg-type]  # one of those that a CertID has
    name, key = asked.issuer_name_hash.hex(), asked.issuer_key_hash.hex()
    return pki.ocsp_response(name, key, f"{asked.serial_number:x}", template)
