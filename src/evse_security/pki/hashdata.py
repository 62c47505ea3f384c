"""What names a certificate in OCPP and OCSP: its issuer's name and key, hashed, and its serial number.

Source: RFC 6960 §4.1.1. `CertID` is normalised when it is made, so that `==` is the only comparison: hexadecimal digits
in lower case, the serial as a number. Identity does not depend on the clock.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import NamedTuple

from evse_security.pki.certificate import Certificate
from evse_security.pki.outline import key_bits
from evse_security.pki.remembered import remembered
from evse_security.vocabulary import CertificateHashData, HashAlgorithm

_DIGESTS = {HashAlgorithm.SHA256: "sha256", HashAlgorithm.SHA384: "sha384", HashAlgorithm.SHA512: "sha512"}


def _hexadecimal(digest: str, read: Callable[[bytes], bytes]) -> Callable[[bytes], str]:
    """The digest of what is read; remembered, since a CA's is asked for with each certificate that it issued."""
    return remembered(64, longest=2048)(lambda octets: hashlib.new(digest, read(octets)).hexdigest())


_NAME_HASHES = {algorithm: _hexadecimal(digest, bytes) for algorithm, digest in _DIGESTS.items()}
_KEY_HASHES = {algorithm: _hexadecimal(digest, key_bits) for algorithm, digest in _DIGESTS.items()}
"""Of a Name and of a SubjectPublicKeyInfo, by algorithm."""
_HASH = re.compile(r"[0-9a-f]{1,128}", re.ASCII)
_SERIAL = re.compile(r"-?[0-9a-f]{1,128}", re.ASCII)

MAX_CHARACTERS = 1024
"""Of a hash or serial number, blanks around it included, before it is looked at."""


class CertID(NamedTuple):
    """The identity of a certificate under one hash algorithm."""

    algorithm: HashAlgorithm
    issuer_name_hash: str
    issuer_key_hash: str
    serial: int

    @property
    def hash_data(self) -> CertificateHashData:
        """The identity as the interface writes it: lower-case hexadecimal, the serial without leading zeros."""
        return CertificateHashData(
            hash_algorithm=self.algorithm,
            issuer_name_hash=self.issuer_name_hash,
            issuer_key_hash=self.issuer_key_hash,
            serial_number=f"{self.serial:x}",
        )

    @property
    def lines(self) -> bytes:
        """The identity as the four lines of a `.hash` file beside a cached OCSP response."""
        data = self.hash_data
        return (
            f"{data.hash_algorithm}\n{data.issuer_name_hash}\n{data.issuer_key_hash}\n{data.serial_number}\n".encode()
        )

    @property
    def digest(self) -> str:
        """A name for files that belong to this identity: 32 hexadecimal digits."""
        return hashlib.sha256(self.lines).hexdigest()[:32]

    def __str__(self) -> str:
        return f"with serial {self.serial:x}, issuer key {self.issuer_key_hash[:16]}… ({self.algorithm})"


def certificate_id(
    certificate: Certificate, issuer: Certificate, algorithm: HashAlgorithm = HashAlgorithm.SHA256
) -> CertID:
    """Name a certificate that `issuer` signed; a root's issuer is itself."""
    return CertID(
        algorithm, _NAME_HASHES[algorithm](certificate.issuer), _KEY_HASHES[algorithm](issuer.spki), certificate.serial
    )


def may_name(cert_id: CertID, certificate: Certificate) -> bool:
    """Whether this may be the identity of a certificate whose issuer is not known: all but the issuer's key fits."""
    named = _NAME_HASHES[cert_id.algorithm](certificate.issuer)
    return (cert_id.serial, cert_id.issuer_name_hash) == (certificate.serial, named)


def asked_for(data: CertificateHashData) -> CertID | None:
    """Read the identity that a caller names, in any case of letters and with leading zeros; None where it is none."""
    if max(map(len, (data.serial_number, data.issuer_name_hash, data.issuer_key_hash))) > MAX_CHARACTERS:
        return None
    serial = data.serial_number.strip().lower()
    name_hash, key_hash = data.issuer_name_hash.strip().lower(), data.issuer_key_hash.strip().lower()
    if not (_SERIAL.fullmatch(serial) and _HASH.fullmatch(name_hash) and _HASH.fullmatch(key_hash)):
        return None
    return CertID(HashAlgorithm(data.hash_algorithm), name_hash, key_hash, int(serial, 16))


def from_lines(content: bytes) -> CertID | None:
    """Read a `.hash` file; None where it is none."""
    lines = content[:1024].decode("ascii", "replace").split()
    if len(lines) != 4 or lines[0] not in set(HashAlgorithm):
        return None
    algorithm, name_hash, key_hash, serial = lines
    return asked_for(
        CertificateHashData(
            hash_algorithm=HashAlgorithm(algorithm),
            issuer_name_hash=name_hash,
            issuer_key_hash=key_hash,
            serial_number=serial,
        )
    )
