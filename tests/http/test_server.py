"""Listening: addresses, slow and many callers, streams of events, and an end that does not hang."""

import asyncio
import json
import signal
import socket
import stat
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from evse_security.errors import InvalidConfiguration
from evse_security.http import protocol, server, stream
from evse_security.http.addresses import Address, Reach, addresses
from evse_security.http.scopes import Scope
from evse_security.service.config import ServiceConfig
from evse_security.service.events import EventKind
from tests.http.kit import ANYWHERE, Running, bearer, has_ipv6, loopback, served, serving, tokens


@pytest.mark.parametrize(
    ("text", "address", "reach"),
    [
        ("127.0.0.1:8866", Address("127.0.0.1", 8866), Reach.loopback),
        ("127.9.9.9:1", Address("127.9.9.9", 1), Reach.loopback),
        ("[::1]:8866", Address("::1", 8866), Reach.loopback),
        ("0.0.0.0:0", Address("0.0.0.0", 0), Reach.network),  # noqa: S104
        ("[::]:80", Address("::", 80), Reach.network),
        ("[::ffff:127.0.0.1]:80", Address("::ffff:127.0.0.1", 80), Reach.network),
        ("192.0.2.1:65535", Address("192.0.2.1", 65535), Reach.network),
        ("unix:/run/a:b", Address("", 0, Path("/run/a:b")), Reach.socket),
    ],
)
def test_addresses_and_how_far_they_reach(text: str, address: Address, reach: Reach) -> None:
    [found] = addresses([text])
    assert (found, found.reach, str(found)) == (address, reach, text)


@pytest.mark.parametrize(
    "text",
    ["", "8866", "localhost:8866", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "::1:80", "[::1]",
     "[127.0.0.1]:80", "*:80", "unix:relative", "unix:", "unix:/" + "x" * 120, "127.0.0.1:٣"],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InvalidConfiguration, match="http_listen"):
        addresses([text])


def test_an_address_is_named_once() -> None:
    with pytest.raises(InvalidConfiguration, match="twice"):
        addresses(["127.0.0.1:1", "127.0.0.1:1"])


def test_an_address_that_is_taken_is_a_matter_of_configuration(tmp_path: Path) -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(InvalidConfiguration, match=f"127.0.0.1:{port}: Address already in use"):
                async with serving(tmp_path, ServiceConfig(http_listen=("127.0.0.1:0", f"127.0.0.1:{port}"))):
                    pass

    asyncio.run(run())


def test_all_addresses_are_served(tmp_path: Path) -> None:
    path = tmp_path / "run" / "http.socket"
    path.parent.mkdir()
    listen = ["127.0.0.1:0", f"unix:{path}"] + (["[::1]:0"] if has_ipv6() else [])

    async def run() -> None:
        async with serving(tmp_path, ServiceConfig(http_listen=tuple(listen))) as running:
            for place in running.part.listening:
                transport = httpx.AsyncHTTPTransport(uds=None if place.path is None else str(place.path))
                base = "http://localhost" if place.path else f"http://{place}"
                async with httpx.AsyncClient(transport=transport, base_url=base) as client:
                    assert (await client.get("/healthz")).status_code == 200
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert not path.exists()

    asyncio.run(run())


def test_nowhere_is_an_address_too(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, ServiceConfig(http_listen=())) as running:
            assert running.part.listening == ()

    asyncio.run(run())


def test_a_socket_of_the_dead_is_replaced_and_one_of_the_living_is_not(tmp_path: Path) -> None:
    path = tmp_path / "http.socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    config = ServiceConfig(http_listen=(f"unix:{path}",))

    async def run() -> None:
        async with serving(tmp_path, config) as running:
            assert running.address.path == path
            with pytest.raises(InvalidConfiguration, match="already in use"):
                async with serving(tmp_path, config):
                    pass
            assert path.exists()

    asyncio.run(run())
    path.write_text("a file of somebody")
    with pytest.raises(InvalidConfiguration, match="already in use"):
        asyncio.run(run())
    assert path.read_text() == "a file of somebody"


# ---- slow and many


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "GET /healthz HT",
        "POST /api/2026-04/get_v2g_ocsp_request_data HTTP/1.1\r\nHost: localhost:{port}\r\n"
        "Content-Type: application/json\r\nContent-Length: 9\r\n\r\n[",
    ],
)
def test_who_says_too_little_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: str) -> None:
    monkeypatch.setattr(protocol, "SECONDS", dict.fromkeys(protocol.SECONDS, 0.2))

    async def work(running: Running) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(sent.format(port=running.port).encode())
        with suppress(ConnectionResetError):
            assert not await asyncio.wait_for(reader.read(), 20)
        writer.close()

    served(tmp_path, work)


def test_trickling_does_not_prolong_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SECONDS", dict.fromkeys(protocol.SECONDS, 0.2))

    async def work(running: Running) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        ended = asyncio.ensure_future(reader.read())
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        for number in range(2000):
            if ended.done():
                break
            writer.write(f"X-{number}: y\r\n".encode())
            await asyncio.sleep(0.01)
        assert ended.done()
        ended.exception()
        writer.close()

    served(tmp_path, work)


@pytest.mark.parametrize(
    "sent",
    [
        b"\0" * 100, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: {host}\r\nX: a\r\n b\r\n\r\n", b"GET /\xff HTTP/1.1\r\nHost: {host}\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST /login HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /login HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"GET http://evil.example/healthz HTTP/1.1\r\nHost: {host}\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"TRACE /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n", b"CONNECT evil.example:1 HTTP/1.1\r\nHost: {host}\r\n\r\n",
        b"GET /%00%0d%0a HTTP/1.1\r\nHost: {host}\r\n\r\n", b"GET /../../etc/passwd HTTP/1.1\r\nHost: {host}\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: {host}\r\nCookie: evse-security=\xff\x80; ;;=\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_hardly_http_breaks_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture, sent: bytes) -> None:
    async def work(running: Running) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(sent.replace(b"{host}", f"localhost:{running.port}".encode()))
        if writer.can_write_eof():
            writer.write_eof()
        with suppress(ConnectionResetError):
            answer = await asyncio.wait_for(reader.read(), 20)
            assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200")), answer
        writer.close()
        async with running.client() as client:
            assert (await client.get("/healthz")).status_code == 200

    served(tmp_path, work)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("path", ["/api/2026-04/get_verify_file", "/no-such-page"])
def test_a_body_is_not_cut_into_crumbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """They took the loop 0.2 ms each, answered or not: a second for 30 KB."""
    monkeypatch.setattr(protocol, "MOST_CHUNKS", 30)
    body = b'{"certificate_type": "V2G"}'
    crumbs = b"".join(b"1\r\n%c\r\n" % octet for octet in body)

    async def work(running: Running) -> None:
        async def asked(*chunks: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            head = f"POST {path} HTTP/1.1\r\nHost: localhost:{running.port}\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode())
            writer.writelines(chunks)
            try:
                return await asyncio.wait_for(reader.read(), 20)
            except ConnectionResetError:
                return b""
            finally:
                writer.close()

        usual = b"HTTP/1.1 200 " if "api" in path else b"HTTP/1.1 404 "
        assert (await asked(crumbs, b"0\r\n\r\n")).startswith(usual)
        begun = asyncio.get_running_loop().time()
        assert not (await asked(crumbs, b"1\r\n \r\n" * 30)).startswith(b"HTTP/1.1 200 ")
        assert asyncio.get_running_loop().time() < begun + 5, "it is not waited for more"

    served(tmp_path, work)


def test_a_head_has_an_end(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"y" * (1 << 20))
        with suppress(ConnectionResetError):  # what was sent and not read resets the connection
            assert (await asyncio.wait_for(reader.read(), 20)).startswith(b"HTTP/1.1 400 ")
        writer.close()

    served(tmp_path, work)


def test_connections_beyond_the_limit_wait_for_their_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 2)

    async def work(running: Running) -> None:
        held = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(2)]
        for reader, writer in held:
            writer.write(f"GET /healthz HTTP/1.1\r\nHost: localhost:{running.port}\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
        async with running.client() as client:
            waiting = asyncio.create_task(client.get("/healthz"))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            held[0][1].close()
            assert (await waiting).status_code == 200
        held[1][1].close()

    served(tmp_path, work)


def test_a_peer_that_has_its_share_keeps_no_other_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 3)
    monkeypatch.setattr(server, "MOST_OF_ONE", 2)
    path, given = tokens(tmp_path)

    async def work(running: Running) -> None:
        held = [await asyncio.open_connection("127.0.0.1", running.port, local_addr=("127.0.0.2", 0)) for _ in range(2)]
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port, local_addr=("127.0.0.2", 0))
            with suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 20) == b""
            writer.close()
        async with running.client() as client:
            assert (await client.get("/healthz", headers=bearer(given[Scope.read]))).status_code == 200
        held[0][1].close()
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port, local_addr=("127.0.0.2", 0))
            writer.write(f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\n\r\n".encode())
            with suppress(ConnectionResetError):
                if (await asyncio.wait_for(reader.read(12), 20)).startswith(b"HTTP/1.1 401"):
                    break
            writer.close()
        for _, each in (*held, (reader, writer)):
            each.close()

    config = loopback(http_listen=(ANYWHERE,), http_tokens=path)
    served(tmp_path / "certs", work, config=config)


def test_who_asks_and_goes_away_keeps_a_place_until_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the bodies of any number of requests would wait in memory for the one worker."""
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 2)
    busy = threading.Event()

    async def work(running: Running) -> None:
        working = asyncio.create_task(running.service.ask(lambda _: busy.wait(30), caller="test"))
        asked = b'{"certificate_type": "V2G"}'
        head = "POST /api/2026-04/is_ca_certificate_installed HTTP/1.1\r\nContent-Type: application/json\r\n"
        head += f"Host: localhost:{running.port}\r\nContent-Length: {len(asked)}\r\n\r\n"
        try:
            for already in (1, 2):
                _, writer = await asyncio.open_connection("127.0.0.1", running.port)
                writer.write(head.encode() + asked)
                while running.service._waiting <= already:
                    await asyncio.sleep(0.01)
                writer.close()
            async with running.client() as client:
                following = asyncio.create_task(client.get("/openapi.json"))
                await asyncio.sleep(0.2)
                assert not following.done()
                busy.set()
                assert (await following).status_code == 200
        finally:
            busy.set()
            await working

    served(tmp_path, work)


def test_an_answer_that_nobody_reads_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "UNREAD", 0.1)

    async def work(running: Running) -> None:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            deaf.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(deaf, ("127.0.0.1", running.port))
            head = f"GET /api/events HTTP/1.1\r\nHost: localhost:{running.port}\r\n\r\n"
            await loop.sock_sendall(deaf, head.encode())
            while len(running.service.events._listeners) < 2:  # one is the metrics
                await asyncio.sleep(0.01)
            text = "x" * 100_000
            for _ in range(200):
                running.service.events.publish(EventKind.warning, {"text": text})
                await asyncio.sleep(0)
            while len(running.service.events._listeners) > 1:
                await asyncio.sleep(0.01)

    served(tmp_path, work)


# ---- events


async def lines_of(answer: httpx.Response) -> AsyncIterator[str]:
    async for line in answer.aiter_lines():
        yield line


async def numbers(answer: httpx.Response, count: int) -> list[int]:
    """The numbers of the next events."""
    found: list[int] = []
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            found.append(json.loads(line.removeprefix("data: "))["number"])
            if len(found) == count:
                break
    return found


def test_events_follow_each_other_and_go_on_where_a_client_was(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        for number in range(3):
            running.service.events.publish(EventKind.warning, {"text": f"n\n{number}"})
        async with running.client() as client:
            for last, expected in (("1", [2, 3]), ("0", [1, 2, 3]), ("77", [1, 2, 3])):
                async with client.stream("GET", "/api/events", headers={"last-event-id": last}) as answer:
                    assert answer.headers["content-type"].startswith("text/event-stream")
                    assert await numbers(answer, len(expected)) == expected
            async with client.stream("GET", "/api/events") as answer:
                lines = lines_of(answer)
                assert await anext(lines) == "retry: 3000"
                await anext(lines)
                running.service.events.publish(EventKind.clock, {"text": "now"})
                assert [await anext(lines) for _ in range(2)] == ["id: 4", "event: clock"]
                assert json.loads((await anext(lines)).removeprefix("data: "))["data"] == {"text": "now"}
            for wrong in ("-1", "x", "1.0", "9" * 16, ""):
                answer = await client.get("/api/events", headers={"last-event-id": wrong})
                assert answer.status_code == 400
            assert (await client.head("/api/events")).status_code == 200

    served(tmp_path, work)


@pytest.mark.parametrize("length", ["Content-Length: 3000000", "Transfer-Encoding: chunked"])
def test_a_stream_wants_no_body(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, length: str
) -> None:
    async def work(running: Running) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        head = f"GET /api/events HTTP/1.1\r\nHost: localhost:{running.port}\r\n{length}\r\n\r\n"
        body = b"10000\r\n" + b"x" * 0x10000 + b"\r\n" if "chunked" in length else b"x" * 0x10000
        writer.write(head.encode())
        with suppress(ConnectionError):
            for _ in range(45):
                writer.write(body)
                await writer.drain()
            assert await asyncio.wait_for(reader.read(), 20)
        writer.close()
        while len(running.service.events._listeners) > 1:
            await asyncio.sleep(0.01)

    monkeypatch.setattr(protocol, "SECONDS", dict.fromkeys(protocol.SECONDS, 0.5))
    served(tmp_path, work)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_silence_is_filled_and_streams_end_and_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "KEEP_ALIVE", 0.01)
    monkeypatch.setattr(stream, "MOST_STREAMS", 1)

    async def work(running: Running) -> None:
        async with running.client() as client:
            async with client.stream("GET", "/api/events") as answer:
                lines = lines_of(answer)
                while await anext(lines) != ":":
                    pass
                refused = await client.get("/api/events")
                assert refused.status_code == 503
                assert refused.headers["retry-after"]
            monkeypatch.setattr(stream, "LASTS", 0.1)
            while (answer := await client.get("/api/events")).status_code == 503:  # until the first is found gone
                await asyncio.sleep(0.01)
            assert answer.text.startswith("retry: ")
            assert answer.text.endswith(":\n\n")
        assert len(running.service.events._listeners) == 1  # the metrics

    served(tmp_path, work)


def test_the_end_does_not_wait_for_open_streams_nor_for_idle_connections(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, loopback()) as running:
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            client = running.client()
            request = client.build_request("GET", "/api/events")
            answer = await client.send(request, stream=True)
            lines = lines_of(answer)
            assert await anext(lines) == "retry: 3000"
        assert [line async for line in lines] == [""]  # ended, not cut
        assert await reader.read() == b""
        writer.close()
        await answer.aclose()
        await client.aclose()

    asyncio.run(asyncio.wait_for(run(), 20))


def test_what_a_signal_does_is_not_changed(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)

    async def work(running: Running) -> None:
        assert signal.getsignal(signal.SIGTERM) == before
        assert running.port

    served(tmp_path, work)
