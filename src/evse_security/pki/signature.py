"""Firmware signatures: whether the key of a signing certificate confirms a file (OCPP L01, 1.6 security whitepaper).

RSA (PKCS #1 v1.5 and PSS) and ECDSA sign the SHA-256 of the file, so a file of any size streams. Ed25519 and Ed448
sign the file itself, which `cryptography` takes in one piece only. Whether the certificate is valid, trusted and made
for signing is another question: a verification for the MF domain answers it.
"""

from __future__ import annotations

from enum import Enum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from evse_security.errors import NotBase64, TooLarge
from evse_security.pki import algorithm, base64text, der
from evse_security.pki.certificate import Certificate

MAX_SIGNATURE_BYTES = 2048
"""Longest signature: that of an RSA key of 16,384 bits, the largest that OpenSSL verifies with."""


class Signed(Enum):
    """What the kind of key signs."""

    DIGEST = "the SHA-256 of the file"
    MESSAGE = "the file itself"
    NOTHING = "nothing: no key for signatures, or one that is not known"


def signed_part(certificate: Certificate) -> Signed:
    """What must be handed over to have a signature by that certificate's key verified."""
    match _public_key(certificate):
        case rsa.RSAPublicKey() | ec.EllipticCurvePublicKey():
            return Signed.DIGEST
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return Signed.MESSAGE
    return Signed.NOTHING


def decode(text: str) -> bytes | None:
    """The octets of a signature in base64, wrapped or not; None if it is anything else or too long."""
    try:
        return base64text.decode(text, what="the signature", limit=MAX_SIGNATURE_BYTES)
    except (NotBase64, TooLarge):
        return None


def digest_signature_is_valid(digest: bytes, certificate: Certificate, signature: bytes) -> bool:
    """Whether the certificate's RSA or EC key confirms the signature over a file whose SHA-256 is `digest`.

    RSA: PSS with MGF1-SHA-256 and a salt of any length, or PKCS #1 v1.5 unless the key is for PSS only (RFC 4055 §1.2).
    EC: ECDSA with a signature in DER, on any curve that `cryptography` knows.
    """
    prehashed = Prehashed(hashes.SHA256())
    match _public_key(certificate):
        case rsa.RSAPublicKey() as key:
            paddings = (algorithm.pss(hashes.SHA256()), padding.PKCS1v15())
            allowed = paddings[:1] if _is_for_pss_only(certificate) else paddings
            return any(_rsa_confirms(key, signature, digest, one) for one in allowed)
        case ec.EllipticCurvePublicKey() as key:
            try:
                key.verify(signature, digest, ec.ECDSA(prehashed))
            except (InvalidSignature, ValueError):
                return False
            return True
    return False


def message_signature_is_valid(message: bytes | memoryview, certificate: Certificate, signature: bytes) -> bool:
    """Whether the certificate's Ed25519 or Ed448 key confirms the signature over a file (pure, RFC 8032 §5.1, §5.2)."""
    match _public_key(certificate):
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey() as key:
            try:
                key.verify(signature, message)
            except InvalidSignature:
                return False
            return True
    return False


def _rsa_confirms(key: rsa.RSAPublicKey, signature: bytes, digest: bytes, one: padding.PSS | padding.PKCS1v15) -> bool:
    try:
        key.verify(signature, digest, one, Prehashed(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def _is_for_pss_only(certificate: Certificate) -> bool:
    """Whether the key is declared for RSASSA-PSS. It could be read as RSA before, so its outline is sound."""
    return algorithm.identifier(der.sequence(certificate.spki, "key")[0].encoded) == algorithm.RSASSA_PSS


def _public_key(certificate: Certificate) -> object:
    """The key; None for kinds and encodings that `cryptography` does not take."""
    try:
        return certificate.public_key()
    except Exception:  # unsupported curves and encodings raise every class of error
        return None
