"""One certificate: the facts in its bytes, tolerant of what real public-key infrastructures encode.

The facts are cut from the DER by our own reader, since `cryptography` raises on extensions that OpenSSL takes
(explicit `cA FALSE`, duplicates, odd names) and re-encodes names that hashes are made of. Signatures and paths are
judged by `cryptography` and OpenSSL.
"""

from __future__ import annotations

import base64
import hashlib
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import NamedTuple, TypeVar, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key
from OpenSSL import crypto

from evse_security.errors import MalformedCertificate
from evse_security.pki import der, names
from evse_security.pki.outline import key_bits, moment, outline
from evse_security.pki.signing import confirms

T = TypeVar("T")

MAX_CERTIFICATE_BYTES = 64 * 1024
"""Largest certificate that is read. The largest known real one has under 10 KiB; OCPP carries 5,500 characters."""

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

_SUBJECT_KEY_ID, _KEY_USAGE, _BASIC = "2.5.29.14", "2.5.29.15", "2.5.29.19"
_AUTHORITY_KEY_ID, _EXTENDED_USAGE = "2.5.29.35", "2.5.29.37"
_AUTHORITY_INFO, _OCSP_ACCESS = "1.3.6.1.5.5.7.1.1", "1.3.6.1.5.5.7.48.1"
_FOR_EVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_NEVER = datetime(1, 1, 1, tzinfo=UTC)

_HARMLESS = frozenset(f"malformed extension {one}" for one in (_SUBJECT_KEY_ID, _AUTHORITY_KEY_ID, _AUTHORITY_INFO))
"""Oddities that bear on where to look, not on whom to trust."""
_KEY_KINDS = {6: "RSA", 912: "RSA", 408: "EC", 1087: "Ed25519", 1088: "Ed448"}
"""OpenSSL's NIDs of the kinds of keys that are known here."""


class Extension(NamedTuple):
    """An extension's criticality and its value (the DER inside the OCTET STRING)."""

    critical: bool
    value: bytes


class BasicConstraints(NamedTuple):
    """Whether the subject is a CA, and how many CAs may follow it."""

    ca: bool
    path_length: int | None


class Certificate:
    """An X.509 certificate. Two are equal when their DER is. Malformed extensions count as absent, and are named
    in `oddities`; a certificate whose outline cannot be read raises `MalformedCertificate`.
    """

    def __init__(self, encoded: bytes) -> None:
        """Read the outline of a DER certificate; bytes that follow it are ignored."""
        if len(encoded) > MAX_CERTIFICATE_BYTES:
            raise MalformedCertificate(f"larger than {MAX_CERTIFICATE_BYTES} bytes")
        self.oddities: list[str] = []
        self._confirmations: dict[bytes, bool] = {}
        try:
            whole = der.expect(der.read(encoded), der.SEQUENCE, "Certificate")
            self.der = whole.encoded
            self._outline = outline(whole)
            begin, end = map(moment, self._outline.validity)
        except ValueError as error:
            raise MalformedCertificate(str(error)) from None
        if not self._loads():
            raise MalformedCertificate("OpenSSL does not read it")
        if begin is None or end is None:
            self.oddities.append("malformed validity")  # then it is never valid
        self.not_before, self.not_after = begin or _FOR_EVER, end or _NEVER

    def _loads(self) -> bool:
        """Ask the fast parser first, and OpenSSL where that one is too strict."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.__dict__["x509"] = x509.load_der_x509_certificate(self.der)
        except Exception:  # every class of error occurs: see `x509`
            try:
                return self.openssl is not None
            except crypto.Error:
                return False
        return True

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
    def extensions(self) -> dict[str, Extension]:
        """Extensions by dotted identifier; of duplicates the first, as OpenSSL takes it."""
        found: dict[str, Extension] = {}
        try:
            for element in self._outline.extensions.children() if self._outline.extensions else ():
                identifier, *rest = der.expect(element, der.SEQUENCE, "Extension").children()
                critical = any(der.boolean(part) for part in rest[:-1])
                found.setdefault(
                    der.oid(identifier), Extension(critical, der.expect(rest[-1], der.OCTET_STRING, "extnValue").value)
                )
        except (ValueError, IndexError):
            self.oddities.append("malformed extensions")
        return found

    @cached_property
    def basic_constraints(self) -> BasicConstraints | None:
        """The basicConstraints, with or without the default spelled out."""

        def parse(value: bytes) -> BasicConstraints:
            parts = der.sequence(value, "basicConstraints")
            lengths = [der.integer(part) for part in parts if part.tag == der.INTEGER]
            return BasicConstraints(
                any(der.boolean(part) for part in parts if part.tag == der.BOOLEAN), lengths[0] if lengths else None
            )

        return self._extension(_BASIC, parse)

    @cached_property
    def key_usage(self) -> frozenset[str] | None:
        """The keyUsage bits by name; None where the extension is absent, which permits all."""

        def parse(value: bytes) -> frozenset[str]:
            octets = der.bit_string(der.read(value))
            return frozenset(
                usage
                for bit, usage in enumerate(KEY_USAGES)
                if bit // 8 < len(octets) and octets[bit // 8] & 0x80 >> bit % 8
            )

        return self._extension(_KEY_USAGE, parse)

    @cached_property
    def extended_key_usage(self) -> frozenset[str] | None:
        """The extended key usages as dotted identifiers; None where the extension is absent."""
        return self._extension(
            _EXTENDED_USAGE, lambda value: frozenset(der.oid(part) for part in der.sequence(value, "extKeyUsage"))
        )

    @cached_property
    def subject_key_id(self) -> bytes | None:
        """The subject key identifier."""
        return self._extension(
            _SUBJECT_KEY_ID, lambda value: der.expect(der.read(value), der.OCTET_STRING, "subjectKeyIdentifier").value
        )

    @cached_property
    def authority_key_id(self) -> bytes | None:
        """The keyIdentifier of the authority key identifier."""

        def parse(value: bytes) -> bytes | None:
            return next((p.value for p in der.sequence(value, "authorityKeyIdentifier") if p.tag == 0x80), None)

        return self._extension(_AUTHORITY_KEY_ID, parse)

    @cached_property
    def ocsp_urls(self) -> tuple[str, ...]:
        """The OCSP responders of the authority information access, in order (RFC 5280 §4.2.2.1)."""

        def parse(value: bytes) -> tuple[str, ...]:
            pairs = (list(pair.children()) for pair in der.sequence(value, "authorityInfoAccess"))
            return tuple(
                place.value.decode("utf-8", "replace")
                for method, place in pairs
                if der.oid(method) == _OCSP_ACCESS and place.tag == 0x86
            )

        return self._extension(_AUTHORITY_INFO, parse) or ()

    def _extension(self, identifier: str, parse: Callable[[bytes], T]) -> T | None:
        """Read an extension; a malformed one counts as absent here and is named in `oddities`."""
        extension = self.extensions.get(identifier)
        if extension is None:
            return None
        try:
            return parse(extension.value)
        except (ValueError, IndexError):
            self.oddities.append(f"malformed extension {identifier}")
            return None

    # ---- as others know it

    @property
    def pem(self) -> str:
        """The certificate as PEM text (RFC 7468 §5), with a last newline."""
        body = base64.encodebytes(self.der).decode("ascii").replace("\n", "")
        lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
        return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"

    @cached_property
    def x509(self) -> x509.Certificate:
        """The certificate for `cryptography`. Raises whatever that raises on what it does not take."""
        return x509.load_der_x509_certificate(self.der)

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
        return cast(CertificatePublicKeyTypes, load_der_public_key(self.spki))

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
        known = self._confirmations.get(issuer.spki)
        if known is None:
            known = self._confirmations[issuer.spki] = confirms(issuer, self)
        return known

    @property
    def malformed(self) -> tuple[str, ...]:
        """The extensions that bear on trust and cannot be read."""
        _ = self.extensions, self.basic_constraints, self.key_usage, self.extended_key_usage
        return tuple(oddity for oddity in self.oddities if oddity not in _HARMLESS)
