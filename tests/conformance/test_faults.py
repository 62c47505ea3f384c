"""What EVerest's module does wrong, one test each: the numbers are those of the list of its faults.

Left out are what cannot be seen from outside or has no counterpart here: memory safety (1–3, 8, 9), costs (11, 66), the
links of a deprecated setting (27), the wording of messages (62, 73), timers (68), and features that are in the table of
configuration (69, 72).
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evse_security.store.files import Files
from tests.builders import DAY, NOW, ocsp_answer, world
from tests.conformance.kit import NAMED, Bench, bench, tree
from tests.conformance.test_commands_delete import hash_data
from tests.conformance.test_commands_ocsp import told

W = world(
    "V2GRoot > Sub1 > Sub2 > SECC",
    "Sub1 > Branch >",
    "Sub2 > Soon",
    "Sub2 > Old",
    Sub1=NAMED,
    Sub2=NAMED,
    SECC=NAMED,
    Branch=NAMED,
    Soon=NAMED | {"not_before": NOW + DAY, "not_after": NOW + 90 * DAY},
    Old={"not_before": NOW - 9 * DAY, "not_after": NOW - DAY},
)
ROOT = W["V2GRoot"].pem
OTHERS = world("Other > x")
OTHER = OTHERS["Other"].pem
SUBS = ("Sub2", "Sub1")
BUNDLE = "ca/v2g/V2G_ROOT_CA.pem"
STAMP = "M11_D22_Y2026_H11_M53_S27_i1_r"
BROKEN = "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"


def living(root: Path, leaf: str = "SECC", *, keys: str = "client/cso", **config: Any) -> Bench:
    b = bench(root, **config)
    b.put(BUNDLE, ROOT)
    b.put(f"client/cso/SECC_LEAF_{STAMP}1.pem", W[leaf].pem)
    b.put(f"client/cso/CPO_CERT_SECC_LEAF_CHAIN_{STAMP}1.pem", W.pem(leaf, *SUBS))
    b.put(f"{keys}/SECC_LEAF_{STAMP}0.key", W[leaf].key_pem())
    return b


class FullDisk(Files):
    """A disk that takes `room` more files."""

    def __init__(self, room: int = 0) -> None:
        self.room = room

    def write_new(self, path: Path, content: bytes, mode: int, owner: tuple[int, int] | None, time: float) -> None:
        self.room -= 1
        if self.room < 0:
            path.write_bytes(content[:10])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        super().write_new(path, content, mode, owner, time)


class Mounted(Files):
    """A bundle that is mounted by itself, as containers do: it has content but no name that could be given away."""

    def replace(self, source: Path, target: Path) -> None:
        if target.name == Path(BUNDLE).name:
            raise OSError(errno.EBUSY, "Device or resource busy", str(target))
        super().replace(source, target)


# ---- crashes and hangs


def test_fault_04_sweeping_survives_loops_and_vanished_directories(tmp_path: Path) -> None:
    b = living(tmp_path, secc_leaf_key_directory="keys/gone")
    (tmp_path / "client/cso/loop.pem").symlink_to("loop.pem")
    (tmp_path / "client/cso/nowhere.key").symlink_to("nothing")
    assert b.station.sweep().removed == ()


def test_fault_05_a_bad_file_stops_no_command(tmp_path: Path) -> None:
    b = living(tmp_path)
    for place in ("client/cso/0.pem", "client/cso/z.pem", "client/csms/0.pem", "ca/mo/MO_ROOT_CA.pem"):
        b.put(place, BROKEN)
    b.put(BUNDLE, BROKEN + ROOT)
    assert len(b.ask("get_v2g_ocsp_request_data")["ocsp_request_data_list"]) == 3
    assert b.install(OTHER) == "Accepted"
    assert b.delete(hash_data(W, "SECC")) == "Accepted"


def test_fault_06_a_fifo_blocks_nobody(tmp_path: Path) -> None:
    b = living(tmp_path)
    os.mkfifo(tmp_path / "client/cso/fifo.pem")
    os.mkfifo(tmp_path / "client/cso/fifo.key")
    os.mkfifo(tmp_path / "firmware")
    asked: dict[str, Any] = {"file_path": str(tmp_path / "firmware"), "signing_certificate": ROOT, "signature": "AAAA"}
    assert b.ask("verify_file_signature", **asked) is False
    assert b.info()["status"] == "Accepted"
    assert b.station.sweep().removed == ()


def test_fault_07_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    class Slow(Files):
        def write_new(self, path: Path, content: bytes, mode: int, owner: tuple[int, int] | None, time: float) -> None:
            reader = threading.Thread(target=lambda: answers.append(b.info()["status"]))
            reader.start()
            reader.join(30)
            super().write_new(path, content, mode, owner, time)

    answers: list[str] = []
    b = living(tmp_path, files=Slow())
    assert b.install(OTHER) == "Accepted"
    assert answers == ["Accepted"]


def test_fault_08_no_leaf_leads_to_a_root(tmp_path: Path) -> None:
    b = living(tmp_path)
    b.put(BUNDLE, OTHER)
    asked: dict[str, Any] = {"certificate_type": "V2G", "encoding": "PEM", "include_ocsp": True}
    assert b.ask("get_all_valid_certificates_info", **asked) == {"status": "Accepted", "info": []}


def test_fault_10_huge_files_are_not_read(tmp_path: Path) -> None:
    b = living(tmp_path)
    for name in ("huge.pem", "huge.key", "ocsp/huge.hash", "ocsp/huge.der"):
        os.truncate(b.put(f"client/cso/{name}", b"-----BEGIN"), 1 << 40)
    assert b.info(ocsp=True)["status"] == "Accepted"
    assert {problem.path.name for problem in b.station.overview().problems} == {"huge.pem", "huge.key", "huge.der"}


# ---- durability


STEPS: dict[str, tuple[Callable[[Bench], object], object]] = {
    "install": (lambda b: b.install(OTHER), "WriteError"),
    "update": (lambda b: b.update(W.pem("Soon", *SUBS)), "WriteError"),
    "delete": (lambda b: b.delete(hash_data(W, "V2GRoot")), "Failed"),
    "request": (
        lambda b: b.ask(
            "generate_certificate_signing_request",
            certificate_type="V2G", country="DE", organization="O", common="C", use_tpm=False,
        )["status"],
        "KeyGenError",
    ),
}  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
def test_fault_12_13_15_a_full_disk_loses_nothing_and_is_said(tmp_path: Path, step: str) -> None:
    living(tmp_path).put(f"client/cso/SECC_LEAF_{STAMP}9.key", W["Soon"].key_pem())
    b = bench(tmp_path, files=FullDisk())
    act, answer = STEPS[step]
    with b.watched() as change:
        assert act(b) == answer
    assert change.nothing


def test_fault_14_a_mounted_bundle_is_written_or_it_is_said(tmp_path: Path) -> None:
    living(tmp_path)
    b = bench(tmp_path, files=Mounted())
    with b.watched() as change:
        assert b.install(OTHER) == "Accepted"
    assert change.altered == {BUNDLE}
    assert (tmp_path / BUNDLE).read_text() == ROOT + OTHER
    with b.watched() as change:
        deleted = b.delete(hash_data(W, "V2GRoot"))
    assert (deleted == "Accepted") == (ROOT not in (tmp_path / BUNDLE).read_text())
    assert not change.added


def test_fault_16_17_other_files_of_a_directory_are_not_touched(tmp_path: Path) -> None:
    b = bench(tmp_path, v2g_ca_bundle="ca/v2g")
    b.put("ca/v2g/mine.pem", f"# a comment\r\n{ROOT}{W['SECC'].key_pem()}")
    b.put("ca/v2g/root.der", W["V2GRoot"].der)
    b.put("ca/v2g/empty.pem", "")
    b.put("ca/v2g/key.pem", W["SECC"].key_pem())
    before = {path: path.stat().st_ino for path in (tmp_path / "ca/v2g").iterdir()}
    assert b.install(OTHER) == "Accepted"
    assert b.delete(hash_data(OTHERS, "Other")) == "Accepted"
    assert {path: path.stat().st_ino for path in (tmp_path / "ca/v2g").iterdir()} == before


@pytest.mark.parametrize("room", range(2))
def test_fault_18_nothing_of_a_leaf_is_live_before_all_is_on_the_disk(tmp_path: Path, room: int) -> None:
    living(tmp_path).put(f"client/cso/SECC_LEAF_{STAMP}9.key", W["Soon"].key_pem())
    b = bench(tmp_path, files=FullDisk(room), now=NOW + 2 * DAY)
    with b.watched() as change:
        assert b.update(W.pem("Soon", *SUBS)) == "WriteError"
    assert change.nothing
    assert b.update(W.pem("Soon", *SUBS)) == "WriteError"
    assert bench(tmp_path).update(W.pem("Soon", *SUBS)) == "Accepted"


def test_fault_19_installers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    made = world(*(f"Root{n} > x{n}" for n in range(12)))
    stations = [bench(tmp_path) for _ in range(3)]
    answers: list[str] = []

    def work(number: int) -> None:
        answers.extend(stations[number].install(made[f"Root{n}"].pem) for n in range(number, 12, 3))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["Accepted"] * 12
    assert len(stations[0].listed("V2GRootCertificate")) == 12


def test_fault_21_an_answer_and_its_hash_belong_together(tmp_path: Path) -> None:
    b = living(tmp_path)
    b.put("client/cso/ocsp/x_ocsp.hash", "\n".join(hash_data(W, "SECC").values()))
    for later in range(3):
        answer = told(ocsp_answer(W, "SECC", this_update=NOW + later * DAY / 1000))
        b.ask("update_ocsp_cache", certificate_hash_data=hash_data(W, "SECC"), ocsp_response=answer)
    assert len(list((tmp_path / "client/cso/ocsp").iterdir())) <= 4
    assert "ocsp_path" in b.info(ocsp=True)["info"]["ocsp"][0]


@pytest.mark.parametrize("spoiled", [False, True])
def test_fault_22_sweeping_keeps_the_keys_of_healthy_leaves(tmp_path: Path, *, spoiled: bool) -> None:
    b = living(tmp_path, keys="keys", secc_leaf_key_directory="keys", csr_lifetime=0, max_store_entries=1)
    if spoiled:
        b.put("client/cso/broken.pem", BROKEN)
    b.set_clock(NOW + 30 * DAY)
    with b.watched() as change:
        b.station.sweep()
        b.install(OTHER)
    assert change.nothing
    assert b.info()["status"] == "Accepted"


def test_fault_23_sweeping_keeps_a_key_that_a_renewed_leaf_uses(tmp_path: Path) -> None:
    made = world("V2GRoot > Old", "V2GRoot > New", New={"same_as": "Old", "not_after": NOW + 90 * DAY})
    b = bench(tmp_path, keep_newest=1, csr_lifetime=0)
    b.put(f"client/cso/SECC_LEAF_{STAMP}1.pem", made["Old"].pem)
    b.put(f"client/cso/SECC_LEAF_{STAMP}2.pem", made["New"].pem)
    b.put(f"client/cso/SECC_LEAF_{STAMP}1.key", made["Old"].key_pem())
    b.set_clock(NOW + 70 * DAY)
    with b.watched() as change:
        b.station.sweep()
    assert change.removed == {f"client/cso/SECC_LEAF_{STAMP}1.pem"}
    assert b.info()["status"] == "Accepted"


def test_fault_24_domains_in_one_directory_keep_each_others_answers(tmp_path: Path) -> None:
    b = living(tmp_path, csms_ca_bundle="ca/v2g/CSMS_ROOT_CA.pem")
    b.put(BUNDLE, ROOT + W["Sub1"].pem)
    b.put("ca/v2g/CSMS_ROOT_CA.pem", W.pem("V2GRoot", "Sub1", "Branch"))
    for holder in ("Sub1", "Branch"):
        b.ask(
            "update_ocsp_cache", certificate_hash_data=hash_data(W, holder), ocsp_response=told(ocsp_answer(W, holder))
        )
    assert b.station.sweep().removed == ()


def test_fault_25_no_leaf_is_left_without_its_key(tmp_path: Path) -> None:
    b = living(tmp_path)
    assert b.delete(hash_data(W, "Sub2")) == "Accepted"
    assert [name for name in tree(tmp_path) if name.startswith("client")] == []


def test_fault_26_reading_makes_nothing(tmp_path: Path) -> None:
    b = bench(tmp_path / "not/there")
    b.listed("V2GRootCertificate")
    assert b.install(ROOT) == "Accepted"
    assert not (tmp_path / "not/there/ca/mo").is_file()
