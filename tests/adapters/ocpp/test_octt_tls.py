"""OCTT's cases of TLS (block A): a CSMS with a wrong certificate, an old version, or suites that OCPP forbids."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from evse_security.adapters.ocpp import Edition, SecurityEvent, TrustedRoots
from evse_security.adapters.ocpp.handshake import Dismissed, WildcardName, security_event, tls_context
from evse_security.adapters.tls.client import client_context
from tests.adapters.ocpp.connecting import connecting, endpoint_of
from tests.adapters.ocpp.csms import Csms, charge_point, real_bench, server_context, serving, shows
from tests.adapters.ocpp.kit import Bench, pki

INVALID_CSMS = {Edition.V16: "InvalidCentralSystemCertificate"}
DEMANDED = {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"}


async def told_of(bench: Bench, bad_port: int, folder: Path) -> str:
    """What a station tells a good CSMS of a bad one, at which it tried before."""
    bad, good = Csms(bench.edition, port=bad_port), Csms(bench.edition)
    async with serving(good, server_context(bench, folder)), connecting(bad, bench, profile=2) as certificates:
        while not certificates._desk.memory.waiting:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # further attempts are no further events
        bad.connector.change(endpoint_of(good, profile=2))
        [event] = await good.until_said("SecurityEventNotification")
        assert bad.heard == []
        return str(event["type"])


@pytest.mark.parametrize("edition", Edition)
@pytest.mark.parametrize("server", ["StrangerLeaf", "Expired", "Elsewhere"])
def test_tc_a_05_a_csms_with_a_wrong_certificate_is_not_spoken_to(
    tmp_path: Path, edition: Edition, server: str
) -> None:
    charge_point(edition)
    bench = real_bench(tmp_path, edition)

    async def run() -> None:
        bad = Csms(edition)
        async with serving(bad, server_context(bench, tmp_path / "bad", server=server)):
            told = await told_of(bench, bad.port, tmp_path / "good")
        assert told == INVALID_CSMS.get(edition, "InvalidCsmsCertificate")
        assert bad.connections == []

    asyncio.run(run())


@asynccontextmanager
async def openssl(bench: Bench, folder: Path, *options: str) -> AsyncIterator[int]:
    """`openssl s_server` with the certificate of the CSMS."""
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl is not installed")
    folder.mkdir()
    shows(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), bench, folder, "Server")
    files = ["-cert", "server.pem", "-cert_chain", "server.pem", "-key", "server.key"]
    process = await asyncio.create_subprocess_exec(
        "openssl", "s_server", "-accept", "localhost:0", *files, *options,
        cwd=folder, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async for line in process.stdout:
            if line.startswith(b"ACCEPT"):
                yield int(line.rpartition(b":")[2])
                break
        else:
            pytest.skip("this openssl cannot serve such TLS")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


OLD = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]
WEAK = [
    ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"],
    ["-tls1_2", "-cipher", "ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0"],
]


@pytest.mark.parametrize("edition", Edition)
def test_tc_a_06_a_csms_with_tls_1_1_is_not_spoken_to(tmp_path: Path, edition: Edition) -> None:
    charge_point(edition)
    bench = real_bench(tmp_path, edition)

    async def run() -> None:
        async with openssl(bench, tmp_path / "bad", *OLD) as port:
            assert await told_of(bench, port, tmp_path / "good") == "InvalidTLSVersion"

    asyncio.run(run())


@pytest.mark.parametrize("edition", Edition)
@pytest.mark.parametrize("options", WEAK, ids=["CBC", "NULL"])
def test_tc_a_06_a_csms_with_weak_suites_alone_is_not_spoken_to(
    tmp_path: Path, edition: Edition, options: list[str]
) -> None:
    charge_point(edition)
    bench = real_bench(tmp_path, edition)

    async def run() -> None:
        async with openssl(bench, tmp_path / "bad", *options) as port:
            assert await told_of(bench, port, tmp_path / "good") == "InvalidTLSCipherSuite"

    asyncio.run(run())


def server_hello(version: bytes, suite: bytes) -> bytes:
    """What a server answers that chooses as it likes."""
    body = version + bytes(range(32)) + b"\0" + suite + b"\0"
    message = b"\x02" + len(body).to_bytes(3) + body
    return b"\x16" + version + len(message).to_bytes(2) + message


@pytest.mark.parametrize(
    ("hello", "event"),
    [
        (server_hello(b"\x03\x02", b"\xc0\x09"), "InvalidTLSVersion"),  # TLS 1.1
        (server_hello(b"\x03\x01", b"\xc0\x09"), "InvalidTLSVersion"),  # TLS 1.0
        (server_hello(b"\x03\x03", b"\x00\x05"), "InvalidTLSCipherSuite"),  # RC4
        (server_hello(b"\x03\x03", b"\xc0\x23"), "InvalidTLSCipherSuite"),  # CBC, which was not offered
    ],
)
def test_tc_a_06_a_csms_that_chooses_what_was_not_offered(tmp_path: Path, hello: bytes, event: str) -> None:
    charge_point(Edition.V201)
    bench = real_bench(tmp_path, Edition.V201)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5)
        writer.write(hello)
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            assert await told_of(bench, port, tmp_path / "good") == event

    asyncio.run(run())


def trusting(made: Any) -> TrustedRoots:
    return TrustedRoots(("x",), made["CsmsRoot"].pem)


def test_a00_fr_318_the_suites_that_are_offered(tmp_path: Path) -> None:
    """Both that OCPP demands of a station with elliptic curves, and none without forward secrecy and AEAD."""
    bench = Bench(tmp_path / "certs")
    for context in (tls_context(trusting(bench.made), None), client_context(bench.station, client_certificate=False)):
        names = {one["name"] for one in context.get_ciphers()}
        assert names >= DEMANDED
        assert all(one["aead"] for one in context.get_ciphers())
        assert all(name.startswith(("ECDHE-", "TLS_")) for name in names)
        assert context.options & ssl.OP_NO_COMPRESSION  # A00.FR.320
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname


# ---- handshakes without a network


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> None:
    """Both ends of a handshake. Raises what the client raises."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    station = client.wrap_bio(to_client, to_server, server_hostname=host)
    csms = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        with contextlib.suppress(ssl.SSLWantReadError):
            station.do_handshake()
        with contextlib.suppress(ssl.SSLError):  # the station is told in an alert
            csms.do_handshake()


def test_wildcards_are_refused_unless_they_are_allowed(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", installed={})
    server = server_context(bench, tmp_path / "tls", server="Wildcard")
    with pytest.raises(WildcardName) as refused:
        handshake(tls_context(trusting(bench.made), None), server, "csms.charging.example")
    assert security_event(refused.value) is not None
    handshake(tls_context(trusting(bench.made), None, allow_wildcards=True), server, "csms.charging.example")
    shows(server, bench, tmp_path / "tls", "Server")
    handshake(tls_context(trusting(bench.made), None), server, "localhost")


def test_a_csms_that_misses_a_client_certificate_has_no_wrong_suites(tmp_path: Path) -> None:
    """In TLS 1.2 both failures are one alert."""
    made = pki()
    bench = Bench(tmp_path / "certs", made=made, installed={})
    server = server_context(bench, tmp_path / "tls", profile=3, version=ssl.TLSVersion.TLSv1_2)
    with pytest.raises(Dismissed) as dismissed:
        handshake(tls_context(trusting(made), None), server, "localhost")
    assert security_event(dismissed.value) is None


@pytest.mark.parametrize(
    ("answer", "event"),
    [
        (server_hello(b"\x03\x00", b"\x00\x05"), SecurityEvent.INVALID_TLS_VERSION),  # SSL 3
        (b"\x15\x03\x01\x00\x02\x02\x46", SecurityEvent.INVALID_TLS_VERSION),  # alert: protocol version
        (b"\x15\x03\x03\x00\x02\x02\x28", SecurityEvent.INVALID_TLS_CIPHER_SUITE),  # alert: handshake failure
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", None),
        (b"\x15\x03\x03\x00\x02\x02\x50", None),  # alert: internal error
    ],
)
def test_what_an_answer_is_told_as(answer: bytes, event: SecurityEvent | None) -> None:
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    station = tls_context(trusting(pki()), None).wrap_bio(to_client, to_server, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        station.do_handshake()
    to_client.write(answer)
    with pytest.raises(ssl.SSLError) as failed:
        station.do_handshake()
    assert security_event(failed.value) is event


def test_who_answers_now_so_now_so_does_not_fill_the_queue(tmp_path: Path) -> None:
    """Of each event one is kept until a CSMS is reached: critical ones push the rest out, and then find no room."""
    charge_point(Edition.V21)
    bench = real_bench(tmp_path, Edition.V21)
    alerts = [b"\x15\x03\x01\x00\x02\x02\x46", b"\x15\x03\x03\x00\x02\x02\x28"]
    answered: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        answered.append(alerts[len(answered) % len(alerts)])
        writer.write(answered[-1])
        writer.close()

    async def run() -> None:
        csms = Csms(Edition.V21)
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            csms.port = server.sockets[0].getsockname()[1]
            async with connecting(csms, bench, profile=2) as certificates:
                while len(answered) < 8:
                    await asyncio.sleep(0.01)
                await certificates.client_certificate()

    asyncio.run(run())
    assert sorted(one.type for one in bench.restarted().memory.waiting) == [
        "InvalidTLSCipherSuite",
        "InvalidTLSVersion",
    ]
