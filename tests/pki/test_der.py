"""Reading TLVs: all that BER allows and OpenSSL takes, and nothing that is not there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evse_security.pki import der, encode
from evse_security.pki.encode import tlv


def test_an_element_knows_its_place() -> None:
    element = der.read(b"\xff" + tlv(0x04, b"abc") + b"\xff", 1)
    assert (element.tag, element.value, element.encoded, element.end) == (4, b"abc", b"\x04\x03abc", 6)


@pytest.mark.parametrize("length", [b"\x03", b"\x81\x03", b"\x84\x00\x00\x00\x03", b"\x88" + bytes(7) + b"\x03"])
def test_lengths_need_not_be_minimal(length: bytes) -> None:
    element = der.read(b"\x04" + length + b"abc")
    assert element.value == b"abc"


def test_an_indefinite_length_ends_with_end_of_contents() -> None:
    inner = b"\x30\x80" + tlv(0x02, b"\x05") + b"\0\0"
    element = der.read(b"\x30\x80" + inner + tlv(0x04, b"\0\0") + b"\0\0" + b"rest")
    assert [child.tag for child in element.children()] == [0x30, 0x04]
    assert element.encoded.endswith(b"\x04\x02\0\0\0\0")
    assert element.data[element.end :] == b"rest"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x04\x02a",  # too short for its length
        b"\x04\x82\x01",  # too short for the octets of its length
        b"\x04\x89" + bytes(9),  # a length of nine octets
        b"\x04\xff",  # reserved, X.690 §8.1.3.5
        b"\x1f\x81\x01\x00",  # a tag above 30
        b"\x04\x80\0\0",  # indefinite, but primitive
        b"\x30\x80",  # no end of contents
        b"\x30\x80\0",
        b"\x30\x80\x02\x01",
        b"\x30\x80" * 20 + b"\0\0" * 20,  # too deep
    ],
    ids=bytes.hex,
)
def test_what_is_no_element_is_malformed(data: bytes) -> None:
    with pytest.raises(der.Malformed):
        der.read(data)


def test_an_element_ends_where_what_holds_it_ends() -> None:
    with pytest.raises(der.Malformed):
        list(der.read(b"\x30\x03\x04\x02a" + b"bc").children())
    with pytest.raises(der.Malformed):
        list(der.read(b"\x30\x05\x30\x80\x05\x00\x00" + b"\x00").children())


@given(st.binary(max_size=200))
def test_any_octets_are_an_element_or_malformed(data: bytes) -> None:
    try:
        element = der.read(data)
        children = list(element.children())
    except der.Malformed:
        return
    assert 0 <= element.content <= element.content_end <= element.end <= len(data)
    assert b"".join(child.encoded for child in children) == element.value


def test_only_the_tag_that_is_expected_will_do() -> None:
    with pytest.raises(der.Malformed, match=r"Name: unexpected tag 0x31"):
        der.sequence(tlv(0x31), "Name")


@pytest.mark.parametrize("value", [0, 1, -1, 127, 128, -128, -129, 2**160, -(2**319)])
def test_integers_of_any_size_and_sign(value: int) -> None:
    assert der.integer(der.read(encode.integer(value))) == value


def test_an_integer_may_have_superfluous_octets() -> None:
    assert der.integer(der.read(b"\x02\x03\x00\x00\x05")) == 5


def test_an_integer_has_octets() -> None:
    with pytest.raises(der.Malformed):
        der.integer(der.read(b"\x02\x00"))


@pytest.mark.parametrize(("octet", "value"), [(b"\x00", False), (b"\x01", True), (b"\xff", True)])
def test_any_octet_but_zero_is_true(octet: bytes, value: object) -> None:
    assert der.boolean(der.read(tlv(0x01, octet))) is value


@pytest.mark.parametrize("octets", [b"", b"\x00\x00", b"\xff\xff"])
def test_a_boolean_is_one_octet(octets: bytes) -> None:
    with pytest.raises(der.Malformed):
        der.boolean(der.read(tlv(0x01, octets)))


def test_a_bit_string_comes_without_its_count_of_unused_bits() -> None:
    assert der.bit_string(der.read(b"\x03\x03\x00ab")) == b"ab"
    with pytest.raises(der.Malformed):
        der.bit_string(der.read(b"\x03\x00"))


def test_strings_may_come_in_parts() -> None:
    assert der.octet_string(der.read(tlv(0x24, tlv(0x04, b"a"), tlv(0x04), tlv(0x04, b"bc")))) == b"abc"
    assert der.bit_string(der.read(b"\x23\x80" + tlv(0x03, b"\0a") + tlv(0x03, b"\0b") + b"\0\0")) == b"ab"
    nested = tlv(0x04, b"a")
    for _ in range(der.MAX_STRING_DEPTH):
        nested = tlv(0x24, nested, tlv(0x04, b"b"))
    assert der.octet_string(der.read(nested)) == b"abbbbb"
    with pytest.raises(der.Malformed):
        der.octet_string(der.read(tlv(0x24, tlv(0x24, nested))))
    with pytest.raises(der.Malformed):
        der.octet_string(der.read(tlv(0x24, tlv(0x03, b"a"))))
    with pytest.raises(der.Malformed):
        der.bit_string(der.read(tlv(0x23, tlv(0x03))))


@pytest.mark.parametrize("dotted", ["2.5.4.3", "1.2.840.113549.1.1.11", "0.9.2342.19200300.100.1.25", "2.999.3"])
def test_object_identifiers_as_dotted_text(dotted: str) -> None:
    assert der.oid(der.read(encode.oid(dotted))) == dotted


@pytest.mark.parametrize("octets", [b"", b"\x55\x84", b"\xff" * 2000 + b"\x01"], ids=["empty", "truncated", "endless"])
def test_an_object_identifier_ends(octets: bytes) -> None:
    with pytest.raises(der.Malformed):
        der.oid(der.read(tlv(0x06, octets)))
