"""The extensions of a certificate that are used here, each read from its value (RFC 5280 §4.2).

The readers raise `der.Malformed` on anything that is not what it should be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple, TypeVar

from evse_security.pki import der
from evse_security.pki.remembered import remembered

T = TypeVar("T")

KEY_USAGES = (
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
)
"""The bits of keyUsage in order (RFC 5280 §4.2.1.3)."""

SUBJECT_KEY_ID, KEY_USAGE, BASIC_CONSTRAINTS = "2.5.29.14", "2.5.29.15", "2.5.29.19"
AUTHORITY_KEY_ID, EXTENDED_KEY_USAGE = "2.5.29.35", "2.5.29.37"
AUTHORITY_INFO_ACCESS = "1.3.6.1.5.5.7.1.1"

_NAME_CONSTRAINTS, _OCSP_ACCESS = "2.5.29.30", "1.3.6.1.5.5.7.48.1"
_CA, _KEY_IDENTIFIER, _URI = der.BOOLEAN, 0x80, 0x86


_remembered = remembered(256, longest=256)
"""Certificates of one CA say mostly the same, and then they share what was read."""
_MAX_SHARED = 2048
"""Longest list, in octets, of which what it says is kept to be shared. Real ones have some 300."""


class Extension(NamedTuple):
    """An extension's criticality and its value (the DER inside the OCTET STRING)."""

    critical: bool
    value: bytes


class BasicConstraints(NamedTuple):
    """Whether the subject is a CA, and how many CAs may follow it."""

    ca: bool
    path_length: int | None


class Extensions(NamedTuple):
    """Those of one certificate by dotted identifier, as far as they can be read, and what is wrong with them."""

    found: dict[str, Extension]
    problems: tuple[str, ...]


def read_all(sequence: der.Tlv | None) -> Extensions:
    """Read the list; of duplicates the first counts. That RFC 5280 §4.2 forbids them is told of those that matter."""
    found: dict[str, Extension] = {}
    if sequence is None:
        return Extensions(found, ())
    problems = []
    try:
        for _, start, _, _, end in der.spans(sequence.data, sequence.content, sequence.content_end):
            identifier, extension = _plain(sequence.data, start, end) or _read(sequence.data[start:end])
            if identifier in found and identifier in _ONCE:
                problems.append(f"extension {identifier} twice")
            found.setdefault(identifier, extension)
    except ValueError:
        problems.append("malformed extensions")
    return Extensions(found, tuple(problems))


def _plain(data: bytes, start: int, end: int) -> tuple[str, Extension] | None:
    """The same for an extension as nearly all are: DER, all lengths below 128. None for any other."""
    at = start + 4
    if not 4 <= end - start < 130 or data[start : start + 3 : 2] != b"\x30\x06" or data[start + 1] != end - start - 2:
        return None
    after = at + data[start + 3]
    identifier = data[at:after]
    critical = data[after : after + 2] == b"\x01\x01"
    content = after + (5 if critical else 2)
    if content > end or data[content - 2] != der.OCTET_STRING or content + data[content - 1] != end:
        return None
    return der.dotted(identifier), Extension(critical and data[after + 2] != 0, data[content:end])


@_remembered
def _read(encoded: bytes) -> tuple[str, Extension]:
    """An Extension: its identifier, whether it is critical, and its value."""
    identifier, *critical, value = der.sequence(encoded, "Extension")
    return der.oid(identifier), Extension(any(map(der.boolean, critical)), der.octet_string(value))


@_remembered
def basic_constraints(value: bytes) -> BasicConstraints:
    """The basicConstraints, with or without the default spelled out (RFC 5280 §4.2.1.9)."""
    parts = der.sequence(value, "basicConstraints")
    ca = der.boolean(parts.pop(0)) if parts and parts[0].tag == _CA else False
    length = der.integer(parts[0]) if parts else None
    if length is not None and length < 0:
        raise der.Malformed("negative pathLenConstraint")
    return BasicConstraints(ca, length)


@_remembered
def key_usage(value: bytes) -> frozenset[str]:
    """The keyUsage bits by name (RFC 5280 §4.2.1.3)."""
    octets = der.bit_string(der.read(value))
    bits = (octet & 0x80 >> bit for octet in octets for bit in range(8))
    return frozenset(usage for usage, bit in zip(KEY_USAGES, bits, strict=False) if bit)


@_remembered
def extended_key_usage(value: bytes) -> frozenset[str]:
    """The extended key usages as dotted identifiers (RFC 5280 §4.2.1.12)."""
    return frozenset(der.oid(part) for part in der.sequence(value, "extKeyUsage"))


def subject_key_id(value: bytes) -> bytes:
    """The subject key identifier (RFC 5280 §4.2.1.2)."""
    return der.octet_string(der.read(value))


@_remembered
def authority_key_id(value: bytes) -> bytes | None:
    """The keyIdentifier of the authority key identifier, if it has one (RFC 5280 §4.2.1.1)."""
    parts = der.sequence(value, "authorityKeyIdentifier")
    return next((part.value for part in parts if part.tag == _KEY_IDENTIFIER), None)


@_remembered
def ocsp_urls(value: bytes) -> tuple[str, ...]:
    """The OCSP responders of the authority information access, each apart, in order (RFC 5280 §4.2.2.1)."""
    pairs = [list(pair.children()) for pair in der.sequence(value, "authorityInfoAccess")]
    if any(len(pair) != 2 for pair in pairs):
        raise der.Malformed("authorityInfoAccess: not pairs")
    return tuple(
        place.value.decode("utf-8", "replace")
        for method, place in pairs
        if place.tag == _URI and der.oid(method) == _OCSP_ACCESS
    )


BEARING_ON_TRUST: Mapping[str, Callable[[bytes], object]] = {
    BASIC_CONSTRAINTS: basic_constraints,
    KEY_USAGE: key_usage,
    EXTENDED_KEY_USAGE: extended_key_usage,
    SUBJECT_KEY_ID: subject_key_id,
    AUTHORITY_KEY_ID: authority_key_id,
}
"""What a certificate must not be trusted with when it cannot be read; OpenSSL refuses such ones, too."""

_CONCERNING_ONE = frozenset(
    {
        *BEARING_ON_TRUST,
        AUTHORITY_INFO_ACCESS,
        "2.5.29.17",  # subjectAltName
        "2.5.29.18",  # issuerAltName
        "2.5.29.31",  # cRLDistributionPoints
        "2.5.29.32",  # certificatePolicies, which OpenSSL looks at only where it is told to
        "2.5.29.46",  # freshestCRL
        "1.3.6.1.5.5.7.1.11",  # subjectInfoAccess
    }
)
"""Extensions that say nothing of certificates further down. Others may: nameConstraints, addresses (RFC 3779), and
whatever is not known here."""

_ONCE = frozenset({*BEARING_ON_TRUST, _NAME_CONSTRAINTS})


class Facts(NamedTuple):
    """What the extensions of a certificate say that is used often; all but what is its own, which leaves share."""

    basic_constraints: BasicConstraints | None
    key_usage: frozenset[str] | None
    extended_key_usage: frozenset[str] | None
    authority_key_id: bytes | None
    ocsp_urls: tuple[str, ...]
    problems: tuple[str, ...]
    """What bears on trust and cannot be read, or is there twice."""
    concern_one: bool
    """Whether they say nothing of certificates further down, but for how many CAs there may be."""

    @property
    def is_ca(self) -> bool:
        """Whether the basicConstraints say that it is a CA."""
        return self.basic_constraints is not None and self.basic_constraints.ca


def facts(sequence: der.Tlv | None) -> tuple[Facts, bytes | None]:
    """What the list of extensions says, one object for all that say the same; and the subject key identifier."""
    found, problems = read_all(sequence)
    unreadable: list[str] = []

    def said(identifier: str, read: Callable[[bytes], T]) -> T | None:
        try:
            return read(found[identifier].value) if identifier in found else None
        except ValueError:
            if identifier in BEARING_ON_TRUST:
                unreadable.append(f"malformed extension {identifier}")
            return None

    constraints, usage = said(BASIC_CONSTRAINTS, basic_constraints), said(KEY_USAGE, key_usage)
    extended, own_key = said(EXTENDED_KEY_USAGE, extended_key_usage), said(SUBJECT_KEY_ID, subject_key_id)
    authority, urls = said(AUTHORITY_KEY_ID, authority_key_id), said(AUTHORITY_INFO_ACCESS, ocsp_urls)
    concern_one = found.keys() <= _CONCERNING_ONE
    facts = Facts(constraints, usage, extended, authority, urls or (), (*problems, *unreadable), concern_one)
    is_short = sequence is not None and sequence.end - sequence.start <= _MAX_SHARED
    return _shared(facts) if is_short else facts, own_key


@lru_cache(64)
def _shared(facts: Facts) -> Facts:
    return facts
