"""Firmware signatures as a manufacturer makes them: over the SHA-256 of the file, or over the file itself for EdDSA."""

from __future__ import annotations

from base64 import b64encode
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from evse_security.lab.keys import PrivateKey


class SignatureScheme(StrEnum):
    """How a firmware file is signed."""

    RSASSA_PKCS1_V1_5 = "RSASSA-PKCS1-v1_5"
    RSASSA_PSS = "RSASSA-PSS"
    ECDSA = "ECDSA"
    EDDSA = "EdDSA"


def natural_scheme(key: PrivateKey) -> SignatureScheme:
    """The scheme of a key; for RSA the one that OCPP asks of firmware, PSS (L01, Security whitepaper for OCPP 1.6)."""
    if isinstance(key, rsa.RSAPrivateKey):
        return SignatureScheme.RSASSA_PSS
    return SignatureScheme.ECDSA if isinstance(key, ec.EllipticCurvePrivateKey) else SignatureScheme.EDDSA


def sign_firmware(firmware: bytes | Path, key: PrivateKey, scheme: SignatureScheme | None = None) -> str:
    """The signature of a firmware file in base64, as OCPP's UpdateFirmware carries it.

    Raises ValueError if the key cannot sign in that scheme.
    """
    content = firmware if isinstance(firmware, bytes) else firmware.read_bytes()
    return b64encode(_signature(content, key, scheme or natural_scheme(key))).decode("ascii")


def _signature(content: bytes, key: PrivateKey, scheme: SignatureScheme) -> bytes:
    match key, scheme:
        case rsa.RSAPrivateKey(), SignatureScheme.RSASSA_PKCS1_V1_5:
            return key.sign(content, padding.PKCS1v15(), SHA256())
        case rsa.RSAPrivateKey(), SignatureScheme.RSASSA_PSS:
            return key.sign(content, padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH), SHA256())
        case ec.EllipticCurvePrivateKey(), SignatureScheme.ECDSA:
            return key.sign(content, ec.ECDSA(SHA256()))
        case ((ed25519.Ed25519PrivateKey() | ed448.Ed448PrivateKey()), SignatureScheme.EDDSA):
            return key.sign(content)
    raise ValueError(f"a key of this kind makes no {scheme} signature")
