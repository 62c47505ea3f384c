"""Distinguished names: when two are the same, and how to show one (RFC 5280 §7.1, RFC 4514)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

from evse_security.pki import der
from evse_security.pki.remembered import remembered

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
_ASCII_KINDS = frozenset({0x0C, 0x12, 0x13, 0x14, 0x16, 0x1A})
"""Those in which ASCII is ASCII."""
_MAX_SHOWN = 1000
_MAX_ATTRIBUTES = 100
"""More make a name unreadable. Real ones have up to ten; 64 KiB hold 6,000, which take megabytes when they are read."""
_REMEMBERED, _MAX_REMEMBERED = 128, 1024
"""Most names that are remembered, and the longest of them, in octets: some 5 MiB at the worst. Real ones have 300.

Those of CAs matter, which come again and again; leaves have one each.
"""
_ESCAPED = str.maketrans({character: f"\\{character}" for character in '\\,+"<>;'})
"""What would make one attribute look like two (RFC 4514 §2.4)."""


class Attribute(NamedTuple):
    """One attribute of a name: dotted type and text, or the hexadecimal encoding where it is no text."""

    oid: str
    text: str


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


@remembered(_REMEMBERED, longest=_MAX_REMEMBERED)
def key(name: bytes) -> str | bytes:
    """A token that is equal for equal names: letter case, kind of string and runs of blanks do not matter.

    Names that cannot be read are their own token. It is short, as every certificate has one.
    """
    try:
        return _plain_key(name) or "".join(map(_set_key, attributes(name)))
    except ValueError:
        return name


def _set_key(rdn: tuple[Attribute, ...]) -> str:
    return "\r".join(sorted({f"{_LABELS.get(a.oid, a.oid)}={_folded(a.text)}" for a in rdn})) + "\n"


def _folded(text: str) -> str:
    """Text without what does not matter. No line ends are left in it: they part the attributes of a token."""
    return " ".join(text.split()).lower()


def _plain_key(name: bytes) -> str | None:
    """The same token for a name as nearly all are: one attribute of ASCII in each set, all lengths below 128."""
    tag, _, at, end, _ = der.span(name, 0, len(name))
    found = []
    while at < end:
        kind = at + 6 + name[at + 5] if at + 6 < end else end
        content = kind + 2
        if content > end or name[at : at + 5 : 2] != b"\x31\x30\x06":
            return None
        after = content + name[kind + 1]
        if after > end or after - at > 127 or (name[at + 1], name[at + 3]) != (after - at - 2, after - at - 4):
            return None
        value = name[content:after]
        if name[kind] not in _ASCII_KINDS or not value.isascii():
            return None
        oid = der.dotted(name[at + 6 : kind])
        found.append(f"{_LABELS.get(oid, oid)}={_folded(value.decode('ascii'))}\n")
        at = after
    return "".join(found) if tag == der.SEQUENCE and len(found) <= _MAX_ATTRIBUTES else None


@remembered(_REMEMBERED, longest=_MAX_REMEMBERED)
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


def last(name: bytes, attribute: str) -> str:
    """The value of the last attribute of a type, the most specific; empty where there is none that can be read."""
    try:
        said = [one.text for rdn in attributes(name) for one in rdn if one.oid == attribute]
    except ValueError:
        return ""
    return said[-1] if said else ""


def _printable(shown: str) -> str:
    """Keep one line one line, and a terminal unharmed."""
    return "".join(c if c.isprintable() else "?" for c in shown[:200])
