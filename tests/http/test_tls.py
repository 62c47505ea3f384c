"""TLS: clients with certificates, tokens beside them, keys that cannot be used, and certificates that change."""

import asyncio
import os
import ssl
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from evse_security.errors import InvalidConfiguration
from evse_security.http.protocol import client_name
from evse_security.http.scopes import Scope
from evse_security.http.tls import contexts, signature
from evse_security.lab.keys import key_pem
from evse_security.service.config import ServiceConfig
from tests.builders import World, at, world
from tests.http.kit import ANYWHERE, PAGES, Running, bearer, loopback, served, serving, tokens, trusting

SERVER = {"extended_key_usage": (ExtendedKeyUsageOID.SERVER_AUTH,)}
CLIENT = {"extended_key_usage": (ExtendedKeyUsageOID.CLIENT_AUTH,)}
HERE = (x509.IPAddress(ip_address("127.0.0.1")),)
TODAY = {"not_before": at("2020-01-01"), "not_after": at("2060-01-01")}


def tls_world() -> World:
    return world(
        "Root > Sub > Server", "Clients > Workshop", "Clients > Backend", "Others > Stranger", "Clients > NoClient",
        Root=TODAY, Sub=TODAY, Clients=TODAY, Others=TODAY,
        Server={**TODAY, **SERVER, "alternative_names": HERE}, NoClient={**TODAY, **SERVER},
        Workshop={**TODAY, **CLIENT}, Backend={**TODAY, **CLIENT}, Stranger={**TODAY, **CLIENT},
    )  # fmt: skip


def written(directory: Path, made: World) -> Callable[[str], Path]:
    """Files of a world: chains with keys in one file, roots alone."""
    directory.mkdir(exist_ok=True)
    for holder, entity in made.items():
        chain = made.pem("Server", "Sub") if holder == "Server" else entity.pem
        path = directory / f"{holder}.pem"
        path.write_text(chain + key_pem(entity.key))
        path.chmod(0o600)
    return lambda holder: directory / f"{holder}.pem"


def as_client(trust: ssl.SSLContext, path: Path) -> ssl.SSLContext:
    trust.load_cert_chain(path)
    return trust


def test_clients_with_a_certificate_of_the_ca_are_known_by_name(tmp_path: Path) -> None:
    file = written(tmp_path / "tls", tls_world())
    config = ServiceConfig(
        http_listen=(ANYWHERE,), http_certificate=file("Server"), http_client_ca=file("Clients"),
        http_client_scopes=("Workshop=install",),
    )  # fmt: skip

    async def work(running: Running) -> None:
        url = f"https://127.0.0.1:{running.port}"
        for holder, said in (("Workshop", "install"), ("Backend", "read")):
            context = as_client(trusting(file("Root")), file(holder))
            async with running.client(base_url=url, verify=context) as client:
                assert (await client.get("/who")).text == f"http:client:{holder} {said}"
                answer = await client.post("/api/2026-04/install_ca_certificate", json={"x": 1})
                assert answer.status_code == (400 if said == "install" else 403)
        for context in (
            trusting(file("Root")),
            as_client(trusting(file("Root")), file("Stranger")),
            as_client(trusting(file("Root")), file("NoClient")),
        ):
            async with running.client(base_url=url, verify=context) as client:
                with pytest.raises(httpx.TransportError):
                    await client.get("/who")
        async with running.client() as client:  # plain HTTP
            with pytest.raises(httpx.TransportError):
                await client.get("/who")

    served(tmp_path / "certs", work, config=config, pages=PAGES)


@pytest.mark.parametrize(
    ("subject", "known_as"),
    [
        ([[("commonName", "workshop")]], "workshop"),
        ([[("organizationName", "x")]], "?"),
        ([[("commonName", "a")], [("commonName", "workshop")]], "?"),
        ([[("commonName", "workshop" + "x" * 60)]], "?"),
        ([[("commonName", "a\nb")]], "?"),
        ([], "?"),
    ],
)
def test_a_client_with_an_odd_name_is_taken_for_nobody(subject: list[list[tuple[str, str]]], known_as: str) -> None:
    assert client_name({"subject": subject}) == known_as
    assert client_name(None) is None
    assert client_name({}) is None


def test_tokens_do_as_well_where_both_are_configured_and_cookies_are_for_https_alone(tmp_path: Path) -> None:
    path, given = tokens(tmp_path)
    file = written(tmp_path / "tls", tls_world())
    config = ServiceConfig(
        http_listen=(ANYWHERE,), http_certificate=file("Server"), http_client_ca=file("Clients"), http_tokens=path
    )

    async def work(running: Running) -> None:
        url = f"https://127.0.0.1:{running.port}"
        async with running.client(base_url=url, verify=trusting(file("Root"))) as client:
            assert (await client.get("/who")).status_code == 401
            assert (await client.get("/who", headers=bearer(given[Scope.admin]))).text == "http:token:admin admin"
            answer = await client.post("/login", data={"token": given[Scope.read]}, headers={"origin": url})
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-evse-security=")
            assert "; Secure" in cookie
            assert "; Path=/" in cookie
            assert (await client.get("/who")).text == "http:token:read read"

    served(tmp_path / "certs", work, config=config, pages=PAGES)


def test_a_key_with_a_password_is_refused_instead_of_asked_for(tmp_path: Path) -> None:
    made = tls_world()
    file = written(tmp_path, made)
    locked = tmp_path / "locked.key"
    locked.write_text(key_pem(made["Server"].key, "secret"))

    async def run() -> None:
        config = loopback(http_certificate=file("Server"), http_key=locked)
        async with serving(tmp_path / "certs", config):
            raise AssertionError("it runs")

    with pytest.raises(InvalidConfiguration, match="http_key: is encrypted"):
        asyncio.run(run())


def test_a_certificate_that_changed_is_served_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("evse_security.http.server.LOOK_AGAIN", 0.01)
    old, new = tls_world(), tls_world()
    file = written(tmp_path / "tls", old)
    renewed = written(tmp_path / "renewed", new)

    async def serial(running: Running) -> int:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection("127.0.0.1", running.port, ssl=context)
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        await writer.wait_closed()
        return x509.load_der_x509_certificate(der).serial_number

    async def work(running: Running) -> None:
        url = f"https://127.0.0.1:{running.port}"
        async with running.client(base_url=url, verify=trusting(file("Root"))) as client:
            assert await serial(running) == old["Server"].certificate.serial_number
            assert (await client.get("/who")).status_code == 200
            replace(b"damaged", file("Server"))
            while "goes on with the old" not in caplog.text:
                await asyncio.sleep(0.01)
            assert await serial(running) == old["Server"].certificate.serial_number
            replace(renewed("Server").read_bytes(), file("Server"))
            while await serial(running) != new["Server"].certificate.serial_number:
                await asyncio.sleep(0.01)
            assert (await client.get("/who")).status_code == 200  # on the connection that was open

    def replace(content: bytes, path: Path) -> None:
        aside = path.with_suffix(".new")
        aside.write_bytes(content)
        os.replace(aside, path)

    served(tmp_path / "certs", work, config=loopback(http_certificate=file("Server")), pages=PAGES)


def test_it_is_said_which_file_is_missing_or_cannot_be_read(tmp_path: Path) -> None:
    file = written(tmp_path, tls_world())
    bare = tmp_path / "bare.pem"
    bare.write_text(tls_world().pem("Server"))
    gone = tmp_path / "gone.pem"
    for said, config in {
        r"http_key: is needed: .*bare\.pem": ServiceConfig(http_certificate=bare),
        r"http_key: .*gone\.pem": ServiceConfig(http_certificate=bare, http_key=gone),
        r"http_certificate: .*gone\.pem": ServiceConfig(http_certificate=gone, http_key=file("Server")),
        r"http_client_ca: .*gone\.pem": ServiceConfig(http_certificate=file("Server"), http_client_ca=gone),
    }.items():
        with pytest.raises(InvalidConfiguration, match=said):
            contexts(config)


def test_a_file_that_is_copied_over_with_its_time_is_seen(tmp_path: Path) -> None:
    """As `cp -p` does; and a CA of clients may be as long as the one that is not to be trusted any more."""
    (path := tmp_path / "clients.pem").write_text("one")
    config = ServiceConfig(http_client_ca=path)
    before, found = signature(config), path.stat()
    time.sleep(0.02)  # times are that coarse
    path.write_text("two")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert signature(config) != before
