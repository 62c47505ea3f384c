"""The kinds of keys that the station makes for itself. Names only, so that the configuration need not load OpenSSL."""

from __future__ import annotations

from enum import StrEnum


class KeyType(StrEnum):
    """Algorithm and size of a key pair (`csr_key_type`): ISO 15118-2 uses secp256r1, -20 secp521r1 or ed448."""

    secp256r1 = "secp256r1"
    secp384r1 = "secp384r1"
    secp521r1 = "secp521r1"
    ed25519 = "ed25519"
    ed448 = "ed448"
    rsa2048 = "rsa2048"
    rsa3072 = "rsa3072"
    rsa4096 = "rsa4096"
