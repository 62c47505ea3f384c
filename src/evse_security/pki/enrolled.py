"""What a CA answered to a signing request: certificates in whatever wrapping and order, made into a chain."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from evse_security.errors import MalformedCertificate, NoCertificate, TooLarge
from evse_security.pki import der, names, pem
from evse_security.pki.certificate import Certificate, certificate_of
from evse_security.pki.keytoken import token_of_certificate, token_of_spki
from evse_security.pki.profile import Edition, edition_of_key

_SIGNED_DATA = "1.2.840.113549.1.7.2"
_ORGANIZATION = "2.5.4.10"
_CERTIFICATES = 0xA0  # [0] of SignedData


def certificates_of_message(message: bytes) -> tuple[Certificate, ...]:
    """The certificates of a certs-only message (PKCS #7; RFC 5652 §5.1, RFC 7030 §4.2.3), in BER as in DER.

    They are a set, and OpenSSL writes it unsorted, which `cryptography` announces to refuse one day. Raises
    `MalformedCertificate` for what is no such message, `NoCertificate` for an empty one, and `TooLarge`.
    """
    try:
        kind, content, *_ = der.sequence(message, "ContentInfo")
        if der.oid(kind) != _SIGNED_DATA:
            raise der.Malformed("no signed data")
        parts = der.expect(next(content.children()), der.SEQUENCE, "SignedData").children()
        held = next((part for part in parts if part.tag == _CERTIFICATES), None)
        found = [] if held is None else [one.encoded for one in held.children() if one.tag == der.SEQUENCE]
    except (ValueError, StopIteration) as problem:
        raise MalformedCertificate(f"no certs-only message (PKCS #7): {problem}") from None
    if not found:
        raise NoCertificate("the certs-only message")
    if len(found) > pem.MAX_CHAIN:
        raise TooLarge("the number of certificates in the certs-only message", pem.MAX_CHAIN)
    return tuple(map(certificate_of, found))


def token_of_request(csr: str) -> bytes:
    """The token of the key that a signing request (PEM) asks a certificate for. Raises ValueError."""
    return token_of_spki(_key_of(csr))


def edition_of_request(csr: str) -> Edition | None:
    """Which ISO 15118 has leaves with the key of a signing request (PEM); None where none has. Raises ValueError."""
    return edition_of_key(_key_of(csr))


def _key_of(csr: str) -> bytes:
    request = x509.load_pem_x509_csr(csr.encode("ascii"))
    return request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def asks_for_subject_of(csr: str, certificate: Certificate) -> bool:
    """Whether a signing request (PEM) asks for the subject that a certificate has. Raises ValueError."""
    request = x509.load_pem_x509_csr(csr.encode("ascii"))
    return names.key(request.subject.public_bytes()) == certificate.subject_key


def asked_otherwise(csr: str, certificate: Certificate) -> tuple[str, str, str] | None:
    """The attribute in which a certificate is for somebody else than its request (PEM) asked for, or None.

    Compared are organization and common name, which say whose station it is and which one; with that come what was
    found and what was wanted. Raises ValueError.
    """
    request = x509.load_pem_x509_csr(csr.encode("ascii"))
    wanted, found = _subject(request.subject.public_bytes()), _subject(certificate.subject)
    for attribute, label in ((_ORGANIZATION, "organization"), (names.COMMON_NAME, "common name")):
        if wanted.get(attribute) != found.get(attribute):
            return label, found.get(attribute, ""), wanted.get(attribute, "")
    return None


def _subject(name: bytes) -> dict[str, str]:
    return {one.oid: one.text for rdn in names.attributes(name) for one in rdn}


def chain_for(csr: str, received: Iterable[Certificate], known: Iterable[Certificate] = ()) -> str:
    """A chain (PEM): first the certificate for the key of the request, then the others, then those that are known.

    `known` are sub-CAs of the leaf before: a CA may answer with the new leaf alone. Where no certificate is for that
    key, the order stays: whoever installs the chain says what is wrong with it. Raises ValueError for no request.
    """
    token = token_of_request(csr)
    arranged = sorted(dict.fromkeys(received), key=lambda one: token_of_certificate(one) != token)
    return "".join(one.pem for one in dict.fromkeys((*arranged, *known)))
