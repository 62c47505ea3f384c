"""One key, many spellings, one token."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from evse_security.lab.keys import KeyKind
from evse_security.pki import encode, pem
from evse_security.pki.certificate import Certificate
from evse_security.pki.keytoken import token_of_certificate, token_of_spki
from tests.builders import key, world

SPKI = Encoding.DER, PublicFormat.SubjectPublicKeyInfo


def spki(algorithm: bytes, bits: bytes) -> bytes:
    return encode.tlv(0x30, algorithm, encode.tlv(0x03, b"\0", bits))


@pytest.mark.parametrize("kind", KeyKind)
def test_a_certificate_has_the_token_of_its_key(kind: KeyKind) -> None:
    made = world("Root > Leaf", Leaf={"key": kind})
    leaf, root = Certificate(made["Leaf"].der), Certificate(made["Root"].der)
    assert token_of_certificate(leaf) == token_of_spki(made["Leaf"].key.public_key().public_bytes(*SPKI))
    assert token_of_certificate(leaf) != token_of_certificate(root)


def openssl(*arguments: str, given: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=True).stdout


@pytest.mark.parametrize("form", ["uncompressed", "compressed", "hybrid"])
@pytest.mark.parametrize("parameters", ["named_curve", "explicit"])
def test_spellings_of_an_elliptic_key(form: str, parameters: str) -> None:
    for holder in ("Odd", "Even", "Third"):
        plain = key(holder).public_key().public_bytes(*SPKI)
        options = ("-pubin", "-inform", "DER", "-outform", "DER", "-pubout")
        spelled = openssl("ec", *options, "-conv_form", form, "-param_enc", parameters, given=plain)
        assert token_of_spki(spelled) == token_of_spki(plain)


def test_the_negative_of_a_point_is_another_key() -> None:
    private_key = key("Odd")
    assert isinstance(private_key, ec.EllipticCurvePrivateKey)
    numbers = private_key.public_key().public_numbers()
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    negative = ec.EllipticCurvePublicNumbers(numbers.x, prime - numbers.y, numbers.curve).public_key()
    assert token_of_spki(negative.public_bytes(*SPKI)) != token_of_spki(private_key.public_key().public_bytes(*SPKI))


def test_a_certificate_for_pss_only_has_the_token_of_the_rsa_key() -> None:
    plain = key("Signer", KeyKind.RSA2048).public_key().public_bytes(*SPKI)
    rsa = encode.tlv(0x30, encode.oid("1.2.840.113549.1.1.1"), encode.tlv(0x05))
    pss = encode.tlv(0x30, encode.oid("1.2.840.113549.1.1.10"))
    assert rsa in plain
    bits = plain[plain.index(rsa) + len(rsa) :]
    assert token_of_spki(encode.tlv(0x30, pss, bits)) == token_of_spki(plain)


def test_families_do_not_mix() -> None:
    bits = b"\x02" + bytes(31)
    kinds = ["1.2.840.113549.1.1.1", "1.2.840.10045.2.1", "1.3.101.112", "1.2.3"]
    tokens = {token_of_spki(spki(encode.tlv(0x30, encode.oid(kind)), bits)) for kind in kinds}
    assert len(tokens) == len(kinds)


@pytest.mark.parametrize("bits", [b"\x04", b"\x04" + bytes(3), b"\x05" + bytes(64), b"\x02" + bytes(32), b"\x00"])
def test_odd_points_are_their_own_token(bits: bytes) -> None:
    elliptic = encode.tlv(0x30, encode.oid("1.2.840.10045.2.1"))
    token = token_of_spki(spki(elliptic, bits))
    assert token == b"EC:" + bits or bits[:1] == b"\x04"


@given(st.binary(max_size=100))
def test_junk_has_a_token_too(junk: bytes) -> None:
    assert token_of_spki(junk).endswith(junk)


def test_real_certificates_have_one_token_per_key(realworld: Path) -> None:
    found = [
        block.certificate
        for file in sorted((realworld / "certs").iterdir())
        for block in pem.blocks(file.read_bytes())
        if block.certificate is not None
    ]
    assert len(found) == 128
    assert len({token_of_certificate(one) for one in found}) == len({one.key_bits for one in found})


@pytest.mark.parametrize("kind", [KeyKind.SECP256R1, KeyKind.SECP384R1, KeyKind.SECP521R1])
def test_named_curves_have_the_token_of_any_other_spelling(kind: KeyKind) -> None:
    """Those are read without a parser; what differs from them by an octet is not."""
    plain = key("Signer", kind).public_key().public_bytes(*SPKI)
    assert token_of_spki(plain + b"more") == token_of_spki(plain)
    assert token_of_spki(plain[:-1]) == b"SPKI:" + plain[:-1]
    [bits] = [at for at in range(len(plain)) if plain[at:].startswith(b"\0\x04")][-1:]
    spelled_out = spki(encode.tlv(0x30, encode.oid("1.2.840.10045.2.1"), encode.tlv(0x30)), plain[bits + 1 :])
    assert token_of_spki(spelled_out) == token_of_spki(plain)
