"""Private keys under a password (RFC 5958 §3): encrypting them, and how much work others' ask for to be opened."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from math import prod

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

from evse_security.pki import der, encode

KEY_DERIVATION_ROUNDS = 100_000
"""PBKDF2 rounds of the keys written here: 13 ms on a PC, perhaps ten times that on a station, at each opening.

OpenSSL's own default is 2,048; NIST SP 800-132 §5.2 wants as many as the users bear.
"""
MAX_ROUNDS = 1 << 20
"""Most rounds that are computed: half a second on a PC, ten times what is written here. A key's writer chose their
number, and may be anybody."""


def encrypted(plain: bytes, secret: bytes, random: Callable[[int], bytes]) -> bytes:
    """EncryptedPrivateKeyInfo: PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC (RFC 5958 §3, RFC 8018 §6.2).

    `cryptography` writes the same with OpenSSL's 2,048 rounds and has no say in their number.
    """
    salt, vector = random(16), random(16)
    derivation = _algorithm(
        "1.2.840.113549.1.5.12",  # PBKDF2
        encode.tlv(der.OCTET_STRING, salt),
        encode.integer(KEY_DERIVATION_ROUNDS),
        _identifier("1.2.840.113549.2.9", encode.tlv(0x05)),  # hmacWithSHA256, NULL
    )
    cipher = _identifier("2.16.840.1.101.3.4.1.42", encode.tlv(der.OCTET_STRING, vector))  # aes256-CBC-PAD
    key = hashlib.pbkdf2_hmac("sha256", secret, salt, KEY_DERIVATION_ROUNDS, 32)
    padder, encryptor = padding.PKCS7(128).padder(), Cipher(AES256(key), CBC(vector)).encryptor()
    hidden = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    scheme = _algorithm("1.2.840.113549.1.5.13", derivation, cipher)  # PBES2
    return encode.tlv(der.SEQUENCE, scheme, encode.tlv(der.OCTET_STRING, hidden))


def _algorithm(identifier: str, *parameters: bytes) -> bytes:
    """AlgorithmIdentifier whose parameters are a SEQUENCE of these."""
    return _identifier(identifier, encode.tlv(der.SEQUENCE, *parameters))


def _identifier(identifier: str, parameters: bytes) -> bytes:
    return encode.tlv(der.SEQUENCE, encode.oid(identifier), parameters)


def rounds(encoded: bytes) -> int:
    """Rounds of the key derivation of an EncryptedPrivateKeyInfo (RFC 5958 §3); 0 for what is none.

    Of PBKDF2 and PBES1 their iteration count (RFC 8018 Appendix A), of scrypt N·r·p (RFC 7914 §7): the numbers that
    stand in one SEQUENCE after the salt. Raises `der.Malformed`.
    """
    algorithm = next(der.expect(der.read(encoded), der.SEQUENCE, "private key").children(), None)
    if algorithm is None or algorithm.tag != der.SEQUENCE:
        return 0
    identifier = next(algorithm.children(), None)
    return 0 if identifier is None or identifier.tag != der.OID else _largest(algorithm, der.MAX_DEPTH)


def _largest(parameters: der.Tlv, depth: int) -> int:
    if not depth:
        raise der.Malformed("parameters of an encryption are nested too deep")
    children = list(parameters.children())
    numbers = [abs(der.integer(child)) for child in children if child.tag == der.INTEGER]
    own = prod(numbers[:3]) if len(numbers) >= 3 else max(numbers, default=0)
    return max(own, *(_largest(child, depth - 1) for child in children if child.tag == der.SEQUENCE), 0)
