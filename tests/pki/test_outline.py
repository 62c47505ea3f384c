"""The parts of a certificate, uninterpreted."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from evse_security.lab.keys import KeyKind
from evse_security.pki import der
from evse_security.pki.encode import tlv
from evse_security.pki.outline import Part, cut, key_bits, outline
from tests.builders import key, world


def test_the_parts_are_the_very_bytes() -> None:
    encoded = world("Root > Leaf")["Leaf"].der
    found = outline(der.read(encoded))
    parts = {part: cut(encoded, found.places, part) for part in Part}
    tbs, algorithm, signature = (child.encoded for child in der.read(encoded).children())
    assert (parts[Part.TBS], parts[Part.SIGNATURE_ALGORITHM], parts[Part.SIGNATURE]) == (tbs, algorithm, signature)
    version, serial, *rest = (child.encoded for child in der.read(tbs).children())
    inside, issuer, validity, subject, spki, extensions = rest
    wanted = (Part.TBS_ALGORITHM, Part.ISSUER, Part.SUBJECT, Part.SPKI)
    assert [parts[part] for part in wanted] == [inside, issuer, subject, spki]
    assert parts[Part.EXTENSIONS] == der.read(extensions).value
    assert (found.version, found.serial) == (2, der.integer(der.read(serial)))
    assert b"".join(time.encoded for time in found.validity) == der.read(validity).value
    assert version == b"\xa0\x03\x02\x01\x02"


def test_members_from_elsewhere_are_passed_over() -> None:
    """What later versions may add behind the known members does not hide these."""
    tbs, *rest = (child.encoded for child in der.read(world("Root > Leaf")["Leaf"].der).children())
    more = tlv(0x30, der.read(tbs).value, tlv(0xA4, b"\x05\x00"))
    encoded = tlv(0x30, more, *rest, tlv(0x05))
    assert cut(encoded, outline(der.read(encoded)).places, Part.EXTENSIONS)


@pytest.mark.parametrize("kind", [KeyKind.SECP256R1, KeyKind.SECP521R1, KeyKind.ED25519, KeyKind.RSA2048])
def test_the_bits_of_a_key_are_what_hashes_are_made_of(kind: KeyKind) -> None:
    public = key("Root", kind).public_key()
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert spki.endswith(b"\0" + key_bits(spki))
    if kind is KeyKind.RSA2048:
        assert key_bits(spki) == public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    elif kind is not KeyKind.ED25519:
        assert key_bits(spki) == public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@pytest.mark.parametrize("spki", [b"", tlv(0x30), tlv(0x30, tlv(0x30)), tlv(0x30, tlv(0x30), tlv(0x03))])
def test_what_is_no_key_has_no_bits(spki: bytes) -> None:
    assert key_bits(spki) == b""


@given(st.binary(max_size=80))
def test_any_octets_have_an_outline_or_are_malformed(octets: bytes) -> None:
    with pytest.raises(der.Malformed):
        outline(der.read(tlv(0x30, octets)))
