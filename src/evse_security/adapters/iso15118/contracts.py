"""Contracts: verifying those that cars show, and the messages by which cars get theirs, as OCPP carries them."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Sequence
from enum import IntEnum

from evse_security.contracts import ContractReport
from evse_security.errors import MalformedRequest
from evse_security.station import Station


def verify_contract(station: Station, certificate_chain: str, responses: Sequence[bytes] = ()) -> ContractReport:
    """Verify what a car shows with PaymentDetailsReq or AuthorizationReq: leaf and sub-CAs in PEM, leaf first.

    `responses` are OCSP responses (DER) that came with it, or from the CSMS. The report says why a chain is refused,
    and has the hash data for OCPP's Authorize.
    """
    return station.check_contract(certificate_chain, responses)


class ExiLimit(IntEnum):
    """Most characters of base64 that Get15118EVCertificate carries."""

    REQUEST_201 = 5600
    RESPONSE_201 = 7500
    REQUEST_21 = 11000
    RESPONSE_21 = 17000


def exi_to_ocpp(message: bytes, limit: ExiLimit) -> str:
    """A CertificateInstallation or CertificateUpdate message (EXI) as OCPP carries it. Raises `MalformedRequest`.

    What is in it is between the car and the provisioning service; the station hands it on, octet by octet.
    """
    if not message:
        raise MalformedRequest("exi", "is empty")
    encoded = b64encode(message).decode("ascii")
    if len(encoded) > limit:
        raise MalformedRequest("exi", f"has {len(encoded)} characters in base64, and OCPP carries {int(limit)}")
    return encoded


def exi_from_ocpp(text: str, limit: ExiLimit) -> bytes:
    """The EXI of such a message out of OCPP's base64, whose padding must be there. Raises `MalformedRequest`."""
    if len(text) > limit:
        raise MalformedRequest("exi", f"has {len(text)} characters, and OCPP carries {int(limit)}")
    try:
        message = b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise MalformedRequest("exi", "is not base64") from None
    if not message:
        raise MalformedRequest("exi", "is empty")
    return message
