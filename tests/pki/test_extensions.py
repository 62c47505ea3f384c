"""Reading an extension in short is reading it in full."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from evse_security.lab.resign import tlv
from evse_security.pki import extensions

KEY_USAGE = bytes.fromhex("0603551d0f")


def outcome(encoded: bytes) -> object:
    try:
        return extensions._read(encoded)
    except ValueError:
        return ValueError


def in_short(encoded: bytes, before: bytes, behind: bytes) -> object:
    """The same, or None where it is read in full; from the middle of other octets."""
    try:
        return extensions._plain(before + encoded + behind, len(before), len(before + encoded))
    except ValueError:
        return ValueError


identifiers = st.binary(max_size=8).map(lambda value: tlv(0x06, value)) | st.just(KEY_USAGE)
booleans = st.just(b"") | st.binary(max_size=2).map(lambda value: tlv(0x01, value))
values = st.binary(max_size=130).map(lambda value: tlv(0x04, value)) | st.binary(max_size=4)
proper = st.builds(lambda *parts: tlv(0x30, *parts), identifiers, booleans, values)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    encoded = bytearray(draw(proper))
    at = draw(st.integers(0, len(encoded) - 1))
    encoded[at] = draw(st.integers(0, 255))
    return bytes(encoded)


@given(proper | damaged() | st.binary(max_size=12), st.binary(max_size=3), st.binary(max_size=300))
@example(tlv(0x30, KEY_USAGE, b"\x01\x01\xff", tlv(0x04, b"12")), b"", b"")
@example(tlv(0x30, KEY_USAGE, b"\x01\x01\x00", tlv(0x04, b"12")), b"", b"")
@example(tlv(0x30, KEY_USAGE, tlv(0x04, b"1" * 118)), b"", b"")
@example(bytes.fromhex("3081060603551d0f0400"), b"", b"\0" * 300)
@example(bytes.fromhex("300606840400"), b"", b"\0" * 300)
def test_what_is_read_in_short_is_what_is_read_in_full(encoded: bytes, before: bytes, behind: bytes) -> None:
    assert in_short(encoded, before, behind) in (None, outcome(encoded))


def test_nearly_all_are_read_in_short() -> None:
    for critical in (b"", b"\x01\x01\xff"):
        encoded = tlv(0x30, KEY_USAGE, critical, tlv(0x04, b"12"))
        found = extensions._plain(b"?" + encoded, 1, 1 + len(encoded))
        assert found == ("2.5.29.15", extensions.Extension(bool(critical), b"12"))
