"""The context follows the store: what is installed is used by the next handshake, and no connection suffers."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.x509.ocsp import OCSPCertStatus

from evse_security.adapters.iso15118 import server_context
from evse_security.adapters.tls.material import _OemRoots
from evse_security.errors import InvalidConfiguration
from evse_security.lab.authority import Entity, name
from evse_security.lab.hierarchy import Edition, Variant, template_of
from evse_security.vocabulary import LeafCertificateType
from tests.adapters.secc import (
    ED448,
    GREETING,
    NOW,
    P256,
    P521,
    Site,
    answer,
    listening,
    nothing_stapled,
    pki,
    s_client,
    secc,
)
from tests.agents.stations import put
from tests.builders import key

HANDSHAKES = 1000
SECOND = timedelta(seconds=1)


def leaf_of(site: Site, called: str, common_name: str = "DEEVSE000001") -> Entity:
    """Another SECC leaf of the hierarchy of -2, a second newer than any before."""
    made = len(list((site.certs / "client/cso").glob("*.pem")))
    template = template_of("SECC_LEAF", Edition.ISO15118_2, Variant.ORDINARY, now=NOW + made * SECOND)
    template = replace(template, subject=name(CN=common_name, O="Test", DC="CPO"))
    return pki(P256)["CPO_SUB_CA2"].issue(key(called), template)


def handshake(port: int) -> bytes:
    """The leaf (DER) that a car of ISO 15118-2 is shown, if it is greeted."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.load_verify_locations(cadata=pki(P256)["V2G_ROOT_CA"].pem)
    with socket.create_connection(("127.0.0.1", port), 20) as plain, client.wrap_socket(plain) as secured:
        assert secured.recv(100) == GREETING
        return secured.getpeercert(binary_form=True) or b""


def test_a_new_leaf_and_a_deleted_one(site: Site) -> None:
    site.stock(P256)
    with site.open() as station, listening(server_context(station)) as port:
        assert handshake(port) == pki(P256)["SECC_LEAF"].der
        newer = leaf_of(site, "newer")
        site.install(newer, "newer")
        assert handshake(port) == newer.der
        (site.certs / "client/cso/newer.pem").unlink()
        assert handshake(port) == pki(P256)["SECC_LEAF"].der


def test_a_station_that_gets_its_first_leaf(site: Site) -> None:
    site.trust(pki(P256)["V2G_ROOT_CA"])
    with site.open() as station:
        context = server_context(station)
        with listening(context) as port:
            with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
                handshake(port)
            site.install(pki(P256)["SECC_LEAF"], "SECC")
            assert handshake(port) == pki(P256)["SECC_LEAF"].der
        assert secc(context) == ["ISO15118_2"]


def test_roots_that_come_and_go(site: Site) -> None:
    site.trust(pki(P256)["V2G_ROOT_CA"])
    site.install(pki(P521)["SECC_LEAF"], "SECC_20")
    with site.open() as station, listening(server_context(station, oem_roots=site.oem_roots())) as port:
        assert "alert handshake failure" in s_client(port, *site.car())
        site.trust(pki(P521)["V2G_ROOT_CA"])
        assert GREETING.decode() in s_client(port, *site.car())
        site.oem_roots(ED448)
        assert "alert unknown ca" in s_client(port, *site.car())


def test_a_new_response(site: Site) -> None:
    site.stock(P256)
    with site.open() as station, listening(server_context(station)) as port:
        assert nothing_stapled(s_client(port))
        answer(station, P256)
        assert "Cert Status: good" in s_client(port)


def test_a_chain_that_is_revoked_is_shown_no_more(site: Site) -> None:
    site.stock(P256)
    with site.open() as station:
        context = server_context(station)
        with listening(context) as port:
            assert handshake(port) == pki(P256)["SECC_LEAF"].der
            answer(station, P256, status=OCSPCertStatus.REVOKED)
            with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
                handshake(port)
        assert "was revoked" in context.withheld[0].reason


def test_a_leaf_that_expires(site: Site) -> None:
    site.stock(P256)
    with site.open() as station:
        context = server_context(station)
        assert secc(context) == ["ISO15118_2"]
        site.now = pki(P256)["SECC_LEAF"].certificate.not_valid_after_utc + SECOND
        assert not context.offers
        assert "expired" in context.withheld[0].reason


def test_a_key_that_openssl_does_not_take_costs_only_its_leaf(site: Site) -> None:
    site.stock(P256)
    newer = leaf_of(site, "newer")
    site.install(newer, "newer")
    with site.open() as station:
        context = server_context(station)
        assert len(secc(context)) == 2
        put(site.certs, "client/cso/newer.key", "no key")
        assert len(secc(context)) == 1
        assert "private key" in context.withheld[0].reason


@contextmanager
def reloading(site: Site) -> Iterator[threading.Event]:
    """Install leaves and remove them, over and over, until that is enough."""
    enough = threading.Event()

    def reload() -> None:
        turn = 0
        while not enough.wait(0.05):
            turn += 1
            site.install(leaf_of(site, f"turn {turn % 5}"), f"turn{turn % 2}")

    thread = threading.Thread(target=reload)
    thread.start()
    try:
        yield enough
    finally:
        enough.set()
        thread.join()


def test_none_of_a_thousand_handshakes_fails_while_leaves_change(site: Site) -> None:
    site.stock(P256)
    seen: set[bytes] = set()
    with site.open() as station, listening(server_context(station)) as port:
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.load_verify_locations(cadata=pki(P256)["V2G_ROOT_CA"].pem)
        with socket.create_connection(("127.0.0.1", port), 20) as early, client.wrap_socket(early) as before:
            with reloading(site):
                seen |= {handshake(port) for _ in range(HANDSHAKES)}
            assert before.recv(100) == GREETING
    assert len(seen) > 10


def test_one_leaf_for_each_evse(site: Site) -> None:
    site.stock(P256)
    second = leaf_of(site, "second", "DE*ABC*E2")
    site.install(second, "second")
    with site.open() as station:
        context = server_context(station, secc_id="DE*ABC*E2")
        with listening(context) as port:
            assert handshake(port) == second.der
        assert context.withheld[0].reason == "it is not for the SECC 'DE*ABC*E2'"
        assert secc(server_context(station, secc_id="DE*ABC*E3")) == []


def test_what_cannot_be_served_at_all_is_told(site: Site) -> None:
    with site.open() as station, pytest.raises(InvalidConfiguration, match="names none"):
        server_context(station, editions=())


def test_oem_roots_that_are_copied_over_with_their_time_are_seen(site: Site) -> None:
    """As `cp -p` does; and one text may be as long as the other."""
    path, other = site.oem_roots(P521), pki(ED448)["OEM_ROOT_CA"]
    length = max(path.stat().st_size, len(other.pem)) + 1
    path.write_text(path.read_text().ljust(length, "\n"))
    roots = _OemRoots(path)
    with site.open() as station:
        installed = station.chains(LeafCertificateType.V2G)
    assert roots.now(installed) == (pki(P521)["OEM_ROOT_CA"].der,)
    before = path.stat()
    time.sleep(0.02)  # times are that coarse
    path.write_text(other.pem.ljust(length, "\n"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert roots.now(installed) == (other.der,)
