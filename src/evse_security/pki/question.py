"""Which OCSP responders to ask about a certificate, and the question to them (RFC 6960 §4.1)."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPRequestBuilder

from evse_security.pki.certificate import Certificate

MAX_URL_CHARACTERS = 512
"""Longest responder URL of the interface (OCPP 2.0.1, OCSPRequestDataType.responderURL)."""
MAX_RESPONDERS = 4
"""Responders of one certificate; real ones name one."""

_URL = re.compile(r"https?://[!-~]+", re.ASCII | re.IGNORECASE)
_DIGESTS: tuple[hashes.SHA1 | hashes.SHA256, ...] = (hashes.SHA1(), hashes.SHA256())  # noqa: S303  names, protects nothing


def responder_url(certificate: Certificate) -> str | None:
    """Where to ask about a certificate: its first OCSP responder at an HTTP URL of at most 512 characters."""
    return next(iter(responder_urls(certificate)), None)


def responder_urls(certificate: Certificate) -> tuple[str, ...]:
    """Its OCSP responders at such URLs, each once, at most four."""
    return _usable(certificate.ocsp_urls)


@lru_cache(maxsize=64)
def _usable(urls: tuple[str, ...]) -> tuple[str, ...]:
    """Those of them that can be asked. A CA names the same in all that it issues."""
    usable = (url for url in urls if len(url) <= MAX_URL_CHARACTERS and _URL.fullmatch(url))
    return tuple(dict.fromkeys(usable))[:MAX_RESPONDERS]


@lru_cache(maxsize=1024)
def questions(certificate: Certificate, issuer: Certificate) -> tuple[bytes, ...]:
    """The OCSPRequest (DER) that names a certificate under SHA-1, and that under SHA-256; none for a negative serial.

    SHA-1 is what all responders know (RFC 5019 §2.1.1), and those that answer in advance may know nothing else. A nonce
    they could not answer; that no old answer comes back is seen by its times. Remembered: what is due is looked for
    whenever an answer has come.
    """
    if certificate.serial < 0:
        return ()
    return tuple(_question(certificate, issuer, digest) for digest in _DIGESTS)


def _question(certificate: Certificate, issuer: Certificate, digest: hashes.SHA1 | hashes.SHA256) -> bytes:
    name, key = (
        hashlib.new(digest.name, octets, usedforsecurity=False).digest()
        for octets in (certificate.issuer, issuer.key_bits)
    )
    builder = OCSPRequestBuilder().add_certificate_by_hash(name, key, certificate.serial, digest)
    return builder.build().public_bytes(Encoding.DER)
