"""Whether one key signed one certificate; where `cryptography` does not know the algorithm, OpenSSL says."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PSS, PKCS1v15
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from OpenSSL import crypto

if TYPE_CHECKING:
    from evse_security.pki.certificate import Certificate

NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME, which pyOpenSSL does not name."""
CHECK_SS_SIGNATURE = 0x4000
"""X509_V_FLAG_CHECK_SS_SIGNATURE: verify the anchor's own signature too; pyOpenSSL does not name it either."""
_SIGNATURE_ERRORS = frozenset({2, 4, 6, 7, 8, 20, 21, 29, 30, 31})
"""X509_V_ERR_… that say that the issuer did not sign this, or that it cannot be told."""


def confirms(issuer: Certificate, certificate: Certificate) -> bool:
    """Verify a signature; OpenSSL decides where `cryptography` does not know the algorithm."""
    try:
        key, parameters = issuer.public_key(), certificate.x509.signature_algorithm_parameters
        if isinstance(key, rsa.RSAPublicKey):
            digest = certificate.x509.signature_hash_algorithm
            key.verify(
                certificate.signature, certificate.tbs, cast(PSS | PKCS1v15, parameters), cast(HashAlgorithm, digest)
            )
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(certificate.signature, certificate.tbs, cast(ec.ECDSA, parameters))
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(certificate.signature, certificate.tbs)
        else:
            return _openssl_confirms(issuer, certificate)
    except InvalidSignature:
        return False
    except Exception:  # unsupported curves, hashes and encodings raise every class of error
        return _openssl_confirms(issuer, certificate)
    return True


def _openssl_confirms(issuer: Certificate, certificate: Certificate) -> bool:
    """Let OpenSSL verify one link, whatever the clock says."""
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN | NO_CHECK_TIME | CHECK_SS_SIGNATURE)
    try:
        store.add_cert(issuer.openssl)
        crypto.X509StoreContext(store, certificate.openssl).verify_certificate()
    except crypto.X509StoreContextError as error:
        return error.errors[0] not in _SIGNATURE_ERRORS if error.errors[1] == 0 else False
    except crypto.Error:
        return False
    return True
