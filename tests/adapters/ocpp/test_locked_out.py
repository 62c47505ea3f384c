"""Whatever a clock shows, a disk refuses or a connection does: no station is left without a certificate to try."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from evse_security import Station, StationConfig
from evse_security.adapters.ocpp import Certificates, Edition, NotReadable, SecurityEvent, SigningUse
from evse_security.adapters.ocpp.connector import Connector, Endpoint
from evse_security.adapters.ocpp.desk import Desk
from evse_security.adapters.ocpp.events import MOST_WAITING
from evse_security.adapters.ocpp.leaps import Leaps
from evse_security.adapters.ocpp.memory import EVENTS, RENEWALS, ROOTS
from evse_security.adapters.ocpp.renewals import LONGEST_LOOK
from evse_security.adapters.ocpp.trial import MOST_DOUBTS
from evse_security.agents.renewal.rules import HOLD
from evse_security.errors import InvalidConfiguration
from evse_security.service.state import StateFile
from evse_security.store.files import Files
from evse_security.vocabulary import LeafCertificateType
from tests.adapters.ocpp.kit import Bench, policy
from tests.adapters.ocpp.test_roots import CHECKED, install
from tests.builders import DAY, NOW, at

CSMS = LeafCertificateType.CSMS
TRIGGER = "SignChargingStationCertificate"


def enrolled(bench: Bench, **times: Any) -> str:
    wanted = "SignChargePointCertificate" if bench.edition is Edition.V16 else TRIGGER
    chain = bench.chain(bench.trigger(wanted), **times)
    assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}
    return bench.desk.memory.accepted[SigningUse.CSMS]


def attempts(bench: Bench, number: int) -> list[str]:
    """The certificates of so many connections that all fail."""
    found = []
    for _ in range(number):
        certificate = bench.desk.renewals.client_certificate()
        assert certificate is not None
        found.append(certificate.fingerprint)
        bench.desk.renewals.failed(certificate.fingerprint)
    return found


# ---- the clock


@pytest.mark.parametrize("shown", ["1970-01-01", "2106-02-07", "as it was"])
def test_a_renewed_certificate_is_tried_though_the_clock_never_comes_to_its_beginning(
    tmp_path: Path, shown: str
) -> None:
    """Its station was off for months, only the CSMS would set its clock, and the certificate before has expired."""
    bench = Bench(tmp_path / "certs", Edition.V16)
    old = enrolled(bench, not_after=NOW + 30 * DAY)
    new = enrolled(bench, not_before=NOW + 20 * DAY, not_after=NOW + 400 * DAY)
    bench.time.now = NOW if shown == "as it was" else at(shown)
    bench.restarted()
    assert attempts(bench, 3) == [old, new, old]
    bench.restarted()
    assert attempts(bench, 1) == [new]


def test_a_clock_that_is_lost_in_a_trial_does_not_end_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", Edition.V21)
    enrolled(bench)
    new = enrolled(bench, not_after=NOW + 90 * DAY)
    bench.time.now = at("1970-01-01")
    bench.restarted()
    assert attempts(bench, 1) == [new]


def test_a_certificate_is_not_refused_for_a_clock_that_is_lost(tmp_path: Path) -> None:
    """The request would be over, and no other made before a trigger."""
    bench = Bench(tmp_path / "certs", Edition.V21)
    enrolled(bench)
    csr = bench.trigger(TRIGGER)
    chain = bench.chain(csr, not_after=NOW + 90 * DAY)
    bench.time.now = at("1970-01-01")
    assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}


def test_a_trigger_is_served_though_a_clock_leapt_ahead_and_no_right_time_is_believed(tmp_path: Path) -> None:
    """The key that was made meanwhile is dated years ahead; the leaf would expire, and the CSMS refuse it."""
    bench = Bench(tmp_path / "certs", Edition.V201)
    enrolled(bench)
    bench.desk.renewals.look()
    bench.time.now = NOW + 3650 * DAY
    assert len(bench.desk.renewals.look().requests) == 1
    bench.time.now = NOW + 50 * DAY
    assert bench.station.time().doubt is not None
    assert bench.desk.renewals.look().requests == ()
    renewed = enrolled(bench, not_after=NOW + 400 * DAY)
    certificate = bench.desk.renewals.client_certificate()
    assert certificate is not None and certificate.fingerprint == renewed


# ---- leaves beside the trial


def test_a_certificate_that_others_brought_is_tried_when_those_on_trial_fail(tmp_path: Path) -> None:
    """A technician brings one by hand, as the CSMS takes neither of the two any more."""
    bench = Bench(tmp_path / "certs", Edition.V16)
    old, new = enrolled(bench), enrolled(bench, not_after=NOW + 90 * DAY)
    csr = bench.station.renewal.signing_request((CSMS,), country="DE", organization="Operator", common="CS-0001")
    bench.station.renewal.install_leaf(bench.chain(csr, not_after=NOW + 400 * DAY), (CSMS,))
    leaf = bench.station.renewal.facts(CSMS).leaf
    assert leaf is not None and leaf.fingerprint not in (old, new)
    assert attempts(bench, 7) == [new, old, leaf.fingerprint, new, old, leaf.fingerprint, new]


def test_a_trial_of_a_certificate_that_is_not_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The power went before it was installed, and another one was brought by hand since."""
    bench = Bench(tmp_path / "certs", Edition.V16)
    enrolled(bench)
    chain = bench.chain(bench.trigger("SignChargePointCertificate"))
    with monkeypatch.context() as cut, pytest.raises(KeyboardInterrupt):
        cut.setattr(bench.station.renewal, "install_leaf", _cut)
        bench.answer("CertificateSigned", certificateChain=chain)
    bench.restarted()
    assert bench.desk.memory.trial is not None
    csr = bench.station.renewal.signing_request((CSMS,), country="DE", organization="Operator", common="CS-0001")
    bench.station.renewal.install_leaf(bench.chain(csr, not_after=NOW + 400 * DAY), (CSMS,))
    leaf = bench.station.renewal.facts(CSMS).leaf
    assert leaf is not None
    assert attempts(bench, 2) == [leaf.fingerprint] * 2


def _cut(*_: object) -> None:
    raise KeyboardInterrupt


# ---- requests


def test_a_trigger_that_was_accepted_outlives_a_power_cut(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", Edition.V201)
    found = bench.desk.answer("TriggerMessage", {"requestedMessage": TRIGGER})
    assert found is not None and found.then.sign is not None
    bench.desk.renewals.trigger(found.then.sign)
    [request] = bench.restarted().renewals.look().requests
    assert request.use is SigningUse.CSMS
    assert bench.restarted().renewals.look().requests == (request,)  # it was on its way
    bench.desk.renewals.asked(request.use, None)
    assert bench.restarted().renewals.look().requests == ()


def test_a_request_that_was_cut_off_is_not_sent_where_none_is_to_be_sent_any_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", Edition.V201)
    bench.desk.renewals.trigger(SigningUse.V2G)
    [request] = bench.desk.renewals.look().requests
    bench.changes = {"secc_installation": False}
    assert bench.restarted().renewals.look().requests == ()
    bench.changes = {}
    bench.time.now = at("1970-01-01")
    found = bench.restarted().renewals.look()
    assert found.requests == () and found.wait <= 60  # the CSMS may be setting it just now
    bench.time.now = NOW + timedelta(seconds=1)
    found = bench.restarted().renewals.look()
    assert found.requests == (request,) and found.wait < LONGEST_LOOK


# ---- what is remembered


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("leaves", [1]),
        ("accepted", "all"),
        ("settings", [1]),
        ("trial", {"new": "a", "old": "b", "begins": "0001-01-01T00:00:00+14:00"}),
    ],
)
def test_a_damaged_memory_keeps_no_station_from_starting(tmp_path: Path, name: str, value: object) -> None:
    bench = Bench(tmp_path / "certs", Edition.V201)
    enrolled(bench)
    file = bench.state / "ocpp.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))
    assert bench.restarted().memory.accepted == {}
    assert (bench.state / "ocpp.json.damaged").exists()


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.EACCES])
@pytest.mark.parametrize("name", [RENEWALS, EVENTS, ROOTS])
def test_a_memory_that_cannot_be_read_for_a_moment_is_neither_forgotten_nor_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    """A station that began anew would connect by the profile that it had left, and trust a root that it had left."""
    bench = Bench(tmp_path / "certs", Edition.V21, config=CHECKED)
    enrolled(bench)
    assert install(bench, "Next") == {"status": "Accepted"}
    bench.desk.happened(SecurityEvent.STARTUP)
    before = {file: file.read_bytes() for file in bench.state.iterdir()}
    remembered = vars(bench.desk.memory).copy()
    with monkeypatch.context() as broken:
        broken.setattr(StateFile, "load", _unreadable(StateFile.load, name, number))
        with pytest.raises(NotReadable, match=f"{name} cannot be read: {os.strerror(number)}"):
            Certificates(bench.station, policy=policy(Edition.V21), directory=bench.state)
    certificates = Certificates(bench.station, policy=policy(Edition.V21), directory=bench.state)
    certificates.close()
    assert {file: file.read_bytes() for file in bench.state.iterdir()} == before
    known = vars(certificates._desk.memory)
    assert all(known[one] == remembered[one] for one in ("accepted", "trial", "roots", "waiting", "records"))
    assert known["waiting"] and known["roots"].trial and known["accepted"]


def _unreadable(load: Callable[[StateFile], Any], name: str, number: int) -> Callable[[StateFile], Any]:
    def failing(file: StateFile) -> Any:
        if file.path.name == name:
            raise OSError(number, os.strerror(number), str(file.path))
        return load(file)

    return failing


def test_a_damaged_memory_that_cannot_be_set_aside_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path / "certs", Edition.V21)
    enrolled(bench)
    (bench.state / RENEWALS).write_text("{")
    with monkeypatch.context() as read_only, pytest.raises(NotReadable):
        read_only.setattr(os, "replace", _no_room)
        bench.restarted()
    assert (bench.state / RENEWALS).read_text() == "{"


def test_a_full_queue_of_events_in_any_script_outlives_a_restart(tmp_path: Path) -> None:
    """Of critical ones none is lost."""
    bench = Bench(tmp_path / "certs", Edition.V21)
    for number in range(MOST_WAITING):
        bench.desk.happened(SecurityEvent.INVALID_STATION_CERTIFICATE, f"{number} " + "\U0001f50c" * 300)
    waiting = bench.desk.memory.waiting
    assert len(waiting) == MOST_WAITING
    assert bench.restarted().memory.waiting == waiting


def test_what_a_full_disk_did_not_take_is_written_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path / "certs", Edition.V21)
    old = enrolled(bench)
    with monkeypatch.context() as full:
        full.setattr(StateFile, "save", _no_room)
        new = enrolled(bench, not_after=NOW + 90 * DAY)
        bench.desk.happened(SecurityEvent.STARTUP)
    bench.desk.renewals.look()
    bench.restarted()
    assert bench.events == ["StartupOfTheDevice"]
    assert attempts(bench, 2) == [new, old]


def _no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("is_root", [False, True])
def test_what_the_csms_is_to_be_told_of_a_trial_is_written_before_the_trial_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_root: bool
) -> None:
    """A power cut between the two would lose an event that must reach the CSMS."""
    bench = Bench(tmp_path / "certs", Edition.V21, config=CHECKED)
    old, new = enrolled(bench), enrolled(bench, not_after=NOW + 90 * DAY)
    if is_root:
        assert install(bench, "Next") == {"status": "Accepted"}
    else:
        bench.desk.renewals.failed(new)
    certificates = Certificates(bench.station, policy=policy(Edition.V21), directory=bench.state)
    written: list[str] = []
    save = StateFile.save

    def noted(file: StateFile, content: object) -> None:
        written.append(file.path.name)
        save(file, content)

    monkeypatch.setattr(StateFile, "save", noted)

    async def run() -> None:
        roots, certificate = await certificates.csms_trust(), await certificates.client_certificate()
        if is_root:
            await certificates.connection_failed(certificate, roots, ssl.SSLCertVerificationError(1, "unknown"))
        else:
            assert certificate is not None and certificate.fingerprint == old
            await certificates.connected(certificate)

    asyncio.run(run())
    certificates.close()
    assert written == ["ocpp-events.json", "ocpp-roots.json" if is_root else "ocpp.json"]


# ---- a clock that leaps


def test_a_clock_that_leaps_ahead_for_a_moment_does_not_end_all_renewals(tmp_path: Path) -> None:
    """The key of a request that is made then would keep the right time from being believed until that day."""
    bench = Bench(tmp_path / "certs", Edition.V21)
    enrolled(bench, not_after=NOW + 90 * DAY)
    passed = [0.0]
    renewals = bench.desk.renewals
    renewals.leaps = Leaps(lambda: passed[0])
    assert renewals.look().requests == ()
    bench.time.now += 4000 * DAY
    passed[0] += 60
    looked = renewals.look()
    assert (looked.requests, looked.wait <= HOLD) == ((), True)
    bench.time.now = NOW + 70 * DAY
    passed[0] += 60
    assert len(renewals.look().requests) == 1


def test_a_clock_that_leaps_ahead_and_stays_is_followed(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", Edition.V21)
    enrolled(bench, not_after=NOW + 90 * DAY)
    passed = [0.0]
    renewals = bench.desk.renewals
    renewals.leaps = Leaps(lambda: passed[0])
    renewals.look()
    bench.time.now += 70 * DAY
    assert renewals.look().requests == ()
    passed[0] += HOLD
    assert len(renewals.look().requests) == 1


def test_the_clock_of_a_machine_is_watched_and_one_of_its_own_is_the_programs(tmp_path: Path) -> None:
    with Station.open(StationConfig.under(tmp_path / "machine")) as station:
        leaps = Desk(station, policy(Edition.V21)).renewals.leaps
        assert leaps is not None
        assert leaps.held(station.time()) == leaps.held(station.time()) == 0
    assert Bench(tmp_path / "certs", Edition.V21).desk.renewals.leaps is None


# ---- connections


@pytest.mark.parametrize(
    "problem",
    [
        ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
        socket.gaierror(socket.EAI_AGAIN, "no name"),
        OSError(errno.EHOSTUNREACH, "no route"),
        OSError("Multiple exceptions: [Errno 111], [Errno 111]"),
    ],
)
def test_a_csms_that_is_not_reached_says_nothing_of_a_renewed_certificate(tmp_path: Path, problem: OSError) -> None:
    """A CSMS that restarts as its stations reconnect would have all they renewed discarded."""
    bench = Bench(tmp_path / "certs", Edition.V21)
    old, new = enrolled(bench), enrolled(bench, not_after=NOW + 90 * DAY)
    certificates = Certificates(bench.station, policy=policy(Edition.V21), directory=bench.state)

    async def run() -> None:
        cut = [(ConnectionResetError(), new)] * (MOST_DOUBTS - 1) + [(ConnectionResetError(), old)]
        for why, following in (*[(problem, new)] * MOST_DOUBTS, *cut):
            certificate, roots = await certificates.client_certificate(), await certificates.csms_trust()
            assert certificate is not None and certificate.fingerprint == new
            assert await certificates.connection_failed(certificate, roots, why) is False
            certificate = await certificates.client_certificate()
            assert certificate is not None and certificate.fingerprint == following

    asyncio.run(run())
    certificates.close()


def test_a_store_that_cannot_be_asked_for_a_while_ends_no_connector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path / "certs", Edition.V21)
    asked = iter(range(3))
    tried = threading.Event()

    def failing() -> None:
        if next(asked, None) is None:
            tried.set()
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(bench.station.renewal, "facts", lambda *_: failing())
    certificates = Certificates(bench.station, policy=policy(Edition.V21), directory=bench.state)

    async def run() -> None:
        endpoint = Endpoint(url="wss://localhost:1/CS1", first_wait=0.01)
        running = asyncio.create_task(Connector(endpoint, certificates, _speak).run())
        while not tried.is_set() and not running.done():
            await asyncio.sleep(0.01)
        assert not running.done()
        running.cancel()

    asyncio.run(run())
    certificates.close()


async def _speak(_: object) -> None:
    raise AssertionError


def test_a_full_disk_ends_no_renewal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would ask again before a trigger, though there is room by then."""
    bench = Bench(tmp_path / "certs", Edition.V201)
    csr = bench.trigger(TRIGGER)
    chain = bench.chain(csr)
    with monkeypatch.context() as full:
        full.setattr(Files, "write_new", _no_room)
        assert bench.answer("CertificateSigned", certificateChain=chain)["status"] == "Rejected"
    assert bench.desk.renewals.look().requests == ()
    bench.time.now += timedelta(seconds=60)
    [request] = bench.restarted().renewals.look().requests
    assert request.payload["csr"] == csr
    assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}


def test_what_is_remembered_is_one_programs_alone(tmp_path: Path) -> None:
    """Two that write it would forget each other's requests and trials."""
    bench = Bench(tmp_path / "certs", Edition.V21)
    rules = policy(Edition.V21)
    first = Certificates(bench.station, policy=rules, directory=bench.state)
    with pytest.raises(InvalidConfiguration, match=r"directory: .* is in use"):
        Certificates(bench.station, policy=rules, directory=bench.state)
    first.close()
    Certificates(bench.station, policy=rules, directory=bench.state).close()
