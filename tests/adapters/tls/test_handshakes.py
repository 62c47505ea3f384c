"""Whom the SECC lets through, and with what: OpenSSL's own client, GnuTLS, and Python."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess

import pytest

from evse_security.adapters.iso15118 import server_context
from evse_security.adapters.tls.libssl import libssl
from evse_security.lab.keys import KeyKind
from tests.adapters.secc import (
    ED448,
    GREETING,
    HOUR,
    NOW,
    P256,
    P521,
    Site,
    answer,
    gets_through,
    listening,
    nothing_stapled,
    pki,
    s_client,
)

VERIFIED = "Verify return code: 0 (ok)"
GOOD = "Cert Status: good"


def test_a_car_of_iso15118_2(site: Site) -> None:
    site.stock(P256)
    with site.open() as station, listening(server_context(station)) as port:
        said = s_client(port, "-CAfile", site.root_file(pki(P256)["V2G_ROOT_CA"]))
    assert gets_through(said)
    assert VERIFIED in said
    assert "Protocol  : TLSv1.2" in said
    assert "Cipher    : ECDHE-ECDSA-AES128-SHA256" in said
    assert nothing_stapled(said)
    assert "No client certificate CA names sent" in said


@pytest.mark.parametrize("kind", [P521, ED448])
def test_a_car_of_iso15118_20(site: Site, kind: KeyKind) -> None:
    site.stock(kind)
    root = site.root_file(pki(kind)["V2G_ROOT_CA"])
    with site.open() as station, listening(server_context(station, oem_roots=site.oem_roots(kind))) as port:
        answer(station, kind)
        said = s_client(port, "-CAfile", root, *site.car(kind))
        too_old = s_client(port, "-tls1_2", "-CAfile", root, *site.car(kind))
    assert gets_through(said)
    assert "Verification: OK" in said
    assert "TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384" in said
    assert GOOD in said
    assert "OEM Root CA" in said.partition("Acceptable client certificate CA names")[2]
    assert not gets_through(too_old)
    assert "alert handshake failure" in too_old


def test_both_from_one_socket(site: Site) -> None:
    site.stock(P256, P521)
    with site.open() as station, listening(server_context(station, oem_roots=site.oem_roots())) as port:
        old = s_client(port, "-tls1_2", "-CAfile", site.root_file(pki(P256)["V2G_ROOT_CA"]))
        new = s_client(port, "-CAfile", site.root_file(pki(P521)["V2G_ROOT_CA"]), *site.car())
    assert VERIFIED in old
    assert gets_through(old)
    assert "Verification: OK" in new
    assert gets_through(new)


def test_a_car_that_trusts_another_root_does_not_verify(site: Site) -> None:
    site.stock(P256)
    with site.open() as station, listening(server_context(station)) as port:
        said = s_client(port, "-verify_return_error", "-CAfile", site.root_file(pki(P256)["MO_ROOT_CA"]))
    assert "self-signed certificate in certificate chain" in said or "unable to get" in said
    assert not gets_through(said)


def test_a_car_of_20_without_certificate_is_refused(site: Site) -> None:
    site.stock(P521)
    with site.open() as station, listening(server_context(station, oem_roots=site.oem_roots())) as port:
        said = s_client(port, "-CAfile", site.root_file(pki(P521)["V2G_ROOT_CA"]))
    assert "alert certificate required" in said
    assert not gets_through(said)


def test_a_car_of_20_may_be_under_a_v2g_root(site: Site) -> None:
    site.stock(P521)
    leaf = pki(P521)["CPS_LEAF"]
    chain, key = site.car_file("v2g.pem", leaf.chain_pem()), site.car_file("v2g.key", leaf.key_pem())
    with site.open() as station, listening(server_context(station)) as port:
        said = s_client(port, "-cert", chain, "-cert_chain", chain, "-key", key)
    assert gets_through(said)
    assert "V2G Root CA" in said.partition("Acceptable client certificate CA names")[2]


def test_a_car_of_20_under_an_unknown_root_is_refused(site: Site) -> None:
    site.stock(P521)
    with site.open() as station, listening(server_context(station)) as port:
        said = s_client(port, "-CAfile", site.root_file(pki(P521)["V2G_ROOT_CA"]), *site.car())
    assert "alert unknown ca" in said
    assert not gets_through(said)


def test_old_tls_is_refused(site: Site) -> None:
    site.stock(P256)
    with site.open() as station, listening(server_context(station)) as port:
        said = s_client(port, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert "alert" in said
    assert not gets_through(said)


def test_no_session_is_resumed(site: Site) -> None:
    site.stock(P256)
    with site.open() as station, listening(server_context(station)) as port:
        said = s_client(port, "-reconnect")
    assert "New, TLSv1.2" in said
    assert "Reused" not in said


# ---- OCSP


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("demanded", [False, True])
def test_a_good_response_is_stapled(site: Site, version: str, demanded: bool) -> None:  # noqa: FBT001
    kind = P256 if version == "-tls1_2" else P521
    site.stock(kind)
    with site.open() as station:
        answer(station, kind)
        context = server_context(station, require_ocsp=demanded, oem_roots=site.oem_roots())
        with listening(context) as port:
            said = s_client(port, version, "-CAfile", site.root_file(pki(kind)["V2G_ROOT_CA"]), *site.car())
    assert GOOD in said
    assert "OCSP Response Status: successful" in said
    assert gets_through(said)


@pytest.mark.parametrize("kind", [P256, P521, ED448])
def test_each_certificate_has_its_response_in_tls_1_3_where_openssl_can(site: Site, kind: KeyKind) -> None:
    site.stock(kind)
    with site.open() as station, listening(server_context(station, oem_roots=site.oem_roots(kind))) as port:
        answer(station, kind)
        said = s_client(port, "-CAfile", site.root_file(pki(kind)["V2G_ROOT_CA"]), *site.car(kind))
    assert said.count(GOOD) == (3 if libssl().staples_each and kind is not P256 else 1)
    assert gets_through(said)


def test_those_that_are_there_are_stapled(site: Site) -> None:
    site.stock(P521)
    with site.open() as station, listening(server_context(station, oem_roots=site.oem_roots())) as port:
        answer(station, P521, of=1)
        said = s_client(port, *site.car())
    assert said.count(GOOD) == (1 if libssl().staples_each else 0)
    assert gets_through(said)


@pytest.mark.parametrize("kind", [P256, P521])
def test_without_a_response_a_car_decides_unless_one_is_required(site: Site, kind: KeyKind) -> None:
    site.stock(kind)
    with site.open() as station:
        with listening(server_context(station, oem_roots=site.oem_roots())) as port:
            lenient = s_client(port, *site.car())
        strict_context = server_context(station, require_ocsp=True, oem_roots=site.oem_roots())
        with listening(strict_context) as port:
            strict = s_client(port, *site.car())
    assert nothing_stapled(lenient)
    assert gets_through(lenient)
    assert "alert handshake failure" in strict
    assert not gets_through(strict)
    assert "no current OCSP response is cached" in strict_context.withheld[0].reason


@pytest.mark.parametrize("kind", [P256, P521, ED448])
def test_an_expired_response_is_not_stapled(site: Site, kind: KeyKind) -> None:
    site.stock(kind)
    with site.open() as station:
        answer(station, kind, until=NOW + HOUR)
        roots = site.oem_roots(kind)
        lenient = server_context(station, oem_roots=roots)
        strict = server_context(station, require_ocsp=True, oem_roots=roots)
        with listening(lenient) as port, listening(strict) as strict_port:
            assert GOOD in s_client(port, *site.car(kind))
            assert GOOD in s_client(strict_port, *site.car(kind))
            site.now = NOW + HOUR
            assert nothing_stapled(said := s_client(port, *site.car(kind)))
            assert gets_through(said)
            refused = s_client(strict_port, *site.car(kind))
            assert "alert handshake failure" in refused
            assert not gets_through(refused)


# ---- others' clients


def test_gnutls(site: Site) -> None:
    program = shutil.which("gnutls-cli") or pytest.skip("no gnutls-cli here")
    site.stock(P256, P521)
    leaf = pki(P521)["OEM_LEAF"]
    chain, key = site.car_file("car.pem", leaf.chain_pem()), site.car_file("car.key", leaf.key_pem())
    roots = site.car_file("roots.pem", pki(P256)["V2G_ROOT_CA"].pem + pki(P521)["V2G_ROOT_CA"].pem)
    with site.open() as station, listening(server_context(station, oem_roots=site.oem_roots())) as port:
        answer(station, P256)
        answer(station, P521)
        for version, group in (("TLS1.2", "SECP256R1"), ("TLS1.3", "SECP521R1")):
            priority = f"NORMAL:-VERS-ALL:+VERS-{version}:-GROUP-ALL:+GROUP-{group}:+SHA256"
            command = [program, "--x509cafile", roots, "--x509certfile", chain, "--x509keyfile", key, "--ocsp"]
            command += ["--priority", priority, "--no-ca-verification", "-p", str(port), "127.0.0.1"]
            ran = subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=False)
            assert f"({version}-X.509)" in ran.stdout or f"({version})" in ran.stdout, ran.stdout + ran.stderr
            assert GREETING.decode() in ran.stdout
            assert "OCSP" in ran.stdout


def test_python_over_asyncio(site: Site) -> None:
    site.stock(P256)
    client = ssl.create_default_context(cafile=site.root_file(pki(P256)["V2G_ROOT_CA"]))
    client.check_hostname = False  # the names of SECCs are no host names

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        await writer.drain()
        writer.close()

    async def run(context: ssl.SSLContext) -> bytes:
        async with await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
            received = await reader.read()
            writer.close()
            await writer.wait_closed()
            return received

    with site.open() as station:
        assert asyncio.run(run(server_context(station))) == GREETING
