"""What the files of a store hold, one by one: certificates, private keys, and cached OCSP responses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evse_security.keys.files import MAX_KEY_BYTES, KeyReading
from evse_security.pki import hashdata, ocsp, pem
from evse_security.store import scan
from evse_security.store.contents import CertificateFile, KeyFile, OcspEntry
from evse_security.store.listing import Listing
from evse_security.store.stamp import Stamp

_MAX_SMALL_BYTES = 128 * 1024

KeyReader = Callable[[bytes], KeyReading]
"""Reads a private key file."""
Reader = Callable[[str, int], bytes]
"""Reads a file of at most so many bytes. Raises OSError or ValueError."""


class Reading:
    """Reads files, and remembers which could not be read. For one thread at a time."""

    def __init__(self, read_key: KeyReader, read: Reader) -> None:
        """Nothing is read yet."""
        self._read_key, self._read = read_key, read
        self.briefly = False
        """Whether they are read while no other thread runs, as is good for a few, written just now."""
        self.count = 0
        """Files that were read, since somebody set it to none."""
        self.doubtful: set[str] = set()
        """Files that could not be read for a reason that may pass without a trace."""

    def _bytes(self, location: str, limit: int) -> bytes | str:
        """What a file holds, or why it cannot be read."""
        self.count += 1
        read = scan.read_briefly if self.briefly else self._read
        try:
            content = read(location, limit)
        except (ValueError, PermissionError) as error:  # it shows in the directory when that is no longer so
            self.doubtful.discard(location)
            return (error.strerror if isinstance(error, OSError) else None) or str(error)
        except OSError as error:
            self.doubtful.add(location)
            return error.strerror or "unreadable"
        self.doubtful.discard(location)
        return content

    def certificates(self, location: str) -> CertificateFile:
        """A file of certificates."""
        content = self._bytes(location, pem.MAX_FILE_BYTES)
        return (
            CertificateFile(location, (), content) if isinstance(content, str) else read_certificates(location, content)
        )

    def key(self, location: str, stamp: Stamp) -> KeyFile:
        """A file of a private key."""
        content = self._bytes(location, MAX_KEY_BYTES)
        reading = KeyReading() if isinstance(content, str) else self._read_key(content)
        problem = content if isinstance(content, str) else reading.problem
        return KeyFile(location, reading.token, problem, reading.encrypted, stamp)

    def response(self, listing: Listing, pair: str) -> OcspEntry | None:
        """A cached response, from the halves that are there."""
        halves = f"{pair}.hash", f"{pair}.der"
        has_hash, has_response = map(listing.has, halves)
        if not has_hash and not has_response:
            return None
        lines = self._bytes(halves[0], _MAX_SMALL_BYTES) if has_hash else ""
        held = self._bytes(halves[1], _MAX_SMALL_BYTES) if has_response else ""
        cert_id = hashdata.from_lines(lines) if isinstance(lines, bytes) else None
        statements = ocsp.peek(held) if isinstance(held, bytes) else ()
        answer = ocsp.about(statements, cert_id)
        paths = Path(halves[0]), Path(halves[1])
        says_revoked = answer is not None and answer.status is ocsp.OcspStatus.revoked
        evidence = held if says_revoked and isinstance(held, bytes) else None
        return OcspEntry(*paths, cert_id, answer, has_hash, has_response, evidence)


def read_certificates(location: str, data: bytes) -> CertificateFile:
    """What the bytes of a certificate file say."""
    blocks, in_der = pem.blocks(data), pem.is_der(data)
    holds_more = not in_der and data.count(b"-----BEGIN ") > len(blocks)
    return CertificateFile(location, blocks, in_der=in_der, holds_more=holds_more)
