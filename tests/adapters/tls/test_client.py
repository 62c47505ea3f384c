"""The station as a client of its CSMS: OpenSSL's server on the other side."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cryptography.x509.ocsp import OCSPCertStatus

from evse_security.adapters.iso15118 import client_context
from evse_security.errors import InvalidConfiguration
from evse_security.lab.hierarchy import responder_of
from evse_security.lab.ocsp import ResponseTemplate, ocsp_response
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import certificate_id
from evse_security.vocabulary import LeafCertificateType
from tests.adapters.secc import HOUR, NOW, P256, Site, pki
from tests.agents.stations import put


@contextmanager
def csms(site: Site, *options: str) -> Iterator[int]:
    """A TLS server of OpenSSL with the certificate of a CSMS."""
    program = shutil.which("openssl") or pytest.skip("no openssl here")
    server = pki(P256)["CSMS_SERVER"]
    chain, key = site.car_file("csms.pem", server.chain_pem()), site.car_file("csms.key", server.key_pem())
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [program, "s_server", "-accept", f"127.0.0.1:{port}", "-cert", chain, "-cert_chain", chain, "-key", key]
    with subprocess.Popen(
        [*command, "-www", *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        try:
            end = time.monotonic() + 20
            while not is_open(port) and time.monotonic() < end:
                time.sleep(0.02)
            yield port
        finally:
            running.terminate()


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def visit(context: ssl.SSLContext, port: int, called: str = "localhost") -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port), 20) as plain,
        context.wrap_socket(plain, server_hostname=called) as secured,
    ):
        secured.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return b"".join(iter(lambda: secured.recv(4096), b""))


def stock(site: Site, *, leaf: bool = True) -> None:
    put(site.certs, "ca/csms/CSMS_ROOT_CA.pem", pki(P256)["CSMS_ROOT_CA"].pem)
    if leaf:
        put(site.certs, "client/csms/CSMS_LEAF.key", pki(P256)["CSMS_LEAF"].key_pem()).chmod(0o600)
        put(site.certs, "client/csms/CSMS_LEAF.pem", pki(P256)["CSMS_LEAF"].chain_pem())


def test_profile_3_shows_the_station_s_chain(site: Site) -> None:
    stock(site)
    root = site.root_file(pki(P256)["CSMS_ROOT_CA"])
    with site.open() as station, csms(site, "-Verify", "3", "-verify_return_error", "-CAfile", root) as port:
        assert b"DEEVSE000001" in visit(client_context(station), port)
        with pytest.raises(ssl.SSLError):
            visit(client_context(station, client_certificate=False), port)


def test_profile_2_shows_none(site: Site) -> None:
    stock(site, leaf=False)
    with site.open() as station:
        with csms(site) as port:
            assert b"HTTP/1.0 200" in visit(client_context(station, client_certificate=False), port)
        with pytest.raises(InvalidConfiguration, match="there is no leaf"):
            client_context(station)


def test_a_csms_of_another_name_or_root_is_refused(site: Site) -> None:
    stock(site)
    with site.open() as station, csms(site) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            visit(client_context(station), port, "another.example")
        put(site.certs, "ca/csms/CSMS_ROOT_CA.pem", pki(P256)["MF_ROOT_CA"].pem)
        with pytest.raises(ssl.SSLCertVerificationError):
            visit(client_context(station, client_certificate=False), port)


def test_without_a_root_no_csms_is_trusted(site: Site) -> None:
    with site.open() as station, pytest.raises(InvalidConfiguration, match="no CSMS can be trusted"):
        client_context(station)


def test_a_leaf_that_is_revoked_is_shown_for_want_of_another(site: Site) -> None:
    """The CSMS decides whom it lets in, and a new leaf can only come that way."""
    stock(site)
    made = pki(P256)
    leaf, issuer = made["CSMS_LEAF"], made["CSMS_SUB_CA"]
    template = ResponseTemplate(this_update=NOW - HOUR, next_update=NOW + HOUR, status=OCSPCertStatus.REVOKED)
    response = ocsp_response(leaf.certificate, issuer, made[responder_of("CSMS_SUB_CA")], template)
    wanted = certificate_id(Certificate(leaf.der), Certificate(issuer.der)).hash_data
    with site.open() as station:
        commands = station.interface()
        commands.update_ocsp_cache(certificate_hash_data=wanted, ocsp_response=b64encode(response).decode("ascii"))
        [chain] = station.chains(LeafCertificateType.CSMS).chains
        assert "calls it revoked" in str(chain.sent[0].problem)
        client_context(station)
