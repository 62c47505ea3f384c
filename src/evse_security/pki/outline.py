"""A certificate cut into its parts, uninterpreted (RFC 5280 §4.1)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from evse_security.pki import der

_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:[.,]\d+)?(?:Z|([+-])(\d\d)(\d\d)|)", re.ASCII)


class Outline(NamedTuple):
    """The parts of a certificate, uninterpreted."""

    version: int
    serial: int
    issuer: bytes
    validity: tuple[der.Tlv, der.Tlv]
    subject: bytes
    spki: bytes
    extensions: der.Tlv | None
    tbs: bytes
    signature_algorithm: bytes
    signature: bytes


def outline(whole: der.Tlv) -> Outline:
    """Cut a certificate into its parts (RFC 5280 §4.1)."""
    tbs, algorithm, signature = list(whole.children())[:3]
    parts = list(der.expect(tbs, der.SEQUENCE, "TBSCertificate").children())
    version = 0
    if parts[0].tag == 0xA0:
        version = der.integer(next(parts.pop(0).children()))
    serial, _, issuer, validity, subject, spki, *rest = parts
    begin, end = list(der.expect(validity, der.SEQUENCE, "Validity").children())[:2]
    extensions = next((next(part.children()) for part in rest if part.tag == 0xA3), None)
    return Outline(
        version,
        der.integer(serial),
        der.expect(issuer, der.SEQUENCE, "issuer").encoded,
        (begin, end),
        der.expect(subject, der.SEQUENCE, "subject").encoded,
        der.expect(spki, der.SEQUENCE, "subjectPublicKeyInfo").encoded,
        extensions,
        tbs.encoded,
        algorithm.encoded,
        der.bit_string(signature),
    )


def key_bits(spki: bytes) -> bytes:
    """The BIT STRING of a SubjectPublicKeyInfo; empty where there is none."""
    try:
        return der.bit_string(der.sequence(spki, "SubjectPublicKeyInfo")[1])
    except (ValueError, IndexError):
        return b""


def moment(element: der.Tlv) -> datetime | None:
    """Read a UTCTime or GeneralizedTime in any of the forms that occur; None where it is no time."""
    text = element.value.decode("latin-1")
    match = _TIME.fullmatch(text if element.tag == der.GENERALIZED_TIME else _century(text))
    if match is None:
        return None
    year, month, day, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()
    try:
        local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=UTC)
        offset = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
        return local + offset if sign == "-" else local - offset
    except (ValueError, OverflowError):
        return None


def _century(text: str) -> str:
    """Two-digit years from 50 on are those of 1950 (RFC 5280 §4.1.2.5.1)."""
    return ("19" if text[:2] >= "50" else "20") + text
