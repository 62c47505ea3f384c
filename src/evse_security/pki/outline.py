"""A certificate cut into its parts, uninterpreted (RFC 5280 §4.1)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from evse_security.pki import der

_VERSION, _EXTENSIONS = 0xA0, 0xA3
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:[.,]\d+)?(?:Z|([+-])(\d\d)(\d\d))", re.ASCII)


class Outline(NamedTuple):
    """The parts of a certificate, uninterpreted."""

    version: int
    serial: int
    tbs_algorithm: bytes
    issuer: bytes
    validity: tuple[der.Tlv, der.Tlv]
    subject: bytes
    spki: bytes
    extensions: der.Tlv | None
    tbs: bytes
    signature_algorithm: bytes
    signature: bytes


def outline(whole: der.Tlv) -> Outline:
    """Cut a certificate into its parts (RFC 5280 §4.1). Raises ValueError (`der.Malformed`)."""
    tbs, algorithm, signature = _at_least(3, whole, "Certificate")[:3]
    version, parts = 0, list(der.expect(tbs, der.SEQUENCE, "TBSCertificate").children())
    if parts and parts[0].tag == _VERSION:
        version = der.integer(_at_least(1, parts.pop(0), "version")[0])
    if len(parts) < 6:
        raise der.Malformed("TBSCertificate: parts are missing")
    serial, tbs_algorithm, issuer, validity, subject, spki, *rest = parts
    begin, end = _at_least(2, der.expect(validity, der.SEQUENCE, "Validity"), "Validity")[:2]
    extensions = next((part for part in rest if part.tag == _EXTENSIONS), None)
    return Outline(
        version,
        der.integer(serial),
        tbs_algorithm.encoded,
        der.expect(issuer, der.SEQUENCE, "issuer").encoded,
        (begin, end),
        der.expect(subject, der.SEQUENCE, "subject").encoded,
        der.expect(spki, der.SEQUENCE, "subjectPublicKeyInfo").encoded,
        None if extensions is None else _at_least(1, extensions, "extensions")[0],
        tbs.encoded,
        algorithm.encoded,
        der.bit_string(signature),
    )


def _at_least(count: int, element: der.Tlv, what: str) -> list[der.Tlv]:
    parts = list(element.children())
    if len(parts) < count:
        raise der.Malformed(f"{what}: parts are missing")
    return parts


def key_bits(spki: bytes) -> bytes:
    """The BIT STRING of a SubjectPublicKeyInfo; empty where there is none."""
    try:
        return der.bit_string(der.sequence(spki, "SubjectPublicKeyInfo")[1])
    except (ValueError, IndexError):
        return b""


def moment(element: der.Tlv) -> datetime | None:
    """Read a UTCTime or GeneralizedTime in any of the forms that occur; None where it is no time.

    Seconds may be missing and zones other than Z be given (X.690 §11.7 forbids both in DER, BER does not); a time
    without any zone is nobody knows when.
    """
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
