"""Names: when two are one, and how one is shown."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evse_security.errors import MalformedCertificate
from evse_security.pki import encode, names
from evse_security.pki.certificate import Certificate
from evse_security.pki.encode import tlv
from tests.builders import altered, world

UTF8, NUMERIC, PRINTABLE, TELETEX, IA5, VISIBLE, UNIVERSAL, BMP = 0x0C, 0x12, 0x13, 0x14, 0x16, 0x1A, 0x1C, 0x1E
CN, O, DC = "2.5.4.3", "2.5.4.10", names.DOMAIN_COMPONENT  # noqa: E741  its name in every directory


def pair(oid: str, text: str | bytes, tag: int = UTF8) -> bytes:
    return tlv(0x30, encode.oid(oid), tlv(tag, text.encode() if isinstance(text, str) else text))


def name(*rdns: bytes | tuple[bytes, ...]) -> bytes:
    return tlv(0x30, *(tlv(0x31, *(rdn if isinstance(rdn, tuple) else (rdn,))) for rdn in rdns))


SAME = {
    "letter case": (name(pair(CN, "Root CA")), name(pair(CN, "ROOT ca"))),
    "kind of string": (name(pair(CN, "Root")), name(pair(CN, "Root", PRINTABLE))),
    "kind and letters beyond ASCII": (name(pair(CN, "Müller")), name(pair(CN, "M\xfcller".encode("latin-1"), TELETEX))),
    "sixteen bits": (name(pair(CN, "Müller")), name(pair(CN, "Müller".encode("utf-16-be"), BMP))),
    "thirty-two bits": (name(pair(CN, "Müller")), name(pair(CN, "Müller".encode("utf-32-be"), UNIVERSAL))),
    "runs of blanks": (name(pair(CN, " Root   CA ")), name(pair(CN, "Root CA"))),
    "a domain component's case": (name(pair(DC, "CPO", IA5)), name(pair(DC, "cpo", IA5))),
    "order within a set": (name((pair(CN, "a"), pair(O, "b"))), name((pair(O, "b"), pair(CN, "a")))),
    "octets that are no UTF-8": (name(pair(CN, b"M\xfcller")), name(pair(CN, b"M\xfcLLER"))),
}
OTHER = {
    "text": (name(pair(CN, "Root 1")), name(pair(CN, "Root 2"))),
    "kind of attribute": (name(pair(CN, "a")), name(pair(O, "a"))),
    "order of attributes": (name(pair(CN, "a"), pair(O, "b")), name(pair(O, "b"), pair(CN, "a"))),
    "one set or two": (name((pair(CN, "a"), pair(O, "b"))), name(pair(CN, "a"), pair(O, "b"))),
    "one attribute more": (name(pair(CN, "a")), name(pair(CN, "a"), pair(CN, "a"))),
    "blank or none": (name(pair(CN, "Root CA")), name(pair(CN, "RootCA"))),
    "octets that are no UTF-8": (name(pair(CN, b"\xff\xfe")), name(pair(CN, b"\xfe\xff"))),
    "what is no text": (name(pair(CN, b"\x00\x01", 0x03)), name(pair(CN, b"\x00\x02", 0x03))),
    "one cannot be read": (name(pair(CN, "a")), tlv(0x30, tlv(0x04))),
}


@pytest.mark.parametrize("how", SAME)
def test_names_are_equal_whatever(how: str) -> None:
    one, other = SAME[how]
    assert one != other
    assert names.key(one) == names.key(other)


@pytest.mark.parametrize("how", OTHER)
def test_names_differ_by(how: str) -> None:
    one, other = OTHER[how]
    assert names.key(one) != names.key(other)


def test_a_name_that_cannot_be_read_is_equal_to_itself() -> None:
    odd = tlv(0x30, tlv(0x31, tlv(0x30)))
    assert names.key(odd) == odd
    assert names.text(odd) == f"#{odd.hex()}"
    assert not names.has(odd, CN, lambda _: True)


SHOWN = {
    "CN=SECC, DC=CPO, O=Operator": name(pair(DC, "CPO", IA5), pair(O, "Operator"), pair(CN, "SECC")),
    "CN=a, CN=b": name(pair(CN, "a"), pair(CN, "b")),
    "1.2.3.4=x": name(pair("1.2.3.4", "x")),
    "serialNumber=12 3": name(pair("2.5.4.5", "12 3", NUMERIC)),
    "L=V": name(pair("2.5.4.7", "V", VISIBLE)),
    "CN=#03020001": name(pair(CN, b"\x00\x01", 0x03)),
    "CN=M?ller": name(pair(CN, "M\nller")),
    "CN=a?b": name(pair(CN, "a\u202eb")),  # right-to-left override
    "CN=Müller": name(pair(CN, b"M\xfcller")),  # Latin-1 that says it is UTF-8
    r"CN=a\, O=b": name(pair(CN, "a, O=b")),
    r"O=Acme\, Inc.": name(pair(O, "Acme, Inc.")),
    "(empty name)": name(),
}


@pytest.mark.parametrize("text", SHOWN)
def test_a_name_is_shown_on_one_line(text: str) -> None:
    assert names.text(SHOWN[text]).startswith(text.partition(", DC")[0])
    assert names.text(SHOWN[text]).isprintable()
    if "DC" not in text:
        assert names.text(SHOWN[text]) == text


def test_what_is_shown_is_not_endless() -> None:
    long = name(*(pair(O, "x" * 500) for _ in range(100)))
    assert len(names.text(long)) <= 1000
    assert names.text(name(pair(CN, "x" * 500))) == "CN=" + "x" * 197


def test_an_endless_identifier_makes_a_name_unreadable_and_nothing_else() -> None:
    odd = tlv(0x30, tlv(0x31, tlv(0x30, tlv(0x06, b"\xff" * 9000 + b"\x01"), tlv(UTF8, b"a"))))
    assert names.text(odd).startswith("#")
    assert not names.has(odd, CN, bool)


MANY: dict[str, Callable[[int], bytes]] = {
    "relative names": lambda count: name(*(pair(CN, "a") for _ in range(count))),
    "attributes of one": lambda count: name(tuple(pair(CN, "a") for _ in range(count))),
    "empty relative names": lambda count: name(*(() for _ in range(count))),
}


@pytest.mark.parametrize("what", MANY)
def test_a_name_of_more_than_a_hundred_attributes_is_compared_by_bytes_and_shown_by_them(what: str) -> None:
    most, more = MANY[what](100), MANY[what](101)
    assert names.key(most) != most
    assert names.key(more) == more
    assert names.text(more) == f"#{more[:32].hex()}"
    assert not names.has(more, CN, lambda _: True)


@pytest.mark.parametrize("ask", [names.key, names.text])
def test_short_names_are_remembered_and_long_ones_leave_nothing(ask: Callable[[bytes], object]) -> None:
    short, long = name(pair(CN, "x" * 1000)), name(pair(CN, "x" * 1025))
    assert ask(short) is ask(short)
    assert ask(long) == ask(long)
    assert ask(long) is not ask(long)


def test_an_attribute_is_found_by_kind_and_text() -> None:
    subject = name(pair(CN, "SECC"), (pair(O, "x"), pair(DC, "CPO", IA5)))
    assert names.has(subject, DC, lambda text: text == "CPO")
    assert not names.has(subject, DC, lambda text: text == "CSO")
    assert not names.has(subject, "1.2.3", lambda _: True)


@given(st.binary(max_size=60))
def test_any_octets_can_be_shown_and_compared(octets: bytes) -> None:
    assert names.text(octets)
    assert names.key(octets) == names.key(bytes(octets))


NOT_LOADED = "octets that are no UTF-8"
"""OpenSSL loads no certificate with such a name; in an OCSP response it may stand."""


@pytest.mark.parametrize("how", sorted(SAME.keys() - {NOT_LOADED}))
def test_openssl_looks_equal_names_up_alike(how: str) -> None:
    one, other = (_subject_hash(subject) for subject in SAME[how])
    assert one == other


@pytest.mark.parametrize("how", sorted(OTHER.keys() - {"one cannot be read", NOT_LOADED}))
def test_openssl_looks_other_names_up_elsewhere(how: str) -> None:
    one, other = (_subject_hash(subject) for subject in OTHER[how])
    assert one != other


def test_a_certificate_whose_name_is_no_utf8_is_none() -> None:
    with pytest.raises(MalformedCertificate):
        _subject_hash(SAME[NOT_LOADED][0])


def _subject_hash(subject: bytes) -> int:
    entity = world("Root >")["Root"]
    return Certificate(altered(entity, lambda fields: [*fields[:5], subject, *fields[6:]])).subject_hash


def sixteen_bits(given: tuple[str, str, int]) -> bytes:
    oid, text, _ = given
    return pair(oid, text.encode("utf-16-be"), BMP)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([CN, O, DC]),
            st.text(st.characters(max_codepoint=127), max_size=130),
            st.sampled_from([UTF8, PRINTABLE, IA5, NUMERIC, TELETEX, VISIBLE]),
        ),
        max_size=9,
    )
)
def test_plain_names_have_the_token_of_any_others(attributes: list[tuple[str, str, int]]) -> None:
    """What is ASCII is read by a shorter way than what is not."""
    plain = name(*(pair(*one) for one in attributes))
    assert names.key(plain) == names.key(name(*map(sixteen_bits, attributes)))
    for at in range(min(len(plain), 40)):
        odd = plain[:at] + bytes((plain[at] ^ 1,)) + plain[at + 1 :]
        try:
            names.attributes(odd)
        except ValueError:
            assert names.key(odd) == odd
        else:
            assert isinstance(names.key(odd), str)


def test_no_text_makes_one_name_of_two() -> None:
    names_of_one = [name(pair(CN, text)) for text in ("a", f"a\n{CN}=b", f"a\r{CN}=b", f"a {CN}=b", "")]
    names_of_two = [name(pair(CN, "a"), pair(CN, "b")), name((pair(CN, "a"), pair(CN, "b"))), name(), name(())]
    tokens = {names.key(one) for one in (*names_of_one, *names_of_two)}
    assert len(tokens) == 7  # line ends are blanks
