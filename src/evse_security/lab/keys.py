"""Private keys of a throw-away PKI: kinds, generation, raw signatures, PEM."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey


class KeyKind(StrEnum):
    """Algorithm and size of a key pair; the last two are too weak for any use but showing that they are refused."""

    SECP256R1 = "secp256r1"
    SECP384R1 = "secp384r1"
    SECP521R1 = "secp521r1"
    ED25519 = "ed25519"
    ED448 = "ed448"
    RSA2048 = "rsa2048"
    RSA3072 = "rsa3072"
    RSA4096 = "rsa4096"
    RSA1024 = "rsa1024"
    SECP192R1 = "secp192r1"


CURVES: dict[KeyKind, ec.EllipticCurve] = {
    KeyKind.SECP256R1: ec.SECP256R1(),
    KeyKind.SECP384R1: ec.SECP384R1(),
    KeyKind.SECP521R1: ec.SECP521R1(),
    KeyKind.SECP192R1: ec.SECP192R1(),
}
RSA_BITS = {KeyKind.RSA1024: 1024, KeyKind.RSA2048: 2048, KeyKind.RSA3072: 3072, KeyKind.RSA4096: 4096}

_GENERATORS: dict[KeyKind, Callable[[], PrivateKey]] = {
    **{kind: partial(ec.generate_private_key, curve) for kind, curve in CURVES.items()},
    **{kind: partial(rsa.generate_private_key, 65537, bits) for kind, bits in RSA_BITS.items()},
    KeyKind.ED25519: ed25519.Ed25519PrivateKey.generate,
    KeyKind.ED448: ed448.Ed448PrivateKey.generate,
}

KeySource = Callable[[KeyKind, str], PrivateKey]
"""Where keys come from: (kind, name of the holder) -> private key. Tests pass one that remembers."""


def generate_key(kind: KeyKind) -> PrivateKey:
    """A new key pair from the system's randomness."""
    return _GENERATORS[kind]()


def fresh_key(kind: KeyKind, holder: str) -> PrivateKey:
    """The KeySource of real life: a new key pair, whoever will hold it."""
    return generate_key(kind)


def natural_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    """The digest that matches the key's strength; None for EdDSA, which brings its own.

    ISO 15118-2 pairs secp256r1 with SHA-256, ISO 15118-20 secp521r1 with SHA-512.
    """
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return hashes.SHA256() if key.key_size <= 256 else hashes.SHA384() if key.key_size <= 384 else hashes.SHA512()
    return hashes.SHA256() if isinstance(key, rsa.RSAPrivateKey) else None


def sign(key: PrivateKey, message: bytes) -> bytes:
    """The signature that certificates and OCSP responses carry: RSA PKCS #1 v1.5, ECDSA in DER, or EdDSA."""
    digest = natural_hash(key)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), digest or hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(digest or hashes.SHA256()))
    return key.sign(message)


def key_pem(key: PrivateKey, password: str | None = None) -> str:
    """The private key as PKCS #8 PEM, encrypted (PBES2) if there is a password."""
    protection: KeySerializationEncryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection).decode("ascii")
