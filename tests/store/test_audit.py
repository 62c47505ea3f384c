"""The audit log: every change is a line, every line is in the chain, and nothing that befalls it stops a command."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from evse_security import Station
from evse_security.actor import acting_for
from evse_security.errors import CommandRefused
from evse_security.lab.authority import name
from evse_security.serve.command import commands
from evse_security.store.audit import AuditLog
from evse_security.store.journal import LONGEST_LINE, Link, Verdict
from evse_security.store.turn import Bounds
from evse_security.vocabulary import InstallCertificateResult
from tests.builders import NOW, world
from tests.laws import children, stores
from tests.laws.stores import Prepared, deleting, hash_data, installing, pki, requesting, sweeping

AUDITED = {"audit_log": "audit/audit.jsonl"}
SMALL = Bounds(file_bytes=2000, files=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "audit.jsonl"


def write(path: Path, count: int = 1, bounds: Bounds | None = None) -> AuditLog:
    log = AuditLog(path, bounds)
    for number in range(count):
        log.record({"command": f"c{number}"}, NOW)
    return log


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def head_of(path: Path) -> Path:
    return path.with_name(path.name + ".head")


def found(log: AuditLog) -> list[str]:
    return [str(finding) for finding in log.verify().findings]


def told(store: Prepared) -> list[dict[str, Any]]:
    """The entries of a station's log, without what is different in every run."""
    log = store.config().audit_log
    assert log is not None
    return [json.loads(line) for line in lines(log)]


# ---- on the disk


def test_entries_are_forced_to_the_disk_where_that_is_wanted(path: Path, forced: list[str]) -> None:
    log, directory = AuditLog(path, SMALL, sync=True), str(path.parent)
    both = [str(path), str(head_of(path))]
    log.record({"command": "first"}, NOW)
    assert forced == [str(path.parent.parent), both[0], directory, both[1]]
    while not path.with_name("audit.jsonl.0000000001").exists():
        forced.clear()
        log.record({"command": "next"}, NOW)
    log.record({"command": "the first in its file"}, NOW)
    assert forced == [*both, both[0], directory, both[1]]
    forced.clear()
    write(path)
    assert forced == []


def test_a_head_that_cannot_be_forced_makes_no_entry_look_removed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}") == str(head_of(path)):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    write(path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        AuditLog(path, sync=True).record({"command": "forced"}, NOW)
    log = write(path)
    assert [entry.body["command"] for entry in log.entries()] == ["c0", "forced", "c0"]
    assert log.verify().intact


# ---- the chain


def test_each_line_has_the_digest_of_its_text_and_of_the_line_before(path: Path) -> None:
    write(path, 3)
    before = None
    for number, line in enumerate(lines(path), start=1):
        text, _, _ = line.rpartition(b',"hash":"')
        entry = json.loads(line)
        assert entry["hash"] == sha256(text).hexdigest()
        assert entry["n"] == number
        assert before is None or entry["prev"] == before
        before = entry["hash"]


def test_two_chains_do_not_begin_alike(tmp_path: Path) -> None:
    firsts = {json.loads(lines(write(tmp_path / name / "log", 1)._path)[0])["prev"] for name in ("a", "b")}
    assert len(firsts) == 2


def test_it_says_who_and_when_and_on_whose_behalf(path: Path) -> None:
    log = write(path)
    with acting_for("ocpp:csms.example"):
        log.record({"command": "x"}, NOW)
    first, second = (entry.body for entry in log.entries())
    assert (first["uid"], first["pid"], first["time"]) == (os.getuid(), os.getpid(), "2030-01-01T00:00:00.000Z")
    assert first["process"]
    assert "actor" not in first
    assert second["actor"] == "ocpp:csms.example"


def test_it_is_for_nobody_else(path: Path) -> None:
    before = os.umask(0)
    try:
        write(path)
    finally:
        os.umask(before)
    assert [one.stat().st_mode & 0o777 for one in (path.parent, path, head_of(path))] == [0o700, 0o600, 0o600]


def test_an_untouched_log_is_intact(path: Path) -> None:
    verdict = write(path, 5).verify()
    assert (verdict.intact, verdict.entries, verdict.remarks) == (True, 5, ())
    assert verdict.last is not None
    assert verdict.last.number == 5


def edit(log: list[bytes]) -> list[bytes]:
    return [*log[:2], log[2].replace(b'"c2"', b'"cX"'), *log[3:]]


def rehash(log: list[bytes]) -> list[bytes]:
    text = edit(log)[2].rpartition(b',"hash":"')[0]
    return [*log[:2], text + b',"hash":"' + sha256(text).hexdigest().encode() + b'"}\n', *log[3:]]


ALTERED: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "an edited line": (edit, "line 3: entry 3 was edited"),
    "an edited line with a hash that fits": (rehash, "line 4: entry 4 does not follow the entry before it"),
    "a removed line": (lambda log: log[:1] + log[2:], "line 2: 1 entry is missing before entry 3"),
    "two removed lines": (lambda log: log[:1] + log[3:], "line 2: 2 entries are missing before entry 4"),
    "a removed first line": (lambda log: log[1:], "line 1: the entries before 2 are missing; 1 should be the first"),
    "a removed last line": (lambda log: log[:-1], "the last 1 entries are missing"),
    "no line left": (lambda log: [], "the last 5 entries are missing"),
    "an inserted copy": (lambda log: [*log[:3], log[1], *log[3:]], "line 4: entry 2 stands after 3"),
    "two lines changed over": (lambda log: [log[0], log[2], log[1], *log[3:]], "line 2: 1 entry is missing before"),
    "a line of somebody's own": (lambda log: [*log[:2], b"hello\n", *log[2:]], "line 3: no entry of the log"),
    "a nest of brackets": (lambda log: [*log[:2], b"[" * 9000 + b"\n", *log[2:]], "line 3: no entry of the log"),
    "an endless line": (lambda log: [*log[:2], b"x" * 40000 + b"\n", *log[2:]], "line 3: no entry of the log"),
    "no text": (lambda log: [*log[:2], b"\xff\x00\n", *log[2:]], "line 3: no entry of the log"),
}


@pytest.mark.parametrize("what", ALTERED)
def test_what_was_altered_is_found_with_its_line(path: Path, what: str) -> None:
    log = write(path, 5)
    alter, expected = ALTERED[what]
    path.write_bytes(b"".join(alter(lines(path))))
    assert expected in "\n".join(found(log))


@pytest.mark.parametrize("what", ALTERED)
def test_it_stays_found_when_more_is_written(path: Path, what: str) -> None:
    log = write(path, 5)
    path.write_bytes(b"".join(ALTERED[what][0](lines(path))))
    write(path, 2)
    verdict = log.verify()
    assert not verdict.intact
    assert verdict.last is not None
    assert verdict.last.number >= 7


def test_a_chain_that_was_made_anew_shows_against_a_hash_that_was_noted(path: Path) -> None:
    noted = write(path, 3).verify().last
    assert noted is not None
    assert AuditLog(path).verify(noted).intact
    for one in (path, head_of(path)):
        one.unlink()
    log = write(path, 3)
    assert log.verify().intact  # nothing in it shows
    assert "has another hash" in str(log.verify(noted).findings[0])
    assert "is missing" in str(log.verify(Link(9, noted.hash)).findings[0])


def test_without_its_head_the_chain_goes_on_and_that_is_recorded(path: Path) -> None:
    log = write(path, 3)
    for damage in (lambda: head_of(path).unlink(), lambda: head_of(path).write_bytes(b"{}")):
        damage()
        assert "its head is missing or damaged" in found(log)[0]
        write(path)
        verdict = log.verify()
        assert verdict.intact
        assert "the head of the log was missing or damaged" in verdict.remarks[-1]


@pytest.mark.parametrize("content", [b"one line\nand another", b"x" * 100_000, b"\0\0x", b"{}\n"])
def test_a_file_of_somebody_else_is_not_cut(path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A configuration that names the wrong file must not cost its end."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    write(path, 2)
    assert path.read_bytes() == content
    assert "no audit log" in caplog.text


@pytest.mark.parametrize("content", [b"", b"{", b'{"n":1,"time', b"\0" * 5000, b'\0\0{"n":1'])
def test_what_a_power_cut_leaves_of_the_first_entry_is_cut_off(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    write(path)
    assert b'{"n":1,' in path.read_bytes()[:10]


def test_a_head_of_nonsense_is_none(path: Path) -> None:
    write(path)
    text = head_of(path).read_bytes()
    for nonsense in (b"", text[:-1], text + b" ", text.replace(b'"size": ', b'"size": 1'), b"[]", b"[" * 9000, b"\xff"):
        head_of(path).write_bytes(nonsense)
        write(path)
        assert AuditLog(path).verify().intact


def test_the_log_is_gone_and_its_head_is_not(path: Path) -> None:
    log = write(path, 3)
    path.unlink()
    write(path)
    verdict = log.verify()
    assert "the entries before 4 are missing" in str(verdict.findings[0])
    assert "3 entries before it were gone" in verdict.remarks[0]


# ---- killed, torn, rotated


def test_killed_between_the_entry_and_the_head(path: Path) -> None:
    log = write(path, 2)
    head = head_of(path).read_bytes()
    write(path, 2)
    head_of(path).write_bytes(head)
    assert log.verify().intact
    write(path)
    verdict = log.verify()
    assert (verdict.intact, verdict.entries, verdict.remarks) == (True, 5, ())


@pytest.mark.parametrize("left", [1, 40, 200])
def test_a_torn_line_is_cut_off_and_that_is_recorded(path: Path, left: int) -> None:
    log = write(path, 2)
    head = head_of(path).read_bytes()
    write(path)
    whole = b"".join(lines(path)[:2])
    path.write_bytes(whole + lines(path)[2][:left])
    head_of(path).write_bytes(head)
    assert "not written to its end" in log.verify().remarks[0]
    write(path)
    verdict = log.verify()
    assert verdict.intact
    assert verdict.remarks == (
        f"entry 3: {left} bytes of an entry that was not written to its end were cut off before it",
    )


def test_rotation_carries_the_chain_over_and_keeps_only_so_many(path: Path) -> None:
    log = write(path, 60, SMALL)
    names = sorted(one.name for one in path.parent.iterdir())
    assert len(names) == 4  # two put aside, the log and its head
    verdict = log.verify()
    assert (verdict.intact, verdict.last and verdict.last.number) == (True, 60)
    assert verdict.entries < 60
    assert all(one.stat().st_size <= SMALL.file_bytes + LONGEST_LINE for one in path.parent.iterdir())


def test_an_old_file_that_was_taken_away_is_missed(path: Path) -> None:
    log = write(path, 60, SMALL)
    oldest, newer = sorted(one for one in path.parent.iterdir() if one.name[-1].isdigit())
    content = newer.read_bytes()
    newer.unlink()
    assert "are missing before entry" in found(log)[0]
    newer.write_bytes(content)
    oldest.unlink()
    assert "should be the first" in found(log)[0]


@pytest.mark.parametrize("at", ["rename", "pwrite", "unlink"])
def test_killed_while_rotating(path: Path, at: str) -> None:
    def rotate() -> None:
        def die(*_: Any, **__: Any) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(os, at, die)  # in the child only
        write(path, 1, Bounds(file_bytes=1, files=2))

    log = write(path, 3, Bounds(file_bytes=1000, files=9))
    write(path, 1, Bounds(file_bytes=1, files=9))
    write(path, 2)
    assert children.run(rotate) == -signal.SIGKILL
    assert log.verify().intact
    write(path, 2)
    verdict = log.verify()
    assert (verdict.intact, verdict.remarks) == (True, ())


test_killed_while_rotating = children.forks(test_killed_while_rotating)


@children.forks
def test_many_processes_write_one_chain(path: Path) -> None:
    def some() -> None:
        for number in range(40):
            AuditLog(path, Bounds(file_bytes=4000, files=1000)).record({"command": f"{number}"}, NOW)

    started = [children.start(some) for _ in range(4)]
    assert [children.wait(child) for child in started] == [0] * 4
    log = AuditLog(path)
    verdict = log.verify()
    missed = sum(entry.body.get("count", 0) for entry in log.entries() if entry.body.get("event") == "missed")
    recorded = sum("command" in entry.body for entry in log.entries())
    assert verdict.intact
    assert recorded <= 160 <= recorded + missed + 4 * 40 // 10  # what the last ones missed nobody can record


def test_many_threads_write_one_chain(path: Path) -> None:
    log = AuditLog(path)
    threads = [threading.Thread(target=log.record, args=({"command": "x"}, NOW)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.record({"command": "last"}, NOW)
    missed = sum(entry.body.get("count", 0) for entry in log.entries())
    assert log.verify().intact
    assert sum("command" in entry.body for entry in log.entries()) + missed == 17


# ---- nothing stops a command


def hold(path: Path, request: pytest.FixtureRequest) -> None:
    file = head_of(path).open("rb")
    fcntl.flock(file, fcntl.LOCK_EX)
    request.addfinalizer(file.close)


def replace_by(
    make: Callable[[Path], object], which: Callable[[Path], Path] = lambda path: path
) -> Callable[..., None]:
    def befall(path: Path, _: pytest.FixtureRequest) -> None:
        which(path).unlink()
        make(which(path))

    return befall


def link(path: Path) -> None:
    (path.parent.parent / "victim").write_bytes(b"victim\n")
    path.symlink_to("../victim")


def directory_link(path: Path, _: pytest.FixtureRequest) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.symlink_to("elsewhere")


BEFALLEN: dict[str, Callable[[Path, pytest.FixtureRequest], None]] = {
    "the lock is held": hold,
    "the log is a FIFO": replace_by(os.mkfifo),
    "the log is a directory": replace_by(Path.mkdir),
    "the log is a link": replace_by(link),
    "the log is a device": replace_by(lambda path: path.symlink_to("/dev/full")),
    "the head is a FIFO": replace_by(os.mkfifo, head_of),
    "the head is a link": replace_by(link, head_of),
    "the directory is a link": directory_link,
}


@pytest.mark.parametrize("what", BEFALLEN)
def test_what_cannot_be_recorded_is_counted_and_the_command_answered(
    tmp_path: Path, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    store = Prepared(tmp_path / "store", AUDITED)
    station = store.station()
    assert installing("V2GRoot")(station, store)
    log = tmp_path / "store/audit/audit.jsonl"
    before = tmp_path / "kept"
    os.link(log, before)
    BEFALLEN[what](log, request)
    with caplog.at_level(logging.WARNING):
        assert installing("MORoot")(station, store)
        assert installing("CSMSRoot")(station, store)
    assert sum("could not be written" in record.message for record in caplog.records) == 1
    victim = tmp_path / "store/victim"
    assert not victim.exists() or victim.read_bytes() == b"victim\n"
    assert len(before.read_bytes().splitlines()) == 1


def test_when_it_works_again_the_gap_is_recorded(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = write(path)
    with head_of(path).open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        log.record({"command": "lost"}, NOW)
        log.record({"command": "lost, too"}, NOW)
    with caplog.at_level(logging.WARNING):
        log.record({"command": "back"}, NOW)
    assert [entry.body.get("command") or entry.body["event"] for entry in log.entries()] == ["c0", "missed", "back"]
    verdict = log.verify()
    assert (verdict.intact, verdict.remarks) == (True, ("entry 2: 2 entries before it could not be written",))
    assert "it lacks 2 entries" in caplog.text
    log.record({"command": "after"}, NOW)
    assert log.verify().entries == 4


class FullDisk:
    """Takes only so many bytes more."""

    def __init__(self, room: int) -> None:
        self.room, self.write = room, os.write

    def __call__(self, descriptor: int, content: bytes) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken, self.room = min(self.room, len(content)), max(self.room - len(content), 0)
        return self.write(descriptor, content[:taken])


@children.forks
@pytest.mark.parametrize("room", [0, 1, 100])
def test_on_a_full_disk_no_half_line_is_left(path: Path, room: int) -> None:
    log = write(path, 2)
    before = path.read_bytes()

    def fill() -> None:
        os.write = FullDisk(room)  # type: ignore[assignment]  # in the child only
        log.record({"command": "x"}, NOW)
        assert path.read_bytes() == before

    assert children.run(fill) == 0
    assert log.verify().intact


def test_fields_are_bounded_and_names_cannot_break_a_line(path: Path) -> None:
    log = write(path)
    log.record({"command": "x" * LONGEST_LINE, "given": ["y" * LONGEST_LINE]}, NOW)
    log.record({"command": "a\nb\u202e\udcff\u2028", "given": ["y" * LONGEST_LINE]}, NOW)
    assert all(len(line) <= LONGEST_LINE and line.isascii() for line in lines(path)[2:])
    assert [entry.body.get("command") for entry in log.entries()][-1] == "a\nb\u202e\udcff\u2028"
    assert log.verify().intact


# ---- what is recorded


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return stores.in_service(Prepared(tmp_path_factory.mktemp("audited") / "template", AUDITED))


@pytest.fixture
def store(template: Prepared, tmp_path: Path) -> Iterator[Prepared]:
    yield template.copied_to(tmp_path / "store")


def test_each_change_is_one_line_with_the_hash_data_of_what_it_is_about(store: Prepared) -> None:
    station, before = store.station(), len(told(store))
    assert installing("NewRoot")(station, store)
    assert requesting(station, store)
    assert stores.updating(station, store)
    assert stores.caching("SubCA1")(station, store)
    assert deleting("NewRoot")(station, store)
    entries = told(store)[before:]
    assert [(one["command"], one.get("about"), one["result"]) for one in entries] == [
        ("install_ca_certificate", "V2G", "done"),
        ("generate_certificate_signing_request", "V2G", "done"),
        ("update_leaf_certificate", "V2G", "done"),
        ("update_ocsp_cache", None, "done"),
        ("delete_certificate", None, "done"),
    ]
    of_root = {
        "hash_algorithm": "SHA256",
        "issuer_name_hash": hash_data("NewRoot").issuer_name_hash,
        "issuer_key_hash": hash_data("NewRoot").issuer_key_hash,
        "serial_number": hash_data("NewRoot").serial_number,
    }
    assert entries[0]["certificates"] == entries[4]["certificates"] == [of_root]
    assert len(entries[2]["certificates"]) == 1
    assert entries[2]["given"][1]["name"] == "CN=SubCA2, O=Test"
    assert entries[1]["changes"][0]["write"].endswith(".key")


def test_a_root_takes_what_it_issued_along_and_all_of_it_is_named(store: Prepared) -> None:
    assert deleting("V2GRoot")(store.station(), store)
    serials = {one["serial_number"] for one in told(store)[-1]["certificates"]}
    assert {hash_data(holder).serial_number for holder in ("V2GRoot", "SubCA1", "Other")} <= serials


def test_refusals_are_recorded_with_their_reason(store: Prepared) -> None:
    station = store.station()
    assert not installing("SECC")(station, store)
    assert told(store)[-1]["result"] == "refused"
    assert told(store)[-1]["reason"] == "NotACa"
    assert "is not a CA" in told(store)[-1]["why"]
    assert not deleting("NewRoot")(station, store)
    assert told(store)[-1]["reason"] == "NotInstalled"
    assert told(store)[-1]["certificates"][0]["serial_number"] == hash_data("NewRoot").serial_number


def test_what_changes_nothing_is_no_change(store: Prepared) -> None:
    station, before = store.station(), told(store)
    assert installing("V2GRoot")(station, store)  # installed already
    sweeping(station, store)
    assert stores.asking_for_der(station, store)
    assert told(store) == before


def test_no_secret_is_in_it(store: Prepared) -> None:
    station = store.station(private_key_password="hunter2")
    for certificate in ("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", "hunter2"):
        answer = station.interface().install_ca_certificate(certificate=certificate, certificate_type=stores.V2G_CA)
        assert answer is InstallCertificateResult.InvalidFormat
    assert requesting(station, store)
    log = store.config().audit_log
    assert log is not None
    text = log.read_text()
    assert "hunter2" not in text
    assert "PRIVATE" not in text
    assert "c2VjcmV0" not in text


def test_names_in_certificates_are_escaped(tmp_path: Path) -> None:
    store = Prepared(tmp_path / "store", AUDITED)
    odd = world("Odd >", Odd={"subject": name(CN='x\n{"n":1}\u202e', O="Test")})["Odd"].pem
    answer = store.station().interface().install_ca_certificate(certificate=odd, certificate_type=stores.V2G_CA)
    assert answer is InstallCertificateResult.Accepted
    [entry] = told(store)
    assert "\n" not in entry["given"][0]["name"] or len(lines(tmp_path / "store/audit/audit.jsonl")) == 1
    assert (tmp_path / "store/audit/audit.jsonl").read_bytes().isascii()


def test_where_it_is_off_nothing_is_written(tmp_path: Path) -> None:
    store = Prepared(tmp_path / "store", {"audit_log": None})
    assert installing("V2GRoot")(store.station(), store)
    assert not (tmp_path / "store/audit").exists()


ARGUMENTS: dict[str, dict[str, Any]] = {
    "install_ca_certificate": {"certificate": "none", "certificate_type": "V2G"},
    "delete_certificate": {"certificate_hash_data": {"hash_algorithm": "SHA256", "issuer_name_hash": "00",
                                                     "issuer_key_hash": "00", "serial_number": "00"}},
    "update_leaf_certificate": {"certificate_chain": "none", "certificate_type": "V2G"},
    "update_ocsp_cache": {"certificate_hash_data": {"hash_algorithm": "SHA256", "issuer_name_hash": "00",
                                                    "issuer_key_hash": "00", "serial_number": "00"},
                          "ocsp_response": "none"},
    "generate_certificate_signing_request": {"certificate_type": "MF", "country": "DE", "organization": "x",
                                             "common": "x", "use_tpm": False},
}  # fmt: skip


@pytest.mark.parametrize("revision", ["2023-10", "2026-04"])
def test_every_command_that_changes_the_store_records_its_refusals(tmp_path: Path, revision: str) -> None:
    """A command of the interface that is new must be added to the arguments above, or this fails."""
    store = Prepared(tmp_path / "store", AUDITED)
    assert installing("V2GRoot")(store.station(), store)
    for command in commands(revision).values():
        if command.changes_the_store:
            known = {argument.name for argument in command.arguments}
            given = {key: value for key, value in ARGUMENTS[command.name].items() if key in known}
            refused(store.station(), command.name, given, revision)
            assert (told(store)[-1]["command"], told(store)[-1]["result"]) == (command.name, "refused")


def refused(station: Station, command: str, arguments: object, revision: str) -> None:
    with contextlib.suppress(CommandRefused):
        station.dispatch(command, arguments, revision=revision)


def verdict_of(store: Prepared) -> Verdict:
    log = store.config().audit_log
    assert log is not None
    return AuditLog(log).verify()


def test_the_log_of_a_station_in_service_is_intact(store: Prepared) -> None:
    assert verdict_of(store).intact
    assert pki()["V2GRoot"].pem not in "".join(map(str, told(store)))
