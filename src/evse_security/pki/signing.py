"""Whether one key signed one certificate; where `cryptography` does not know the algorithm, OpenSSL says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from OpenSSL import crypto

from evse_security.pki import algorithm

if TYPE_CHECKING:
    from evse_security.pki.certificate import Certificate

NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME, which pyOpenSSL does not name."""
_CHECK_SS_SIGNATURE = 0x4000
"""X509_V_FLAG_CHECK_SS_SIGNATURE: verify the anchor's own signature too; pyOpenSSL does not name it either."""
_IGNORE_CRITICAL = 0x10
"""X509_V_FLAG_IGNORE_CRITICAL: the signature is the question, not what is signed."""


def confirms(issuer: Certificate, certificate: Certificate) -> bool:
    """Verify a signature, whatever its digest is worth; OpenSSL decides where `cryptography` cannot."""
    if certificate.signature_algorithm != certificate.tbs_algorithm:
        return False  # RFC 5280 §4.1.1.2
    try:
        used = algorithm.recognised(certificate.signature_algorithm)
        if used is None:
            return _openssl_confirms(issuer, certificate)
        if algorithm.confirms(issuer.public_key(), used, certificate.signature, certificate.tbs):
            return True
    except Exception:  # unsupported curves, digests and encodings raise every class of error
        return _openssl_confirms(issuer, certificate)
    # PSS has parameters that `cryptography` does not take: another digest for the mask, for one
    return used.scheme is algorithm.Scheme.PSS and _openssl_confirms(issuer, certificate)


def _openssl_confirms(issuer: Certificate, certificate: Certificate) -> bool:
    """Let OpenSSL verify one link, whatever the clock says.

    It does not verify every signature that it is asked about (not that of an anchor which it holds for issued by
    another), so it must also refuse the certificate with one bit of the signature changed.
    """
    changed = certificate.der[:-1] + bytes((certificate.der[-1] ^ 1,))
    try:
        forged = crypto.load_certificate(crypto.FILETYPE_ASN1, changed)
    except crypto.Error:
        return False
    if issuer == certificate:
        return _accepts(issuer.openssl, certificate.openssl) and not _accepts(forged, forged)
    return _accepts(issuer.openssl, certificate.openssl) and not _accepts(issuer.openssl, forged)


def _accepts(issuer: crypto.X509, certificate: crypto.X509) -> bool:
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN | NO_CHECK_TIME | _CHECK_SS_SIGNATURE | _IGNORE_CRITICAL)
    try:
        store.add_cert(issuer)
        crypto.X509StoreContext(store, certificate).verify_certificate()
    except (crypto.X509StoreContextError, crypto.Error):
        return False
    return True
