"""The agent on a real station, with a clock that is an argument: when it asks, whom, how often, and what it tells."""

import asyncio
import errno
import json
import os
from base64 import b64encode
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.ocsp import OCSPCertStatus

from evse_security.agents.enrolment.port import Later, Published, Refused, Request, Signed
from evse_security.agents.renewal import agent
from evse_security.errors import InvalidConfiguration
from evse_security.lab.keys import KeyKind
from evse_security.lab.ocsp import ResponseTemplate, ocsp_response
from evse_security.service.events import Event, EventKind
from evse_security.service.renewals import Renewed, Triggered
from evse_security.store.files import Files
from tests.agents.renewal.stage import NAMED, V2G, Answers, Stage, staged
from tests.agents.stations import put
from tests.builders import DAY, NOW, at, csms, world

MINUTE = timedelta(minutes=1)


def test_a_leaf_is_renewed_twenty_days_before_it_expires(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.install_leaf(days=60)
        await stage.at(NOW)
        assert stage.status().state == "fresh"
        await stage.at(NOW + 30 * DAY)
        assert stage.requests() == []
        await stage.at(NOW + 40 * DAY)
        [csr] = stage.requests()
        [expiring] = stage.heard(EventKind.leaf_certificate_expiring)
        assert (expiring["days"], expiring["not_after"]) == (20, "2030-03-02T00:00:00Z")
        before = await stage.call("get_leaf_expiry_days_count", certificate_type="V2G")
        assert await stage.answer(csr) == "Accepted"
        await stage.at(NOW + 40 * DAY + MINUTE)
        after = await stage.call("get_leaf_expiry_days_count", certificate_type="V2G")
        assert (before, after) == (20, 89)
        assert stage.states() == ["fresh", "asking", "waiting", "renewed", "fresh"]
        assert (stage.status().state, stage.status().attempts) == ("fresh", 0)

    staged(tmp_path, work)


def test_the_old_leaf_stays_in_use_until_the_new_one_verified_with_its_key(tmp_path: Path) -> None:
    strangers = world("Other > OtherSub >")
    forged = csms(strangers, "OtherSub")

    async def work(stage: Stage) -> None:
        await stage.install_leaf(days=60)
        leaf = {"certificate_type": "V2G", "encoding": "PEM", "include_ocsp": False}
        before = await stage.call("get_leaf_certificate_info", **leaf)
        await stage.at(NOW + 45 * DAY)
        assert stage.status().state == "refused"
        assert "what the CA sent is of no use: " in stage.status().reason
        assert await stage.call("get_leaf_certificate_info", **leaf) == before
        await stage.at(NOW + 46 * DAY - MINUTE)
        assert len(port.asked) == 1
        await stage.at(NOW + 46 * DAY)
        assert stage.status().state == "fresh"
        assert await stage.call("get_leaf_certificate_info", **leaf) != before
        entries = await stage.service.ask(lambda station: list(station.audit_entries()), caller="test")
        assert [(entry["result"], entry["actor"]) for entry in entries[-2:]] == [
            ("refused", "renewal"),
            ("done", "renewal"),
        ]

    def answer(request: Request) -> Signed:
        who = forged if len(port.asked) == 1 else csms(world("V2GRoot > SubCA >"), "SubCA")
        return Signed(who.answer(request.csr, not_before=NOW, not_after=NOW + 90 * DAY))

    port = Answers([answer])
    staged(tmp_path, work, port=port, renewal_v2g="command", enrolment_command=("/bin/true",))


def test_an_unanswered_request_is_repeated_with_doubling_pauses_and_then_once_a_day(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.at(NOW)
        moment, paused = NOW, []
        for _ in range(6):
            following = stage.status().next_attempt
            assert following is not None
            paused.append((following - moment).total_seconds())
            await stage.at(following - timedelta(seconds=1))
            await stage.at(following)
            moment = following
        assert paused == [60, 120, 240, 86400, 86400, 86400]
        told = stage.heard(EventKind.certificate_signing_request)
        # a request that is a day old may have lost its key to a sweep
        assert [data["attempt"] for data in told] == [1, 2, 3, 4, 5, 6, 7]
        assert [data["number"] for data in told] == [1, 1, 1, 1, 2, 3, 4]
        assert len(set(stage.requests())) == 4
        assert stage.status().state == "exhausted"

    staged(tmp_path, work, **NAMED)


def test_a_trigger_replaces_the_request_that_waits(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.install_leaf(days=90)
        await stage.at(NOW)
        assert await stage.agent.trigger(V2G, caller="ocpp") == Triggered.accepted
        await stage.at(NOW)
        assert await stage.agent.trigger(V2G, caller="ocpp") == Triggered.accepted
        await stage.at(NOW + MINUTE / 2)
        first, second = stage.requests()
        assert first != second
        await stage.at(NOW + 90 * MINUTE / 60)
        assert stage.requests() == [first, second, second]
        assert await stage.answer(second) == "Accepted"
        await stage.at(NOW + 2 * MINUTE)
        assert stage.status().state == "fresh"

    staged(tmp_path, work)


def test_a_restart_in_the_middle_goes_on_where_it_was(tmp_path: Path) -> None:
    requests: list[str] = []

    async def before(stage: Stage) -> None:
        await stage.at(NOW)
        await stage.at(NOW + MINUTE)
        requests.extend(stage.requests())

    async def after(stage: Stage) -> None:
        await stage.at(NOW + 2 * MINUTE)
        assert (stage.requests(), stage.status().state, stage.status().attempts) == ([], "waiting", 2)
        await stage.at(NOW + 3 * MINUTE)
        assert stage.requests() == requests[:1]
        assert await stage.answer(requests[0]) == "Accepted"
        await stage.at(NOW + 4 * MINUTE)
        assert stage.status().state == "fresh"

    staged(tmp_path, before, **NAMED)
    assert requests[0] == requests[1]
    file = tmp_path / "state" / "renewal.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    staged(tmp_path, after, now=NOW + 2 * MINUTE, **NAMED)


def test_a_leaf_that_came_while_the_service_was_down_is_seen(tmp_path: Path) -> None:
    requests: list[str] = []

    async def before(stage: Stage) -> None:
        await stage.at(NOW)
        requests.extend(stage.requests())

    async def after(stage: Stage) -> None:
        await stage.at(NOW + DAY)
        assert stage.states() == ["renewed", "fresh"]
        assert stage.requests() == []

    async def answer(stage: Stage) -> None:
        assert await stage.answer(requests[0]) == "Accepted"

    staged(tmp_path, before, **NAMED)
    staged(tmp_path, answer, renewal_v2g="off", state_directory=None)
    staged(tmp_path, after, now=NOW + DAY, **NAMED)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 1, "leaves": {"V2G": {"attempts": -1}}}',
        b'{"version": 1, "leaves": {"V2G": {"last": "9999-12-31T23:59:59-01:00"}}}',
        b"x" * 2**19,
    ],
)
def test_a_damaged_state_file_is_set_aside_and_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    file = tmp_path / "state" / "renewal.json"
    file.write_bytes(content)

    async def work(stage: Stage) -> None:
        [warning] = [event for event in stage.service.events.recent() if event.kind is EventKind.warning]
        assert "is lost" in warning.data["text"]
        assert "was set aside" in warning.data["text"]
        await stage.at(NOW)
        assert stage.status().state == "waiting"

    staged(tmp_path, work, **NAMED)
    assert file.with_name("renewal.json.damaged").read_bytes() == content
    assert json.loads(file.read_text())["leaves"]["V2G"]["state"] == "waiting"


def test_a_disk_that_takes_nothing_does_not_stop_a_renewal(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.at(NOW)
        assert stage.status().state == "waiting"
        warnings = [event for event in stage.service.events.recent() if event.kind is EventKind.warning]
        assert ["remember" in event.data["text"] for event in warnings] == [True, True]

    (tmp_path / "state" / "renewal.json").mkdir(parents=True)
    staged(tmp_path, work, **NAMED)


@pytest.mark.parametrize("lost", ["1970-01-01", "2106-02-07"])
def test_nothing_is_renewed_while_the_clock_is_not_believed(tmp_path: Path, lost: str) -> None:
    async def work(stage: Stage) -> None:
        await stage.install_leaf(days=60)
        await stage.agent.trigger(V2G, caller="ocpp")
        for minutes in range(3):
            await stage.at(at(lost) + minutes * MINUTE)
        assert stage.states() == ["clock"]
        assert "not believed" in stage.status().reason
        await stage.at(NOW + DAY)
        assert stage.states() == ["clock", "asking", "waiting"]
        assert stage.heard(EventKind.leaf_certificate_expiring) == []

    staged(tmp_path, work)


def test_a_clock_that_was_set_back_does_not_hold_up_the_next_attempt(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.at(NOW + 10 * MINUTE)
        await stage.at(NOW + 6 * MINUTE)
        assert stage.status().next_attempt == NOW + 7 * MINUTE

    staged(tmp_path, work, **NAMED)


def test_a_clock_that_leaps_ahead_for_a_moment_does_not_end_all_renewals(tmp_path: Path) -> None:
    """A key with the date of the wrong time would keep every right one from being believed, for years."""

    async def work(stage: Stage) -> None:
        await stage.install_leaf(days=90)
        await stage.at(NOW)
        stage.service.events.publish(EventKind.clock, {"state": "set", "step": 3000 * DAY.total_seconds()})
        await asyncio.sleep(0)
        await stage.at(NOW + 3000 * DAY)
        assert stage.requests() == []
        [warning] = stage.service.events.recent()[-1:]
        assert warning.data["text"] == "the clock leapt ahead by 3000 days: nothing is renewed for 600 s"
        stage.service.events.publish(EventKind.clock, {"state": "set", "step": -3000 * DAY.total_seconds()})
        await asyncio.sleep(0)
        await stage.at(NOW + 80 * DAY)
        assert stage.status().state == "waiting"

    staged(tmp_path, work)


def test_a_clock_that_stays_ahead_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "HOLD", 0.05)

    async def work(stage: Stage) -> None:
        await stage.install_leaf(days=90)
        await stage.at(NOW)
        stage.service.events.publish(EventKind.clock, {"state": "set", "step": 80 * DAY.total_seconds()})
        await asyncio.sleep(0)
        await stage.at(NOW + 80 * DAY)
        assert stage.requests() == []
        await asyncio.sleep(0.1)
        await stage.at(NOW + 80 * DAY)
        assert len(stage.requests()) == 1

    staged(tmp_path, work)


def test_a_clock_that_was_set_at_last_holds_up_nothing(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.at(NOW - 70 * 365 * DAY)
        assert stage.status().state == "clock"
        stage.service.events.publish(EventKind.clock, {"state": "set", "step": 70 * 365 * DAY.total_seconds()})
        await asyncio.sleep(0)
        await stage.at(NOW)
        assert stage.status().state == "waiting"

    staged(tmp_path, work, **NAMED)


def test_without_leaf_and_subject_nothing_is_asked_and_that_is_said(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.at(NOW)
        assert stage.status().state == "absent"
        assert "there is no leaf, and no organization is configured for requests" in stage.status().reason
        assert stage.requests() == []

    staged(tmp_path, work)


def test_off_is_off_and_says_so(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.at(NOW)
        assert await stage.agent.trigger(V2G, caller="ocpp") == Triggered.off
        assert (stage.status().state, stage.status(Renewed.CSMS).state) == ("off", "absent")

    staged(tmp_path, work, renewal_v2g="off")


def test_what_a_csms_sends_that_is_of_no_use_ends_the_attempts_until_a_trigger(tmp_path: Path) -> None:
    """A02.FR.20."""

    async def work(stage: Stage) -> None:
        await stage.at(NOW)
        [csr] = stage.requests()
        assert await stage.answer(csr, not_before=NOW - 2 * DAY, not_after=NOW - DAY) == "Expired"
        await stage.at(NOW + 10 * DAY)
        assert (stage.status().state, stage.status().next_attempt) == ("refused", None)
        assert "a trigger is waited for" in stage.status().reason
        assert stage.requests() == [csr]
        await stage.agent.trigger(V2G, caller="ocpp")
        await stage.at(NOW + 10 * DAY)
        assert len(stage.requests()) == 2
        assert await stage.answer(stage.requests()[1]) == "Accepted"
        await stage.at(NOW + 10 * DAY)
        assert stage.status().state == "fresh"

    staged(tmp_path, work, **NAMED)


def test_a_disk_that_was_full_when_the_answer_came_does_not_end_the_attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def work(stage: Stage) -> None:
        await stage.at(NOW)
        [csr] = stage.requests()
        with monkeypatch.context() as full:
            full.setattr(Files, "write_new", no_room)
            assert await stage.answer(csr) != "Accepted"
        await stage.at(NOW + DAY)
        assert len(stage.requests()) == 2
        assert await stage.answer(stage.requests()[1]) == "Accepted"

    staged(tmp_path, work, **NAMED)


def test_a_ca_that_wants_to_be_left_alone_is_left_alone(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.at(NOW)
        assert stage.status().next_attempt == NOW + 60 * MINUTE
        await stage.at(NOW + 59 * MINUTE)
        assert len(port.asked) == 1
        await stage.at(NOW + 60 * MINUTE)
        assert len(port.asked) == 2
        assert port.asked[0].csr == port.asked[1].csr

    port = Answers([Later("not decided", 3600), Refused("no")])
    staged(tmp_path, work, port=port, renewal_v2g="command", enrolment_command=("/bin/true",), **NAMED)


def test_a_chain_for_another_key_is_refused_with_the_reason(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.at(NOW)
        assert stage.status().state == "refused"
        assert "no private key for CN=SECC" in stage.status().reason

    port = Answers([Signed(world("V2GRoot > SubCA > SECC").pem("SECC", "SubCA"))])
    staged(tmp_path, work, port=port, renewal_v2g="command", enrolment_command=("/bin/true",), **NAMED)


def test_a_port_that_breaks_is_tried_again(tmp_path: Path) -> None:
    def breaks(_: Request) -> Later:
        raise RuntimeError("a secret")

    async def work(stage: Stage) -> None:
        await stage.at(NOW)
        assert stage.status().state == "retrying"
        assert "RuntimeError in this program" in stage.status().reason
        assert "secret" not in stage.status().reason

    staged(tmp_path, work, port=Answers([breaks]), renewal_v2g="command", enrolment_command=("/bin/true",), **NAMED)


def test_a_leaf_that_begins_later_counts_already(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.install_leaf(days=60)
        await stage.at(NOW + 45 * DAY)
        [csr] = stage.requests()
        begins = NOW + 50 * DAY
        assert await stage.answer(csr, not_before=begins, not_after=begins + 90 * DAY) == "Accepted"
        await stage.at(NOW + 46 * DAY)
        assert stage.status().state == "fresh"
        assert await stage.call("get_leaf_expiry_days_count", certificate_type="V2G") == 14
        await stage.at(NOW + 61 * DAY)
        assert stage.requests() == [csr]

    staged(tmp_path, work)


def test_an_expired_leaf_is_asked_for_every_day(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.install_leaf(days=60)
        await stage.at(NOW + 70 * DAY)
        assert len(stage.requests()) == 1
        expired = stage.heard(EventKind.leaf_certificate_expiring)
        assert expired[0]["days"] == -10

    staged(tmp_path, work)


def test_a_trigger_ends_an_attempt_that_waits_for_its_ca(tmp_path: Path) -> None:
    class Silent:
        """Never answers the first request."""

        def __init__(self) -> None:
            self.asked: list[Request] = []
            self.ended = 0

        async def enrol(self, request: Request) -> Later:
            self.asked.append(request)
            if len(self.asked) == 1:
                try:
                    await asyncio.Event().wait()
                finally:
                    self.ended += 1
            return Later("not now")

    async def work(stage: Stage) -> None:
        await stage.agent.look()
        while not port.asked:
            await asyncio.sleep(0)
        await stage.agent.look()
        assert (len(port.asked), stage.status().state) == (1, "asking")
        await stage.agent.trigger(V2G, caller="ocpp")
        await stage.at(NOW)
        assert (len(port.asked), port.ended) == (2, 1)
        assert port.asked[0].csr != port.asked[1].csr
        assert stage.status().state == "retrying"

    port = Silent()
    staged(tmp_path, work, port=port, renewal_v2g="command", enrolment_command=("/bin/true",), **NAMED)


def test_a_leaf_that_others_renew_is_announced_all_the_same(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.install_leaf(days=60)
        await stage.at(NOW + 45 * DAY)
        await stage.at(NOW + 45 * DAY + 60 * MINUTE)
        assert [data["days"] for data in stage.heard(EventKind.leaf_certificate_expiring)] == [15]
        assert stage.requests() == []

    staged(tmp_path, work, renewal_v2g="off")


@pytest.mark.parametrize(("key_type", "ends"), [("secp256r1", 60), ("secp521r1", 60), ("rsa2048", 400)])
def test_of_leaves_of_both_editions_the_one_that_ends_is_renewed(tmp_path: Path, key_type: str, ends: int) -> None:
    """The leaf of the other edition lasts longer. With RSA it is the only one."""
    other = KeyKind.SECP256R1 if key_type == "secp521r1" else KeyKind.SECP521R1
    pki = world("V2GRoot > SubCA > Other", Other={"key": other, "not_after": NOW + 400 * DAY})

    async def work(stage: Stage) -> None:
        put(tmp_path / "certs", "client/cso/OTHER.pem", pki.pem("Other", "SubCA"))
        put(tmp_path / "certs", "client/cso/OTHER.key", pki["Other"].key_pem())
        if key_type != "rsa2048":
            await stage.install_leaf(days=60)
        await stage.at(NOW + (ends - 20) * DAY)
        assert len(stage.requests()) == 1

    staged(tmp_path, work, station={"csr_key_type": key_type}, pki=pki, **NAMED)


def test_who_renews_otherwise_ends_a_renewal(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.install_leaf(days=60)
        await stage.at(NOW + 45 * DAY)
        assert stage.status().state == "waiting"
        await stage.install_leaf(days=90)
        await stage.at(NOW + 45 * DAY + MINUTE)
        assert stage.states()[-2:] == ["renewed", "fresh"]
        await stage.at(NOW + 47 * DAY)
        assert len(stage.requests()) == 1

    staged(tmp_path, work)


def test_a_request_whose_key_is_gone_is_made_anew(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.at(NOW)
        for key in (tmp_path / "certs" / "client" / "cso").glob("*.key"):
            key.unlink()
        await stage.at(NOW + MINUTE)
        first, second = stage.requests()
        assert first != second
        assert stage.status().attempts == 2

    staged(tmp_path, work, **NAMED)


@pytest.mark.parametrize("renewal", ["event", "est"])
def test_the_key_of_a_request_is_not_swept_however_long_its_answer_takes(tmp_path: Path, renewal: str) -> None:
    """An EST server whose people decide (202), a CSMS that answers the next morning."""

    async def work(stage: Stage) -> None:
        await stage.at(NOW)
        csr = port.asked[0].csr
        await stage.at(NOW + MINUTE * 10)
        stage.now[0] = NOW + DAY / 2
        for key in (tmp_path / "certs" / "client" / "cso").glob("*.key"):
            os.utime(key, (NOW.timestamp(), NOW.timestamp()))
        swept = await stage.service.ask(lambda station: station.sweep(), caller="test")
        assert (swept.kept_because, swept.removed) == (None, ())
        assert await stage.answer(csr) == "Accepted"
        await stage.at(NOW + DAY / 2 + MINUTE)
        assert stage.status().state == "fresh"
        await stage.service.ask(lambda station: station.sweep(), caller="test")

    port = Answers([Published() if renewal == "event" else Later("not decided yet", 86_400)])
    staged(tmp_path, work, port=port, renewal_v2g=renewal, enrolment_url="https://ca.example", **NAMED)


def test_a_key_that_nobody_waits_for_any_more_is_swept(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.at(NOW)
        await stage.agent.trigger(V2G, caller="ocpp")
        await stage.at(NOW)
        stage.now[0] = NOW + DAY / 2
        keys = list((tmp_path / "certs" / "client" / "cso").glob("*.key"))
        for key in keys:
            os.utime(key, (NOW.timestamp(), NOW.timestamp()))
        swept = await stage.service.ask(lambda station: station.sweep(), caller="test")
        assert (len(keys), len(swept.removed)) == (2, 1)
        assert await stage.answer(stage.requests()[-1]) == "Accepted"

    staged(tmp_path, work, **NAMED)


def test_a_key_that_goes_when_all_repeats_are_used_up_does_not_cost_a_day(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        for minutes in (0, 1, 3, 7):
            await stage.at(NOW + minutes * MINUTE)
        assert stage.status().state == "exhausted"
        for key in (tmp_path / "certs" / "client" / "cso").glob("*.key"):
            key.unlink()
        await stage.at(NOW + 7.5 * MINUTE)
        assert (stage.status().state, stage.status().reason) == ("retrying", "the key of request 1 is gone")
        await stage.at(NOW + 8 * MINUTE)
        assert len(set(stage.requests())) == 2
        assert await stage.answer(stage.requests()[-1]) == "Accepted"

    staged(tmp_path, work, **NAMED)


def test_state_is_not_kept_where_the_store_looks(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidConfiguration, match="state_directory: lies in the directory of secc_leaf_cert_directory"
    ):
        staged(tmp_path, lambda _: asyncio.sleep(0), state_directory=tmp_path / "certs" / "client" / "cso" / "state")


def test_who_refuses_at_once_is_heard(tmp_path: Path) -> None:
    """An OCPP side in this process may answer before the attempt has ended."""

    async def work(stage: Stage) -> None:
        loop, answers = asyncio.get_running_loop(), list[asyncio.Task[str]]()

        def hear(event: Event) -> None:
            if event.kind is EventKind.certificate_signing_request:
                answers.append(
                    loop.create_task(stage.answer(event.data["csr"], not_before=NOW - 9 * DAY, not_after=NOW - DAY))
                )

        stop = stage.service.events.hear(hear)
        await stage.at(NOW)
        assert [await answer for answer in answers] == ["Expired"]
        await stage.at(NOW)
        stop()
        assert stage.status().state == "refused"

    staged(tmp_path, work, **NAMED)


def test_a_leaf_that_is_revoked_is_renewed_at_once(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.install_leaf(days=90)
        await stage.at(NOW)
        assert stage.status().state == "fresh"
        found = await stage.call("get_installed_certificates", certificate_types=["V2GCertificateChain"])
        hash_data = found["certificate_hash_data_chain"][0]["certificate_hash_data"]
        leaf = {"certificate_type": "V2G", "encoding": "PEM", "include_ocsp": False}
        path = (await stage.call("get_leaf_certificate_info", **leaf))["info"]["certificate_single"]
        certificate = x509.load_pem_x509_certificate(Path(path).read_bytes())
        revoked = ResponseTemplate(this_update=NOW - DAY, next_update=NOW + 6 * DAY, status=OCSPCertStatus.REVOKED)
        sub_ca = stage.pki["SubCA"]
        response = b64encode(ocsp_response(certificate, sub_ca, sub_ca, revoked)).decode()
        await stage.call("update_ocsp_cache", certificate_hash_data=hash_data, ocsp_response=response)
        await stage.at(NOW + MINUTE)
        [csr] = stage.requests()
        assert stage.heard(EventKind.renewal)[-2]["reason"].endswith(" is not used any more")
        assert await stage.answer(csr) == "Accepted"
        await stage.at(NOW + 2 * MINUTE)
        assert stage.states()[-2:] == ["renewed", "fresh"]

    staged(tmp_path, work)


def test_of_two_services_on_one_state_directory_one_renews_and_the_other_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "LOOK", 0.01)

    async def both(stage: Stage) -> None:
        second = agent.RenewalAgent.of(stage.service)
        ready = asyncio.Event()
        first_runs = asyncio.create_task(stage.agent.run(lambda: None))
        while not stage.requests():
            await asyncio.sleep(0.001)
        second_runs = asyncio.create_task(second.run(ready.set))
        await ready.wait()
        assert await second.trigger(V2G, caller="test") is Triggered.off
        warnings = [event for event in stage.service.events.recent() if event.kind is EventKind.warning]
        assert ["state_directory renews" in str(event.data["text"]) for event in warnings] == [True]
        first_runs.cancel()
        await asyncio.gather(first_runs, return_exceptions=True)
        while await second.trigger(V2G, caller="test") is not Triggered.accepted:
            await asyncio.sleep(0.001)
        second_runs.cancel()
        await asyncio.gather(second_runs, return_exceptions=True)

    staged(tmp_path, both, **NAMED)
