"""The signature algorithms that are believed, and whether a key confirms a signature made with one of them."""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum
from typing import NamedTuple, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key

from evse_security.pki import der
from evse_security.pki.remembered import remembered

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
"""The kinds of private keys that a station makes."""

Digest = hashes.SHA256 | hashes.SHA384 | hashes.SHA512
OldDigest = hashes.MD5 | hashes.SHA1 | hashes.SHA224


class Scheme(StrEnum):
    """How a signature is made."""

    PKCS1 = "RSASSA-PKCS1-v1_5"
    PSS = "RSASSA-PSS"
    ECDSA = "ECDSA"
    ED25519 = "Ed25519"
    ED448 = "Ed448"


class SignatureAlgorithm(NamedTuple):
    """A scheme and its digest; EdDSA brings its own."""

    scheme: Scheme
    digest: Digest | OldDigest | None = None


RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
RSASSA_PSS = "1.2.840.113549.1.1.10"

ALGORITHMS = {
    "1.2.840.113549.1.1.11": SignatureAlgorithm(Scheme.PKCS1, hashes.SHA256()),
    "1.2.840.113549.1.1.12": SignatureAlgorithm(Scheme.PKCS1, hashes.SHA384()),
    "1.2.840.113549.1.1.13": SignatureAlgorithm(Scheme.PKCS1, hashes.SHA512()),
    "1.2.840.10045.4.3.2": SignatureAlgorithm(Scheme.ECDSA, hashes.SHA256()),
    "1.2.840.10045.4.3.3": SignatureAlgorithm(Scheme.ECDSA, hashes.SHA384()),
    "1.2.840.10045.4.3.4": SignatureAlgorithm(Scheme.ECDSA, hashes.SHA512()),
    "1.3.101.112": SignatureAlgorithm(Scheme.ED25519),
    "1.3.101.113": SignatureAlgorithm(Scheme.ED448),
}
"""What is believed, by identifier (RFC 4055 §5, RFC 5758 §3.2, RFC 8410 §3). MD5 and SHA-1 are left out on purpose."""

_OLD_ALGORITHMS = {
    "1.2.840.113549.1.1.4": SignatureAlgorithm(Scheme.PKCS1, hashes.MD5()),  # noqa: S303
    "1.2.840.113549.1.1.5": SignatureAlgorithm(Scheme.PKCS1, hashes.SHA1()),  # noqa: S303
    "1.2.840.113549.1.1.14": SignatureAlgorithm(Scheme.PKCS1, hashes.SHA224()),
    "1.2.840.10045.4.1": SignatureAlgorithm(Scheme.ECDSA, hashes.SHA1()),  # noqa: S303
    "1.2.840.10045.4.3.1": SignatureAlgorithm(Scheme.ECDSA, hashes.SHA224()),
}
"""What tells who issued an old certificate, and proves nothing."""

_PSS_DIGESTS: dict[str, Digest] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}


_EC = "1.2.840.10045.2.1"
_CURVES = (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())


@remembered(64, longest=2048)
def public_key(spki: bytes) -> CertificatePublicKeyTypes:
    """The key of a SubjectPublicKeyInfo (DER).

    A curve that is spelled out, which RFC 5480 §2.1.1 forbids, is taken for the named one that the point lies on;
    versions of `cryptography` differ in whether they take it at all. The keys used last are kept: they are issuers'.
    Raises ValueError or UnsupportedAlgorithm.
    """
    try:
        return cast(CertificatePublicKeyTypes, load_der_public_key(spki))
    except ValueError:
        curve, point = der.sequence(spki, "SubjectPublicKeyInfo")[:2]
        if identifier(curve.encoded) != _EC:
            raise
        for known in _CURVES:
            with suppress(ValueError):
                return ec.EllipticCurvePublicKey.from_encoded_point(known, der.bit_string(point))
        raise


def identifier(encoded: bytes) -> str:
    """The dotted name of an AlgorithmIdentifier. Raises ValueError (`der.Malformed`)."""
    return der.oid(_parts(encoded)[0])


def believed(encoded: bytes) -> SignatureAlgorithm | None:
    """The algorithm that an AlgorithmIdentifier (DER) names; None if it is weak or unknown.

    Raises ValueError (`der.Malformed`).
    """
    dotted = identifier(encoded)
    if dotted != RSASSA_PSS:
        return ALGORITHMS.get(dotted)
    digest = _PSS_DIGESTS.get(_pss_digest(encoded))
    return None if digest is None else SignatureAlgorithm(Scheme.PSS, digest)


@remembered(64, longest=256)
def recognised(encoded: bytes) -> SignatureAlgorithm | None:
    """The algorithm that an AlgorithmIdentifier (DER) names, weak ones included; None if it is unknown.

    Raises ValueError (`der.Malformed`).
    """
    return believed(encoded) or _OLD_ALGORITHMS.get(identifier(encoded))


def _pss_digest(encoded: bytes) -> str:
    """The digest that RSASSA-PSS-params name; their default is SHA-1, which here is as good as none (RFC 4055 §3.1)."""
    parameters = _parts(encoded)[1:]
    for parameter in parameters[0].children() if parameters else ():
        if parameter.tag == 0xA0:
            return identifier(parameter.value)
    return "none"


def _parts(encoded: bytes) -> list[der.Tlv]:
    parts = der.sequence(encoded, "AlgorithmIdentifier")
    if not parts:
        raise der.Malformed("empty AlgorithmIdentifier")
    return parts


def confirms(key: object, algorithm: SignatureAlgorithm, signature: bytes, message: bytes) -> bool:
    """Whether `key`, a public key of `cryptography`, confirms the signature of a message.

    False also where key and algorithm do not go together.
    """
    try:
        match key, algorithm:
            case rsa.RSAPublicKey(), (Scheme.PKCS1, hashes.HashAlgorithm() as digest):
                key.verify(signature, message, padding.PKCS1v15(), digest)
            case rsa.RSAPublicKey(), (Scheme.PSS, hashes.HashAlgorithm() as digest):
                key.verify(signature, message, pss(digest), digest)
            case ec.EllipticCurvePublicKey(), (Scheme.ECDSA, hashes.HashAlgorithm() as digest):
                key.verify(signature, message, ec.ECDSA(digest))
            case ed25519.Ed25519PublicKey(), (Scheme.ED25519, _):
                key.verify(signature, message)
            case ed448.Ed448PublicKey(), (Scheme.ED448, _):
                key.verify(signature, message)
            case _:
                return False
    except InvalidSignature:
        return False
    return True


def pss(digest: hashes.HashAlgorithm) -> padding.PSS:
    """RSASSA-PSS with one digest for message and mask, as RFC 4055 §3.1 recommends, and a salt of any length."""
    return padding.PSS(padding.MGF1(digest), padding.PSS.AUTO)
