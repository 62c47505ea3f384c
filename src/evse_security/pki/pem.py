"""Certificates in text and files, block by block: one bad block never hides the good ones (RFC 7468).

PEM with anything between its blocks (comments, keys, CRLs), CRLF, a byte order mark, indented or unwrapped lines; or
one certificate in DER. Blocks keep their place in the bytes, so that a bundle is changed without rewriting the rest.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import NamedTuple

from evse_security.errors import MalformedCertificate, NoCertificate, NotExactlyOne, TooLarge
from evse_security.pki.certificate import Certificate

MAX_TEXT_BYTES = 1024 * 1024
"""Longest text taken as an argument. OCPP carries 10,000 characters of a chain; whole bundles of roots have 300 KiB."""
MAX_FILE_BYTES = 16 * 1024 * 1024
"""Largest file that is read: some 10,000 certificates."""
MAX_CHAIN = 100
"""Most certificates of a chain given as an argument: OpenSSL's default depth."""

_BEGIN = re.compile(rb"-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----")
_DIGITS = frozenset(bytes((octet,)) for octet in b"0123456789 \t\r\n") | {b""}
_SPACE = re.compile(rb"[\s\x00]+")


class Block(NamedTuple):
    """A certificate, or what is wrong with it, and the bytes it occupies (`start` … `end`)."""

    start: int
    end: int
    certificate: Certificate | None
    problem: str | None


def is_der(data: bytes) -> bool:
    """Whether a file begins as DER does; no text begins with `0` and a length octet."""
    return data[:1] == b"\x30" and data[1:2] not in _DIGITS


def blocks(data: bytes) -> tuple[Block, ...]:
    """Read all certificates of a file or text, good and bad. Keys and anything else are passed over."""
    if is_der(data):
        return (_block(data, 0, len(data)),)
    return tuple(_pem_blocks(data))


def _pem_blocks(data: bytes) -> Iterator[Block]:
    at = 0
    while begin := _BEGIN.search(data, at):
        close = b"-----END " + begin[1] + b"-----"
        following = _BEGIN.search(data, begin.end())
        limit = following.start() if following else len(data)
        end = data.find(close, begin.end(), limit)  # not beyond: many BEGIN lines would each search the whole text
        if end < 0:
            at = limit
            yield Block(begin.start(), at, None, "the END line is missing")
            continue
        at = end + len(close)
        body = _SPACE.sub(b"", data[begin.end() : end])
        try:
            yield _block(base64.b64decode(body, validate=True), begin.start(), at)
        except binascii.Error:
            yield Block(begin.start(), at, None, "the body is not base64")


def _block(encoded: bytes, start: int, end: int) -> Block:
    try:
        return Block(start, end, Certificate(encoded), None)
    except MalformedCertificate as error:
        return Block(start, end, None, error.problem)


def chain(text: str, what: str) -> tuple[Certificate, ...]:
    """Read the certificates of an argument, in order. Raises `NoCertificate`, `MalformedCertificate` or `TooLarge`."""
    if len(text) > MAX_TEXT_BYTES:
        raise TooLarge(what, MAX_TEXT_BYTES)
    found = blocks(text.encode("utf-8", "replace"))
    if not found:
        raise NoCertificate(what)
    if len(found) > MAX_CHAIN:
        raise TooLarge(f"the number of certificates in {what}", MAX_CHAIN)
    for block in found:
        if block.problem is not None:
            raise MalformedCertificate(block.problem)
    return tuple(block.certificate for block in found if block.certificate is not None)


def single(text: str, what: str) -> Certificate:
    """Read the one certificate of an argument. Raises as `chain`, and `NotExactlyOne`."""
    found = chain(text, what)
    if len(found) != 1:
        raise NotExactlyOne(len(found))
    return found[0]
