"""One certificate: the facts in its bytes, tolerant of what real public-key infrastructures encode.

The facts are cut from the DER by our own reader, since `cryptography` raises on extensions that OpenSSL takes
(explicit `cA FALSE`, duplicates, odd names) and re-encodes names that hashes are made of. Signatures and paths are
judged by `cryptography` and OpenSSL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TypeVar
from weakref import WeakValueDictionary

from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from OpenSSL import crypto

from evse_security.errors import MalformedCertificate
from evse_security.pki import algorithm, der, encode, extensions, names
from evse_security.pki.extensions import BasicConstraints, Extension, Extensions
from evse_security.pki.outline import key_bits, moment, outline
from evse_security.pki.signing import confirms

T = TypeVar("T")

MAX_CERTIFICATE_BYTES = 64 * 1024
"""Largest certificate that is read. The largest known real one has under 10 KiB; OCPP carries 5,500 characters."""

MAX_CONFIRMATIONS = 128
"""Most issuers of which a certificate remembers whether they signed it: 16 KiB. Chains bring any number of them."""

_FOR_EVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_NEVER = datetime(1, 1, 1, tzinfo=UTC)

_KEY_KINDS = {6: "RSA", 912: "RSA", 408: "EC", 1087: "Ed25519", 1088: "Ed448"}
"""OpenSSL's NIDs of the kinds of keys that are known here."""


class Certificate:
    """An X.509 certificate: whatever OpenSSL loads, else `MalformedCertificate`. Two are equal when their DER is.

    Extensions that cannot be read count as absent here; `malformed` names those that nobody must be trusted with.
    """

    def __init__(self, encoded: bytes) -> None:
        """Read the outline of a DER certificate; bytes that follow it are ignored."""
        if len(encoded) > MAX_CERTIFICATE_BYTES:
            raise MalformedCertificate(f"larger than {MAX_CERTIFICATE_BYTES} bytes")
        self._confirmations: dict[str, bool] = {}
        try:
            whole = der.expect(der.read(encoded), der.SEQUENCE, "Certificate")
            self.der = whole.encoded
            self._outline = outline(whole)
            crypto.load_certificate(crypto.FILETYPE_ASN1, self.der)  # not kept: it needs more room than all of this
        except ValueError as error:
            raise MalformedCertificate(str(error)) from None
        except crypto.Error:
            raise MalformedCertificate("OpenSSL does not read it") from None
        begin, end = map(moment, self._outline.validity)
        self._has_times = begin is not None and end is not None
        self.not_before, self.not_after = begin or _FOR_EVER, end or _NEVER  # then it is never valid

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.der)

    def __repr__(self) -> str:
        return f"<Certificate {self.name} serial {self.serial_text}>"

    # ---- identity

    @property
    def version(self) -> int:
        """The version as people count: 1, 2 or 3."""
        return self._outline.version + 1

    @property
    def serial(self) -> int:
        """The serial number; zero and negative ones occur."""
        return self._outline.serial

    @property
    def serial_text(self) -> str:
        """The serial number as OCPP writes it: lower-case hexadecimal without leading zeros."""
        return f"{self.serial:x}"

    @property
    def issuer(self) -> bytes:
        """The issuer's Name as encoded here."""
        return self._outline.issuer

    @property
    def subject(self) -> bytes:
        """The subject's Name as encoded here."""
        return self._outline.subject

    @cached_property
    def subject_key(self) -> object:
        """Token to compare names by."""
        return names.key(self.subject)

    @cached_property
    def issuer_key(self) -> object:
        """Token to compare names by."""
        return names.key(self.issuer)

    @property
    def name(self) -> str:
        """The subject, for messages."""
        return names.text(self.subject)

    @property
    def issuer_name(self) -> str:
        """The issuer, for messages."""
        return names.text(self.issuer)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the DER, in hexadecimal."""
        return hashlib.sha256(self.der).hexdigest()

    @cached_property
    def self_issued(self) -> bool:
        """Whether subject and issuer are one name, and the key identifiers do not say otherwise."""
        authority, own = self.authority_key_id, self.subject_key_id
        return self.subject_key == self.issuer_key and (authority is None or own is None or authority == own)

    # ---- key and signature

    @property
    def spki(self) -> bytes:
        """SubjectPublicKeyInfo, DER."""
        return self._outline.spki

    @cached_property
    def key_bits(self) -> bytes:
        """The value of the subjectPublicKey BIT STRING: what issuerKeyHash is made of (RFC 6960 §4.1.1)."""
        return key_bits(self.spki)

    @property
    def tbs(self) -> bytes:
        """The signed part."""
        return self._outline.tbs

    @property
    def tbs_algorithm(self) -> bytes:
        """The AlgorithmIdentifier inside the signed part, DER; the one outside must be the same (RFC 5280 §4.1.1.2)."""
        return self._outline.tbs_algorithm

    @property
    def signature(self) -> bytes:
        """The signature's octets."""
        return self._outline.signature

    @property
    def signature_algorithm(self) -> bytes:
        """The AlgorithmIdentifier of the signature, DER."""
        return self._outline.signature_algorithm

    # ---- validity

    def expired(self, now: datetime, skew: timedelta = timedelta(0)) -> bool:
        """Whether notAfter has passed; notAfter itself is still valid (RFC 5280 §4.1.2.5)."""
        return now.replace(microsecond=0) - skew > self.not_after

    def not_yet_valid(self, now: datetime, skew: timedelta = timedelta(0)) -> bool:
        """Whether notBefore lies ahead."""
        return now + skew < self.not_before

    def valid_at(self, now: datetime) -> bool:
        """Whether `now` lies within the validity."""
        return not self.expired(now) and not self.not_yet_valid(now)

    # ---- extensions

    @cached_property
    def _extensions(self) -> Extensions:
        return extensions.read_all(self._outline.extensions)

    @property
    def extensions(self) -> dict[str, Extension]:
        """Extensions by dotted identifier; of duplicates the first."""
        return self._extensions.found

    @cached_property
    def basic_constraints(self) -> BasicConstraints | None:
        """The basicConstraints, with or without the default spelled out; None where the extension is absent."""
        return self._read(extensions.BASIC_CONSTRAINTS, extensions.basic_constraints)

    @cached_property
    def key_usage(self) -> frozenset[str] | None:
        """The keyUsage bits by name; None where the extension is absent, which permits all."""
        return self._read(extensions.KEY_USAGE, extensions.key_usage)

    @cached_property
    def extended_key_usage(self) -> frozenset[str] | None:
        """The extended key usages as dotted identifiers; None where the extension is absent, which permits all."""
        return self._read(extensions.EXTENDED_KEY_USAGE, extensions.extended_key_usage)

    @cached_property
    def subject_key_id(self) -> bytes | None:
        """The subject key identifier."""
        return self._read(extensions.SUBJECT_KEY_ID, extensions.subject_key_id)

    @cached_property
    def authority_key_id(self) -> bytes | None:
        """The keyIdentifier of the authority key identifier."""
        return self._read(extensions.AUTHORITY_KEY_ID, extensions.authority_key_id)

    @cached_property
    def ocsp_urls(self) -> tuple[str, ...]:
        """The OCSP responders that the authority information access names, in order."""
        return self._read(extensions.AUTHORITY_INFO_ACCESS, extensions.ocsp_urls) or ()

    def _read(self, identifier: str, read: Callable[[bytes], T]) -> T | None:
        extension = self.extensions.get(identifier)
        try:
            return None if extension is None else read(extension.value)
        except ValueError:
            return None

    @cached_property
    def malformed(self) -> tuple[str, ...]:
        """What bears on trust and cannot be read, or is there twice; empty for nearly all certificates."""
        found = [] if self._has_times else ["malformed validity"]
        found += self._extensions.problems
        for identifier, read in extensions.BEARING_ON_TRUST.items():
            try:
                if identifier in self.extensions:
                    read(self.extensions[identifier].value)
            except ValueError:
                found.append(f"malformed extension {identifier}")
        return tuple(found)

    # ---- as others know it

    @property
    def pem(self) -> str:
        """The certificate as PEM text (RFC 7468 §5), with a last newline."""
        return encode.pem("CERTIFICATE", self.der)

    @cached_property
    def openssl(self) -> crypto.X509:
        """The certificate for OpenSSL."""
        return crypto.load_certificate(crypto.FILETYPE_ASN1, self.der)

    @property
    def subject_hash(self) -> int:
        """OpenSSL's hash of the subject, by which it looks up files in a directory."""
        return self.openssl.subject_name_hash()

    @cached_property
    def _public_key(self) -> CertificatePublicKeyTypes:
        return algorithm.public_key(self.spki)

    def public_key(self) -> CertificatePublicKeyTypes:
        """The subject's key. Raises ValueError or UnsupportedAlgorithm on kinds of keys that are not known."""
        return self._public_key

    @cached_property
    def key_strength(self) -> tuple[str, int]:
        """Kind of key and its size in bits, as OpenSSL sees it: `("EC", 256)`; `("unknown", 0)` if it does not."""
        try:
            key = self.openssl.get_pubkey()
            return _KEY_KINDS.get(key.type(), f"key type {key.type()}"), key.bits()
        except crypto.Error:
            return "unknown", 0

    @cached_property
    def self_signed(self) -> bool:
        """Whether it is self-issued and its own key confirms the signature."""
        return self.self_issued and self.signed_by(self)

    def signed_by(self, issuer: Certificate) -> bool:
        """Whether the key of `issuer` confirms the signature. Names and validity are not looked at."""
        known = self._confirmations.get(issuer.fingerprint)  # not by key: OpenSSL looks at more than that
        if known is None:
            known = confirms(issuer, self)
            newest = [*self._confirmations.items(), (issuer.fingerprint, known)][-MAX_CONFIRMATIONS:]
            self._confirmations = dict(newest)  # never altered: other threads may be reading it
        return known


_in_use: WeakValueDictionary[bytes, Certificate] = WeakValueDictionary()
"""By DER, as long as somebody holds them: a sub-CA lies in every chain file. What one knows follows from the DER."""


def certificate_of(encoded: bytes) -> Certificate:
    """The certificate of these bytes (DER), one for all who hold it; else `MalformedCertificate`."""
    known = _in_use.get(encoded)
    if known is None:
        read = Certificate(encoded)
        known = _in_use.setdefault(read.der, read)
    return known
