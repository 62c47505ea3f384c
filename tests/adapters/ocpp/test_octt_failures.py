"""OCTT's cases in which a station cannot or must not do what the CSMS asks, against a CSMS over TLS."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evse_security import Station
from evse_security.adapters.ocpp import Edition
from tests.adapters.ocpp.csms import Stage, play, real_bench
from tests.adapters.ocpp.kit import Bench
from tests.builders import DAY, world
from tests.conformance.kit import ReadOnly

ROOT = {Edition.V16: "CentralSystemRootCertificate"}


def on_a_dead_disk(bench: Bench) -> Bench:
    """A station whose store cannot be written to any more."""
    bench.station = Station(bench.station.config, ReadOnly())
    bench.restarted()
    return bench


async def root(stage: Stage) -> dict[str, Any]:
    """The identity of the first CSMS root."""
    is_16 = stage.csms.edition is Edition.V16
    kind = ROOT.get(stage.csms.edition, "CSMSRootCertificate")
    answer = await stage.csms.ask("GetInstalledCertificateIds", certificateType=kind if is_16 else [kind])
    if is_16:
        return dict(answer["certificateHashData"][0])
    return dict(answer["certificateHashDataChain"][0]["certificateHashData"])


@pytest.mark.parametrize("edition", Edition)
def test_tc_m_05_a_disk_that_takes_nothing(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        kind, certificate = "ManufacturerRootCertificate", stage.bench.made["Stranger"].pem
        answer = await stage.csms.ask("InstallCertificate", certificateType=kind, certificate=certificate)
        assert answer["status"] == "Failed"
        assert edition is Edition.V16 or answer["statusInfo"]["reasonCode"] == "InternalError"

    play(tmp_path, edition, scene, bench=on_a_dead_disk(real_bench(tmp_path, edition)))


@pytest.mark.parametrize("edition", Edition)
@pytest.mark.parametrize("holder", ["Ended", "Weak"])
def test_tc_m_07_an_expired_and_a_weak_root(tmp_path: Path, edition: Edition, holder: str) -> None:
    from evse_security.lab.keys import KeyKind

    bad = world(
        "Ended >",
        "Weak >",
        Ended={"not_after": datetime.now(UTC) - DAY},
        Weak={"key": KeyKind.RSA1024},
    )

    async def scene(stage: Stage) -> None:
        kind = ROOT.get(edition, "CSMSRootCertificate")
        before = await root(stage)
        answer = await stage.csms.ask("InstallCertificate", certificateType=kind, certificate=bad[holder].pem)
        assert answer["status"] == "Rejected"
        assert await root(stage) == before

    play(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", Edition)
def test_tc_m_21_a_deletion_that_fails(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        data = await root(stage)
        answer = await stage.csms.ask("DeleteCertificate", certificateHashData=data)
        assert answer["status"] == "Failed"
        assert edition is Edition.V16 or answer["statusInfo"]["reasonCode"] == "InternalError"
        assert await root(stage) == data

    bench = real_bench(tmp_path, edition)
    for holder in ("Stranger", "CsmsRoot"):  # one of two may be deleted, were it not for the disk
        arguments = {"certificate": bench.made[holder].pem, "certificate_type": "CSMS"}
        assert bench.station.dispatch("install_ca_certificate", arguments) == "Accepted"
    play(tmp_path, edition, scene, bench=on_a_dead_disk(bench))
