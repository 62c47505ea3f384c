"""A reader of ASN.1 TLVs (X.690), as tolerant as OpenSSL's and bounded.

It only cuts bytes: what a certificate says must be taken from the very bytes that were signed and hashed, and real
certificates are encoded in ways that strict parsers refuse (explicit defaults, sets out of order, BER lengths).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from evse_security.pki.remembered import remembered

MAX_DEPTH = 16
"""Nesting of indefinite lengths; a certificate needs none."""

MAX_STRING_DEPTH = 5
"""Nesting of the parts of a string, as in OpenSSL."""
MAX_OID_OCTETS = 256
"""Longest identifier that is put into words, which takes time by the square of it. Real ones have a dozen octets."""

CONSTRUCTED = 0x20
BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OID = 0x06
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31


class Malformed(ValueError):
    """The bytes are not ASN.1, or not of the expected shape."""


class Tlv(NamedTuple):
    """One element: its tag octet, and where it starts, where its content lies, and where it ends."""

    data: bytes
    tag: int
    start: int
    content: int
    content_end: int
    end: int

    @property
    def value(self) -> bytes:
        """The content octets."""
        return self.data[self.content : self.content_end]

    @property
    def encoded(self) -> bytes:
        """The element as it was encoded, header included."""
        return self.data[self.start : self.end]

    def children(self) -> Iterator[Tlv]:
        """Read the elements of a constructed one, in order."""
        for found in spans(self.data, self.content, self.content_end):
            yield Tlv(self.data, *found)


Span = tuple[int, int, int, int, int]
"""A `Tlv` without its data: tag, start, content, end of the content, end. Tuples cost a quarter of what names do."""


def read(data: bytes, start: int = 0, limit: int | None = None) -> Tlv:
    """Read the element at `start`, which must end at `limit` or before."""
    return Tlv(data, *span(data, start, len(data) if limit is None else limit))


def spans(data: bytes, at: int, limit: int) -> Iterator[Span]:
    """Read the elements that stand one behind the other from `at` to `limit`."""
    while at < limit:
        content = at + 2
        if content <= limit and data[at + 1] < 0x80 and data[at] & 0x1F != 0x1F:  # nearly all: the same as `span`
            end = content + data[at + 1]
            if end > limit:
                raise Malformed("an element is longer than what holds it")
            yield data[at], at, content, end, end
            at = end
        else:
            found = span(data, at, limit)
            yield found
            at = found[4]


def span(data: bytes, start: int, limit: int, depth: int = 0) -> Span:
    """Read the element at `start`, which must end at `limit` or before."""
    content = start + 2
    if content > limit:
        raise Malformed("truncated element")
    tag, length = data[start], data[start + 1]
    if tag & 0x1F == 0x1F:
        raise Malformed("tags above 30 have no place in a certificate")
    if length & 0x80:
        if length == 0x80:
            return _indefinite(data, start, limit, depth)
        octets = length & 0x7F
        if octets > 8 or content + octets > limit:
            raise Malformed("impossible length")
        length = int.from_bytes(data[content : content + octets])
        content += octets
    end = content + length
    if end > limit:
        raise Malformed("an element is longer than what holds it")
    return tag, start, content, end, end


def _indefinite(data: bytes, start: int, limit: int, depth: int) -> Span:
    """Read an element whose content ends with end-of-contents octets (X.690 §8.1.3.6)."""
    if depth >= MAX_DEPTH or not data[start] & CONSTRUCTED:
        raise Malformed("impossible length")
    at = start + 2
    while at + 2 > limit or data[at : at + 2] != b"\0\0":
        at = span(data, at, limit, depth + 1)[4]
    return data[start], start, start + 2, at, at + 2


def expect(element: Tlv, tag: int, what: str) -> Tlv:
    """Insist on a tag."""
    if element.tag != tag:
        raise Malformed(f"{what}: unexpected tag 0x{element.tag:02x}")
    return element


def sequence(data: bytes, what: str) -> list[Tlv]:
    """Read the elements of the SEQUENCE that `data` starts with; what follows it is ignored."""
    return list(expect(read(data), SEQUENCE, what).children())


def integer(element: Tlv) -> int:
    """Read an INTEGER, negative ones included."""
    value = expect(element, INTEGER, "INTEGER").value
    if not value:
        raise Malformed("empty INTEGER")
    return int.from_bytes(value, signed=True)


def boolean(element: Tlv) -> bool:
    """Read a BOOLEAN; any octet but zero is true, as in BER."""
    value = expect(element, BOOLEAN, "BOOLEAN").value
    if len(value) != 1:
        raise Malformed("BOOLEAN of other than one octet")
    return value != b"\0"


def bit_string(element: Tlv) -> bytes:
    """Read the octets of a BIT STRING without the count of unused bits."""
    parts = _string(element, BIT_STRING, "BIT STRING")
    if not all(parts):
        raise Malformed("empty BIT STRING")
    return b"".join(part[1:] for part in parts)


def octet_string(element: Tlv) -> bytes:
    """Read the octets of an OCTET STRING."""
    return b"".join(_string(element, OCTET_STRING, "OCTET STRING"))


def _string(element: Tlv, tag: int, what: str, depth: int = 0) -> list[bytes]:
    """The contents of a string: one, or those of the parts that BER allows to cut it into (X.690 §8.6.4, §8.7.3)."""
    if element.tag != tag | CONSTRUCTED or depth > MAX_STRING_DEPTH:
        return [expect(element, tag, what).value]
    return [octets for part in element.children() for octets in _string(part, tag, what, depth + 1)]


def oid(element: Tlv) -> str:
    """Read an OBJECT IDENTIFIER as dotted text."""
    return dotted(expect(element, OID, "OBJECT IDENTIFIER").value)


@remembered(256, longest=32)
def dotted(value: bytes) -> str:
    """The dotted text of an OBJECT IDENTIFIER's content."""
    if not value or value[-1] & 0x80:
        raise Malformed("truncated OBJECT IDENTIFIER")
    if len(value) > MAX_OID_OCTETS:
        raise Malformed("endless OBJECT IDENTIFIER")
    arcs, arc = [], 0
    for octet in value:
        arc = arc << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))
