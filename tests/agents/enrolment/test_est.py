"""Enrolment over Secure Transport, over real TLS: who is asked, as whom, what is answered, and what goes wrong."""

import socket
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from evse_security.agents.enrolment.est import EstPort
from evse_security.agents.enrolment.est import EstServer as Server
from evse_security.agents.enrolment.port import MOST_BYTES, Answer, Later, Refused, Request, Signed
from evse_security.errors import InvalidConfiguration
from evse_security.lab.authority import name
from evse_security.pki import pem
from tests.agents.enrolment.asking import enrol, in_use, needs_openssl, request
from tests.agents.enrolment.servers import Asked, EstServer, Reply, closed_port, est_server, proxy_server, silent_server
from tests.builders import NOW, key, signing_request, world

pytestmark = needs_openssl


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EstServer]:
    with est_server(tmp_path / "est") as up:
        yield up


def ask(
    server: EstServer, asked: Request | None = None, *, url: str = "", ca: Path | None = None, user: str = "",
    password: str = "", proxy: str = "", seconds: float = 20,
) -> Answer:  # fmt: skip
    at = Server.at(url or server.url, ca or server.ca, user, password, proxy)
    return enrol(EstPort(at, lambda: NOW, seconds), asked)


def names(answer: Answer) -> list[str]:
    assert isinstance(answer, Signed), answer
    return [one.name.partition(",")[0] for one in pem.chain(answer.chain, "the answer")]


def test_the_first_leaf(server: EstServer) -> None:
    sent = request()
    answer = ask(server, sent, user="station", password="s3cret")
    assert names(answer) == ["CN=SECC1"]
    [asked] = server.asked
    assert asked.path == "/.well-known/est/simpleenroll"
    assert (asked.client, asked.csr) == ("", sent.csr)
    assert b64decode(asked.headers["Authorization"].removeprefix("Basic ")) == b"station:s3cret"
    assert asked.headers["Content-Type"] == "application/pkcs10"


@pytest.mark.parametrize("password", [None, "pass word"])
def test_a_leaf_is_renewed_with_the_leaf_in_use_and_gets_its_sub_cas(
    server: EstServer, tmp_path: Path, password: str | None
) -> None:
    answer = ask(server, request(leaf=in_use(server.pki, tmp_path, password)), url=f"{server.url}/.well-known/est/v2g")
    assert names(answer) == ["CN=SECC1", "CN=SubCA"]
    [asked] = server.asked
    assert (asked.path, asked.client) == ("/.well-known/est/v2g/simplereenroll", "SECC1")
    assert "Authorization" not in asked.headers


def test_another_subject_is_no_renewal_for_the_server(server: EstServer, tmp_path: Path) -> None:
    csr = signing_request(key("new"), name(CN="SECC2", O="Operator"))
    ask(server, request(leaf=in_use(server.pki, tmp_path), csr=csr))
    assert (server.asked[0].path, server.asked[0].client) == ("/.well-known/est/simpleenroll", "SECC1")


def test_a_message_is_a_set_of_which_the_leaf_comes_first(server: EstServer) -> None:
    def reply(asked: Asked) -> Reply:
        others = (server.pki["V2GRoot"].pem, server.pki["SubCA"].pem)
        return 200, {}, b64encode(server.message(*others, server.signed_leaf(asked)))

    server.reply = reply
    assert names(ask(server)) == ["CN=SECC1", "CN=V2GRoot", "CN=SubCA"]


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (202, {"Retry-After": "600"}, Later("localhost has not decided yet", 600)),
        (202, {"Retry-After": "Tue, 01 Jan 2030 01:00:00 GMT"}, Later("localhost has not decided yet", 3600)),
        (202, {"Retry-After": "soon"}, Later("localhost has not decided yet", None)),
        (202, {"Retry-After": f"Tue, 01 Jan {9**30} 01:00:00 GMT"}, Later("localhost has not decided yet", None)),
        (202, {}, Later("localhost has not decided yet", None)),
        (503, {"Retry-After": "7"}, Later("localhost answered with 503 Service Unavailable", 7)),
        (429, {}, Later("localhost answered with 429 Too Many Requests", None)),
        (401, {}, Refused("localhost answered with 401 Unauthorized")),
        (403, {}, Refused("localhost answered with 403 Forbidden")),
        (302, {"Location": "https://elsewhere.example/"}, Refused("localhost answered with 302 Found")),
    ],
)
def test_answers_that_are_no_certificate(
    server: EstServer, status: int, headers: dict[str, str], expected: Answer
) -> None:
    server.reply = lambda _: (status, headers, b"")
    assert ask(server) == expected


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no certs-only message"),
        (b"%%%", "no base64"),
        (b"\x30\x82\xff", "no certs-only message"),
        (b64encode(b"\x30\x03\x02\x01\x00"), "no certs-only message"),
        (b64encode(world("V2GRoot")["V2GRoot"].der), "no certs-only message"),
    ],
)
def test_garbage(server: EstServer, body: bytes, why: str) -> None:
    server.reply = lambda _: (200, {}, body)
    answer = ask(server)
    assert isinstance(answer, Later)
    assert why in answer.reason


def test_more_than_is_read(server: EstServer) -> None:
    server.reply = lambda _: (200, {}, b"A" * (MOST_BYTES + 1))
    answer = ask(server)
    assert isinstance(answer, Later)
    assert f"more than {MOST_BYTES} bytes" in answer.reason


def test_a_server_that_is_not_to_be_trusted_is_sent_nothing(server: EstServer, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text(world("Other")["Other"].pem)
    answer = ask(server, ca=other, user="station", password="s3cret")
    assert isinstance(answer, Later)
    assert answer.reason.startswith("localhost is not to be trusted: ")
    assert server.asked == []


def test_a_server_of_another_name_is_sent_nothing(server: EstServer) -> None:
    answer = ask(server, url=server.url.replace("localhost", "127.0.0.1"))
    assert isinstance(answer, Later)
    assert "127.0.0.1 is not to be trusted: IP address mismatch" in answer.reason
    assert server.asked == []


def test_a_wrong_password_of_the_key_is_said_without_it(server: EstServer, tmp_path: Path) -> None:
    leaf = in_use(server.pki, tmp_path, "right")
    wrong = request(leaf=type(leaf)(leaf.chain, leaf.key, "wr0ng"))
    answer = ask(server, wrong)
    assert isinstance(answer, Later)
    assert "localhost cannot be asked: SSLError" in answer.reason
    assert "wr0ng" not in answer.reason + repr(wrong)


def test_a_server_that_never_answers(server: EstServer) -> None:
    with silent_server() as port:
        answer = ask(server, url=f"https://localhost:{port}", seconds=0.3)
    assert answer == Later("localhost did not answer within 0.3 s")


def test_nobody_there(server: EstServer) -> None:
    with closed_port() as port:
        answer = ask(server, url=f"https://localhost:{port}")
    assert answer == Later("localhost cannot be asked: ConnectionRefusedError: Connection refused")


def test_through_a_proxy_that_wants_a_password(server: EstServer) -> None:
    seen: list[bytes] = []
    with proxy_server(seen) as port:
        answer = ask(server, proxy=f"http://me:p%40ss@localhost:{port}")
    assert names(answer) == ["CN=SECC1"]
    assert seen[0].startswith(f"CONNECT {urlsplit(server.url).netloc} HTTP/1".encode())
    assert b"Proxy-Authorization: Basic " + b64encode(b"me:p@ss") in seen[0]
    assert b"pkcs10" not in seen[0]


def test_the_environment_s_proxy(server: EstServer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    with proxy_server(seen) as port:
        monkeypatch.setenv("https_proxy", f"http://localhost:{port}")
        assert names(ask(server)) == ["CN=SECC1"]
        monkeypatch.setenv("no_proxy", "localhost")
        assert names(ask(server)) == ["CN=SECC1"]
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://est.example", "must begin with https://"),
        ("est.example", "must begin with https://"),
        ("https://", "must begin with https://"),
        ("https://me:secret@est.example", "must hold no user"),
        ("https://est.example:x", "is no URL"),
        ("https://est.example/?a=b", "must be a scheme, a host and a path"),
        ("https://est.example/a b", "must be a scheme, a host and a path"),
    ],
)
def test_what_is_no_est_server(url: str, why: str) -> None:
    with pytest.raises(InvalidConfiguration, match=why) as refused:
        Server.at(url, None, "", "", "")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("proxy", ["https://proxy.example", "http://", "http://proxy:secret", "socks5://proxy:1"])
def test_what_is_no_proxy(proxy: str) -> None:
    with pytest.raises(InvalidConfiguration, match="ocsp_proxy") as refused:
        Server.at("https://est.example", None, "", "", proxy)
    assert "secret" not in str(refused.value)


def test_no_secret_is_shown() -> None:
    server = Server.at("https://est.example", None, "me", "s3cret", "http://me:p4ss@proxy.example")
    assert "s3cret" not in repr(server)
    assert "p4ss" not in repr(server)


def test_a_server_that_cannot_be_connected_to_does_not_hold_up_the_end() -> None:
    """Its packets are dropped: the thread that connects waits for half a minute, and the process must not."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        begun = time.monotonic()
        at = Server.at(f"https://127.0.0.1:{full.getsockname()[1]}", None, "", "", "")
        answer = enrol(EstPort(at, lambda: NOW, 0.3), request())
        for one in waiting:
            one.close()
    assert answer == Later("127.0.0.1 did not answer within 0.3 s")
    assert time.monotonic() - begun < 10
