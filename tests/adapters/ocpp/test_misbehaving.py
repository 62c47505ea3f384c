"""A CSMS that answers late, twice, with a wrong chain or never, and that is gone in the middle of each message.

What it does is drawn from a seed; nothing waits for real time to pass.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from evse_security.adapters.ocpp import Certificates, Edition, NotDelivered, SecurityEvent, SigningUse
from evse_security.adapters.ocpp.sending import Unanswered
from tests.adapters.ocpp.csms import ANSWERS, SIGN, Csms, Stage, charge_point, play, real_bench, server_context, serving
from tests.adapters.ocpp.kit import Bench, policy
from tests.adapters.ocpp.stations import kept_connected
from tests.adapters.ocpp.test_octt_m import responder, root_type, with_leaf
from tests.builders import DAY

ALL = tuple(Edition)
VERSIONS = (Edition.V16, Edition.V201, Edition.V21)
CSMS = SigningUse.CSMS


def signed(request: Mapping[str, Any], chain: str) -> dict[str, Any]:
    """CertificateSigned, as a CSMS answers to a request."""
    repeated = {name: request[name] for name in ("certificateType", "requestId") if name in request}
    return {"certificateChain": chain, **repeated}


async def requested(stage: Stage) -> dict[str, Any]:
    """Have a new request sent, and return it."""
    times = len(stage.csms.said("SignCertificate")) + 1
    assert await stage.csms.trigger(SIGN) == {"status": "Accepted"}
    return (await stage.csms.until_said("SignCertificate", times))[-1]


# ---- late, twice, wrong


@pytest.mark.parametrize("edition", ALL)
def test_an_answer_that_comes_late_is_taken_unless_another_request_replaced_its_own(
    tmp_path: Path, edition: Edition
) -> None:
    async def scene(stage: Stage) -> None:
        replaced = await requested(stage)
        wanted = await requested(stage)
        while stage.station.certificates._desk.memory.renewal(CSMS).outcome != "asked":
            await asyncio.sleep(0)
        stage.bench.time.now += DAY / 720  # the request is repeated, and its answer is still the right one
        stage.station.certificates._wake.set()
        await stage.csms.until_said("SignCertificate", 3)
        late = signed(replaced, stage.bench.chain(replaced["csr"]))
        assert (await stage.csms.ask("CertificateSigned", **late))["status"] == "Rejected"
        await stage.event(SecurityEvent.INVALID_STATION_CERTIFICATE.name_in(edition))
        answer = await stage.csms.ask("CertificateSigned", **signed(wanted, stage.bench.chain(wanted["csr"])))
        assert answer == {"status": "Accepted"}

    play(tmp_path, edition, scene, wait=60)


@pytest.mark.parametrize("edition", ALL)
def test_an_answer_that_comes_twice_is_accepted_twice_and_installed_once(tmp_path: Path, edition: Edition) -> None:
    reconnects: list[int] = []

    async def scene(stage: Stage) -> None:
        stage.station.certificates.reconnect_by(lambda: reconnects.append(1))
        request = await requested(stage)
        answer = signed(request, stage.bench.chain(request["csr"]))
        for _ in range(2):
            assert await stage.csms.ask("CertificateSigned", **answer) == {"status": "Accepted"}
        assert len(list(stage.bench.certs.glob("client/csms/*CHAIN*"))) <= 1
        assert stage.station.certificates._desk.memory.waiting == ()

    play(tmp_path, edition, scene)
    assert reconnects == [1]


@pytest.mark.parametrize("edition", ALL)
def test_a_chain_for_another_station_is_refused_and_the_right_one_is_still_taken(
    tmp_path: Path, edition: Edition
) -> None:
    async def scene(stage: Stage) -> None:
        request = await requested(stage)
        wrong = signed(request, stage.bench.made.pem("Server", "CsmsSub"))
        assert (await stage.csms.ask("CertificateSigned", **wrong))["status"] == "Rejected"
        await stage.event(SecurityEvent.INVALID_STATION_CERTIFICATE.name_in(edition))
        right = signed(request, stage.bench.chain(request["csr"]))
        assert await stage.csms.ask("CertificateSigned", **right) == {"status": "Accepted"}

    play(tmp_path, edition, scene)


def test_a_csms_that_never_answers_to_events_does_not_keep_a_leaf_from_being_renewed(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", Edition.V21)
    said: list[str] = []

    async def send(action: str, _: dict[str, Any]) -> dict[str, Any]:
        said.append(action)
        if action == "SecurityEventNotification":
            raise Unanswered(action, "no answer in time")
        return {"status": "Accepted"}

    async def run() -> None:
        certificates = Certificates(bench.station, policy=policy(Edition.V21), directory=bench.state)
        await certificates.happened(SecurityEvent.STARTUP)
        await certificates.answer("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})
        certificates.after("TriggerMessage")
        certificates.online(send)
        async with asyncio.timeout(20):
            while "SignCertificate" not in said:
                await asyncio.sleep(0.01)
        certificates.offline()
        certificates.close()

    asyncio.run(run())
    assert said == ["SecurityEventNotification", "SignCertificate"]
    assert [one.type for one in bench.restarted().memory.waiting] == ["StartupOfTheDevice"]


# ---- gone in the middle of a message


def cut(csms: Csms) -> None:
    """The connection is gone, without a word."""
    if csms.peers:
        csms.peers[-1]._connection.transport.abort()


async def reconnected(csms: Csms, times: int) -> None:
    """Wait until a station that had connected so often is there once more."""
    await csms.until_said("BootNotification", times + 1)
    await csms.until(lambda: csms.peers)


async def cut_in(csms: Csms, certificates: Certificates, action: str, payload: Mapping[str, Any], when: str) -> None:
    """Ask a station, and be gone before it has begun to work at it, or when it is about to answer."""
    times, answer = len(csms.said("BootNotification")), certificates.answer

    async def cutting(asked: str, said: Mapping[str, Any]) -> Any:
        if when == "unread":
            cut(csms)
        found = await answer(asked, said)
        cut(csms)
        return found

    certificates.answer = cutting  # type: ignore[method-assign, assignment]
    asking = asyncio.ensure_future(csms.ask(action, **payload))
    try:
        await reconnected(csms, times)
    finally:
        certificates.answer = answer  # type: ignore[method-assign]
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


def on_the_line(
    tmp_path: Path,
    edition: Edition,
    scene: Callable[[Csms, Certificates], Awaitable[object]],
    bench: Bench | None = None,
    **changes: Any,
) -> None:
    """Play a scene between a CSMS and a station that comes back whatever happens."""
    charge_point(edition)
    there = bench or real_bench(tmp_path, edition)

    async def run() -> None:
        csms = Csms(edition)
        context = server_context(there, tmp_path / "tls")
        async with serving(csms, context), kept_connected(csms, there, **changes) as certificates:
            await csms.until_said("BootNotification")
            await scene(csms, certificates)

    asyncio.run(run())


def questions(bench: Bench, edition: Edition) -> dict[str, dict[str, Any]]:
    """What a CSMS asks that can be asked again."""
    kind, is_16 = root_type(edition), edition is Edition.V16
    trigger = "ExtendedTriggerMessage" if is_16 else "TriggerMessage"
    firmware = {
        "location": "https://example.org/fw.bin",
        "retrieveDateTime": "2030-01-01T00:00:00Z",
        "signingCertificate": bench.made["StrangerLeaf"].pem,
        "signature": "AA==",
    }
    return {
        "InstallCertificate": {"certificateType": kind, "certificate": bench.made["Stranger"].pem},
        "GetInstalledCertificateIds": {"certificateType": kind if is_16 else [kind]},
        trigger: {"requestedMessage": "SignChargePointCertificate" if is_16 else SIGN},
        "SignedUpdateFirmware" if is_16 else "UpdateFirmware": {"requestId": 1, "firmware": firmware},
    }


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("edition", VERSIONS)
def test_a_csms_that_is_gone_in_the_middle_of_what_it_asks_may_ask_again(
    tmp_path: Path, edition: Edition, seed: int
) -> None:
    bench = real_bench(tmp_path, edition)
    plays = [(action, when) for action in questions(bench, edition) for when in ("unread", "unheard")]
    random.Random(seed).shuffle(plays)

    async def scene(csms: Csms, certificates: Certificates) -> None:
        for action, when in plays:
            payload = questions(bench, edition)[action]
            await cut_in(csms, certificates, action, payload, when)
            answer = await csms.ask(action, **payload)
            wanted = "InvalidCertificate" if action.endswith("UpdateFirmware") else "Accepted"
            assert answer["status"] == wanted, (action, when)
        await csms.until_said("SignCertificate")
        assert bench.made["Stranger"].pem in (await certificates.csms_trust()).pem

    on_the_line(tmp_path, edition, scene, bench)


@pytest.mark.parametrize("when", ["unread", "unheard"])
@pytest.mark.parametrize("edition", VERSIONS)
def test_a_certificate_that_was_signed_or_deleted_before_the_line_was_cut_is_not_lost(
    tmp_path: Path, edition: Edition, when: str
) -> None:
    bench = real_bench(tmp_path, edition)

    async def scene(csms: Csms, certificates: Certificates) -> None:
        request = await requested(Stage(csms, bench, None))
        answer = signed(request, bench.chain(request["csr"]))
        await cut_in(csms, certificates, "CertificateSigned", answer, when)
        assert await csms.ask("CertificateSigned", **answer) == {"status": "Accepted"}
        found = await certificates.client_certificate()
        assert found is not None
        asked = {"certificateType": ["V2GRootCertificate"]}
        [chain] = (await csms.ask_pnc("GetInstalledCertificateIds", **asked))["certificateHashDataChain"]
        gone = {"certificateHashData": chain["certificateHashData"]}
        await cut_in(csms, certificates, "DeleteCertificate", gone, when)
        assert (await csms.ask("DeleteCertificate", **gone))["status"] in ("Accepted", "NotFound")
        assert await csms.ask_pnc("GetInstalledCertificateIds", **asked) == {"status": "NotFound"}

    on_the_line(tmp_path, edition, scene, bench)


@pytest.mark.parametrize("edition", VERSIONS)
def test_a_request_on_a_connection_that_is_gone_before_anybody_said_so_is_sent_on_the_next(
    tmp_path: Path, edition: Edition
) -> None:
    """Sending fails some time before `offline` is called."""
    bench = Bench(tmp_path / "certs", edition)
    sent: asyncio.Queue[str] = asyncio.Queue()

    async def gone(action: str, payload: Any) -> Any:
        sent.put_nowait(payload["csr"])
        raise NotDelivered(action, "ConnectionClosedError", is_gone=True)

    async def there(action: str, payload: Any) -> Any:
        sent.put_nowait(payload["csr"])
        return {"status": "Accepted"}

    async def run() -> None:
        certificates = Certificates(bench.station, policy=policy(edition), directory=bench.state)
        certificates._desk.renewals.trigger(CSMS)
        certificates.online(gone)
        async with asyncio.timeout(20):
            first = await sent.get()
            await certificates._ask(lambda: None)  # what came of it has been written down
            certificates.offline()
            certificates.online(there)
            assert await sent.get() == first
        certificates.offline()
        certificates.close()

    asyncio.run(run())


@pytest.mark.parametrize("edition", VERSIONS)
def test_what_the_station_said_to_a_csms_that_was_gone_is_said_again(tmp_path: Path, edition: Edition) -> None:
    bench = with_leaf(tmp_path, edition)
    told = responder(bench)
    cuts = ["BootNotification", "SecurityEventNotification", "SignCertificate", "GetCertificateStatus"]

    async def scene(csms: Csms, certificates: Certificates) -> None:
        def answering(action: str, usual: dict[str, Any]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
            def answer(payload: Mapping[str, Any]) -> dict[str, Any]:
                if action in cuts:
                    cuts.remove(action)
                    cut(csms)
                return told(payload) if action == "GetCertificateStatus" else usual

            return answer

        for action in tuple(cuts):
            csms.answers[action] = answering(action, ANSWERS[action])
        await certificates.happened(SecurityEvent.STARTUP)
        await csms.until_said("SecurityEventNotification", 2)
        [first, again] = csms.said("SecurityEventNotification")[:2]
        assert first == again
        await csms.until(lambda: csms.peers)
        times = len(csms.said("BootNotification"))
        certificates._desk.renewals.trigger(CSMS)
        certificates._wake.set()
        await csms.until_said("SignCertificate")
        await reconnected(csms, times)
        bench.time.now += DAY / 720
        certificates._wake.set()
        await csms.until_said("SignCertificate", 2)
        assert len({one["csr"] for one in csms.said("SignCertificate")}) == 1
        while not all(one.cached for one in bench.station.ocsp_questions()):
            await asyncio.sleep(0)
        while certificates._desk.memory.waiting:
            await asyncio.sleep(0)
        cut(csms)
        await csms.until_said("BootNotification", 6)  # one more for each that was cut off
        assert not cuts

    on_the_line(tmp_path, edition, scene, bench, wait=30)


@pytest.mark.parametrize("edition", VERSIONS)
def test_what_a_car_waits_for_fails_with_the_connection(tmp_path: Path, edition: Edition) -> None:
    bench = real_bench(tmp_path, edition)
    contract, token = bench.made.pem("Contract", "MoSub"), {"idToken": "DEABCC000000001", "type": "eMAID"}

    async def scene(csms: Csms, certificates: Certificates) -> None:
        def gone(_: Mapping[str, Any]) -> dict[str, Any]:
            cut(csms)
            return {}

        asks: dict[str, Callable[[], Awaitable[Any]]] = {
            "Authorize": lambda: certificates.authorize(token, contract),
            "Get15118EVCertificate": lambda: anext(
                certificates.ev_certificates("AA==", schema="urn:iso:15118:2:2013:MsgDef")
            ),
        }
        for action, ask in asks.items():
            csms.answers[action] = gone
            while certificates._send is None:
                await asyncio.sleep(0)
            times = len(csms.said("BootNotification"))
            with pytest.raises(NotDelivered):
                await ask()
            await reconnected(csms, times)
            assert len(csms.said(action)) == 1

    on_the_line(tmp_path, edition, scene, bench)


# ---- all of it, drawn from a seed


class Whims:
    """A CSMS that does to each request what a seed says, and is honest in the end."""

    def __init__(self, csms: Csms, bench: Bench, certificates: Certificates, seed: int) -> None:
        self.csms, self.bench, self.certificates, self.random = csms, bench, certificates, random.Random(seed)
        self.before: list[dict[str, Any]] = []
        """Answers that were held back."""

    async def request(self) -> dict[str, Any]:
        return await requested(Stage(self.csms, self.bench, None))

    def right(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return signed(request, self.bench.chain(request["csr"]))

    async def said(self, answer: Mapping[str, Any]) -> str:
        return str((await self.csms.ask("CertificateSigned", **answer))["status"])

    async def never(self) -> None:
        self.before.append(self.right(await self.request()))

    async def late(self) -> None:
        if self.before:
            held = self.random.choice(self.before)
            await self.request()
            assert await self.said(held) == "Rejected"

    async def twice(self) -> None:
        answer = self.right(await self.request())
        assert [await self.said(answer), await self.said(answer)] == ["Accepted", "Accepted"]

    async def wrong(self) -> None:
        request = await self.request()
        assert await self.said(signed(request, self.bench.chain(request["csr"], "StrangerSub"))) == "Rejected"

    async def refusing(self) -> None:
        self.csms.answers["SignCertificate"] = lambda _: {"status": "Rejected"}
        await self.request()
        del self.csms.answers["SignCertificate"]

    async def gone(self) -> None:
        times = len(self.csms.said("BootNotification"))
        cut(self.csms)
        await reconnected(self.csms, times)

    async def gone_while_signing(self) -> None:
        when = self.random.choice(["unread", "unheard"])
        answer = self.right(await self.request())
        await cut_in(self.csms, self.certificates, "CertificateSigned", answer, when)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("edition", VERSIONS)
def test_whatever_a_csms_did_an_honest_answer_ends_it(tmp_path: Path, edition: Edition, seed: int) -> None:
    bench = real_bench(tmp_path, edition)

    async def scene(csms: Csms, certificates: Certificates) -> None:
        whims = Whims(csms, bench, certificates, seed)
        every = [whims.never, whims.late, whims.twice, whims.wrong, whims.refusing, whims.gone]
        for _ in range(8):
            await whims.random.choice([*every, whims.gone_while_signing])()
        request = await whims.request()
        assert await whims.said(whims.right(request)) == "Accepted"
        while certificates._desk.memory.waiting:
            await asyncio.sleep(0)
        restarted = bench.restarted()
        assert restarted.memory.waiting == ()
        assert restarted.renewals.client_certificate() is not None

    on_the_line(tmp_path, edition, scene, bench)
