"""What tells whether a certificate and a private key belong together: a token made of the public key.

The same key is written in several ways: named curve or explicit parameters (RFC 5480 §2.1.1), compressed point or not
(SEC 1 §2.3.3), rsaEncryption or RSASSA-PSS (RFC 4055 §1.2). The token is equal for all of them, so that matching is
a look-up in a dictionary. It leaves out what only says how the key is to be used; it is no proof of possession.
"""

from __future__ import annotations

from evse_security.pki import der
from evse_security.pki.algorithm import RSA_ENCRYPTION, RSASSA_PSS, identifier
from evse_security.pki.certificate import Certificate

_FAMILIES = {
    RSA_ENCRYPTION: b"RSA:",
    "1.2.840.113549.1.1.7": b"RSA:",  # id-RSAES-OAEP, RFC 4055 §4
    RSASSA_PSS: b"RSA:",
    "1.2.840.10045.2.1": b"EC:",  # id-ecPublicKey, RFC 5480 §2.1.1
    "1.3.132.1.12": b"EC:",  # id-ecDH, RFC 5480 §2.1.2
    "1.3.132.1.13": b"EC:",  # id-ecMQV
}

_NAMED_CURVES = {
    bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200"): 91,  # secp256r1
    bytes.fromhex("3076301006072a8648ce3d020106052b81040022036200"): 120,  # secp384r1
    bytes.fromhex("30819b301006072a8648ce3d020106052b8104002303818600"): 158,  # secp521r1
}
"""Nearly all keys: how they begin up to the point, and how long they are. What follows from that need not be read."""


def token_of_certificate(certificate: Certificate) -> bytes:
    """The token of the key that a certificate is about."""
    return token_of_spki(certificate.spki)


def token_of_spki(spki: bytes) -> bytes:
    """The token of a SubjectPublicKeyInfo (DER, RFC 5280 §4.1.2.7): its family and its key bits, points compressed.

    Kinds that are not known, and what cannot be read, are their own token, byte for byte; nothing raises.
    """
    for header, octets_of_all in _NAMED_CURVES.items():
        if len(spki) == octets_of_all and spki.startswith(header):
            return b"EC:" + _compressed(spki[len(header) :])
    try:
        algorithm, bits, *_ = der.sequence(spki, "SubjectPublicKeyInfo")
        family, octets = _FAMILIES[identifier(algorithm.encoded)], der.bit_string(bits)
    except (ValueError, KeyError):
        return b"SPKI:" + spki
    return family + (_compressed(octets) if family == b"EC:" else octets)


def _compressed(point: bytes) -> bytes:
    """A point as sign and X (SEC 1 §2.3.3), whether it is written so, in full (04) or as both (06, 07)."""
    if len(point) % 2 == 0 or point[:1] not in (b"\x04", b"\x06", b"\x07"):
        return point
    middle = len(point) // 2 + 1
    return bytes((2 + (point[-1] & 1),)) + point[1:middle]
