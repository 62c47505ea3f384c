"""Certificates of a throw-away PKI, made to order: lawful ones and every kind of wrong one.

A Template says what a certificate shall say; an Entity (a certificate with its private key) issues to other entities
and answers signing requests. Nothing is checked here, since tests need what no CA would sign.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum, StrEnum

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, ExtensionOID, NameOID

from evse_security.lab.keys import PrivateKey, key_pem, natural_hash

NAME_ATTRIBUTES = {
    "C": NameOID.COUNTRY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "CN": NameOID.COMMON_NAME,
    "SN": NameOID.SERIAL_NUMBER,
    "DC": NameOID.DOMAIN_COMPONENT,
}


def name(**attributes: str | Sequence[str]) -> x509.Name:
    """A distinguished name, its attributes in the order given: name(CN="SECC", O="Operator", C="DE", DC="CPO")."""
    pairs = [
        (NAME_ATTRIBUTES[short], value)
        for short, values in attributes.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in pairs])


class KeyUse(StrEnum):
    """The bits of the key usage extension by their names in RFC 5280 §4.2.1.3."""

    DIGITAL_SIGNATURE = "digitalSignature"
    CONTENT_COMMITMENT = "nonRepudiation"
    KEY_ENCIPHERMENT = "keyEncipherment"
    DATA_ENCIPHERMENT = "dataEncipherment"
    KEY_AGREEMENT = "keyAgreement"
    KEY_CERT_SIGN = "keyCertSign"
    CRL_SIGN = "cRLSign"
    ENCIPHER_ONLY = "encipherOnly"
    DECIPHER_ONLY = "decipherOnly"


class KeyIdentifier(Enum):
    """What a key identifier extension holds when it is not given byte by byte."""

    DERIVED = "SHA-1 of the public key, RFC 5280 §4.2.1.2 (1)"
    ABSENT = "no such extension"


NO_NAME = x509.Name([])
END_ENTITY = x509.BasicConstraints(ca=False, path_length=None)
NO_WELL_DEFINED_END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280 §4.1.2.5


@dataclass(frozen=True, kw_only=True)
class Template:
    """What a certificate shall say, apart from the public key and, mostly, the issuer.

    Times are aware and cut to seconds; the lists may be empty and then leave their extension out.
    """

    subject: x509.Name = NO_NAME
    not_before: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    not_after: datetime = NO_WELL_DEFINED_END
    serial_number: int | None = None
    """None: 159 random bits."""
    basic_constraints: x509.BasicConstraints | None = END_ENTITY
    key_usage: frozenset[KeyUse] | None = frozenset({KeyUse.DIGITAL_SIGNATURE})
    extended_key_usage: tuple[x509.ObjectIdentifier, ...] = ()
    responder_urls: tuple[str, ...] = ()
    """The OCSP URLs of the authority information access extension, RFC 5280 §4.2.2.1."""
    alternative_names: tuple[x509.GeneralName, ...] = ()
    subject_key_identifier: bytes | KeyIdentifier = KeyIdentifier.DERIVED
    authority_key_identifier: bytes | KeyIdentifier = KeyIdentifier.DERIVED
    more_extensions: tuple[x509.Extension[x509.ExtensionType], ...] = ()
    critical: frozenset[x509.ObjectIdentifier] = frozenset({ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE})
    issuer: x509.Name | None = None
    """None: the subject of who issues it."""
    signed_by: PrivateKey | None = field(default=None, repr=False)
    """None: the key of who issues it; any other key makes a forgery."""
    hash_algorithm: hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None = None
    """None: the one that goes with the signing key."""


ROOT_CA = Template(
    basic_constraints=x509.BasicConstraints(ca=True, path_length=None),
    key_usage=frozenset({KeyUse.KEY_CERT_SIGN, KeyUse.CRL_SIGN}),
    authority_key_identifier=KeyIdentifier.ABSENT,
)
SUB_CA = replace(ROOT_CA, authority_key_identifier=KeyIdentifier.DERIVED)
LEAF = Template(key_usage=frozenset({KeyUse.DIGITAL_SIGNATURE, KeyUse.KEY_AGREEMENT}))
OCSP_RESPONDER = Template(
    extended_key_usage=(ExtendedKeyUsageOID.OCSP_SIGNING,),
    more_extensions=(x509.Extension(ExtensionOID.OCSP_NO_CHECK, False, x509.OCSPNoCheck()),),  # RFC 6960 §4.2.2.2.1
)


def unknown_extension(dotted: str = "1.3.6.1.4.1.99999.1") -> x509.Extension[x509.ExtensionType]:
    """A critical extension that nobody understands, so that a verifier must refuse (RFC 5280 §4.2)."""
    oid = x509.ObjectIdentifier(dotted)
    return x509.Extension(oid, True, x509.UnrecognizedExtension(oid, b"\x05\x00"))


@dataclass(frozen=True, eq=False)
class Entity:
    """One who holds a certificate and its private key: a CA or an end entity. Compared by identity."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    issuer: Entity | None = None
    """None: self-signed."""

    @property
    def pem(self) -> str:
        """The certificate as PEM text."""
        return certificate_pem(self.certificate)

    @property
    def der(self) -> bytes:
        """The certificate as DER."""
        return self.certificate.public_bytes(Encoding.DER)

    def key_pem(self, password: str | None = None) -> str:
        """The private key as PKCS #8 PEM, encrypted if there is a password."""
        return key_pem(self.key, password)

    def path(self) -> tuple[Entity, ...]:
        """This entity, who issued it, and so on, up to the root."""
        return (self,) if self.issuer is None else (self, *self.issuer.path())

    def chain_pem(self) -> str:
        """The certificates that a TLS peer presents: leaf first, without the root (RFC 5246 §7.4.2)."""
        return "".join(entity.pem for entity in self.path() if entity.issuer is not None)

    def certify(self, public_key: CertificatePublicKeyTypes, template: Template) -> x509.Certificate:
        """A certificate for a public key, issued under this entity's name and key."""
        return _certificate(public_key, template, self.certificate.subject, self.certificate, self.key)

    def issue(self, key: PrivateKey, template: Template) -> Entity:
        """A new entity below this one."""
        return Entity(self.certify(key.public_key(), template), key, self)

    def answer(self, csr_pem: str, template: Template = LEAF) -> str:
        """The chain (leaf, sub-CAs; no root) for a PKCS #10 request, as the operator's CA or the CSMS sends it.

        Subject, public key and alternative names are the request's; validity, serial number and all else the
        template's. Raises ValueError if the request is not signed with its own key (RFC 2986 §3).
        """
        leaf = self.certify(*accept_request(csr_pem, template))
        return certificate_pem(leaf) + self.chain_pem()


def self_signed(key: PrivateKey, template: Template = ROOT_CA) -> Entity:
    """A new entity at the top, which vouches for itself."""
    return Entity(_certificate(key.public_key(), template, template.subject, None, key), key)


def accept_request(csr_pem: str, template: Template) -> tuple[CertificatePublicKeyTypes, Template]:
    """What a PKCS #10 request asks for: its public key, and the template with its subject and alternative names."""
    request = x509.load_pem_x509_csr(csr_pem.encode("ascii"))
    if not request.is_signature_valid:
        raise ValueError("the signing request is not signed with the key it asks a certificate for")
    names: tuple[x509.GeneralName, ...] = ()
    for extension in request.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            names = tuple(extension.value)
    return request.public_key(), replace(
        template, subject=request.subject, alternative_names=names or template.alternative_names
    )


def certificate_pem(certificate: x509.Certificate) -> str:
    """A certificate as PEM text, ending in a newline."""
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def _certificate(
    public_key: CertificatePublicKeyTypes,
    template: Template,
    issuer_name: x509.Name,
    issuer: x509.Certificate | None,
    issuer_key: PrivateKey,
) -> x509.Certificate:
    signing_key = template.signed_by or issuer_key
    builder = (
        x509.CertificateBuilder()
        .subject_name(template.subject)
        .issuer_name(issuer_name if template.issuer is None else template.issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number() if template.serial_number is None else template.serial_number)
        .not_valid_before(template.not_before)
        .not_valid_after(template.not_after)
    )
    for value in _extensions(template, public_key, issuer, issuer_key):
        builder = builder.add_extension(value, critical=value.oid in template.critical)
    for extension in template.more_extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    return builder.sign(signing_key, template.hash_algorithm or natural_hash(signing_key))


def _extensions(
    template: Template,
    public_key: CertificatePublicKeyTypes,
    issuer: x509.Certificate | None,
    issuer_key: PrivateKey,
) -> Iterator[x509.ExtensionType]:
    if template.basic_constraints is not None:
        yield template.basic_constraints
    if template.key_usage is not None:
        yield _key_usage(template.key_usage)
    if template.extended_key_usage:
        yield x509.ExtendedKeyUsage(template.extended_key_usage)
    if template.subject_key_identifier is KeyIdentifier.DERIVED:
        yield x509.SubjectKeyIdentifier.from_public_key(public_key)
    elif isinstance(template.subject_key_identifier, bytes):
        yield x509.SubjectKeyIdentifier(template.subject_key_identifier)
    if template.authority_key_identifier is KeyIdentifier.DERIVED:
        yield _identifier_of(issuer, issuer_key)
    elif isinstance(template.authority_key_identifier, bytes):
        yield x509.AuthorityKeyIdentifier(template.authority_key_identifier, None, None)
    if template.responder_urls:
        yield x509.AuthorityInformationAccess(
            x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))
            for url in template.responder_urls
        )
    if template.alternative_names:
        yield x509.SubjectAlternativeName(template.alternative_names)


def _identifier_of(issuer: x509.Certificate | None, issuer_key: PrivateKey) -> x509.AuthorityKeyIdentifier:
    """The issuer's own subject key identifier if it has one, else derived from its key (RFC 5280 §4.2.1.1)."""
    for extension in issuer.extensions if issuer is not None else ():
        if isinstance(extension.value, x509.SubjectKeyIdentifier):
            return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(extension.value)
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())


def _key_usage(uses: frozenset[KeyUse]) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=KeyUse.DIGITAL_SIGNATURE in uses,
        content_commitment=KeyUse.CONTENT_COMMITMENT in uses,
        key_encipherment=KeyUse.KEY_ENCIPHERMENT in uses,
        data_encipherment=KeyUse.DATA_ENCIPHERMENT in uses,
        key_agreement=KeyUse.KEY_AGREEMENT in uses,
        key_cert_sign=KeyUse.KEY_CERT_SIGN in uses,
        crl_sign=KeyUse.CRL_SIGN in uses,
        encipher_only=KeyUse.ENCIPHER_ONLY in uses,
        decipher_only=KeyUse.DECIPHER_ONLY in uses,
    )
