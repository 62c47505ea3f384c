"""Certificates as OpenSSL has them: loaded once, and kept while they are in use."""

from __future__ import annotations

from functools import lru_cache

from OpenSSL import crypto

from evse_security.pki.remembered import remembered

MAX_LOADED, MAX_LOADED_BYTES = 64, 4096
"""Certificates that are kept, those used last, and the largest of them: loaded they need some 20 KiB each."""
MAX_STORES = 16
"""Stores of one anchor each that are kept, those used last."""

_KEY_KINDS = {6: "RSA", 912: "RSA", 408: "EC", 1087: "Ed25519", 1088: "Ed448"}
"""OpenSSL's NIDs of the kinds of keys that are known here."""


@remembered(MAX_LOADED, longest=MAX_LOADED_BYTES)
def loaded(encoded: bytes) -> crypto.X509:
    """Load a certificate (DER). Raises `crypto.Error`."""
    return crypto.load_certificate(crypto.FILETYPE_ASN1, encoded)


def trusting(anchor: bytes, flags: int) -> crypto.X509Store:
    """A store that trusts one certificate (DER), with these flags for verifications. Raises `crypto.Error`."""
    return (_trusting if len(anchor) <= MAX_LOADED_BYTES else _trusting.__wrapped__)(anchor, flags)


@lru_cache(MAX_STORES)
def _trusting(anchor: bytes, flags: int) -> crypto.X509Store:
    store = crypto.X509Store()
    store.set_flags(flags)
    store.add_cert(loaded(anchor))
    return store


def strength(certificate: crypto.X509) -> tuple[str, int]:
    """Kind of key and its size in bits: `("EC", 256)`; `("unknown", 0)` where OpenSSL knows nothing of it."""
    try:
        key = certificate.get_pubkey()
        return _kind_and_bits(key.type(), key.bits())
    except crypto.Error:
        return "unknown", 0


@lru_cache(64)
def _kind_and_bits(kind: int, bits: int) -> tuple[str, int]:
    """One object for all keys of one kind."""
    return _KEY_KINDS.get(kind, f"key type {kind}"), bits
