"""The messages of ISO 15118 Plug & Charge in OCPP 1.6: those of 2.0.1, as text inside DataTransfer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from evse_security.adapters.ocpp.editions import Payload
from evse_security.errors import MalformedRequest

VENDOR = "org.openchargealliance.iso15118pnc"
FROM_CSMS = frozenset(
    {
        "InstallCertificate",
        "DeleteCertificate",
        "GetInstalledCertificateIds",
        "CertificateSigned",
        "TriggerMessage",
    }
)
LONGEST = 64 * 1024
"""Characters of the text inside. The longest that OCPP allows is a chain of 10,000."""


def is_ours(payload: Mapping[str, Any]) -> bool:
    """Whether a DataTransfer belongs to Plug & Charge."""
    return payload.get("vendorId") == VENDOR


def unwrapped(payload: Mapping[str, Any]) -> Payload:
    """The payload inside a DataTransfer or its answer. Raises `MalformedRequest`."""
    data = payload.get("data", "{}")
    if not isinstance(data, str) or len(data) > LONGEST:
        raise MalformedRequest("data", f"must be a text of at most {LONGEST} characters")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise MalformedRequest("data", "must be JSON") from None
    if not isinstance(found, dict):
        raise MalformedRequest("data", "must be a JSON object")
    return found


def wrapped(action: str, payload: Payload) -> Payload:
    """A message of the station as DataTransfer."""
    return {"vendorId": VENDOR, "messageId": action, "data": json.dumps(payload, separators=(",", ":"))}


def answered(payload: Payload) -> Payload:
    """An answer as that of a DataTransfer, which says `Accepted` for having been understood."""
    return {"status": "Accepted", "data": json.dumps(payload, separators=(",", ":"))}


def answer_of(payload: Mapping[str, Any]) -> Payload:
    """What the CSMS answered to a DataTransfer. Raises `MalformedRequest` where it did not take it."""
    if payload.get("status") != "Accepted":
        raise MalformedRequest("status", "the CSMS does not take messages of Plug & Charge")
    return unwrapped(payload)
