"""One certificate: the facts in its bytes, tolerant of what real public-key infrastructures encode.

The facts are cut from the DER by our own reader, since `cryptography` raises on extensions that OpenSSL takes
(explicit `cA FALSE`, duplicates, odd names) and re-encodes names that hashes are made of. Signatures and paths are
judged by `cryptography` and OpenSSL.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from weakref import WeakValueDictionary

from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from OpenSSL import crypto

from evse_security.errors import MalformedCertificate
from evse_security.pki import algorithm, der, encode, extensions, names
from evse_security.pki.extensions import BasicConstraints, Extension, Facts
from evse_security.pki.loaded import loaded, strength
from evse_security.pki.outline import Part, cut, key_bits, moment, outline
from evse_security.pki.signing import confirms

MAX_CERTIFICATE_BYTES = 64 * 1024
"""Largest certificate that is read. The largest known real one has under 10 KiB; OCPP carries 5,500 characters."""

MAX_CONFIRMATIONS = 128
"""Most issuers of which a certificate remembers that they signed it, and most of which that they did not: 32 KiB.
Chains bring any number of them."""

_FOR_EVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_NEVER = datetime(1, 1, 1, tzinfo=UTC)


class Certificate:
    """An X.509 certificate: whatever OpenSSL loads, else `MalformedCertificate`. Two are equal when their DER is.

    Extensions that cannot be read count as absent here; `malformed` names those that nobody must be trusted with.
    Little is kept beside the DER, since a store may hold 10,000 of them: parts are cut out of it when asked for.
    """

    __slots__ = (
        "__weakref__",
        "_facts",
        "_fingerprint",
        "_has_times",
        "_places",
        "_self_signed",
        "_signers",
        "_strangers",
        "_strength",
        "_subject_key",
        "_subject_key_id",
        "der",
        "not_after",
        "not_before",
        "serial",
        "version",
    )

    def __init__(self, encoded: bytes) -> None:
        """Read the outline of a DER certificate; bytes that follow it are ignored."""
        if len(encoded) > MAX_CERTIFICATE_BYTES:
            raise MalformedCertificate(f"larger than {MAX_CERTIFICATE_BYTES} bytes")
        try:
            whole = der.expect(der.read(encoded), der.SEQUENCE, "Certificate")
            found = outline(whole)
            self.der = whole.encoded
            loaded(self.der)
        except ValueError as error:
            raise MalformedCertificate(str(error)) from None
        except crypto.Error:
            raise MalformedCertificate("OpenSSL does not read it") from None
        self.version = found.version + 1
        """The version as people count: 1, 2 or 3."""
        self.serial = found.serial
        """The serial number; zero and negative ones occur."""
        begin, end = map(moment, found.validity)
        self._has_times = begin is not None and end is not None
        self.not_before, self.not_after = begin or _FOR_EVER, end or _NEVER  # then it is never valid
        self._places = found.places
        self._facts: Facts | None = None
        self._subject_key_id: bytes | None = None
        self._subject_key: str | bytes | None = None
        self._fingerprint: str | None = None
        self._strength: tuple[str, int] | None = None
        self._self_signed: bool | None = None
        self._signers: tuple[str, ...] = ()
        self._strangers: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.der)

    def __repr__(self) -> str:
        return f"<Certificate {self.name} serial {self.serial_text}>"

    # ---- identity

    def _part(self, part: Part) -> bytes:
        return cut(self.der, self._places, part)

    @property
    def serial_text(self) -> str:
        """The serial number as OCPP writes it: lower-case hexadecimal without leading zeros."""
        return f"{self.serial:x}"

    @property
    def issuer(self) -> bytes:
        """The issuer's Name as encoded here."""
        return self._part(Part.ISSUER)

    @property
    def subject(self) -> bytes:
        """The subject's Name as encoded here."""
        return self._part(Part.SUBJECT)

    @property
    def subject_key(self) -> object:
        """Token to compare names by."""
        if self._subject_key is None:
            self._subject_key = names.key(self.subject)
        return self._subject_key

    @property
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

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the DER, in hexadecimal."""
        if self._fingerprint is None:
            self._fingerprint = hashlib.sha256(self.der).hexdigest()
        return self._fingerprint

    @property
    def self_issued(self) -> bool:
        """Whether subject and issuer are one name, and the key identifiers do not say otherwise."""
        if self.subject_key != self.issuer_key:
            return False
        authority, own = self.authority_key_id, self.subject_key_id
        return authority is None or own is None or authority == own

    # ---- key and signature

    @property
    def spki(self) -> bytes:
        """SubjectPublicKeyInfo, DER."""
        return self._part(Part.SPKI)

    @property
    def key_bits(self) -> bytes:
        """The value of the subjectPublicKey BIT STRING: what issuerKeyHash is made of (RFC 6960 §4.1.1)."""
        return key_bits(self.spki)

    @property
    def tbs(self) -> bytes:
        """The signed part."""
        return self._part(Part.TBS)

    @property
    def tbs_algorithm(self) -> bytes:
        """The AlgorithmIdentifier inside the signed part, DER; the one outside must be the same (RFC 5280 §4.1.1.2)."""
        return self._part(Part.TBS_ALGORITHM)

    @property
    def signature(self) -> bytes:
        """The signature's octets."""
        return der.bit_string(der.read(self._part(Part.SIGNATURE)))

    @property
    def signature_algorithm(self) -> bytes:
        """The AlgorithmIdentifier of the signature, DER."""
        return self._part(Part.SIGNATURE_ALGORITHM)

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

    @property
    def extensions(self) -> dict[str, Extension]:
        """Extensions by dotted identifier; of duplicates the first."""
        return extensions.read_all(self._listed).found

    @property
    def _listed(self) -> der.Tlv | None:
        listed = self._part(Part.EXTENSIONS)
        return der.read(listed) if listed else None

    def _said(self) -> Facts:
        if self._facts is None:
            facts, own_key = extensions.facts(self._listed)
            self._subject_key_id = own_key if facts.is_ca else None
            self._facts = facts  # last: whoever sees it sees the other, too
        return self._facts

    @property
    def basic_constraints(self) -> BasicConstraints | None:
        """The basicConstraints, with or without the default spelled out; None where the extension is absent."""
        return self._said().basic_constraints

    @property
    def key_usage(self) -> frozenset[str] | None:
        """The keyUsage bits by name; None where the extension is absent, which permits all."""
        return self._said().key_usage

    @property
    def extended_key_usage(self) -> frozenset[str] | None:
        """The extended key usages as dotted identifiers; None where the extension is absent, which permits all."""
        return self._said().extended_key_usage

    @property
    def subject_key_id(self) -> bytes | None:
        """The subject key identifier."""
        if self._said().is_ca:
            return self._subject_key_id
        return extensions.facts(self._listed)[1]  # not kept: issuers are asked for theirs, leaves hardly ever

    @property
    def authority_key_id(self) -> bytes | None:
        """The keyIdentifier of the authority key identifier."""
        return self._said().authority_key_id

    @property
    def ocsp_urls(self) -> tuple[str, ...]:
        """The OCSP responders that the authority information access names, in order."""
        return self._said().ocsp_urls

    @property
    def concerns_none_below(self) -> bool:
        """Whether as a CA it says nothing of certificates further down, as of their names, but for how many CAs."""
        return self._said().concern_one

    @property
    def malformed(self) -> tuple[str, ...]:
        """What bears on trust and cannot be read, or is there twice; empty for nearly all certificates."""
        problems = self._said().problems
        return problems if self._has_times else ("malformed validity", *problems)

    # ---- as others know it

    @property
    def pem(self) -> str:
        """The certificate as PEM text (RFC 7468 §5), with a last newline."""
        return encode.pem("CERTIFICATE", self.der)

    @property
    def openssl(self) -> crypto.X509:
        """The certificate for OpenSSL."""
        return loaded(self.der)

    @property
    def subject_hash(self) -> int:
        """OpenSSL's hash of the subject, by which it looks up files in a directory."""
        return self.openssl.subject_name_hash()

    def public_key(self) -> CertificatePublicKeyTypes:
        """The subject's key. Raises ValueError or UnsupportedAlgorithm on kinds of keys that are not known."""
        return algorithm.public_key(self.spki)

    @property
    def key_strength(self) -> tuple[str, int]:
        """Kind of key and its size in bits, as OpenSSL sees it: `("EC", 256)`; `("unknown", 0)` if it does not."""
        if self._strength is None:
            self._strength = strength(self.openssl)
        return self._strength

    @property
    def self_signed(self) -> bool:
        """Whether it is self-issued and its own key confirms the signature."""
        if self._self_signed is None:
            self._self_signed = self.self_issued and self.signed_by(self)
        return self._self_signed

    def signed_by(self, issuer: Certificate) -> bool:
        """Whether the key of `issuer` confirms the signature. Names and validity are not looked at."""
        other = issuer.fingerprint  # not by key: OpenSSL looks at more than that
        if other in self._signers:
            return True
        if other in self._strangers:
            return False
        if confirms(issuer, self):
            self.signature_was_confirmed_by(issuer)
            return True
        self._strangers = (*self._strangers, other)[-MAX_CONFIRMATIONS:]
        return False

    def signature_was_confirmed_by(self, issuer: Certificate) -> None:
        """Remember that OpenSSL verified the signature with the key of `issuer`, so that it need not be done again."""
        if issuer.fingerprint not in self._signers:  # never altered: other threads may be reading them
            known = self._signers
            self._signers = (*known, issuer.fingerprint)[-MAX_CONFIRMATIONS:] if known else _only(issuer.fingerprint)


@lru_cache(64)
def _only(signer: str) -> tuple[str]:
    """One signer alone, as nearly all certificates have: one object for all that it signed."""
    return (signer,)


_in_use: WeakValueDictionary[bytes, Certificate] = WeakValueDictionary()
"""By DER, as long as somebody holds them: a sub-CA lies in every chain file. What one knows follows from the DER."""


def certificate_of(encoded: bytes) -> Certificate:
    """The certificate of these bytes (DER), one for all who hold it; else `MalformedCertificate`."""
    known = _in_use.get(encoded)
    if known is None:
        read = Certificate(encoded)
        known = _in_use.setdefault(read.der, read)
    return known
