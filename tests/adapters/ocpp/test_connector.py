"""The connector against a CSMS over TLS 1.2 and 1.3: who is trusted, who is shown, and what becomes of failures."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from evse_security.adapters.ocpp import Certificates, Edition, TrustedRoots, tls_context
from evse_security.adapters.ocpp.connector import Connector, Endpoint, pause
from evse_security.errors import InvalidConfiguration
from tests.adapters.ocpp.connecting import connecting, enrolled
from tests.adapters.ocpp.csms import Csms, Stage, charge_point, real_bench, server_context, serving
from tests.adapters.ocpp.kit import Bench, policy
from tests.builders import DAY

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("edition", Edition)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("profile", [2, 3])
def test_tc_a_04_07_a_csms_and_a_station_that_prove_who_they_are(
    tmp_path: Path, edition: Edition, version: ssl.TLSVersion, profile: int
) -> None:
    charge_point(edition)
    bench = real_bench(tmp_path, edition)
    enrolled(bench)

    async def run() -> None:
        csms = Csms(edition)
        context = server_context(bench, tmp_path / "tls", profile=profile, version=version)
        async with serving(csms, context), connecting(csms, bench, profile=profile):
            await csms.until_said("BootNotification")
            assert csms.connections == ["CS-0001" if profile == 3 else ""]

    asyncio.run(run())


@pytest.mark.parametrize("edition", [Edition.V201_2025, Edition.V21])
def test_a_renewed_certificate_is_tried_at_once_and_the_old_one_discarded(tmp_path: Path, edition: Edition) -> None:
    charge_point(edition)
    bench = real_bench(tmp_path, edition)
    old = enrolled(bench)

    async def run() -> None:
        csms = Csms(edition)
        context = server_context(bench, tmp_path / "tls", profile=3)
        async with serving(csms, context), connecting(csms, bench, profile=3) as certificates:
            await csms.until_said("BootNotification")
            stage = Stage(csms, bench, None)
            assert await stage.enrol(not_after=bench.time.now + 90 * DAY) == {"status": "Accepted"}
            await csms.until_said("BootNotification", 2)
            certificate = await certificates.client_certificate()
            assert certificate is not None and certificate.fingerprint != old
            assert bench.station.leaf_info("CSMS", old) is None  # type: ignore[arg-type]

    asyncio.run(run())


@pytest.mark.parametrize("edition", [Edition.V201_2025, Edition.V21])
def test_a_renewed_certificate_that_the_csms_refuses_is_discarded_and_told(tmp_path: Path, edition: Edition) -> None:
    """The station trusts a CA that the CSMS does not let in any more: the old certificate serves on."""
    charge_point(edition)
    bench = real_bench(tmp_path, edition)
    arguments = {"certificate": bench.made["Stranger"].pem, "certificate_type": "CSMS"}
    assert bench.station.dispatch("install_ca_certificate", arguments) == "Accepted"
    old = enrolled(bench)

    async def run() -> None:
        csms = Csms(edition)
        context = server_context(bench, tmp_path / "tls", profile=3)
        async with serving(csms, context), connecting(csms, bench, profile=3) as certificates:
            await csms.until_said("BootNotification")
            stage = Stage(csms, bench, None)
            answer = await stage.enrol(authority="StrangerSub", not_after=bench.time.now + 90 * DAY)
            assert answer == {"status": "Accepted"}
            await stage.event("DiscardedRenewedClientCertificate")
            certificate = await certificates.client_certificate()
            assert certificate is not None and certificate.fingerprint == old

    asyncio.run(run())


@pytest.mark.parametrize("edition", [Edition.V16, Edition.V201])
def test_base_editions_reconnect_with_the_new_one_and_keep_the_old(tmp_path: Path, edition: Edition) -> None:
    charge_point(edition)
    bench = real_bench(tmp_path, edition)
    old = enrolled(bench)

    async def run() -> None:
        csms = Csms(edition)
        context = server_context(bench, tmp_path / "tls", profile=3)
        async with serving(csms, context), connecting(csms, bench, profile=3):
            await csms.until_said("BootNotification")
            stage = Stage(csms, bench, None)
            assert await stage.enrol(not_after=bench.time.now + 90 * DAY) == {"status": "Accepted"}
            await csms.until_said("BootNotification", 2)
            assert bench.station.leaf_info("CSMS", old) is not None  # type: ignore[arg-type]

    asyncio.run(run())


def test_waits_double_and_spread() -> None:
    endpoint = Endpoint(url="wss://csms.example/CS1", first_wait=1.0, longest_wait=60.0)
    assert [pause(endpoint, failures, 1.0) for failures in (1, 2, 3, 10, 10_000)] == [1.0, 2.0, 4.0, 60.0, 60.0]
    assert pause(endpoint, 3, 0.0) == 2.0


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
