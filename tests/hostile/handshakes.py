"""What a car says in its ClientHello; and what holds of the chain that it is shown."""

from __future__ import annotations

import struct
from pathlib import Path

from hypothesis import strategies as st

from evse_security.adapters.tls.choice import VERSION, Choice, Offer, choose
from evse_security.adapters.tls.hello import (
    CERTIFICATE_AUTHORITIES,
    MAX_NAMED,
    SIGNATURE_ALGORITHMS,
    SUPPORTED_VERSIONS,
    TLS_1_2,
    TLS_1_3,
    TRUSTED_CA_KEYS,
    read_hello,
)
from evse_security.chains import Authority, Chain, Edition, Sent
from tests.hostile.target import Target

ROOT = Authority("CN=root", b"0\x0f1\x0d0\x0b\x06\x03U\x04\x03\x0c\x04root", b"k" * 20, b"c" * 20)


def _offer(edition: Edition, key_kind: str) -> Offer:
    sent = (Sent("CN=leaf", "1", "", None, "no current OCSP response is cached"),)
    return Offer(Chain(edition, key_kind, "E1", sent, (ROOT,), b"", Path("key"), None, key_kind), edition)


OFFERS = (_offer(Edition.ISO15118_2, "EC 256"), _offer(Edition.ISO15118_20, "EC 521"))


def _vector(content: bytes) -> bytes:
    return struct.pack(">H", len(content)) + content


PIECES = st.one_of(
    st.sampled_from([b"\x00", b"\x01" + b"k" * 20, b"\x03" + b"c" * 20, b"\x02" + _vector(ROOT.subject)]),
    st.sampled_from([_vector(ROOT.subject), b"\x03\x04", b"\x03\x03", b"\x06\x03", b"\x08\x08", b"\xff\xff", b"\x04"]),
    st.binary(max_size=24),
)
BODIES = st.lists(PIECES, max_size=MAX_NAMED + 20).map(b"".join)
EXTENSIONS = st.dictionaries(
    st.sampled_from([SUPPORTED_VERSIONS, SIGNATURE_ALGORITHMS, TRUSTED_CA_KEYS, CERTIFICATE_AUTHORITIES]),
    st.one_of(BODIES, BODIES.map(_vector), BODIES.map(lambda body: b"\x04" + body)),
)


def check_hello(extensions: dict[int, bytes]) -> None:
    """A car is shown a chain for a version that it knows, or none, with the reason."""
    hello = read_hello(extensions.get, (TLS_1_2, TLS_1_3))
    assert all(len(named) <= MAX_NAMED for named in hello.named.values())
    choice = choose(OFFERS, hello)
    if isinstance(choice, Choice):
        assert VERSION[choice.offer.edition] in hello.versions
    assert str(choice)


TARGETS = {"ClientHello": Target(EXTENSIONS, check_hello)}
