"""A station that has SECC leaves for ISO 15118-2 and -20 renews both, each with keys of its own kind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from evse_security.agents.enrolment.port import Published, Refused, Request, Signed
from evse_security.http.looking import Looking
from evse_security.http.metrics import Metrics
from evse_security.lab.authority import name
from evse_security.lab.keys import KeyKind
from evse_security.pki.enrolled import edition_of_request
from evse_security.pki.profile import Edition
from evse_security.service.events import EventKind
from evse_security.service.renewals import Renewed, Triggered
from tests.agents.enrolment.asking import needs_openssl
from tests.agents.enrolment.servers import est_server
from tests.agents.renewal.stage import NAMED, V2G, Answers, Stage, staged
from tests.agents.stations import put
from tests.builders import DAY, NOW, World, csms, world

MINUTE = timedelta(minutes=1)
OF_2, OF_20 = Edition.ISO15118_2, Edition.ISO15118_20
COMMAND: dict[str, Any] = {"renewal_v2g": "command", "enrolment_command": ("/bin/true",)}


def both(
    directory: Path, second: KeyKind = KeyKind.SECP521R1, *, days: tuple[int, int] = (60, 60), first: bool = True
) -> World:
    """A PKI whose leaves of ISO 15118-2 and -20, or only the latter, are installed and last so many days."""
    made = world(
        "V2GRoot > SubCA > First",
        "SubCA > Second",
        First={"key": KeyKind.SECP256R1, "not_after": NOW + days[0] * DAY},
        Second={"key": second, "not_after": NOW + days[1] * DAY},
    )
    _install(directory, made, *(("First", "Second") if first else ("Second",)))
    return made


def _install(directory: Path, made: World, *leaves: str) -> None:
    for leaf in leaves:
        put(directory / "certs", f"client/cso/{leaf}.pem", made.pem(leaf, "SubCA"))
        put(directory / "certs", f"client/cso/{leaf}.key", made[leaf].key_pem())


def by_edition(stage: Stage) -> dict[Edition | None, list[str]]:
    """The requests that were published, by the edition of their keys."""
    found: dict[Edition | None, list[str]] = {}
    for data in stage.heard(EventKind.certificate_signing_request):
        edition = edition_of_request(data["csr"])
        assert {OF_2: "2", OF_20: "20"}[edition] == data["edition"]  # type: ignore[index]
        found.setdefault(edition, []).append(data["csr"])
    return found


def states(stage: Stage) -> Mapping[str, str]:
    return {str(one.leaf): str(one.state) for one in stage.agent.status() if one.leaf.kind is V2G}


@pytest.mark.parametrize("key_type", ["secp256r1", "secp521r1", "ed448", "rsa2048"])
@pytest.mark.parametrize("second", [KeyKind.SECP521R1, KeyKind.ED448])
def test_each_edition_has_a_request_of_its_own_and_neither_waits_for_the_other(
    tmp_path: Path, key_type: str, second: KeyKind
) -> None:
    async def work(stage: Stage) -> None:
        await stage.at(NOW)
        assert states(stage) == {"V2G": "fresh", "V2G20": "fresh"}
        await stage.at(NOW + 45 * DAY)
        assert states(stage) == {"V2G": "waiting", "V2G20": "waiting"}
        expiring = stage.heard(EventKind.leaf_certificate_expiring)
        assert sorted(data["edition"] for data in expiring) == ["2", "20"]
        [of_20] = asked[Renewed.V2G20]
        assert await stage.answer(of_20.csr) == "Accepted"
        await stage.at(NOW + 45 * DAY + MINUTE / 2)
        assert states(stage) == {"V2G": "waiting", "V2G20": "fresh"}
        [of_2] = asked[Renewed.V2G]
        assert await stage.answer(of_2.csr) == "Accepted"
        await stage.at(NOW + 45 * DAY + MINUTE)
        assert states(stage) == {"V2G": "fresh", "V2G20": "fresh"}
        assert edition_of_request(of_20.csr) is OF_20
        assert edition_of_request(of_2.csr) is (None if key_type == "rsa2048" else OF_2)
        assert [request.leaf.chain.name for request in port.asked if request.leaf] == ["First.pem", "Second.pem"]

    asked: dict[Renewed, list[Request]] = {}

    def take(request: Request) -> Published:
        asked.setdefault(request.wanted, []).append(request)
        return Published()

    port = Answers([take])
    staged(tmp_path, work, port=port, pki=both(tmp_path, second), station={"csr_key_type": key_type})


def test_a_leaf_gets_a_key_of_the_kind_that_it_had(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.at(NOW + 45 * DAY)
        kinds = await stage.service.ask(lambda station: station.renewal.facts(V2G, None, OF_20), caller="test")
        assert kinds.leaf is not None
        assert kinds.leaf.key_type == "ed448"
        [csr] = by_edition(stage)[OF_20]
        assert await stage.answer(csr) == "Accepted"
        after = await stage.service.ask(lambda station: station.renewal.facts(V2G, None, OF_20), caller="test")
        assert after.leaf is not None
        assert (after.leaf.key_type, after.leaf.not_after) == ("ed448", NOW + 135 * DAY)

    staged(tmp_path, work, pki=both(tmp_path, KeyKind.ED448, days=(400, 60)))


def test_each_edition_is_repeated_by_itself_and_both_are_known_after_a_restart(tmp_path: Path) -> None:
    asked: dict[Edition | None, list[str]] = {}

    async def before(stage: Stage) -> None:
        await stage.at(NOW + 45 * DAY)
        await stage.at(NOW + 45 * DAY + MINUTE)
        asked.update(by_edition(stage))
        assert {edition: len(csrs) for edition, csrs in asked.items()} == {OF_2: 2, OF_20: 2}

    async def after(stage: Stage) -> None:
        await stage.at(NOW + 45 * DAY + 2 * MINUTE)
        assert (by_edition(stage), states(stage)) == ({}, {"V2G": "waiting", "V2G20": "waiting"})
        await stage.at(NOW + 45 * DAY + 3 * MINUTE)
        assert {edition: [csrs[0]] for edition, csrs in asked.items()} == by_edition(stage)
        assert await stage.answer(asked[OF_20][0]) == "Accepted"
        await stage.at(NOW + 45 * DAY + 4 * MINUTE)
        assert states(stage) == {"V2G": "waiting", "V2G20": "fresh"}

    made = both(tmp_path)
    staged(tmp_path, before, pki=made)
    staged(tmp_path, after, pki=made, now=NOW + 45 * DAY + 2 * MINUTE)


def test_what_is_refused_for_one_edition_does_not_keep_the_other_waiting_for_a_trigger(tmp_path: Path) -> None:
    """A02.FR.20 is about the request whose answer it was."""

    async def work(stage: Stage) -> None:
        await stage.at(NOW + 45 * DAY)
        [csr] = by_edition(stage)[OF_2]
        assert await stage.answer(csr, not_before=NOW, not_after=NOW + DAY) == "Expired"
        await stage.at(NOW + 45 * DAY + MINUTE)
        assert states(stage) == {"V2G": "refused", "V2G20": "waiting"}
        assert len(by_edition(stage)[OF_20]) == 2

    staged(tmp_path, work, pki=both(tmp_path))


def test_what_is_refused_once_more_for_one_edition_does_not_end_the_other(tmp_path: Path) -> None:
    """A CSMS that did not hear the answer sends its certificate again."""

    async def work(stage: Stage) -> None:
        await stage.at(NOW + 45 * DAY)
        [csr] = by_edition(stage)[OF_20]
        for minutes in (1, 4):
            assert await stage.answer(csr, not_before=NOW, not_after=NOW + DAY) == "Expired"
            await stage.at(NOW + 45 * DAY + minutes * MINUTE)
            assert states(stage) == {"V2G": "waiting", "V2G20": "refused"}

    staged(tmp_path, work, pki=both(tmp_path))


def test_what_nobody_can_tell_apart_ends_neither(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.at(NOW + 45 * DAY)
        answer = {"certificate_chain": "no certificate", "certificate_type": "V2G"}
        assert await stage.call("update_leaf_certificate", **answer) == "InvalidFormat"
        await stage.at(NOW + 45 * DAY + MINUTE)
        assert states(stage) == {"V2G": "waiting", "V2G20": "waiting"}

    staged(tmp_path, work, pki=both(tmp_path))


def test_a_ca_that_does_not_take_the_other_kind_of_key_is_told_of_with_what_to_do(tmp_path: Path) -> None:
    def answer(request: Request) -> Signed | Refused:
        if edition_of_request(request.csr) is OF_20:
            return Refused("P-256 alone")
        return Signed(csms(made, "SubCA").answer(request.csr, not_before=NOW, not_after=NOW + 300 * DAY))

    async def work(stage: Stage) -> None:
        await stage.at(NOW + 45 * DAY)
        assert states(stage) == {"V2G": "fresh", "V2G20": "refused"}
        reason = stage.status(Renewed.V2G20).reason
        assert reason.startswith("refused: P-256 alone (its key is secp521r1, not csr_key_type: whoever answers must")
        metrics = Metrics(stage.service, Looking(stage.service), stage.agent)
        text = await metrics.text()
        assert b'renewal_state{certificate_type="V2G",edition="20",state="refused"} 1.0' in text
        assert b'renewal_state{certificate_type="V2G",edition="2",state="fresh"} 1.0' in text

    made = both(tmp_path)
    staged(tmp_path, work, port=Answers([answer]), pki=made, **COMMAND)


def test_where_others_renew_the_leaf_that_they_may_not_know_of_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """EVerest's OCPP modules ask for keys of `csr_key_type`."""

    async def work(stage: Stage) -> None:
        await stage.at(NOW)
        assert states(stage) == {"V2G": "off", "V2G20": "off"}
        assert [data["edition"] for data in stage.heard(EventKind.renewal) if "secp521r1" in data["reason"]] == ["20"]

    staged(tmp_path, work, pki=both(tmp_path), renewal_v2g="off")
    [warned] = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert warned.startswith("V2G leaf for ISO 15118-20: off: ")
    assert warned.endswith("as EVerest does, does not renew it)")


def test_a_station_with_a_leaf_of_one_edition_asks_for_none_of_the_other(tmp_path: Path) -> None:
    """Though `csr_key_type` is of the other one, and a subject is configured for a first leaf."""

    async def work(stage: Stage) -> None:
        await stage.at(NOW)
        assert states(stage) == {"V2G20": "fresh"}
        await stage.at(NOW + 45 * DAY)
        assert list(by_edition(stage)) == [OF_20]

    staged(tmp_path, work, pki=both(tmp_path, first=False), **NAMED)


def test_a_renewal_ends_when_its_leaf_is_taken_out(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.at(NOW + 45 * DAY)
        for file in ("Second.pem", "Second.key"):
            (tmp_path / "certs" / "client" / "cso" / file).unlink()
        await stage.at(NOW + 46 * DAY)
        assert states(stage) == {"V2G": "waiting"}
        assert len(by_edition(stage)[OF_20]) == 1
        remembered = json.loads((tmp_path / "state" / "renewal.json").read_bytes())["leaves"]
        assert (remembered["V2G20"]["state"], remembered["V2G20"]["csr"]) == ("absent", None)

    staged(tmp_path, work, pki=both(tmp_path))


@pytest.mark.parametrize(("edition", "asked"), [("", {OF_2: 1, OF_20: 1}), ("2", {OF_2: 1}), ("20", {OF_20: 1})])
def test_a_trigger_is_for_all_leaves_of_its_kind_or_for_one(
    tmp_path: Path, edition: str, asked: Mapping[Edition, int]
) -> None:
    async def work(stage: Stage) -> None:
        await stage.at(NOW)
        assert await stage.agent.trigger(V2G, caller="test", edition=edition) is Triggered.accepted
        await stage.at(NOW)
        assert {edition: len(csrs) for edition, csrs in by_edition(stage).items()} == asked

    staged(tmp_path, work, pki=both(tmp_path))


def test_a_trigger_may_be_for_the_first_leaf_of_an_edition(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.install_leaf(days=90)
        await stage.at(NOW)
        assert states(stage) == {"V2G": "fresh"}
        assert await stage.agent.trigger(V2G, caller="test", edition="21") is Triggered.off
        assert await stage.agent.trigger(V2G, caller="test", edition="20") is Triggered.accepted
        await stage.at(NOW)
        await stage.at(NOW + MINUTE)
        [csr, again] = by_edition(stage)[OF_20]
        assert csr == again
        assert await stage.answer(csr) == "Accepted"
        await stage.at(NOW + 2 * MINUTE)
        assert states(stage) == {"V2G": "fresh", "V2G20": "fresh"}

    staged(tmp_path, work, **NAMED)


def test_the_last_leaf_of_an_edition_is_not_swept_for_those_of_the_other(tmp_path: Path) -> None:
    """Without it nobody would ask for another one, once the CA answers again."""

    async def work(stage: Stage) -> None:
        await stage.install_leaf(days=20)
        assert await stage.agent.trigger(V2G, caller="test", edition="20") is Triggered.accepted
        await stage.at(NOW)
        [csr] = by_edition(stage)[OF_20]
        assert await stage.answer(csr) == "Accepted"
        await stage.at(NOW + 19 * DAY)
        assert states(stage) == {"V2G": "waiting", "V2G20": "fresh"}
        stage.now[0] = NOW + 21 * DAY
        await stage.service.ask(lambda station: station.sweep(), caller="test")
        await stage.at(NOW + 30 * DAY)
        assert states(stage) == {"V2G": "waiting", "V2G20": "fresh"}
        assert await stage.answer(by_edition(stage)[OF_2][-1]) == "Accepted"
        await stage.at(NOW + 30 * DAY)
        await stage.service.ask(lambda station: station.sweep(), caller="test")
        assert states(stage) == {"V2G": "fresh", "V2G20": "fresh"}
        assert len(list((tmp_path / "certs/client/cso").glob("SECC_LEAF_*.key"))) == 2

    staged(tmp_path, work, station={"keep_newest": 1}, **NAMED)


def test_no_key_of_either_request_is_swept(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.at(NOW + 45 * DAY)
        asked = by_edition(stage)
        stage.now[0] = NOW + 46 * DAY
        swept = await stage.service.ask(lambda station: station.sweep(), caller="test")
        assert (swept.kept_because, swept.removed) == (None, ())
        assert [await stage.answer(csr) for [csr] in asked.values()] == ["Accepted", "Accepted"]

    staged(tmp_path, work, pki=both(tmp_path))


def test_both_are_brought_to_a_ca_at_once(tmp_path: Path) -> None:
    """A server that lets one wait does not let the other expire."""

    class Half:
        async def enrol(self, request: Request) -> Signed:
            if edition_of_request(request.csr) is OF_2:
                await asyncio.Event().wait()
            return Signed(csms(made, "SubCA").answer(request.csr, not_before=NOW, not_after=NOW + 300 * DAY))

    async def work(stage: Stage) -> None:
        stage.now[0] = NOW + 45 * DAY
        await stage.agent.look()
        while states(stage) != {"V2G": "asking", "V2G20": "fresh"}:
            await asyncio.sleep(0)
            await stage.agent.look()

    made = both(tmp_path)
    staged(tmp_path, work, port=Half(), pki=made, **COMMAND)


@needs_openssl
def test_est_for_both_editions_each_with_its_own_leaf(tmp_path: Path) -> None:
    """A real server over TLS, to which the station shows the leaf that is to be renewed; one label per edition."""
    lasting = {"not_before": NOW - 3650 * DAY, "not_after": NOW + 60 * DAY}  # TLS goes by the machine's time
    always = {"not_before": NOW - 3650 * DAY, "not_after": NOW + 3650 * DAY}
    made = world(
        "V2GRoot > SubCA > First",
        "SubCA > Second",
        V2GRoot=always,
        SubCA=always,
        First={"key": KeyKind.SECP256R1, "subject": name(CN="First", O="Operator", DC="CPO"), **lasting},
        Second={"key": KeyKind.SECP521R1, "subject": name(CN="Second", O="Operator", DC="CSO"), **lasting},
    )
    _install(tmp_path, made, "First", "Second")

    async def work(stage: Stage) -> None:
        await stage.at(NOW + 45 * DAY)
        assert states(stage) == {"V2G": "fresh", "V2G20": "fresh"}
        asked = {(one.client, one.path.rpartition("/")[0], edition_of_request(one.csr)) for one in server.asked}
        assert asked == {("First", "/est/v2g2", OF_2), ("Second", "/est/v2g20", OF_20)}

    with est_server(tmp_path / "est", made) as server:
        url = f"{server.url}/est/{{kind}}{{edition}}"
        staged(tmp_path, work, pki=made, renewal_v2g="est", enrolment_url=url, enrolment_ca=server.ca)
