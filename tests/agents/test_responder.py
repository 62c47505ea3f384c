"""Asking a responder over HTTP: real sockets, and everything that can answer there."""

from __future__ import annotations

import asyncio
import socket
import time
from base64 import b64encode
from urllib.parse import quote

import pytest

from evse_security.agents import responder
from evse_security.agents.responder import MAX_RESPONSE_BYTES, NoAnswer, Unreachable, proxy_of
from evse_security.errors import InvalidConfiguration
from tests.agents.servers import Asked, Said, free_port, raw, serving

QUESTION = b"\x30\xff\xfe?/+questions"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def ask(url: str, method: str = "POST", proxy: str = "") -> bytes:
    return asyncio.run(responder.ask(url, QUESTION, method, proxy_of(proxy)))


def why(url: str, method: str = "POST", proxy: str = "") -> str:
    with pytest.raises(NoAnswer) as caught:
        ask(url, method, proxy)
    return f"{type(caught.value).__name__}: {caught.value}"


def test_post_is_as_rfc_6960_has_it_and_tells_nothing_else() -> None:
    with serving(lambda _: Said(body=b"answer")) as (url, asked):
        assert ask(f"{url}/ocsp?ca=1") == b"answer"
    [one] = asked
    assert (one.method, one.path, one.request) == ("POST", "/ocsp?ca=1", QUESTION)
    assert one.headers.pop("Host").startswith("127.0.0.1:")
    assert one.headers == {
        "Accept-Encoding": "identity",
        "Content-Length": str(len(QUESTION)),
        "Content-Type": "application/ocsp-request",
        "Accept": "application/ocsp-response",
        "User-Agent": "evse-security",
        "Connection": "close",
    }


@pytest.mark.parametrize("path", ["", "/", "/ocsp", "/ocsp/"])
def test_get_has_the_question_in_its_path(path: str) -> None:
    with serving(lambda _: Said(body=b"answer")) as (url, asked):
        assert ask(f"{url}{path}", "GET") == b"answer"
    encoded = quote(b64encode(QUESTION), safe="")
    assert (asked[0].path, asked[0].request) == (f"{path.rstrip('/')}/{encoded}", QUESTION)
    assert "%2F" in encoded and "%2B" in encoded


@pytest.mark.parametrize("status", [201, 204, 400, 404, 405, 500, 503])
def test_other_statuses_are_no_answer(status: int) -> None:
    with serving(lambda _: Said(status)) as (url, _):
        assert why(url) == f"NoAnswer: HTTP status {status}"


def test_the_largest_answer_is_read_and_no_larger_one() -> None:
    with serving(lambda _: Said(body=b"x" * MAX_RESPONSE_BYTES)) as (url, _):
        assert len(ask(url)) == MAX_RESPONSE_BYTES
    with serving(lambda _: Said(body=b"x" * (MAX_RESPONSE_BYTES + 1))) as (url, _):
        assert why(url) == "NoAnswer: larger than 65536 bytes"


def endless(head: bytes, more: bytes) -> object:
    def script(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(head)
        while True:
            connection.sendall(more)

    return script


@pytest.mark.parametrize(
    ("head", "more"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 65536),
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
        (b"HTTP/1.1 200 OK\r\nA: ", b"x" * 65536),
        (b"", b"x" * 65536),
    ],
)
def test_endless_answers_end(head: bytes, more: bytes) -> None:
    with raw(endless(head, more)) as url:  # type: ignore[arg-type]
        assert why(url).startswith("NoAnswer: ")


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\0\0\0",
        b"",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ],
)
def test_what_is_not_http_is_no_answer(said: bytes) -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(said)
        connection.shutdown(socket.SHUT_RDWR)

    with raw(script) as url:
        assert why(url)


def drip(connection: socket.socket) -> None:
    connection.recv(4096)
    for octet in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000:
        connection.sendall(bytes([octet]))
        time.sleep(0.02)


@pytest.mark.parametrize("script", [lambda connection: time.sleep(5), drip])
def test_who_says_nothing_or_hardly_anything_is_given_up(script: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responder, "WHOLE", 0.3)
    with raw(script) as url:  # type: ignore[arg-type]
        assert why(url) == "Unreachable: no answer within 0.3 s"


def test_silence_alone_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responder, "SILENCE", 0.1)
    with raw(lambda connection: time.sleep(5)) as url:
        assert why(url).startswith("Unreachable: ")


def test_nobody_there_is_unreachable() -> None:
    assert why(f"http://127.0.0.1:{free_port()}/") == "Unreachable: Connection refused"
    assert why("http://no-such-host.invalid/").startswith("Unreachable: ")
    assert why(f"http://{'x' * 70}.invalid/").startswith("Unreachable: ")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "http://user:secret@127.0.0.1/",
        "http://user@127.0.0.1/",
        "http:///path",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/ b",
        "http://127.0.0.1/\r\nX: y",
        "http://[::1/",
        "",
    ],
)
def test_only_plain_http_addresses_are_asked(url: str) -> None:
    assert why(url) == "NoAnswer: no HTTP address"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirections_are_followed_with_the_same_question(status: int) -> None:
    def answer(one: Asked) -> Said:
        return Said(body=b"moved") if one.path == "/new" else Said(status, headers=(("Location", "/new"),))

    with serving(answer) as (url, asked):
        assert ask(f"{url}/old") == b"moved"
    assert [(one.method, one.request) for one in asked] == [("POST", QUESTION)] * 2


def led(location: str) -> str:
    with serving(lambda _: Said(302, headers=(("Location", location),))) as (url, _):
        return why(url)


def test_redirections_end_and_lead_to_http_only() -> None:
    assert led("/again") == "NoAnswer: more than 3 redirections"
    for location in ("file:///etc/passwd", "gopher://x/", "http://a:b@example.org/", "http://a b/", "x" * 3000):
        assert led(location) == "NoAnswer: a redirection to what is no HTTP address"
    with serving(lambda _: Said(302)) as (url, _):
        assert why(url) == "NoAnswer: HTTP status 302"


def test_a_redirection_from_elsewhere_never_leads_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The responder is elsewhere by what is said of its address: there is no other machine here."""
    monkeypatch.setattr(
        responder.Exchange, "_begins_here", property(lambda _: False, lambda _, value: None), raising=False
    )
    with serving(lambda _: Said(body=b"secrets")) as (inside, asked):
        assert led(f"{inside}/api") == "NoAnswer: a redirection to this machine"
    assert asked == []


def test_a_proxy_is_told_the_whole_address() -> None:
    with serving(lambda _: Said(body=b"by proxy")) as (proxy, asked):
        assert ask("http://ocsp.example/x?y", proxy=proxy) == b"by proxy"
        assert ask("http://ocsp.example:8080", proxy=f"{proxy}/") == b"by proxy"
    assert [(one.path, one.headers["Host"]) for one in asked] == [
        ("http://ocsp.example/x?y", "ocsp.example"),
        ("http://ocsp.example:8080/", "ocsp.example:8080"),
    ]


def test_for_https_a_proxy_is_asked_for_a_tunnel() -> None:
    said: list[bytes] = []

    def script(connection: socket.socket) -> None:
        said.append(connection.recv(4096))
        connection.sendall(b"HTTP/1.1 403 No \x1b[31m\r\n\r\n")
        connection.shutdown(socket.SHUT_RDWR)

    with raw(script) as proxy:
        assert why("https://ocsp.example/", proxy=proxy).endswith("Tunnel connection failed: 403 No ?[31m")
    assert said[0].startswith(b"CONNECT ocsp.example:443 HTTP/1.")


def test_the_environment_names_proxies_and_exceptions(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda _: Said(body=b"by proxy")) as (proxy, _), serving(lambda _: Said(body=b"directly")) as (url, _):
        monkeypatch.setenv("http_proxy", proxy.removeprefix("http://"))
        assert ask(url) == b"by proxy"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert ask(url) == b"directly"
        monkeypatch.delenv("no_proxy")
        monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
        assert why(url).startswith("Unreachable: the environment's proxy must be like")


@pytest.mark.parametrize(
    "proxy", ["127.0.0.1:3128", "https://proxy/", "http://u:p@proxy:1/", "http://proxy:1/path", "http://", "http://p:x"]
)
def test_a_proxy_that_is_none_is_said_at_the_start(proxy: str) -> None:
    with pytest.raises(InvalidConfiguration, match="ocsp_proxy: must be like http://HOST:PORT"):
        proxy_of(proxy)


def test_who_no_longer_waits_ends_the_exchange() -> None:
    ended: list[bool] = []

    def script(connection: socket.socket) -> None:
        while connection.recv(4096):
            pass
        ended.append(True)

    async def run(url: str) -> None:
        asking = asyncio.create_task(responder.ask(url, QUESTION, "POST", proxy_of("")))
        await asyncio.sleep(0.1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        while not ended:
            await asyncio.sleep(0.01)

    with raw(script) as url:
        asyncio.run(asyncio.wait_for(run(url), 10))
    assert ended


def test_unreachable_is_no_answer() -> None:
    assert issubclass(Unreachable, NoAnswer)
