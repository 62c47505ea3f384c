"""Distinguished names: when two are the same, and how to show one (RFC 5280 §7.1, RFC 4514)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from itertools import islice
from typing import NamedTuple, TypeVar

from evse_security.pki import der

T = TypeVar("T")

COMMON_NAME = "2.5.4.3"
DOMAIN_COMPONENT = "0.9.2342.19200300.100.1.25"

_LABELS = {
    COMMON_NAME: "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.5": "serialNumber",
    DOMAIN_COMPONENT: "DC",
    "0.9.2342.19200300.100.1.1": "UID",
    "1.2.840.113549.1.9.1": "emailAddress",
}
_CHARSETS = {
    0x0C: "utf-8",
    0x12: "latin-1",  # NumericString
    0x13: "latin-1",  # PrintableString
    0x14: "latin-1",  # TeletexString, as all the world uses it
    0x16: "latin-1",  # IA5String
    0x1A: "latin-1",  # VisibleString
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
"""How the kinds of strings are encoded."""
_MAX_SHOWN = 1000
_MAX_ATTRIBUTES = 100
"""More make a name unreadable. Real ones have up to ten; 64 KiB hold 6,000, which take megabytes when they are read."""
_MAX_REMEMBERED, _REMEMBERED = 1024, 512
"""Longest name, in octets, and most names that are remembered: some 20 MiB at the worst. Real names have up to 300."""
_ESCAPED = str.maketrans({character: f"\\{character}" for character in '\\,+"<>;'})
"""What would make one attribute look like two (RFC 4514 §2.4)."""


class Attribute(NamedTuple):
    """One attribute of a name: dotted type and text, or the hexadecimal encoding where it is no text."""

    oid: str
    text: str


def _remembered(read: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """Remember what short names say, most of which occur often; long ones are read each time, and leave nothing."""
    remember = lru_cache(_REMEMBERED)(read)

    @wraps(read)
    def ask(name: bytes) -> T:
        return remember(name) if len(name) <= _MAX_REMEMBERED else read(name)

    return ask


def attributes(name: bytes) -> tuple[tuple[Attribute, ...], ...]:
    """Read a Name (DER) as relative distinguished names, in the order of the encoding.

    Raises ValueError on what is none, and on one of more than 100 attributes.
    """
    rdns: list[tuple[Attribute, ...]] = []
    left = _MAX_ATTRIBUTES
    for rdn in der.expect(der.read(name), der.SEQUENCE, "Name").children():
        pairs = der.expect(rdn, der.SET, "RelativeDistinguishedName").children()
        rdns.append(tuple(map(_attribute, islice(pairs, left + 1))))
        left -= max(len(rdns[-1]), 1)
        if left < 0:
            raise ValueError(f"a Name of more than {_MAX_ATTRIBUTES} attributes")
    return tuple(rdns)


def _attribute(pair: der.Tlv) -> Attribute:
    kind, value = der.expect(pair, der.SEQUENCE, "AttributeTypeAndValue").children()
    charset = _CHARSETS.get(value.tag)
    if charset is None:
        return Attribute(der.oid(kind), f"#{value.encoded.hex()}")
    try:
        return Attribute(der.oid(kind), value.value.decode(charset))
    except UnicodeDecodeError:  # mostly Latin-1 that says it is UTF-8; and different octets stay different text
        return Attribute(der.oid(kind), value.value.decode("latin-1"))


@_remembered
def key(name: bytes) -> bytes | tuple[object, ...]:
    """A token that is equal for equal names: letter case, kind of string and runs of blanks do not matter."""
    try:
        rdns = attributes(name)
    except ValueError:
        return name
    return tuple(frozenset((a.oid, " ".join(a.text.split()).lower()) for a in rdn) for rdn in rdns)


@_remembered
def text(name: bytes) -> str:
    """Show a name on one line, most significant part last: `CN=SECC, O=Operator`. Never empty."""
    try:
        rdns = attributes(name)
    except ValueError:
        return f"#{name[:32].hex()}"
    shown = [_printable(f"{_LABELS.get(a.oid, a.oid)}={a.text.translate(_ESCAPED)}") for rdn in rdns for a in rdn]
    return ", ".join(sorted(shown, key=lambda s: not s.startswith("CN=")))[:_MAX_SHOWN] or "(empty name)"


def has(name: bytes, attribute: str, fits: Callable[[str], bool]) -> bool:
    """Whether a name has an attribute of that type whose text fits; a name that cannot be read has none."""
    try:
        rdns = attributes(name)
    except ValueError:
        return False
    return any(a.oid == attribute and fits(a.text) for rdn in rdns for a in rdn)


def _printable(shown: str) -> str:
    """Keep one line one line, and a terminal unharmed."""
    return "".join(c if c.isprintable() else "?" for c in shown[:200])
