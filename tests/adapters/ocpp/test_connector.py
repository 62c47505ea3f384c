"""The connector against a CSMS over TLS 1.2 and 1.3: who is trusted, who is shown, and what becomes of failures."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evse_security.adapters.ocpp import Certificates, Edition, TrustedRoots, tls_context
from evse_security.adapters.ocpp import connector as connector_module
from evse_security.adapters.ocpp.connection import blame_of
from evse_security.adapters.ocpp.connector import LASTING, Connector, Endpoint, pause
from evse_security.adapters.ocpp.renewals import Renewals
from evse_security.adapters.ocpp.trial import MOST_DOUBTS, Blame, Trial, failed
from evse_security.errors import InvalidConfiguration
from evse_security.vocabulary import LeafCertificateType
from tests.adapters.ocpp.connecting import connecting, enrolled, play_connected, renewed, with_certificate
from tests.adapters.ocpp.csms import Csms, Stage, charge_point, real_bench, server_context, serving
from tests.adapters.ocpp.kit import Bench, policy
from tests.builders import DAY, NOW

CSMS = LeafCertificateType.CSMS
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("edition", Edition)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("profile", [2, 3])
def test_tc_a_04_07_a_csms_and_a_station_that_prove_who_they_are(
    tmp_path: Path, edition: Edition, version: ssl.TLSVersion, profile: int
) -> None:
    async def scene(stage: Stage, _: Certificates) -> None:
        assert stage.csms.connections == ["CS-0001" if profile == 3 else ""]

    bench, _ = with_certificate(tmp_path, edition)
    play_connected(bench, scene, profile=profile, version=version)


@pytest.mark.parametrize("edition", [Edition.V201_2025, Edition.V21])
def test_a_renewed_certificate_is_tried_at_once_and_the_old_one_discarded(tmp_path: Path, edition: Edition) -> None:
    bench, old = with_certificate(tmp_path, edition)

    async def scene(stage: Stage, certificates: Certificates) -> None:
        await renewed(stage)
        await stage.csms.until_said("BootNotification", 2)
        certificate = await certificates.client_certificate()
        assert certificate is not None and certificate.fingerprint != old
        assert bench.station.renewal.leaf_info(CSMS, old) is None

    play_connected(bench, scene)


@pytest.mark.parametrize("edition", [Edition.V201_2025, Edition.V21])
def test_a_renewed_certificate_that_the_csms_refuses_is_discarded_and_told(tmp_path: Path, edition: Edition) -> None:
    """The station trusts a CA that the CSMS does not let in any more: the old certificate serves on."""
    bench, old = with_certificate(tmp_path, edition)
    arguments = {"certificate": bench.made["Stranger"].pem, "certificate_type": "CSMS"}
    assert bench.station.dispatch("install_ca_certificate", arguments) == "Accepted"

    async def scene(stage: Stage, certificates: Certificates) -> None:
        await renewed(stage, authority="StrangerSub")
        await stage.event("DiscardedRenewedClientCertificate")
        certificate = await certificates.client_certificate()
        assert certificate is not None and certificate.fingerprint == old

    play_connected(bench, scene)


@pytest.mark.parametrize("edition", [Edition.V16, Edition.V201])
def test_base_editions_reconnect_with_the_new_one_and_keep_the_old(tmp_path: Path, edition: Edition) -> None:
    bench, old = with_certificate(tmp_path, edition)

    async def scene(stage: Stage, _: Certificates) -> None:
        await renewed(stage)
        await stage.csms.until_said("BootNotification", 2)
        assert bench.station.renewal.leaf_info(CSMS, old) is not None

    play_connected(bench, scene)


@pytest.mark.parametrize("cut", range(1, MOST_DOUBTS))
def test_who_cuts_a_connection_does_not_get_the_renewed_certificate_discarded(tmp_path: Path, cut: int) -> None:
    """Somebody on the way to the CSMS, who has no certificate, or a network that fails once."""
    bench, old = with_certificate(tmp_path, Edition.V21)
    cuts: list[int] = []

    async def run() -> None:
        csms = Csms(Edition.V21)
        context = server_context(bench, tmp_path / "tls", profile=3)
        async with serving(csms, context):
            there = csms.port

            async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                if cuts and cuts.pop():
                    await reader.read(100)  # a ClientHello
                else:
                    await passing(there, reader, writer)
                writer.close()

            async with await asyncio.start_server(between, "127.0.0.1", 0) as server:
                csms.port = server.sockets[0].getsockname()[1]
                async with connecting(csms, bench, profile=3) as certificates:
                    await csms.until_said("BootNotification")
                    cuts.extend([1] * cut)
                    await renewed(Stage(csms, bench, None))
                    await csms.until_said("BootNotification", 2)
                    certificate = await certificates.client_certificate()
                    assert certificate is not None and certificate.fingerprint != old
                    assert cuts == [] and bench.station.renewal.leaf_info(CSMS, old) is None

    asyncio.run(run())


async def passing(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand over what comes from either side, until one ends."""
    there = await asyncio.open_connection("127.0.0.1", port)

    async def one_way(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(1 << 16):
            sink.write(data)

    ways = [asyncio.ensure_future(one_way(reader, there[1])), asyncio.ensure_future(one_way(there[0], writer))]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    for way in ways:
        way.cancel()
    there[1].close()


class Rejected(Exception):
    """As of `websockets`."""

    def __init__(self, status: int) -> None:
        self.response = SimpleNamespace(status_code=status)


@pytest.mark.parametrize(
    ("problem", "blame"),
    [
        (ssl.SSLCertVerificationError(1, "x"), Blame.NONE),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), Blame.NONE),
        (OSError("Multiple exceptions: …"), Blame.NONE),
        (socket.gaierror(-2, "x"), Blame.NONE),
        (ConnectionResetError(errno.ECONNRESET, "x"), Blame.DOUBT),
        (TimeoutError(), Blame.DOUBT),
        (ssl.SSLError(1, "an alert that anybody can send"), Blame.DOUBT),
        (OSError(errno.EMFILE, "x"), Blame.NONE),
        (FileNotFoundError(errno.ENOENT, "x"), Blame.DOUBT),
        (EOFError(), Blame.DOUBT),
        (Rejected(502), Blame.DOUBT),
        (Rejected(403), Blame.CERTAIN),
        (None, Blame.DOUBT),
    ],
)
def test_what_a_failure_says_of_the_client_certificate(problem: BaseException | None, blame: Blame) -> None:
    trial = Trial("new", "old", NOW)
    assert blame_of(problem) is blame
    attempts = {Blame.NONE: 0, Blame.DOUBT: MOST_DOUBTS, Blame.CERTAIN: 1}[blame]
    for left in range(MOST_DOUBTS, 0, -1):
        assert trial.use(NOW) == ("old" if 0 < attempts <= MOST_DOUBTS - left else "new")
        trial = failed(trial, "new", "", blame)
    assert trial.use(NOW) == ("old" if attempts else "new")
    assert failed(trial, "old", "", blame).use(NOW) == "new"


def test_a_station_is_sent_nowhere_else(tmp_path: Path) -> None:
    """Whoever answers for the CSMS once could keep a station at another address, and older `websockets` take the
    password there."""
    charge_point(Edition.V21)
    bench = real_bench(tmp_path, Edition.V21)
    asked: list[bytes] = []

    async def run() -> None:
        csms, elsewhere = Csms(Edition.V21), Csms(Edition.V21)
        context = server_context(bench, tmp_path / "tls", profile=2)
        async with serving(elsewhere, context):

            async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                asked.append(await reader.readuntil(b"\r\n\r\n"))
                place = f"Location: wss://localhost:{elsewhere.port}/CS1\r\n"
                writer.write(f"HTTP/1.1 302 Found\r\n{place}Content-Length: 0\r\n\r\n".encode())
                writer.close()

            async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
                csms.port = server.sockets[0].getsockname()[1]
                async with connecting(csms, bench, profile=2):
                    while len(asked) < 3:
                        await asyncio.sleep(0.01)
            assert elsewhere.connections == []

    asyncio.run(run())


def test_the_password_has_a_place_of_its_own() -> None:
    """A URL is logged."""
    with pytest.raises(InvalidConfiguration) as refused:
        Endpoint(url="wss://CS1:hidden@csms.example/CS1")
    assert "hidden" not in str(refused.value)


def test_waits_double_and_spread() -> None:
    endpoint = Endpoint(url="wss://csms.example/CS1", first_wait=1.0, longest_wait=60.0)
    assert [pause(endpoint, failures, 1.0) for failures in (1, 2, 3, 10, 10_000)] == [1.0, 2.0, 4.0, 60.0, 60.0]
    assert pause(endpoint, 3, 0.0) == 2.0


class Noting(Connector):
    """Notes for how long it would wait, and does not."""

    waits: list[float]

    async def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)


def dropped(tmp_path: Path, lasted: Sequence[float]) -> list[float]:
    """The pauses after connections that the CSMS accepts, and drops after so many seconds each."""
    bench, _ = with_certificate(tmp_path, Edition.V21)
    now = [0.0]

    async def run() -> list[float]:
        csms, left = Csms(Edition.V21), list(lasted)
        context = server_context(bench, tmp_path / "tls", profile=3)

        async def serve(connection: Any) -> None:
            now[0] += left.pop(0)
            await connection.close()

        certificates = Certificates(bench.station, policy=policy(Edition.V21), directory=bench.state)
        endpoint = Endpoint(url="wss://localhost/CS1", first_wait=1.0, longest_wait=60.0)
        async with serving(csms, context):
            endpoint = replace(endpoint, url=f"wss://localhost:{csms.port}/CS1")
            connector = Noting(endpoint, certificates, serve, chance=lambda: 1.0, elapsed=lambda: now[0])
            connector.waits = []
            running = asyncio.create_task(connector.run())
            async with asyncio.timeout(20):
                while len(connector.waits) < len(lasted):
                    await asyncio.sleep(0.01)
            running.cancel()
            await asyncio.wait({running})
        certificates.close()
        return connector.waits[: len(lasted)]

    return asyncio.run(run())


def test_a_csms_that_accepts_connections_and_drops_them_is_left_alone_ever_longer(tmp_path: Path) -> None:
    assert dropped(tmp_path, [0, 0, 100, 0, 0, 0, 0, 0]) == [1, 2, 4, 8, 16, 32, 60, 60]


def test_after_a_connection_that_has_lasted_the_pauses_begin_anew(tmp_path: Path) -> None:
    assert dropped(tmp_path, [0, 0, 0, LASTING, 0, 0]) == [1, 2, 4, 1, 1, 2]


@pytest.mark.parametrize("question", ["connected", "client_certificate"])
def test_a_store_that_fails_while_connected_says_nothing_against_the_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    """The connection stays, and what follows from it is done once the store can be asked."""
    bench, old = with_certificate(tmp_path, Edition.V21)
    new = enrolled(bench, not_after=bench.time.now + 90 * DAY)
    monkeypatch.setattr(connector_module, "LOOK", 0.01)
    fails, failed_so_far = [question == "connected"], []
    ask = getattr(Renewals, question)

    def asked(renewals: Renewals, *arguments: Any) -> Any:
        if fails[0]:
            failed_so_far.append(1)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return ask(renewals, *arguments)

    monkeypatch.setattr(Renewals, question, asked)

    async def scene(stage: Stage, certificates: Certificates) -> None:
        csms, fails[0] = stage.csms, True
        while len(failed_so_far) < 2 * MOST_DOUBTS:
            await asyncio.sleep(0.01)
        trial = certificates._desk.memory.trial
        assert trial is None or (trial.new, trial.new_failed, trial.doubts) == (new, False, 0)
        fails[0] = False
        while bench.station.renewal.leaf_info(CSMS, old) is not None:
            await asyncio.sleep(0.01)
        assert bench.station.renewal.leaf_info(CSMS, new) is not None
        assert len(csms.connections) == len(csms.peers) == 1
        assert bench.desk.memory.waiting == ()

    play_connected(bench, scene)


def test_without_tls_there_is_no_endpoint_and_passwords_are_not_shown() -> None:
    with pytest.raises(InvalidConfiguration):
        Endpoint(url="ws://csms.example/CS1")
    assert "hidden" not in repr(Endpoint(url="wss://csms.example/CS1", profile=2, password="hidden"))


def test_where_no_root_is_installed_a_connector_of_ones_own_is_told_so() -> None:
    with pytest.raises(InvalidConfiguration, match="csms_ca_bundle: holds no root that is valid"):
        tls_context(TrustedRoots((), "", on_trial=False), None)


def test_security_profile_3_without_a_client_certificate_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("websockets", reason="the package websockets is not installed")
    bench = Bench(tmp_path / "certs")

    async def run() -> None:
        certificates = Certificates(bench.station, policy=policy(Edition.V201))
        endpoint = Endpoint(url="wss://localhost:9/CS1", profile=3)
        connecting = asyncio.create_task(Connector(endpoint, certificates, lambda _: asyncio.sleep(0)).run())
        async with asyncio.timeout(10):
            while "no connection to" not in caplog.text:
                await asyncio.sleep(0.01)
        connecting.cancel()
        await asyncio.wait({connecting})
        certificates.close()

    asyncio.run(run())
    assert "wss://localhost:9/CS1, security profile 3: there is no client certificate" in caplog.text
