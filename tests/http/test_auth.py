"""Who is let in from elsewhere: tokens, sessions of browsers, client certificates; and refusing to run."""

import asyncio
import os
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from evse_security.errors import InvalidConfiguration
from evse_security.http.auth import client_scopes
from evse_security.http.scopes import Caller, Scope
from evse_security.http.sessions import MOST_FAILURES
from evse_security.http.tokens import TokenFile
from evse_security.lab.keys import key_pem
from evse_security.service.config import ServiceConfig
from tests.builders import NOW, World, at, world
from tests.http.kit import ANYWHERE, Running, bearer, loopback, served, serving, tokens, trusting


async def whoami(request: Request) -> Response:
    caller: Caller = request.state.caller
    return PlainTextResponse(f"{caller.name} {caller.scope}")


PAGES = [Route("/", whoami), Route("/who", whoami)]


def elsewhere(path: Path) -> ServiceConfig:
    return ServiceConfig(http_listen=(ANYWHERE,), http_tokens=path)


def test_without_a_token_nothing_is_answered_from_elsewhere(tmp_path: Path) -> None:
    path, given = tokens(tmp_path)

    async def work(running: Running) -> None:
        async with running.client() as client:
            for url in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/api/events", "/who", "/nowhere"):
                answer = await client.get(url)
                assert answer.status_code == 401, url
                assert answer.headers["www-authenticate"].startswith("Bearer")
            answer = await client.post("/api/2026-04/get_v2g_ocsp_request_data", json={})
            assert answer.status_code == 401
            for scope, token in given.items():
                assert (await client.get("/who", headers=bearer(token))).text == f"http:token:{scope} {scope}"
            for wrong in ("", "Bearer", f"Basic {given[Scope.read]}", f"Bearer {given[Scope.read]}x"):
                assert (await client.get("/who", headers={"authorization": wrong})).status_code == 401

    served(tmp_path / "certs", work, config=elsewhere(path), pages=PAGES)


def test_a_token_that_is_shown_on_loopback_counts(tmp_path: Path) -> None:
    path, given = tokens(tmp_path)

    async def work(running: Running) -> None:
        async with running.client() as client:
            assert (await client.get("/who")).text == "http:local install"
            assert (await client.get("/who", headers=bearer(given[Scope.read]))).text == "http:token:read read"
            assert (await client.get("/who", headers=bearer("wrong"))).status_code == 401

    served(tmp_path / "certs", work, config=loopback(http_tokens=path), pages=PAGES)


def test_changes_of_the_file_count_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, given = tokens(tmp_path)
    file = TokenFile(path)

    async def work(running: Running) -> None:
        async with running.client() as client:
            new = file.add("new", Scope.read, NOW, None)
            assert (await client.get("/who", headers=bearer(new))).status_code == 200
            file.revoke("new")
            assert (await client.get("/who", headers=bearer(new))).status_code == 401
            path.chmod(0o644)
            assert (await client.get("/who", headers=bearer(given[Scope.read]))).status_code == 401
            path.chmod(0o600)
            assert (await client.get("/who", headers=bearer(given[Scope.read]))).status_code == 200

    served(tmp_path / "certs", work, config=elsewhere(path), pages=PAGES)
    assert len([record for record in caplog.records if "no token is valid" in record.message]) == 1
    assert not [record for record in caplog.records for token in given.values() if token in record.getMessage()]


def test_who_guesses_is_refused_unseen(tmp_path: Path) -> None:
    path, given = tokens(tmp_path)

    async def work(running: Running) -> None:
        async with running.client() as client:
            for _ in range(MOST_FAILURES):
                assert (await client.get("/who", headers=bearer("guess"))).status_code == 401
            answer = await client.get("/who", headers=bearer(given[Scope.admin]))
            assert answer.status_code == 429
            assert 0 < int(answer.headers["retry-after"]) <= 61
            login = await client.post("/login", data={"token": given[Scope.admin]})
            assert login.status_code == 429
            assert "Too many failed attempts" in login.text

    served(tmp_path / "certs", work, config=elsewhere(path), pages=PAGES)


def test_a_browser_logs_in_and_out(tmp_path: Path) -> None:
    path, given = tokens(tmp_path)

    async def work(running: Running) -> None:
        async with running.client(headers={"accept": "text/html"}) as client:
            answer = await client.get("/")
            assert (answer.status_code, answer.headers["location"]) == (303, "/login")
            page = await client.get("/login")
            assert page.status_code == 200
            assert '<label for="token">' in page.text
            assert (await client.get("/login.css")).headers["content-type"].startswith("text/css")
            wrong = await client.post("/login", data={"token": "evse_wrong"})
            assert wrong.status_code == 401
            assert 'role="alert"' in wrong.text
            assert not wrong.cookies
            assert (await client.post("/login", json={"token": given[Scope.install]})).status_code == 415
            right = await client.post("/login", data={"token": f" {given[Scope.install]}\n"})
            assert (right.status_code, right.headers["location"]) == (303, "/")
            cookie = right.headers["set-cookie"].lower()
            assert "httponly" in cookie
            assert "samesite=strict" in cookie
            assert "secure" not in cookie.replace("evse-security", "")
            assert given[Scope.install] not in cookie
            assert (await client.get("/")).text == "http:token:install install"
            held = dict(client.cookies)
            answer = await client.post("/logout", headers={"origin": running.url, "sec-fetch-site": "same-origin"})
            assert answer.status_code == 303
            assert not dict(client.cookies)
            client.cookies.update(held)
            assert (await client.get("/who", headers={"accept": "*/*"})).status_code == 401

    served(tmp_path / "certs", work, config=elsewhere(path), pages=PAGES)


def test_a_session_ends_with_its_token(tmp_path: Path) -> None:
    path, given = tokens(tmp_path)

    async def work(running: Running) -> None:
        async with running.client() as client:
            await client.post("/login", data={"token": given[Scope.install]})
            assert (await client.get("/who")).status_code == 200
            refused = await client.post("/logout", headers={"origin": "http://evil.example"})
            assert refused.status_code == 403
            TokenFile(path).revoke("install")
            assert (await client.get("/who")).status_code == 401

    served(tmp_path / "certs", work, config=elsewhere(path), pages=PAGES)


# ---- refusing to run


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"http_listen": (ANYWHERE,)}, "http_listen"),
        ({"http_listen": ("127.0.0.1:0", "[::]:0")}, "http_listen"),
        ({"http_listen": (ANYWHERE,), "http_tokens": Path("/no/such/file")}, "http_tokens"),
        ({"http_listen": ("127.0.0.1:0",), "http_client_ca": Path("/no/such/file")}, "http_client_ca"),
        ({"http_listen": ("127.0.0.1:0",), "http_key": Path("/no/such/file")}, "http_key"),
        ({"http_listen": ("127.0.0.1:0",), "http_certificate": Path("/no/such/file")}, "http_certificate"),
        ({"http_listen": ("127.0.0.1:0",), "http_hosts": ("a b",)}, "http_hosts"),
        ({"http_listen": ("127.0.0.1:0",), "http_client_scopes": ("a=root",)}, "http_client_scopes"),
        ({"http_listen": ("localhost:80",)}, "http_listen"),
    ],
)
def test_the_service_refuses_to_start(tmp_path: Path, keys: dict[str, object], key: str) -> None:
    async def run() -> None:
        async with serving(tmp_path, ServiceConfig(**keys)):  # type: ignore[arg-type]
            raise AssertionError("it runs")

    with pytest.raises(InvalidConfiguration) as refused:
        asyncio.run(run())
    assert refused.value.key == key


def test_scopes_of_clients() -> None:
    assert client_scopes(("a=b=admin", "workshop=read")) == {"a=b": Scope.admin, "workshop": Scope.read}
    for wrong in ("a", "=read", "a=", "a=root"):
        with pytest.raises(InvalidConfiguration, match="http_client_scopes"):
            client_scopes((wrong,))


# ---- TLS

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
