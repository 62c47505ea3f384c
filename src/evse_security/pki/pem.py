"""Certificates in text and files, block by block: one bad block never hides the good ones (RFC 7468).

PEM with anything between its blocks (comments, keys, CRLs), CRLF, a byte order mark, indented or unwrapped lines; or
one certificate in DER. Blocks keep their place in the bytes, so that a bundle is changed without rewriting the rest.
Others read less than this, or other pieces of it; where they may, blocks have a flaw.
"""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from itertools import islice, takewhile
from typing import NamedTuple

from evse_security.errors import MalformedCertificate, NoCertificate, NotExactlyOne, TooLarge
from evse_security.pki import base64text
from evse_security.pki.certificate import Certificate, certificate_of
from evse_security.pki.remembered import remembered

MAX_TEXT_BYTES = 1024 * 1024
"""Longest text taken as an argument. OCPP carries 10,000 characters of a chain; whole bundles of roots have 300 KiB."""
MAX_FILE_BYTES = 16 * 1024 * 1024
"""Largest file that is read: some 10,000 certificates."""
MAX_BAD = 1000
"""Bad blocks of a file, and flaws of it, that are told; of what would fill the memory with complaints no more is."""
MAX_CHAIN = 100
"""Most certificates of a chain given as an argument: OpenSSL's default depth."""

_BOUNDARY = re.compile(rb"-----(?=(?P<word>BEGIN|END) (?P<label>[A-Z0-9 ]{1,64})-----)")
"""Begins with what it seeks: all else of a file, whatever it is, is passed over quickly."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ANY_BEGIN = re.compile(rb"-----BEGIN")
_STRICT = re.compile(
    rb"(?:(?<![^\n])|(?<=\A\xef\xbb\xbf))-----BEGIN (?P<label>[A-Z0-9 ]{1,64})-----[ \t]{0,16}\r?\n"
    rb"(?P<body>(?:[A-Za-z0-9+/=]{1,76}[ \t]{0,16}\r?\n){1,20000})"
    rb"-----END (?P=label)-----[ \t]{0,16}\r?(?:\n|\Z)"
)
"""A block that everybody reads alike (RFC 7468 §3). OpenSSL reads in pieces of 254 characters, which are lines to it: a
comment of that length makes what follows it the start of a line. mbed TLS finds a BEGIN anywhere. No quantifier is
possessive: before Python 3.11.5 those match what they should not (python/cpython#106052)."""
_PLAIN = re.compile(
    rb"-----BEGIN CERTIFICATE-----\r?\n"
    rb"(?P<body>" + base64text.LINES + rb")"
    rb"-----END CERTIFICATE-----(?P<last>\r?(?:\n|\Z))"
)
"""A strict block as nearly all are."""
_REMEMBERED, _MAX_REMEMBERED = 64, 8192
"""Blocks whose certificates are remembered, those read last, and the longest of them: a sub-CA is in every chain."""
_CERTIFICATE = frozenset({b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE"})
_BLANK_LINE = re.compile(rb"\n[ \t\r]*\n")
_SPACE = re.compile(rb"[\s\x00]+")


class Flaw(Enum):
    """Why others may read a text differently, so that it is not to be handed to them as it is."""

    FORM = "not every reader takes it in this form: BEGIN and END belong on lines of their own, with base64 between"
    HIDDEN = "a BEGIN that is none here, but to other readers may start a certificate"


class Block(NamedTuple):
    """A certificate, or what is wrong with it, and the bytes it occupies (`start` … `end`).

    Where neither is there, it is the beginning of something else that has a flaw.
    """

    start: int
    end: int
    certificate: Certificate | None
    problem: str | None
    flaw: Flaw | None = None


def is_der(data: bytes) -> bool:
    """Whether a file begins as a certificate in DER does: a SEQUENCE of more than 127 octets. No text begins so."""
    return data[:1] == b"\x30" and data[1:2] in (b"\x80", b"\x81", b"\x82", b"\x83", b"\x84")


def blocks(data: bytes) -> tuple[Block, ...]:
    """Read all certificates of a file or text, good and bad. Keys and anything else are passed over, but for flaws."""
    if is_der(data):
        return (_block(data, 0, len(data)),)
    plain = _plain_blocks(data)
    return _with_flaws(data, tuple(_told(_pem_blocks(data)))) if plain is None else plain


def _told(found: Iterable[Block]) -> Iterator[Block]:
    """All good blocks, and the first bad ones."""
    bad = 0
    for block in found:
        bad += block.certificate is None
        if block.certificate is not None or bad <= MAX_BAD:
            yield block


def _plain_blocks(data: bytes) -> tuple[Block, ...] | None:
    """The blocks of a text that is nothing but plain ones: none of them has a flaw. None where there is more to it."""
    found = []
    at = bad = 0
    while at < len(data):
        plain = _PLAIN.match(data, at)
        if plain is None:
            return None
        end = plain.start("last")
        try:
            found.append(Block(at, end, _of_body(plain["body"]), None))
        except MalformedCertificate as error:
            bad += 1
            if bad <= MAX_BAD:
                found.append(Block(at, end, None, error.problem))
        at = plain.end()
    return tuple(found)


@remembered(_REMEMBERED, longest=_MAX_REMEMBERED)
def _of_body(body: bytes) -> Certificate:
    return certificate_of(binascii.a2b_base64(body))


def _with_flaws(data: bytes, found: Sequence[Block]) -> tuple[Block, ...]:
    """Mark the blocks that others may read differently, and add the places where they may find one of their own."""
    begins = (begin.start() for begin in _ANY_BEGIN.finditer(data))
    odd = list(islice((at for at in begins if not _is_strict(data, at)), MAX_BAD + 1))
    if not odd:
        return tuple(found)
    wanted = set(odd[:MAX_BAD])  # what is behind them is not looked at: it may hide something
    first = takewhile(lambda boundary: boundary.dashes <= odd[-1], _boundaries(data))
    lines = {boundary.dashes for boundary in first if boundary.dashes in wanted}
    starts = [block.start for block in found]
    marked = {block.start: block for block in found}
    for at in odd:
        flaw = Flaw.FORM if at in lines else Flaw.HIDDEN
        before = bisect_right(starts, at) - 1
        if before >= 0 and at < found[before].end:
            marked[starts[before]] = found[before]._replace(flaw=flaw)
        else:
            marked[at] = Block(at, at + len(b"-----BEGIN"), None, None, flaw)
    return tuple(marked[start] for start in sorted(marked))


def _is_strict(data: bytes, start: int) -> bool:
    found = _STRICT.match(data, start)
    if found is None:
        return False
    try:
        base64.b64decode(_SPACE.sub(b"", found["body"]), validate=True)
    except binascii.Error:
        return False
    return True


def _pem_blocks(data: bytes) -> Iterator[Block]:
    opened: _Boundary | None = None
    for boundary in _boundaries(data):
        if opened is not None:
            if not boundary.is_end:
                yield Block(opened.dashes, boundary.start, None, "the END line is missing")
            elif boundary.label == opened.label:
                yield _pem_block(data[opened.end : boundary.start], opened.dashes, boundary.end)
            else:
                yield Block(opened.dashes, boundary.end, None, "the END line is another's")
        opened = boundary if not boundary.is_end and boundary.label in _CERTIFICATE else None
    if opened is not None:
        yield Block(opened.dashes, len(data), None, "the END line is missing")


class _Boundary(NamedTuple):
    """A BEGIN or END: where it starts, blanks before it included, and where it ends."""

    start: int
    dashes: int
    end: int
    is_end: bool
    label: bytes


def _boundaries(data: bytes) -> Iterator[_Boundary]:
    """Every END; and the BEGINs at the start of a line, or right behind an END that lacked its line's end."""
    last = 0
    for found in _BOUNDARY.finditer(data):
        dashes = found.start()
        is_end = found["word"] == b"END"
        start = dashes if is_end else _beginning(data, dashes)
        if start is not None and dashes >= last:  # else its dashes are the last ones of another
            last = found.end("label") + len(b"-----")
            yield _Boundary(start, dashes, last, is_end, found["label"])


def _beginning(data: bytes, dashes: int) -> int | None:
    """Where a BEGIN starts, the blanks before it and a byte order mark included; None where it is within a line."""
    start = dashes
    while start and data[start - 1] in b" \t":
        start -= 1
    if start >= len(_BYTE_ORDER_MARK) and data.startswith(_BYTE_ORDER_MARK, start - len(_BYTE_ORDER_MARK)):
        start -= len(_BYTE_ORDER_MARK)
    if not start or data[start - 1] in b"\r\n":
        return start
    return dashes if data.endswith(b"-----", 0, dashes) else None


def _pem_block(body: bytes, start: int, end: int) -> Block:
    if b":" in body:
        body = _BLANK_LINE.split(body, maxsplit=1)[-1]  # headers end at a blank line (RFC 1421 §4.4)
    try:
        return _block(base64.b64decode(_SPACE.sub(b"", body), validate=True), start, end)
    except binascii.Error:
        return Block(start, end, None, "the body is not base64")


def _block(encoded: bytes, start: int, end: int) -> Block:
    try:
        return Block(start, end, certificate_of(encoded), None)
    except MalformedCertificate as error:
        return Block(start, end, None, error.problem)


def chain(text: str, what: str) -> tuple[Certificate, ...]:
    """Read the certificates of an argument, in order. Raises `NoCertificate`, `MalformedCertificate` or `TooLarge`."""
    if len(text) > MAX_TEXT_BYTES:
        raise TooLarge(what, MAX_TEXT_BYTES)
    read = blocks(text.encode("utf-8", "replace"))
    found = [block for block in read if block.certificate is not None or block.problem is not None]
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
