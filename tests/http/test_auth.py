"""Who is let in from elsewhere: tokens, sessions of browsers, client certificates; and refusing to run."""

import asyncio
from pathlib import Path

import pytest

from evse_security.errors import InvalidConfiguration
from evse_security.http.auth import client_scopes
from evse_security.http.scopes import Scope
from evse_security.http.sessions import MOST_FAILURES
from evse_security.http.tokens import TokenFile
from evse_security.service.config import ServiceConfig
from tests.builders import NOW
from tests.http.kit import ANYWHERE, PAGES, Running, bearer, loopback, served, serving, tokens


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


def test_who_guesses_waits_and_keeps_nobody_out_who_shares_the_address(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, given = tokens(tmp_path)

    async def work(running: Running) -> None:
        async with running.client() as client:
            for _ in range(MOST_FAILURES):
                assert (await client.get("/who", headers=bearer("guess"))).status_code == 401
            for guess in ("guess", given[Scope.admin] + "x", "x" * 5000):
                answer = await client.get("/who", headers=bearer(guess))
                assert answer.status_code == 429
                assert 0 < int(answer.headers["retry-after"]) <= 61
            login = await client.post("/login", data={"token": "guess"})
            assert login.status_code == 429
            assert "Too many failed attempts" in login.text
            answer = await client.get("/who", headers=bearer(given[Scope.admin]))
            assert answer.text == "http:token:admin admin"
            login = await client.post("/login", data={"token": given[Scope.admin]})
            assert login.status_code == 303
            assert (await client.get("/who")).text == "http:token:admin admin"
            assert (await client.get("/who", headers=bearer("guess"))).status_code == 429

    served(tmp_path / "certs", work, config=elsewhere(path), pages=PAGES)
    assert caplog.text.count("a token that is not valid") == MOST_FAILURES


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


def test_forms_that_are_not_ours_let_nobody_in(tmp_path: Path) -> None:
    path, _ = tokens(tmp_path)

    async def work(running: Running) -> None:
        async with running.client() as client:
            sent = {"content-type": "application/x-www-form-urlencoded"}
            for form in (b"", b"a=1&" * 50, b"token=%ff%00", b"token=\xff", b"token=" + b"x" * 4000):
                assert (await client.post("/login", content=form, headers=sent)).status_code == 401
            for size in (5000, 3 << 20):
                assert (await client.post("/login", content=b"x" * size, headers=sent)).status_code == 413

    served(tmp_path / "certs", work, config=elsewhere(path))


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
    with pytest.raises(InvalidConfiguration, match="names a twice"):
        client_scopes(("a=read", "a=admin"))
    for wrong in ("a", "=read", "a=", "a=root", "?=read"):
        with pytest.raises(InvalidConfiguration, match="http_client_scopes"):
            client_scopes((wrong,))
