"""Names, origins, headers and sizes: by rule, and over real sockets."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from evse_security.errors import InvalidConfiguration
from evse_security.http.guard import HEADERS, Hosts, from_elsewhere
from tests.http.kit import Running, loopback, served

HOSTS = Hosts.of(("Station.local", "proxy.example:8443", "[fd00::1]:80"))
LOOPBACK, LAN, V6, UNIX = ("127.0.0.1", 8866), ("192.0.2.7", 80), ("fd00::2", 8866), ("/run/http.socket", None)


@pytest.mark.parametrize(
    ("host", "reached", "known"),
    [
        ("127.0.0.1:8866", LOOPBACK, True),
        ("localhost:8866", LOOPBACK, True),
        ("LOCALHOST.:8866", LOOPBACK, True),
        ("localhost", LOOPBACK, False),  # that is port 80
        ("localhost:1", LOOPBACK, False),
        ("evil.example:8866", LOOPBACK, False),
        ("127.0.0.1.evil.example:8866", LOOPBACK, False),
        ("", LOOPBACK, False),
        ("127.0.0.1:8866@evil.example", LOOPBACK, False),
        ("127.0.0.1:99999999", LOOPBACK, False),
        ("192.0.2.7:8866", LOOPBACK, False),
        ("192.0.2.7", LAN, True),
        ("192.0.2.7:80", LAN, True),
        ("localhost", LAN, False),
        ("[fd00::2]:8866", V6, True),
        ("[FD00:0::2]:8866", V6, True),
        ("fd00::2:8866", V6, False),
        ("[fd00::3]:8866", V6, False),
        ("station.local", LAN, True),
        ("station.local:1234", LAN, True),
        ("proxy.example:8443", LOOPBACK, True),
        ("proxy.example", LOOPBACK, False),
        ("[fd00::1]", V6, True),
        ("localhost", UNIX, True),
        ("evil.example", UNIX, False),
    ],
)
def test_which_names_are_ours(host: str, reached: tuple[str, int | None], known: bool) -> None:  # noqa: FBT001
    assert HOSTS.knows(host, "http", reached) is known


def test_the_port_of_https() -> None:
    assert HOSTS.knows("192.0.2.7", "https", ("192.0.2.7", 443))
    assert not HOSTS.knows("192.0.2.7", "https", ("192.0.2.7", 80))


@pytest.mark.parametrize("name", ["", "a b", "http://a", "a/b", "[::1", "a:b", "a:123456"])
def test_names_of_the_configuration_that_are_none(name: str) -> None:
    with pytest.raises(InvalidConfiguration, match="http_hosts"):
        Hosts.of((name,))


@pytest.mark.parametrize(
    ("method", "headers", "elsewhere"),
    [
        ("POST", {}, False),
        ("POST", {"origin": "http://localhost:8866", "sec-fetch-site": "same-origin"}, False),
        ("POST", {"origin": "HTTP://LOCALHOST:8866"}, False),
        ("POST", {"origin": "http://localhost:8866", "sec-fetch-site": "same-site"}, True),
        ("POST", {"sec-fetch-site": "cross-site"}, True),
        ("POST", {"sec-fetch-site": "none"}, False),
        ("POST", {"sec-fetch-site": "something new"}, True),
        ("POST", {"origin": "https://proxy.example", "sec-fetch-site": "same-origin"}, False),
        ("POST", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, True),
        ("POST", {"origin": "null"}, True),
        ("POST", {"origin": "http://evil.example"}, True),
        ("POST", {"origin": "https://localhost:8866"}, True),
        ("DELETE", {"origin": "http://localhost:1"}, True),
        ("GET", {}, False),
        ("GET", {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, False),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, False),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, True),
        ("GET", {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, True),
        ("GET", {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, False),
    ],
)
def test_what_comes_from_elsewhere(method: str, headers: dict[str, str], elsewhere: bool) -> None:  # noqa: FBT001
    assert from_elsewhere(method, headers, "http://localhost:8866") is elsewhere


def test_pages_elsewhere_and_other_names_are_refused(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        url = "/api/2026-04/get_v2g_ocsp_request_data"
        async with running.client() as client:
            for headers, status in (
                ({"host": "evil.example"}, 421),
                ({"host": f"localhost:{running.port}"}, 200),
                ({"origin": "http://evil.example"}, 403),
                ({"sec-fetch-site": "cross-site"}, 403),
                ({"origin": running.url, "sec-fetch-site": "same-origin"}, 200),
            ):
                assert (await client.post(url, json={}, headers=headers)).status_code == status, headers
        assert b" 400 " in (await running.raw("GET /healthz HTTP/1.1")).partition(b"\r\n")[0]  # no Host at all
        assert b" 421 " in (await running.raw("GET /healthz HTTP/1.0")).partition(b"\r\n")[0]

    served(tmp_path, work)


def test_forwarding_headers_are_not_believed(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        async with running.client() as client:
            headers = {"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.1", "origin": running.url}
            answer = await client.post("/api/2026-04/get_v2g_ocsp_request_data", json={}, headers=headers)
            assert answer.status_code == 200

    served(tmp_path, work)


def test_every_answer_has_the_headers_and_nothing_names_the_server(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        async with running.client() as client:
            for path in ("/healthz", "/metrics", "/nowhere", "/login", "/openapi.json"):
                answer = await client.get(path)
                assert {name: answer.headers[name] for name in HEADERS} == HEADERS
                assert answer.headers["date"] == "Tue, 01 Jan 2030 00:00:00 GMT"
                assert "server" not in answer.headers

    served(tmp_path, work)


def test_half_an_answer_does_not_look_like_a_whole_one(tmp_path: Path) -> None:
    async def half() -> AsyncIterator[str]:
        yield "half"
        raise ValueError("the other half")

    async def broken(_: Request) -> Response:
        return StreamingResponse(half())

    async def work(running: Running) -> None:
        async with running.client() as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/broken")

    served(tmp_path, work, pages=[Route("/broken", broken)])


def test_a_page_may_keep_its_own_caching_and_fails_without_telling_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def kept(_: Request) -> Response:
        return PlainTextResponse("x", headers={"cache-control": "max-age=9"})

    async def broken(_: Request) -> Response:
        raise ValueError("secret")

    async def who(request: Request) -> Response:
        return PlainTextResponse(f"{request.state.caller.name} {request.state.caller.scope}")

    async def work(running: Running) -> None:
        async with running.client() as client:
            assert (await client.get("/kept")).headers["cache-control"] == "max-age=9"
            assert (await client.get("/who")).text == "http:local install"
            answer = await client.get("/broken")
            assert answer.status_code == 500
            assert answer.json()["error"]["code"] == "InternalError"
            assert "secret" not in answer.text

    pages = [Route("/kept", kept), Route("/broken", broken), Route("/who", who)]
    served(tmp_path, work, config=loopback(), pages=pages)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "http: GET '/broken' failed"
    ]
