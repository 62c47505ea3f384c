"""The outline of a certificate: where its parts lie, uninterpreted (RFC 5280 §4.1)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from evse_security.pki import der
from evse_security.pki.remembered import shared

_VERSION, _EXTENSIONS = 0xA0, 0xA3
_CONSTRUCTED = 0x20  # X.690 §8.1.2.5
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:[.,]\d+)?(?:Z|([+-])(\d\d)(\d\d))", re.ASCII)
_PLAIN_UTC_TIME = re.compile(rb"[0-9]{6}(?:[01][0-9]|2[0-3])[0-9]{4}Z")
_PLACE = Struct("<II")


class Part(IntEnum):
    """The parts that are cut out of a certificate when they are asked for."""

    TBS = 0
    TBS_ALGORITHM = 1
    ISSUER = 2
    SUBJECT = 3
    SPKI = 4
    SIGNATURE_ALGORITHM = 5
    SIGNATURE = 6
    EXTENSIONS = 7


_PLACES = Struct(f"<{2 * len(Part)}I")


class Outline(NamedTuple):
    """What is read of a certificate at once, and the places of its parts: where each starts and ends, packed."""

    version: int
    serial: int
    validity: tuple[der.Tlv, der.Tlv]
    places: bytes


def outline(whole: der.Tlv) -> Outline:
    """Find the parts of a certificate (RFC 5280 §4.1). Raises ValueError (`der.Malformed`)."""
    data = whole.data
    tbs, algorithm, signature = _at_least(3, data, whole[1:], "Certificate")[:3]
    version, parts = 0, list(der.spans(data, *_inside(tbs, "TBSCertificate")))
    if parts and parts[0][0] == _VERSION:
        version = der.integer(der.Tlv(data, *_at_least(1, data, parts.pop(0), "version")[0]))
    if len(parts) < 6:
        raise der.Malformed("TBSCertificate: parts are missing")
    serial, tbs_algorithm, issuer, validity, subject, spki, *rest = parts
    _inside(validity, "Validity")
    begin, end = _at_least(2, data, validity, "Validity")[:2]
    holder = next((part for part in rest if part[0] == _EXTENSIONS), None)
    number = der.integer(der.Tlv(data, *serial))
    for name, what in ((issuer, "issuer"), (subject, "subject")):
        if name[0] | _CONSTRUCTED != der.SEQUENCE:  # of names, OpenSSL does not read that bit
            raise der.Malformed(f"{what}: unexpected tag 0x{name[0]:02x}")
    _inside(spki, "subjectPublicKeyInfo")
    extensions = (0, 0, 0, 0, 0) if holder is None else _at_least(1, data, holder, "extensions")[0]
    if signature[0] != der.BIT_STRING or signature[2] == signature[3]:
        der.bit_string(der.Tlv(data, *signature))  # may be one in parts
    found = (tbs, tbs_algorithm, issuer, subject, spki, algorithm, signature, extensions)
    places = shared(_PLACES.pack(*[place for _, start, _, _, end in found for place in (start, end)]))
    return Outline(version, number, (der.Tlv(data, *begin), der.Tlv(data, *end)), places)


def cut(encoded: bytes, places: bytes, part: Part) -> bytes:
    """One part of a certificate, header included; empty where it is not there."""
    start, end = _PLACE.unpack_from(places, part * _PLACE.size)
    return encoded[start:end]


def _inside(span: der.Span, what: str) -> tuple[int, int]:
    """Where the content of a SEQUENCE lies."""
    if span[0] != der.SEQUENCE:
        raise der.Malformed(f"{what}: unexpected tag 0x{span[0]:02x}")
    return span[2], span[3]


def _at_least(count: int, data: bytes, span: der.Span, what: str) -> list[der.Span]:
    parts = list(der.spans(data, span[2], span[3]))
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
    if element.tag == der.UTC_TIME and _PLAIN_UTC_TIME.fullmatch(element.value):
        return _plain_moment(element.value.decode("ascii"))
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


def _plain_moment(text: str) -> datetime | None:
    """The time of a UTCTime as nearly all are."""
    day = _century(text)
    try:
        return datetime.fromisoformat(f"{day[:8]}T{day[8:]}")
    except ValueError:
        return None


def _century(text: str) -> str:
    """Two-digit years from 50 on are those of 1950 (RFC 5280 §4.1.2.5.1)."""
    return ("19" if text[:2] >= "50" else "20") + text
