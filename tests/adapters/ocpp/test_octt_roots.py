"""OCTT's cases of AdditionalRootCertificateCheck, against a CSMS over TLS that changes its certificate."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from evse_security.adapters.ocpp import Certificates, Edition, tls_context
from evse_security.vocabulary import LeafCertificateType
from tests.adapters.ocpp.connecting import connecting, enrolled
from tests.adapters.ocpp.csms import PROTOCOLS, Csms, Stage, charge_point, real_bench, server_context, serving, shows
from tests.adapters.ocpp.kit import Bench, policy
from tests.builders import DAY

CHECKED = {"additional_root_certificate_check": True}
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
EVENT = {Edition.V16: "InvalidCentralSystemCertificate"}


class Change:
    """A CSMS whose certificate can be changed, and a station that stays connected to it."""

    def __init__(self, stage: Stage, certificates: Certificates, show: Callable[[str], None]) -> None:
        self.csms, self.bench, self.certificates, self.show = stage.csms, stage.bench, certificates, show
        self.event = stage.event

    async def install(self, holder: str) -> None:
        """Install a CSMS root."""
        kind = "CentralSystemRootCertificate" if self.csms.edition is Edition.V16 else "CSMSRootCertificate"
        certificate = self.bench.made[holder].pem
        answer = await self.csms.ask("InstallCertificate", certificateType=kind, certificate=certificate)
        assert answer == {"status": "Accepted"}

    async def roots(self) -> int:
        """How many CSMS roots the station has, by its own account."""
        is_16 = self.csms.edition is Edition.V16
        kind = "CentralSystemRootCertificate" if is_16 else ["CSMSRootCertificate"]
        answer = await self.csms.ask("GetInstalledCertificateIds", certificateType=kind)
        return len(answer["certificateHashData" if is_16 else "certificateHashDataChain"])

    async def hang_up(self) -> None:
        """End the connection, and wait for the station to be back and booted."""
        times = len(self.csms.said("BootNotification"))
        await self.csms.peers[-1]._connection.close()
        await self.csms.until_said("BootNotification", times + 1)
        await self.roots()


def play(
    tmp_path: Path,
    bench: Bench,
    scene: Callable[[Change], Awaitable[object]],
    *,
    profile: int = 2,
    version: ssl.TLSVersion | None = None,
) -> None:
    charge_point(bench.edition)

    async def run() -> None:
        csms, folder = Csms(bench.edition), tmp_path / "tls"
        context = server_context(bench, folder, profile=profile, version=version)
        async with serving(csms, context), connecting(csms, bench, profile=profile) as certificates:
            await csms.until_said("BootNotification")
            await scene(Change(Stage(csms, bench, None), certificates, lambda one: shows(context, bench, folder, one)))

    asyncio.run(run())


def checked(tmp_path: Path, edition: Edition) -> Bench:
    return real_bench(tmp_path, edition, config=CHECKED)


@pytest.mark.parametrize("edition", Edition)
@pytest.mark.parametrize("version", VERSIONS)
def test_tc_m_30_reconnect_under_the_new_root(tmp_path: Path, edition: Edition, version: ssl.TLSVersion) -> None:
    async def scene(change: Change) -> None:
        await change.install("Next")
        change.show("NextServer")
        await change.hang_up()
        assert await change.roots() == 1
        await change.hang_up()  # and once more, by the new one alone
        assert change.csms.said("SecurityEventNotification") == []

    play(tmp_path, checked(tmp_path, edition), scene, version=version)


@pytest.mark.parametrize("edition", Edition)
@pytest.mark.parametrize("version", VERSIONS)
def test_tc_m_31_fall_back_to_the_old_root(tmp_path: Path, edition: Edition, version: ssl.TLSVersion) -> None:
    async def scene(change: Change) -> None:
        await change.install("Next")
        await change.hang_up()  # the CSMS is still under the old one
        told = await change.event(EVENT.get(edition, "InvalidCsmsCertificate"))
        assert "new CSMS root" in told["techInfo"]
        assert await change.roots() == 2
        await change.hang_up()
        change.show("NextServer")
        await change.hang_up()  # now it has changed over
        assert await change.roots() == 1
        events = change.csms.said("SecurityEventNotification")
        assert len({one["timestamp"] for one in events}) == 1  # it is sent again where its answer was not heard

    play(tmp_path, checked(tmp_path, edition), scene, version=version)


@pytest.mark.parametrize("edition", [Edition.V16, Edition.V21])
def test_in_profile_3_the_old_root_stays_for_the_client_certificate(tmp_path: Path, edition: Edition) -> None:
    bench = checked(tmp_path, edition)
    enrolled(bench)

    async def scene(change: Change) -> None:
        await change.install("Next")
        change.show("NextServer")
        await change.hang_up()
        assert await change.roots() == 2
        assert len((await change.certificates.csms_trust()).fingerprints) == 1
        await change.hang_up()
        assert change.csms.connections == ["CS-0001"] * 3
        change.show("Server")  # who still has the old key is not the CSMS any more
        await change.csms.peers[-1]._connection.close()
        while not change.certificates._desk.memory.waiting:
            await asyncio.sleep(0.01)
        assert len(change.csms.connections) == 3

    play(tmp_path, bench, scene, profile=3)


@pytest.mark.parametrize("edition", [Edition.V201_2025, Edition.V21])
def test_a_root_and_a_client_certificate_on_trial_at_once(tmp_path: Path, edition: Edition) -> None:
    """The CSMS does not verify under the new root: the new client certificate was not even shown, and is not blamed."""
    bench = checked(tmp_path, edition)
    old = enrolled(bench)

    async def scene(change: Change) -> None:
        await change.install("Next")
        stage = Stage(change.csms, bench, None)
        assert await stage.enrol(not_after=bench.time.now + 90 * DAY) == {"status": "Accepted"}
        await change.csms.until_said("BootNotification", 2)
        await change.event("InvalidCsmsCertificate")
        new = await change.certificates.client_certificate()
        assert new is not None and new.fingerprint != old
        assert bench.station.renewal.leaf_info(LeafCertificateType.CSMS, old) is None
        assert {one["type"] for one in change.csms.said("SecurityEventNotification")} == {"InvalidCsmsCertificate"}
        assert await change.roots() == 2

    play(tmp_path, bench, scene, profile=3)


@pytest.mark.parametrize("edition", [Edition.V16, Edition.V21])
def test_a_connector_of_ones_own(tmp_path: Path, edition: Edition) -> None:
    """What docs/ocpp.md has users do."""
    charge_point(edition)
    from websockets.asyncio.client import connect

    bench = checked(tmp_path, edition)
    kind = "CentralSystemRootCertificate" if edition is Edition.V16 else "CSMSRootCertificate"
    certificate = bench.made["Next"].pem
    assert bench.answer("InstallCertificate", certificateType=kind, certificate=certificate)["status"] == "Accepted"

    async def run() -> None:
        certificates = Certificates(bench.station, policy=policy(edition), directory=bench.state)

        async def attempt(port: int) -> bool:
            roots = await certificates.csms_trust()
            context = tls_context(roots, None)
            url = f"wss://localhost:{port}/CS1"
            try:
                async with connect(url, ssl=context, subprotocols=[PROTOCOLS[edition]]):  # type: ignore[list-item, unused-ignore]
                    await certificates.connected(None, roots)
                    return True
            except OSError as problem:
                await certificates.connection_failed(None, roots, problem)
                return False

        csms, folder = Csms(edition), tmp_path / "tls"
        context = server_context(bench, folder)
        async with serving(csms, context):
            assert [await attempt(csms.port) for _ in range(4)] == [False, True, False, True]
            shows(context, bench, folder, "NextServer")
            assert await attempt(csms.port)
        assert len(bench.station.chains(LeafCertificateType.CSMS).roots) == 1
        [event] = certificates._desk.memory.waiting
        assert event.type == EVENT.get(edition, "InvalidCsmsCertificate")
        certificates.close()

    asyncio.run(run())


@pytest.mark.parametrize("edition", [Edition.V201, Edition.V21])
def test_a_csms_that_is_away_proves_nothing(tmp_path: Path, edition: Edition) -> None:
    """Nobody listens, or somebody who breaks off: the new root stays first, and both stay."""
    charge_point(edition)
    bench = checked(tmp_path, edition)
    kind, certificate = "CSMSRootCertificate", bench.made["Next"].pem
    assert bench.answer("InstallCertificate", certificateType=kind, certificate=certificate)["status"] == "Accepted"

    async def run() -> None:
        attempts = asyncio.Queue[None]()

        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()
            attempts.put_nowait(None)

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            csms = Csms(edition, port=server.sockets[0].getsockname()[1])
            async with connecting(csms, bench, profile=2) as certificates:
                for _ in range(3):
                    await attempts.get()
                assert (await certificates.csms_trust()).on_trial
                assert certificates._desk.memory.waiting == ()

    asyncio.run(run())
    assert len(bench.station.chains(LeafCertificateType.CSMS).roots) == 2
