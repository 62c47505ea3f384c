"""Firmware signatures: which schemes are known, and that nothing else passes."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding

from evse_security.lab.authority import Template, name
from evse_security.lab.firmware import SignatureScheme, sign_firmware
from evse_security.lab.keys import KeyKind
from evse_security.lab.resign import members, tlv
from evse_security.pki import encode
from evse_security.pki.certificate import Certificate
from evse_security.pki.signature import (
    MAX_SIGNATURE_BYTES,
    Signed,
    decode,
    digest_signature_is_valid,
    message_signature_is_valid,
    signed_part,
)
from tests.builders import key, world

FIRMWARE = b"firmware of a charging station" * 100
DIGEST = hashlib.sha256(FIRMWARE).digest()
OTHER = hashlib.sha256(b"something else").digest()
DIGESTED = [
    KeyKind.SECP256R1,
    KeyKind.SECP384R1,
    KeyKind.SECP521R1,
    KeyKind.RSA2048,
    KeyKind.RSA3072,
]
PURE = [KeyKind.ED25519, KeyKind.ED448]


def signer(kind: Any) -> Certificate:
    return Certificate(world("Maker > Signer", Signer={"key": kind})["Signer"].der)


def signature(kind: KeyKind, scheme: SignatureScheme | None = None, content: bytes = FIRMWARE) -> bytes:
    return base64.b64decode(sign_firmware(content, key("Signer", kind), scheme))


def rsa_key() -> rsa.RSAPrivateKey:
    private_key = key("Signer", KeyKind.RSA2048)
    assert isinstance(private_key, rsa.RSAPrivateKey)
    return private_key


@pytest.mark.parametrize("kind", DIGESTED)
def test_signatures_over_the_digest(kind: KeyKind) -> None:
    certificate, signed = signer(kind), signature(kind)
    assert signed_part(certificate) is Signed.DIGEST
    assert digest_signature_is_valid(DIGEST, certificate, signed)
    assert not digest_signature_is_valid(OTHER, certificate, signed)
    assert not digest_signature_is_valid(DIGEST, signer(key("Mallory", kind)), signed)
    assert not message_signature_is_valid(FIRMWARE, certificate, signed)


@pytest.mark.parametrize("kind", PURE)
def test_signatures_over_the_file(kind: KeyKind) -> None:
    certificate, signed = signer(kind), signature(kind)
    assert signed_part(certificate) is Signed.MESSAGE
    assert message_signature_is_valid(FIRMWARE, certificate, signed)
    assert message_signature_is_valid(memoryview(FIRMWARE), certificate, signed)
    assert not message_signature_is_valid(FIRMWARE + b"\n", certificate, signed)
    assert not message_signature_is_valid(FIRMWARE, signer(key("Mallory", kind)), signed)
    assert not message_signature_is_valid(FIRMWARE, certificate, signed[:-1])
    assert not digest_signature_is_valid(DIGEST, certificate, signed)


@pytest.mark.parametrize("salt", [0, 20, 32, 100, padding.PSS.MAX_LENGTH])
def test_fault_36_pss_with_any_salt(salt: Any) -> None:
    signed = rsa_key().sign(FIRMWARE, padding.PSS(padding.MGF1(hashes.SHA256()), salt), hashes.SHA256())
    assert digest_signature_is_valid(DIGEST, signer(KeyKind.RSA2048), signed)


@pytest.mark.parametrize("scheme", [SignatureScheme.RSASSA_PKCS1_V1_5, SignatureScheme.RSASSA_PSS])
def test_both_schemes_of_rsa(scheme: SignatureScheme) -> None:
    assert digest_signature_is_valid(DIGEST, signer(KeyKind.RSA2048), signature(KeyKind.RSA2048, scheme))


@pytest.mark.parametrize("digest", [hashes.SHA384(), hashes.SHA512()], ids=lambda digest: digest.name)
def test_another_digest_is_another_signature(digest: hashes.HashAlgorithm) -> None:
    certificate, private_key = signer(KeyKind.RSA2048), rsa_key()
    pss = padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
    assert not digest_signature_is_valid(DIGEST, certificate, private_key.sign(FIRMWARE, padding.PKCS1v15(), digest))
    assert not digest_signature_is_valid(DIGEST, certificate, private_key.sign(FIRMWARE, pss, digest))


@pytest.mark.parametrize(
    "curve", [ec.SECP256K1(), ec.BrainpoolP256R1(), ec.BrainpoolP512R1()], ids=lambda one: one.name
)
def test_ecdsa_on_other_curves(curve: ec.EllipticCurve) -> None:
    private_key = ec.derive_private_key(4711, curve)
    signed = private_key.sign(FIRMWARE, ec.ECDSA(hashes.SHA256()))
    assert digest_signature_is_valid(DIGEST, signer(private_key), signed)
    assert not digest_signature_is_valid(OTHER, signer(private_key), signed)


@pytest.mark.parametrize("kind", [*DIGESTED, *PURE])
@pytest.mark.parametrize(
    "junk", [b"", b"\x00", bytes(64), bytes(256), b"\x30\x06\x02\x01\x00\x02\x01\x00", b"\xff" * 999]
)
def test_junk_is_no_signature(kind: KeyKind, junk: bytes) -> None:
    certificate = signer(kind)
    assert not digest_signature_is_valid(DIGEST, certificate, junk)
    assert not message_signature_is_valid(FIRMWARE, certificate, junk)


@pytest.mark.parametrize("kind", [KeyKind.SECP256R1, KeyKind.RSA2048])
@pytest.mark.parametrize("digest", [b"", b"short", bytes(64)])
def test_what_is_no_sha_256_is_not_confirmed(kind: KeyKind, digest: bytes) -> None:
    assert not digest_signature_is_valid(digest, signer(kind), signature(kind))


# ---- kinds of keys


def with_key_algorithm(kind: KeyKind, algorithm: bytes) -> Certificate:
    """A certificate whose key is declared to be of another algorithm. Nobody looks at its signature here."""
    certificate = world("Maker > Signer", Signer={"key": kind})["Signer"].certificate
    tbs, *rest = members(certificate.public_bytes(Encoding.DER))
    fields = members(tbs)
    _, bits = members(fields[6])
    fields[6] = tlv(0x30, algorithm, bits)
    return Certificate(tlv(0x30, tlv(0x30, *fields), *rest))


def test_a_key_for_pss_only_signs_in_no_other_way() -> None:
    certificate = with_key_algorithm(KeyKind.RSA2048, tlv(0x30, encode.oid("1.2.840.113549.1.1.10")))
    assert signed_part(certificate) is Signed.DIGEST
    for scheme in (SignatureScheme.RSASSA_PSS, SignatureScheme.RSASSA_PKCS1_V1_5):
        valid = digest_signature_is_valid(DIGEST, certificate, signature(KeyKind.RSA2048, scheme))
        assert valid is (scheme is SignatureScheme.RSASSA_PSS)


def test_a_key_of_unknown_kind_confirms_nothing() -> None:
    certificate = with_key_algorithm(KeyKind.SECP256R1, tlv(0x30, encode.oid("1.2.3.4")))
    assert signed_part(certificate) is Signed.NOTHING
    assert not digest_signature_is_valid(DIGEST, certificate, signature(KeyKind.SECP256R1))
    assert not message_signature_is_valid(FIRMWARE, certificate, signature(KeyKind.ED25519))


def test_a_key_for_key_exchange_confirms_nothing() -> None:
    exchange = x25519.X25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()
    made = world("Maker > Signer")["Maker"].certify(exchange, Template(subject=name(CN="Exchange")))
    certificate = Certificate(made.public_bytes(Encoding.DER))
    assert signed_part(certificate) is Signed.NOTHING


# ---- base64


def test_a_signature_may_be_wrapped() -> None:
    signed = signature(KeyKind.RSA3072)
    assert decode(base64.encodebytes(signed).decode()) == signed
    assert decode(base64.b64encode(signed).decode()) == signed


def test_fault_60_data_behind_a_foreign_character_is_not_dropped() -> None:
    text = base64.b64encode(signature(KeyKind.SECP256R1)).decode()
    for damaged in (text[:8] + "-" + text[8:], text + "!", text[:-1], "", " ", "ü", text.replace("A", "A\x00")):
        assert damaged == text or decode(damaged) is None
    assert decode("aGVs-bG8=") is None


def test_a_signature_longer_than_any() -> None:
    assert decode(base64.b64encode(bytes(MAX_SIGNATURE_BYTES)).decode()) == bytes(MAX_SIGNATURE_BYTES)
    assert decode(base64.b64encode(bytes(MAX_SIGNATURE_BYTES + 1)).decode()) is None
