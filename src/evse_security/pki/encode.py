"""A writer of DER (X.690 §8, §10), for the few structures that no library writes as they must be."""

from __future__ import annotations

import base64
from functools import lru_cache


def tlv(tag: int, *parts: bytes) -> bytes:
    """One element: tag octet, length, and the parts as its contents."""
    contents = b"".join(parts)
    size = len(contents)
    if size < 0x80:
        return bytes((tag, size)) + contents
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets + contents


def integer(value: int) -> bytes:
    """An INTEGER in the fewest octets of two's complement."""
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, signed=True))


@lru_cache(64)
def oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER from its dotted form."""
    first, second, *rest = map(int, dotted.split("."))
    return tlv(0x06, *map(_arc, (40 * first + second, *rest)))


def _arc(number: int) -> bytes:
    octets = [number & 0x7F]
    while number := number >> 7:
        octets.append(0x80 | number & 0x7F)
    return bytes(reversed(octets))


def pem(label: str, encoded: bytes) -> str:
    """A textual encoding: lines of 64 characters and a last newline (RFC 7468 §3)."""
    body = base64.b64encode(encoded).decode("ascii")
    lines = (body[at : at + 64] for at in range(0, len(body), 64))
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""))
