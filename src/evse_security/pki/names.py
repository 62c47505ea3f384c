"""Distinguished names: when two are the same, and how to show one (RFC 5280 §7.1, RFC 4514)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from evse_security.pki import der

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
_ESCAPED = str.maketrans({character: f"\\{character}" for character in '\\,+"<>;'})
"""What would make one attribute look like two (RFC 4514 §2.4)."""


class Attribute(NamedTuple):
    """One attribute of a name: dotted type and text, or the hexadecimal encoding where it is no text."""

    oid: str
    text: str


@lru_cache(maxsize=1024)
def attributes(name: bytes) -> tuple[tuple[Attribute, ...], ...]:
    """Read a Name (DER) as relative distinguished names, in the order of the encoding."""
    return tuple(
        tuple(_attribute(pair) for pair in der.expect(rdn, der.SET, "RelativeDistinguishedName").children())
        for rdn in der.sequence(name, "Name")
    )


def _attribute(pair: der.Tlv) -> Attribute:
    kind, value = der.expect(pair, der.SEQUENCE, "AttributeTypeAndValue").children()
    charset = _CHARSETS.get(value.tag)
    if charset is None:
        return Attribute(der.oid(kind), f"#{value.encoded.hex()}")
    try:
        return Attribute(der.oid(kind), value.value.decode(charset))
    except UnicodeDecodeError:  # mostly Latin-1 that says it is UTF-8; and different octets stay different text
        return Attribute(der.oid(kind), value.value.decode("latin-1"))


@lru_cache(maxsize=1024)
def key(name: bytes) -> bytes | tuple[object, ...]:
    """A token that is equal for equal names: letter case, kind of string and runs of blanks do not matter."""
    try:
        rdns = attributes(name)
    except ValueError:
        return name
    return tuple(frozenset((a.oid, " ".join(a.text.split()).lower()) for a in rdn) for rdn in rdns)


@lru_cache(maxsize=1024)
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
