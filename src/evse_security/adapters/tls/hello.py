"""What a car says in its ClientHello that decides which chain it is shown. Pure; what cannot be read says nothing."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterator
from enum import Enum
from typing import NamedTuple

from evse_security.chains import Authority

SUPPORTED_VERSIONS, SIGNATURE_ALGORITHMS, TRUSTED_CA_KEYS, CERTIFICATE_AUTHORITIES = 43, 13, 3, 47
"""Numbers of extensions (RFC 8446 §4.2, RFC 6066 §6)."""
TLS_1_2, TLS_1_3 = 0x0303, 0x0304
_OLDER, _NO_SCHEMES = frozenset({TLS_1_2}), frozenset[int]()
MAX_NAMED = 100
"""CAs that a car may name; ISO 15118-2 has ten (V2G2-878)."""


class NamedBy(Enum):
    """By what a car names a CA that it trusts."""

    PRE_AGREED = "agreement"
    KEY = "the SHA-1 of its key"
    NAME = "its name"
    CERTIFICATE = "the SHA-1 of its certificate"


class Named(NamedTuple):
    """A CA that a car trusts."""

    by: NamedBy
    value: bytes

    def is_named(self, authority: Authority) -> bool:
        """Whether it is this one. What was agreed before names none of ours."""
        if self.by is NamedBy.NAME:
            return self.value == authority.subject
        own = {NamedBy.KEY: authority.key_sha1, NamedBy.CERTIFICATE: authority.certificate_sha1}
        return self.value == own.get(self.by)


class Hello(NamedTuple):
    """What matters of a ClientHello."""

    versions: frozenset[int]
    schemes: frozenset[int]
    """Signature schemes of TLS 1.3; empty where it names none."""
    named: dict[int, tuple[Named, ...]]
    """The CAs that it names, by the version for which it does."""


def _numbers(octets: bytes) -> Iterator[int]:
    even = octets[: len(octets) // 2 * 2]
    return (number for (number,) in struct.iter_unpack(">H", even))


def _read(parse: Callable[[bytes], Iterator[Named]], body: bytes) -> tuple[Named, ...]:
    """What an extension names; nothing where it is cut short or holds more than anybody names."""
    try:
        found = []
        for named in parse(body):
            found.append(named)
            if len(found) > MAX_NAMED:
                return ()
        return tuple(found)
    except (struct.error, ValueError):
        return ()


def trusted_ca_keys(body: bytes) -> Iterator[Named]:
    """The TrustedAuthorities of TLS 1.2 (RFC 6066 §6). Raises ValueError and struct.error."""
    rest = _vector(body)
    while rest:
        kind, rest = rest[0], rest[1:]
        if kind == 0:
            yield Named(NamedBy.PRE_AGREED, b"")
        elif kind == 2:
            name, rest = _cut(rest)
            yield Named(NamedBy.NAME, name)
        elif kind in (1, 3):
            if len(rest) < 20:
                raise ValueError("cut short")
            yield Named(NamedBy.KEY if kind == 1 else NamedBy.CERTIFICATE, rest[:20])
            rest = rest[20:]
        else:
            raise ValueError("an identifier of unknown length")


def certificate_authorities(body: bytes) -> Iterator[Named]:
    """The distinguished names of TLS 1.3 (RFC 8446 §4.2.4). Raises ValueError and struct.error."""
    rest = _vector(body)
    while rest:
        name, rest = _cut(rest)
        yield Named(NamedBy.NAME, name)


def _vector(body: bytes) -> bytes:
    inner, rest = _cut(body)
    if rest:
        raise ValueError("something follows")
    return inner


def _cut(octets: bytes) -> tuple[bytes, bytes]:
    """What a length of two octets announces, and what follows."""
    (length,) = struct.unpack_from(">H", octets)
    if len(octets) < 2 + length:
        raise ValueError("cut short")
    return octets[2 : 2 + length], octets[2 + length :]


_NAMING = (
    (TLS_1_2, TRUSTED_CA_KEYS, trusted_ca_keys),
    (TLS_1_3, CERTIFICATE_AUTHORITIES, certificate_authorities),
)


def read_hello(extension: Callable[[int], bytes | None], served: Collection[int]) -> Hello:
    """Read what of a ClientHello matters to who serves these versions, given how to get the body of an extension.

    One without supported_versions is served with TLS 1.2 at most (RFC 8446 §4.2.1); less, OpenSSL refuses.
    """
    offered = extension(SUPPORTED_VERSIONS)
    versions = _OLDER if offered is None else frozenset(_numbers(offered[1:]))
    common = versions.intersection(served)
    schemes = (extension(SIGNATURE_ALGORITHMS) or b"") if TLS_1_3 in common else b""
    named: dict[int, tuple[Named, ...]] = {}
    for version, number, parse in _NAMING:
        if version in common:
            body = extension(number)
            named[version] = () if body is None else _read(parse, body)
    return Hello(versions, frozenset(_numbers(schemes[2:])) if schemes else _NO_SCHEMES, named)
