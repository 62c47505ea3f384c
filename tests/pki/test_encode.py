"""DER as X.690 wants it, and algorithm identifiers read from it."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from evse_security.pki import algorithm, der, encode
from tests.builders import key


@given(st.integers(-(2**80), 2**80))
def test_integers_come_back_from_the_fewest_octets(number: int) -> None:
    encoded = encode.integer(number)
    assert der.integer(der.read(encoded)) == number
    first, second = encoded[2], encoded[3:4]
    assert not (second and (first, second[0] >> 7) in {(0x00, 0), (0xFF, 1)}) or number in {0, -1}


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65_535, 65_536])
def test_lengths(size: int) -> None:
    read = der.read(encode.tlv(0x04, bytes(size)))
    assert (read.tag, read.value, read.end) == (0x04, bytes(size), len(read.data))


@pytest.mark.parametrize("dotted", ["0.0", "1.2.840.113549.1.1.11", "2.5.4.3", "2.999.1", "0.9.2342.19200300.100.1.25"])
def test_object_identifiers(dotted: str) -> None:
    assert der.oid(der.read(encode.oid(dotted))) == dotted


def test_pem_has_lines_of_64_characters() -> None:
    lines = encode.pem("SOMETHING", bytes(100)).split("\n")
    assert [len(line) for line in lines] == [25, 64, 64, 8, 23, 0]


def test_an_algorithm_identifier_must_name_something() -> None:
    with pytest.raises(ValueError, match="empty"):
        algorithm.identifier(encode.tlv(der.SEQUENCE))


def test_keys_confirm_nothing_under_an_algorithm_of_another_kind() -> None:
    private_key = key("Anybody")
    assert isinstance(private_key, ec.EllipticCurvePrivateKey)
    used = algorithm.ALGORITHMS["1.2.840.10045.4.3.2"]
    assert used.digest is not None
    signature = private_key.sign(b"text", ec.ECDSA(used.digest))
    assert algorithm.confirms(private_key.public_key(), used, signature, b"text")
    assert not algorithm.confirms(private_key.public_key(), used, signature, b"test")
    for other in algorithm.ALGORITHMS.values():
        assert algorithm.confirms(private_key.public_key(), other, signature, b"text") is (other is used)
    spki = private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert algorithm.believed(der.sequence(spki, "key")[0].encoded) is None  # id-ecPublicKey signs nothing
