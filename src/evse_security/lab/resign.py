"""Signed structures altered by hand and signed again: what no library agrees to build.

Certificates and OCSP responses share one shape, SEQUENCE { what is signed, algorithm, BIT STRING signature, … }
(RFC 5280 §4.1, RFC 6960 §4.2.1), so one function serves both.
"""

from __future__ import annotations

from collections.abc import Callable

from evse_security.lab.keys import PrivateKey, sign

SEQUENCE = 0x30
BIT_STRING = 0x03
Alteration = Callable[[list[bytes]], list[bytes]]
"""From the members of what is signed, each with its tag and length, to those that shall be signed instead."""


def tlv(tag: int, *parts: bytes) -> bytes:
    """Tag, length and contents in DER (X.690 §8.1, §10.1); one-octet tags only."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + body


def members(der: bytes) -> list[bytes]:
    """What a constructed value holds, each member with its tag and length."""
    inside = contents(der)
    found = []
    while inside:
        size = sum(_extent(inside))
        found.append(inside[:size])
        inside = inside[size:]
    return found


def contents(der: bytes) -> bytes:
    """The contents octets of the value that starts here."""
    start, length = _extent(der)
    return der[start : start + length]


def resign(der: bytes, key: PrivateKey, alter: Alteration) -> bytes:
    """A certificate or BasicOCSPResponse with other contents under a new signature, in DER.

    The algorithm identifiers stay, so the key must be of the kind that signed it before.
    """
    signed, algorithm, _, *rest = members(der)
    altered = tlv(SEQUENCE, *alter(members(signed)))
    return tlv(SEQUENCE, altered, algorithm, tlv(BIT_STRING, b"\x00", sign(key, altered)), *rest)


def _extent(der: bytes) -> tuple[int, int]:
    """Where the contents of the value that starts here begin, and how many octets they are."""
    if der[1] < 0x80:
        return 2, der[1]
    start = 2 + (der[1] & 0x7F)
    return start, int.from_bytes(der[2:start])
