"""Which chain a car is shown: by the roots it names, by edition, newest first."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest

from evse_security.adapters.iso15118 import server_context
from evse_security.adapters.tls.choice import Choice, Demand, Offer, choose, offers
from evse_security.adapters.tls.hello import (
    CERTIFICATE_AUTHORITIES,
    SIGNATURE_ALGORITHMS,
    SUPPORTED_VERSIONS,
    TLS_1_2,
    TLS_1_3,
    TRUSTED_CA_KEYS,
    Hello,
    Named,
    NamedBy,
    read_hello,
)
from evse_security.adapters.tls.material import LONGEST_SAID, MOST_CHOICES, Ready
from evse_security.chains import Authority, Chain, Edition, Installed, Sent
from evse_security.lab.keys import KeyKind
from evse_security.pki.certificate import Certificate
from tests.adapters.secc import (
    ED448,
    P256,
    P521,
    Site,
    gets_through,
    listening,
    pki,
    s_client,
    under_another_root,
)


def vector(*parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">H", len(body)) + body


def by_name(root: bytes) -> bytes:
    return b"\x02" + vector(Certificate(root).subject)


def by_key(root: bytes) -> bytes:
    return b"\x01" + sha1(Certificate(root).key_bits, usedforsecurity=False).digest()


def by_certificate(root: bytes) -> bytes:
    return b"\x03" + sha1(root, usedforsecurity=False).digest()


# ---- reading a ClientHello


def hello(extensions: dict[int, bytes]) -> Hello:
    return read_hello(extensions.get, (TLS_1_2, TLS_1_3))


def test_versions_and_signatures() -> None:
    assert hello({}).versions == {TLS_1_2}
    modern = hello({SUPPORTED_VERSIONS: b"\x06\x0a\x0a\x03\x04\x03\x03", SIGNATURE_ALGORITHMS: vector(b"\x06\x03")})
    assert modern.versions >= {TLS_1_2, TLS_1_3}
    assert modern.schemes == {0x0603}


BOTH_VERSIONS = {SUPPORTED_VERSIONS: b"\x04\x03\x04\x03\x03"}


def test_authorities_that_it_names() -> None:
    root = pki(P256)["V2G_ROOT_CA"].der
    named = hello(
        {
            **BOTH_VERSIONS,
            TRUSTED_CA_KEYS: vector(b"\x00", by_key(root), by_name(root), by_certificate(root)),
            CERTIFICATE_AUTHORITIES: vector(vector(Certificate(root).subject)),
        }
    ).named
    kinds = [NamedBy.PRE_AGREED, NamedBy.KEY, NamedBy.NAME, NamedBy.CERTIFICATE]
    assert [one.by for one in named[TLS_1_2]] == kinds
    assert [one.by for one in named[TLS_1_3]] == [NamedBy.NAME]


@pytest.mark.parametrize(
    "body",
    [b"", b"\0", b"\0\5\1", b"\0\1\1", b"\0\2\2\0", b"\0\1\x09", b"\0\0\0", vector(b"\0" * 101), vector(b"\2\xff")],
)
def test_what_cannot_be_read_names_nobody(body: bytes) -> None:
    found = hello({**BOTH_VERSIONS, TRUSTED_CA_KEYS: body, CERTIFICATE_AUTHORITIES: body})
    assert found.named[TLS_1_2] == ()
    assert hello({SUPPORTED_VERSIONS: body}).named == {}


# ---- TLS 1.2: a ClientHello made by hand, as no client at hand sends trusted_ca_keys


def shown_to(port: int, *trusted: bytes) -> bytes:
    """The leaf (DER) that a car of ISO 15118-2 is shown, which names these authorities."""
    extensions = [
        struct.pack(">H", 10) + vector(vector(b"\x00\x17")),  # supported_groups: secp256r1
        struct.pack(">H", 11) + vector(b"\x01\x00"),
        struct.pack(">H", 13) + vector(vector(b"\x04\x03")),  # ecdsa_secp256r1_sha256
        struct.pack(">H", TRUSTED_CA_KEYS) + vector(vector(*trusted)),
    ]
    body = b"\x03\x03" + bytes(32) + b"\x00" + vector(b"\xc0\x23") + b"\x01\x00" + vector(*extensions)
    message = b"\x01" + struct.pack(">I", len(body))[1:] + body
    with socket.create_connection(("127.0.0.1", port), 20) as car, car.makefile("rb") as records:
        car.sendall(b"\x16\x03\x01" + vector(message))
        received = b""
        while b"\x0e\x00\x00\x00" not in received[-4:]:  # ServerHelloDone
            kind, _, length = struct.unpack(">BHH", records.read(5))
            assert kind == 22, "an alert"
            received += records.read(length)
    at = 4 + int.from_bytes(received[1:4])  # Certificate follows ServerHello
    assert received[at] == 11
    length = int.from_bytes(received[at + 7 : at + 10])
    return received[at + 10 : at + 10 + length]


def test_a_car_of_2_names_its_root(site: Site) -> None:
    roots = {}
    for common_name in ("One", "Two"):
        root, leaf = under_another_root(P256, common_name)
        site.trust(root)
        site.install(leaf, common_name)
        roots[root.der] = leaf.der
    with site.open() as station, listening(server_context(station)) as port:
        for by_der, leaf_der in roots.items():
            assert shown_to(port, by_name(by_der)) == leaf_der
            assert shown_to(port, by_key(by_der)) == leaf_der
            assert shown_to(port, b"\x00", by_certificate(by_der)) == leaf_der
        assert shown_to(port, by_name(pki(P256)["MO_ROOT_CA"].der)) in roots.values()


def test_a_car_names_a_sub_ca(site: Site) -> None:
    site.stock(P256)
    root, leaf = under_another_root(P256, "Another")
    site.trust(root)
    site.install(leaf, "another")
    with site.open() as station, listening(server_context(station)) as port:
        assert shown_to(port, by_certificate(pki(P256)["CPO_SUB_CA1"].der)) == pki(P256)["SECC_LEAF"].der


def test_a_car_of_20_names_its_root(site: Site) -> None:
    site.stock(P521)
    root, leaf = under_another_root(P521, "Another")
    site.trust(root)
    site.install(leaf, "another")
    with site.open() as station, listening(server_context(station, oem_roots=site.oem_roots())) as port:
        for one in (root, pki(P521)["V2G_ROOT_CA"]):
            file = site.root_file(one)
            said = s_client(port, "-CAfile", file, "-requestCAfile", file, *site.car())
            assert gets_through(said)
            assert "Verification: OK" in said


@pytest.mark.parametrize(("kind", "scheme"), [(P521, "ECDSA+SHA512"), (ED448, "ed448")])
def test_a_car_verifies_only_some_signatures(site: Site, kind: KeyKind, scheme: str) -> None:
    site.stock(P521, ED448)
    root = site.root_file(pki(kind)["V2G_ROOT_CA"])
    with site.open() as station, listening(server_context(station, oem_roots=site.oem_roots(kind))) as port:
        said = s_client(port, "-CAfile", root, "-sigalgs", scheme, *site.car(kind))
    assert gets_through(said)
    assert "Verification: OK" in said


def test_the_choice_and_its_reason_are_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.stock(P256)
    with site.open() as station, listening(server_context(station)) as port, caplog.at_level("INFO"):
        shown_to(port, by_name(pki(P256)["V2G_ROOT_CA"].der))
    leaf = Certificate(pki(P256)["SECC_LEAF"].der)
    said = f"ISO 15118-2 over TLS 1.2: {leaf.name}, serial {leaf.serial_text}, under"
    assert any(said in line and "which the car names by its name" in line for line in caplog.messages)


# ---- the rule


def chain(kind: Edition, key_kind: str = "EC 256", **changes: Any) -> Chain:
    sent = (Sent("CN=leaf", "1", "", None, "no current OCSP response is cached"),)
    fields = {"common_name": "E1", "sent": sent, "authorities": (Authority("CN=root", b"root", b"k", b"c"),)}
    return Chain(
        kind, key_kind, **{**fields, "root": b"", "key": Path("k"), "password": None, "fingerprint": "f", **changes}
    )


def test_a_car_of_both_editions_gets_the_newer_edition() -> None:
    old, new = (
        Offer(chain(Edition.ISO15118_2), Edition.ISO15118_2),
        Offer(chain(Edition.ISO15118_20, "EC 521"), Edition.ISO15118_20),
    )
    car = Hello(frozenset({TLS_1_2, TLS_1_3}), frozenset(), {TLS_1_2: (), TLS_1_3: ()})
    found = choose([old, new], car)
    assert isinstance(found, Choice)
    assert found.offer is new
    names_another = car._replace(named={TLS_1_2: (), TLS_1_3: (Named(NamedBy.NAME, b"another"),)})
    found = choose([old, new], names_another)
    assert isinstance(found, Choice)
    assert found.offer is old


def test_a_key_of_no_edition_is_withheld() -> None:
    strange = replace(chain(Edition.ISO15118_2, "RSA 2048"), edition=None)
    shown, withheld = offers(Installed((strange,), (), ()), Demand(None, frozenset(Edition), require_ocsp=False))
    assert not shown
    assert "RSA 2048" in withheld[0].reason


def test_nothing_is_chosen_from_nothing() -> None:
    assert choose([], Hello(frozenset({TLS_1_2}), frozenset(), {})) == "there is no chain that may be shown"


def test_what_is_remembered_for_cars_is_bounded() -> None:
    ready = Ready(Installed((), (), ()), (), (), frozenset(), {}, (), {})
    ready.remember((b"x" * LONGEST_SAID, None), "too much to keep")
    assert not ready.choices
    for number in range(2 * MOST_CHOICES):
        ready.remember((None, bytes([number])), "none")
    assert len(ready.choices) == MOST_CHOICES
