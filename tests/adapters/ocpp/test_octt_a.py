"""OCTT's cases of security (block A), security events (A04) and signed firmware (L01), against a CSMS over TLS."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evse_security.adapters.ocpp import Edition, NotDelivered, SecurityEvent
from tests.adapters.ocpp.csms import SIGN, Stage, play, real_bench
from tests.builders import DAY

ALL = tuple(Edition)
V2 = (Edition.V201, Edition.V201_2025, Edition.V21)


def rejected_event(edition: Edition) -> str:
    return SecurityEvent.INVALID_STATION_CERTIFICATE.name_in(edition)


@pytest.mark.parametrize("edition", ALL)
def test_tc_a_11_a_new_client_certificate_at_the_csms_request(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        assert await stage.enrol() == {"status": "Accepted"}
        assert await stage.station.certificates.client_certificate() is not None

    play(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", ALL)
def test_tc_a_12_a_new_secc_leaf_at_the_csms_request(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        assert await stage.enrol("SignV2GCertificate", "CpoSub2") == {"status": "Accepted"}
        assert list(stage.bench.certs.glob("client/cso/*CHAIN*.pem"))

    play(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", V2)
def test_tc_a_13_a_combined_certificate_is_not_implemented(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        answer = await stage.csms.ask("TriggerMessage", requestedMessage="SignCombinedCertificate")
        assert answer["status"] == "NotImplemented"

    play(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", ALL)
def test_tc_a_14_an_invalid_certificate_is_rejected_with_an_event(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        answer = await stage.enrol(authority="StrangerSub")
        assert answer["status"] == "Rejected"
        assert (await stage.event(rejected_event(edition)))["techInfo"]

    play(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", ALL)
def test_tc_a_15_a_rejected_signing_request_is_asked_again(tmp_path: Path, edition: Edition) -> None:
    answers = iter(["Rejected", "Accepted", "Accepted", "Accepted"])

    async def scene(stage: Stage) -> None:
        await stage.csms.trigger(SIGN)
        await stage.csms.until_said("SignCertificate")
        stage.bench.time.now += DAY
        stage.station.certificates._wake.set()
        await stage.csms.until_said("SignCertificate", 2)

    play(tmp_path, edition, scene, answers={"SignCertificate": lambda _: {"status": next(answers)}})


@pytest.mark.parametrize("edition", ALL)
def test_a02_fr_21_that_no_secc_leaf_is_to_be_had_is_told_to_the_program(tmp_path: Path, edition: Edition) -> None:
    """It decides whether there is no Plug & Charge then; of the client certificate nothing is told."""
    told: list[int] = []

    async def scene(stage: Stage) -> None:
        certificates = stage.station.certificates
        certificates._secc_refused = lambda: told.append(len(stage.csms.said("SignCertificate")))
        for times, wanted in enumerate((SIGN, "SignV2GCertificate", "SignV2GCertificate"), 1):
            await stage.csms.trigger(wanted)
            await stage.csms.until_said("SignCertificate", times)
        while len(told) < 2:
            await asyncio.sleep(0.01)
        assert told == [2, 3]
        assert certificates._desk.memory.renewal("V2G").outcome == "failed"

    play(tmp_path, edition, scene, answers={"SignCertificate": lambda _: {"status": "Rejected"}})


@pytest.mark.parametrize("edition", ALL)
@pytest.mark.parametrize(
    ("case", "current", "wanted", "root", "leaf", "allowed"),
    [
        ("an upgrade", 1, 2, True, False, True),
        ("an upgrade to client certificates", 2, 3, True, True, True),
        ("no CSMS root", 1, 2, False, False, False),
        ("no client certificate", 2, 3, True, False, False),
        ("a downgrade", 3, 2, True, True, False),
    ],
)
def test_a05_the_rule_of_changing_the_security_profile(
    tmp_path: Path,
    edition: Edition,
    case: str,
    current: int,
    wanted: int,
    root: bool,  # noqa: FBT001
    leaf: bool,  # noqa: FBT001
    allowed: bool,  # noqa: FBT001
) -> None:
    from evse_security.adapters.ocpp.profiles import refused_profile

    refused = refused_profile(current, wanted, has_root=root, has_leaf=leaf)
    assert (refused is None) == allowed, (case, edition)


@pytest.mark.parametrize("edition", ALL)
def test_tc_a_23_without_certificate_signed_the_request_is_repeated(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        await stage.csms.trigger(SIGN)
        for times in (2, 3):
            await stage.csms.until_said("SignCertificate", times - 1)
            while stage.station.certificates._desk.memory.renewal("CSMS").outcome != "asked":
                await asyncio.sleep(0.01)
            stage.bench.time.now += DAY / 1440 * (times - 1) * 2
            stage.station.certificates._wake.set()
            await stage.csms.until_said("SignCertificate", times)
        csrs = {one["csr"] for one in stage.csms.said("SignCertificate")}
        assert len(csrs) == 1

    play(tmp_path, edition, scene, wait=60)


# ---- nothing that talks to the CSMS begins before the answer (never inside `@on`)


@pytest.mark.parametrize("edition", ALL)
def test_a_trigger_is_answered_before_the_request_is_sent(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        sent: list[str] = []
        send = stage.station._connection.send

        async def watched(text: str) -> None:
            sent.append(text[:3])
            await send(text)

        stage.station._connection.send = watched
        await stage.csms.trigger(SIGN)
        await stage.csms.until_said("SignCertificate")
        assert sent[:2] == ["[3,", "[2,"]

    play(tmp_path, edition, scene)


# ---- security events (A04)


@pytest.mark.parametrize("edition", ALL)
def test_a04_events_wait_for_the_csms_in_order_and_over_restarts(tmp_path: Path, edition: Edition) -> None:
    bench = real_bench(tmp_path, edition)
    for event in (SecurityEvent.STARTUP, SecurityEvent.INVALID_TLS_VERSION, SecurityEvent.MEMORY_EXHAUSTION):
        bench.desk.happened(event, event.name)
    bench.restarted()

    async def scene(stage: Stage) -> None:
        said = await stage.csms.until_said("SecurityEventNotification", 3)
        assert [one["techInfo"] for one in said] == ["STARTUP", "INVALID_TLS_VERSION", "MEMORY_EXHAUSTION"]
        while stage.station.certificates._desk.memory.waiting:
            await asyncio.sleep(0.01)

    play(tmp_path, edition, scene, bench=bench)
    assert bench.restarted().memory.waiting == ()


def test_an_event_that_got_no_answer_is_sent_again_with_the_next_connection(tmp_path: Path) -> None:
    bench = real_bench(tmp_path, Edition.V201)

    async def scene(stage: Stage) -> None:
        await stage.station._connection.close()
        with pytest.raises(NotDelivered):
            await stage.station.tell("SecurityEventNotification", {"type": "x", "timestamp": "2030-01-01T00:00:00Z"})
        await stage.station.certificates.happened(SecurityEvent.STARTUP)

    play(tmp_path, Edition.V201, scene, bench=bench)
    assert [one.type for one in bench.restarted().memory.waiting] == ["StartupOfTheDevice"]


# ---- firmware (L01)


@pytest.mark.parametrize("edition", ALL)
@pytest.mark.parametrize(("holder", "status"), [("Firmware", "Accepted"), ("StrangerLeaf", "InvalidCertificate")])
def test_l01_the_signing_certificate_is_checked_before_the_own_handler_is_asked(
    tmp_path: Path, edition: Edition, holder: str, status: str
) -> None:
    pytest.importorskip("ocpp", reason="the package ocpp is not installed")
    from ocpp.routing import on

    from evse_security.adapters.ocpp.handlers import message

    action = "SignedUpdateFirmware" if edition is Edition.V16 else "UpdateFirmware"
    begun: list[Mapping[str, Any]] = []

    class Own:
        @on(action)  # type: ignore[untyped-decorator, unused-ignore]
        def on_update(self, **named: Any) -> Any:
            begun.append(named)
            return message(action, {"status": "Accepted"})

    async def scene(stage: Stage) -> None:
        firmware = {
            "location": "https://example.org/fw.bin",
            "retrieveDateTime": "2030-01-01T00:00:00Z",
            "signingCertificate": stage.bench.made[holder].pem,
            "signature": b64encode(b"x").decode(),
        }
        answer = await stage.csms.ask(action, requestId=1, firmware=firmware)
        assert answer["status"] == status
        assert bool(begun) == (status == "Accepted")

    play(tmp_path, edition, scene, extra=Own)


def test_another_vendors_data_transfer_reaches_the_own_handler(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        answer = await stage.csms.ask("DataTransfer", vendorId="org.example", messageId="x", data="{}")
        assert answer == {"status": "UnknownVendorId"}
        ours = "org.openchargealliance.iso15118pnc"
        answer = await stage.csms.ask("DataTransfer", vendorId=ours, messageId="InstallCertificate", data="[")
        assert answer == {"status": "Rejected"}

    play(tmp_path, Edition.V16, scene)


# ---- a CSMS that misbehaves


@pytest.mark.parametrize("edition", ALL)
def test_a_csms_that_answers_before_it_accepted_the_request(tmp_path: Path, edition: Edition) -> None:
    """CertificateSigned overtakes the answer to SignCertificate, as some CSMSs sign while they answer."""
    bench = real_bench(tmp_path, edition)
    early: list[asyncio.Task[Any]] = []

    async def scene(stage: Stage) -> None:
        def sign(payload: Mapping[str, Any]) -> dict[str, Any]:
            chain = bench.chain(payload["csr"])
            early.append(asyncio.ensure_future(stage.csms.ask("CertificateSigned", certificateChain=chain)))
            return {"status": "Accepted"}

        stage.csms.answers["SignCertificate"] = sign
        await stage.csms.trigger(SIGN)
        await stage.csms.until(lambda: early)
        assert await early[0] == {"status": "Accepted"}

    play(tmp_path, edition, scene, bench=bench)
