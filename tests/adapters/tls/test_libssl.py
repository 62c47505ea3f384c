"""Reaching OpenSSL behind `ssl`; and what is served where that is not possible."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from evse_security.adapters.iso15118 import Chain, Edition, server_context
from evse_security.adapters.tls import libssl as tls_libssl
from evse_security.adapters.tls import server as tls_server
from evse_security.adapters.tls.libssl import Libssl, Unavailable, libssl
from evse_security.errors import InvalidConfiguration
from tests.adapters.secc import GREETING, P256, P521, Site, gets_through, listening, pki, s_client, secc


def test_the_pointer_is_that_of_the_context() -> None:
    library = libssl()
    for option in (ssl.OP_NO_TICKET, ssl.OP_NO_RENEGOTIATION, ssl.OP_CIPHER_SERVER_PREFERENCE):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.options ^= option
        assert library.options(context) & 0xFFFFFFFF == int(context.options) & 0xFFFFFFFF


def test_what_openssl_refuses_is_told() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ssl.SSLError, match="cipher suites"):
        libssl().set_suites(context, "TLS_NONSENSE")
    with pytest.raises(ssl.SSLError, match="root certificate"):
        libssl().name_authority(context, b"nonsense")


def test_what_cannot_be_stapled_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was taken for an OpenSSL that staples each response, and is none; or the response is none."""
    site.stock(P521)
    path = libssl()._library._name
    monkeypatch.setattr(tls_server, "libssl", lambda: Libssl(path, staples_each=True))
    for responses, is_served in (((b"no response", None, None), False), ((None, None, None), libssl().staples_each)):
        monkeypatch.setattr(Chain, "responses", responses)
        with site.open() as station, listening(server_context(station, oem_roots=site.oem_roots())) as port:
            assert gets_through(s_client(port, *site.car())) is is_served


def test_a_library_that_is_not_loaded(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="libssl"):
        Libssl(str(tmp_path / "libssl.so.3"))


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("raise SystemExit(139)", "status 139"),
        ("print('nonsense')", "JSONDecodeError"),
        ("""print('{"problem": "linked statically"}')""", "linked statically"),
        ("""print('{"openssl": "OpenSSL 9", "path": "/x", "staples_each": true}')""", "another OpenSSL"),
    ],
)
def test_a_trial_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, problem: str) -> None:
    trial = tmp_path / "trial.py"
    trial.write_text(program)
    monkeypatch.setattr(tls_libssl, "__file__", str(trial))
    with pytest.raises(Unavailable, match=problem):
        libssl.__wrapped__()


def test_two_libraries_are_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_libssl, "_mapped", lambda: iter(("/a/libssl.so.3", "/b/libssl-1.so")))
    assert "with several" in str(tls_libssl._trial()["problem"])
    monkeypatch.setattr(tls_libssl, "_mapped", lambda: iter(()))
    assert "statically" in str(tls_libssl._trial()["problem"])


# ---- without it


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> Libssl:
        raise Unavailable("it is linked statically")

    monkeypatch.setattr(tls_server, "libssl", refuse)


@pytest.mark.usefixtures("unreachable")
def test_only_iso15118_2_is_served_and_follows_the_store(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.stock(P521)
    with site.open() as station:
        context = server_context(station)
        with listening(context) as port:
            assert "alert handshake failure" in s_client(port, "-tls1_2")
            site.stock(P256)
            said = s_client(port, "-CAfile", site.root_file(pki(P256)["V2G_ROOT_CA"]))
        assert secc(context) == ["ISO15118_2"]
    assert GREETING.decode() in said
    assert "Verify return code: 0 (ok)" in said
    assert "Cipher    : ECDHE-ECDSA-AES128-SHA256" in said
    assert any("without OCSP stapling" in line for line in caplog.messages)


def resumed(port: int) -> list[bool]:
    """Whether a car that asks for it every time goes on with its session of before."""
    car = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    car.check_hostname, car.verify_mode = False, ssl.CERT_NONE
    car.maximum_version = ssl.TLSVersion.TLSv1_2
    found, session = [], None
    for _ in range(3):
        with (
            socket.create_connection(("127.0.0.1", port), 20) as plain,
            car.wrap_socket(plain, session=session) as secured,
        ):
            assert secured.recv(100) == GREETING
            session = secured.session
            found.append(bool(secured.session_reused))
    return found


@pytest.mark.usefixtures("unreachable")
def test_no_session_is_resumed_with_ssl_alone(site: Site) -> None:
    site.stock(P256)
    with site.open() as station, listening(server_context(station)) as port:
        assert resumed(port) == [False] * 3


@pytest.mark.usefixtures("unreachable")
def test_nor_on_a_listening_socket_that_was_wrapped(site: Site) -> None:
    site.stock(P256)
    with (
        site.open() as station,
        socket.create_server(("127.0.0.1", 0)) as plain,
        server_context(station).wrap_socket(plain, server_side=True) as server,
    ):

        def greet() -> None:
            for _ in range(3):
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    connection.sendall(GREETING)
                    connection.unwrap()

        serving = threading.Thread(target=greet)
        serving.start()
        try:
            assert resumed(server.getsockname()[1]) == [False] * 3
        finally:
            serving.join(20)


@pytest.mark.usefixtures("unreachable")
def test_asyncio_with_ssl_alone(site: Site) -> None:
    site.stock(P256)

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        await writer.drain()
        writer.close()

    async def run(context: ssl.SSLContext) -> list[bool]:
        async with await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context) as server:
            return await asyncio.to_thread(resumed, server.sockets[0].getsockname()[1])

    with site.open() as station:
        assert asyncio.run(run(server_context(station))) == [False] * 3


@pytest.mark.usefixtures("unreachable")
def test_what_needs_it_is_refused(site: Site) -> None:
    with site.open() as station:
        with pytest.raises(InvalidConfiguration, match="nothing can be stapled"):
            server_context(station, require_ocsp=True)
        with pytest.raises(InvalidConfiguration, match="ISO 15118-20 cannot be served"):
            server_context(station, editions={Edition.ISO15118_20})


# ---- it never goes on in a way that was not chosen


def test_a_fault_of_ours_refuses(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.stock(P256)

    def fail(*_arguments: object) -> None:
        raise RuntimeError("a fault")

    with site.open() as station, listening(server_context(station)) as port:
        monkeypatch.setattr(tls_server, "choose", fail)
        assert GREETING.decode() not in s_client(port)


def test_plain_text_is_refused(site: Site) -> None:
    site.stock(P256)
    with (
        site.open() as station,
        listening(server_context(station)) as port,
        socket.create_connection(("127.0.0.1", port), 20) as car,
    ):
        car.sendall(b"\x01\xfe\x80\x01" + bytes(100))  # V2GTP without TLS
        with suppress(ConnectionResetError):
            assert GREETING not in car.recv(1000)
