"""What is demanded of one certificate of a path: its key and signature, its times, and that it may act as it does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from evse_security.errors import Expired, NotAnEndEntity, NotYetValid, WeakDigest, WeakKey, WrongUsage
from evse_security.pki import algorithm, profile
from evse_security.pki.certificate import Certificate
from evse_security.vocabulary import LeafCertificateType

MIN_KEY_BITS = {"RSA": 2048, "EC": 224, "Ed25519": 253, "Ed448": 448}
"""The weakest keys (A00.FR.501–514). Kinds that are not listed are refused."""

_ANY_USAGE = "2.5.29.37.0"
_TLS_USAGES = frozenset({_ANY_USAGE, "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"})
_EXTENDED_USAGES = {LeafCertificateType.CSMS: _TLS_USAGES, LeafCertificateType.V2G: _TLS_USAGES}
"""Extended key usages of which a leaf that names any must name one. Contracts and firmware signers are free."""

COLLIDING = frozenset({"md5", "sha1"})
"""Digests for which collisions can be made."""
_BROKEN = frozenset({"md5"})
"""Digests under which certificates were forged. SHA-1 chains are still in the field (RISE V2G's test PKI) and end at an
installed root; the profile `iso15118` refuses them."""


def check_key(certificate: Certificate) -> None:
    """Refuse keys that are too weak or of an unknown kind. Raises `WeakKey`."""
    kind, bits = certificate.key_strength
    if bits < MIN_KEY_BITS.get(kind, bits + 1):
        raise WeakKey(certificate.name, f"{kind} {bits}")


def check_digest(certificate: Certificate, refused: frozenset[str] = _BROKEN) -> None:
    """Refuse signatures made with one of these digests, or in a way nobody knows here. Raises `WeakDigest`."""
    used = algorithm.recognised(certificate.signature_algorithm)
    if used is None:
        raise WeakDigest(certificate.name, f"an unknown algorithm ({profile.algorithms(certificate).signature})")
    if used.digest is not None and used.digest.name in refused:
        raise WeakDigest(certificate.name, used.digest.name.upper())


@lru_cache(128)
def why_not_ca(certificate: Certificate) -> str | None:
    """What keeps a certificate from signing others (RFC 5280 §4.2.1.9, §4.2.1.3); None where nothing does.

    Self-signed certificates of version 1 have no extensions to say it by, and count. The same few CAs are asked about
    for each chain.
    """
    if certificate.malformed:
        return ", ".join(certificate.malformed)
    if certificate.basic_constraints is None and certificate.version == 1 and certificate.self_issued:
        return None
    if certificate.basic_constraints is None or not certificate.basic_constraints.ca:
        return "basicConstraints does not say CA"
    if certificate.key_usage is not None and "keyCertSign" not in certificate.key_usage:
        return "keyUsage without keyCertSign"
    return None


def check_time(certificate: Certificate, now: datetime) -> None:
    """Refuse a certificate outside its validity. Raises `Expired` or `NotYetValid`."""
    if certificate.expired(now):
        raise Expired(certificate.name, f"{certificate.not_after:%Y-%m-%d %H:%M:%SZ}", f"{now:%Y-%m-%d %H:%M:%SZ}")
    if certificate.not_yet_valid(now):
        raise NotYetValid(certificate.name, f"{certificate.not_before:%Y-%m-%d %H:%M:%SZ}", f"{now:%Y-%m-%d %H:%M:%SZ}")


def check_end_entity(leaf: Certificate, leaf_types: Sequence[LeafCertificateType]) -> None:
    """Refuse what may not act as a leaf. Raises `NotAnEndEntity` or `WrongUsage`."""
    if leaf.malformed:
        raise WrongUsage(leaf.name, ", ".join(leaf.malformed))
    if leaf.basic_constraints is not None and leaf.basic_constraints.ca:
        raise NotAnEndEntity(leaf.name)
    if leaf.key_usage is not None and "digitalSignature" not in leaf.key_usage:
        raise WrongUsage(leaf.name, "keyUsage without digitalSignature")
    allowed = [_EXTENDED_USAGES.get(leaf_type) for leaf_type in leaf_types]
    usages = leaf.extended_key_usage
    if usages is not None and not any(a is None or a & usages for a in allowed):
        raise WrongUsage(leaf.name, f"extended key usage {', '.join(sorted(usages))}")
