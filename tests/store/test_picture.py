"""From files to snapshots, and that every change is seen at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from evse_security.config import StationConfig
from evse_security.keys.files import public_key_of
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import certificate_id
from evse_security.store.disk import Disk
from evse_security.store.layout import Layout
from evse_security.store.leafstore import KeysUnread
from evse_security.store.listing import Listing
from evse_security.store.parts import KeysAt, LeavesFirst, LeavesOf, Parts
from evse_security.store.picture import Picture
from evse_security.store.snapshot import Snapshot, StoreForm
from evse_security.store.stamp import COARSE_SETTLING_NS, stamp_of
from evse_security.store.view import View
from evse_security.store.watch import Watch
from evse_security.vocabulary import CaCertificateType, LeafCertificateType
from tests.builders import NOW, World, ocsp_answer, world

V2G, MO, MF = CaCertificateType.V2G, CaCertificateType.MO, CaCertificateType.MF
LEAF = LeafCertificateType.V2G
W = world("A > S >", "B >")


class Bench:
    """A store on the disk, and the eyes that look at it."""

    def __init__(self, root: Path, watch: Watch | None = None, **overrides: str) -> None:
        self.root = root
        self.layout = Layout.of(StationConfig.under(root, **overrides))
        self.now: Callable[[], int] = lambda: 1 << 62
        self.picture = Picture(self.layout, lambda data: public_key_of(data, None))
        self.disk = Disk(self.layout, self.picture, view=View(self.layout, watch, self.time))

    def time(self) -> int:
        return self.now()

    @property
    def bundle(self) -> Path:
        return self.layout.bundles[V2G]

    def write(self, path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def look(self) -> Snapshot:
        return self.disk.look()

    def roots(self) -> list[str]:
        return [certificate.name for certificate in self.look().cas[V2G].certificates]


class Blind(Watch):
    """Where nothing can be watched, as on network file systems."""

    def begin(self) -> None:
        self.close()


@pytest.fixture(params=[Watch, Blind])
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Bench:
    return Bench(tmp_path, request.param())


def name(holder: str) -> str:
    return Certificate(W[holder].der).name


def padded(holder: str, size: int) -> str:
    """A certificate in a text of some length."""
    return W[holder].pem.ljust(size - 1, "#") + "\n"


# ---- freshness


@pytest.mark.parametrize("settled", [True, False])
def test_the_same_snapshot_where_nothing_changed(settled: bool, bench: Bench) -> None:  # noqa: FBT001
    bench.write(bench.bundle, W["A"].pem)
    bench.write(bench.layout.leaves[LeafCertificateType.V2G].keys / "x.key", "no key")
    bench.now = (lambda: 1 << 62) if settled else lambda: 0
    assert bench.look() is bench.look()


def test_a_rewrite_in_place_of_the_same_size_is_seen(bench: Bench) -> None:
    bench.write(bench.bundle, padded("A", 2000))
    for holder in ("B", "A", "B"):
        with bench.bundle.open("r+") as file:
            file.write(padded(holder, 2000))
        assert bench.roots() == [name(holder)]


def test_a_rewrite_that_no_time_stamp_shows_is_seen_once_they_must_have_settled(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Blind())
    bench.write(bench.bundle, padded("A", 2000))
    view = View(bench.layout, Blind(), lambda: bench.bundle.stat().st_ctime_ns + 1)
    changed = view.refresh()
    assert bench.picture.take(view.listing, changed).cas[V2G].certificates[0].name == name("A")
    assert view.doubtful == {str(bench.bundle)}
    bench.write(bench.bundle, padded("B", 2000))
    after = bench.picture.take(view.listing, view.doubtful)  # though the listing is the one of before
    assert after.cas[V2G].certificates[0].name == name("B")
    assert bench.picture.take(view.listing, view.doubtful) is after


def test_stamps_that_settled_are_believed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write(bench.bundle, padded("A", 2000))
    moment = bench.bundle.stat().st_ctime_ns
    view = View(bench.layout, Blind(), lambda: moment)
    assert str(bench.bundle) in view.refresh()
    assert view.doubtful == {str(bench.bundle)}
    moment += COARSE_SETTLING_NS + 1
    assert view.refresh() == set()
    assert view.doubtful == {str(bench.bundle)}  # once more: it may have changed after it was read
    assert view.refresh() == view.doubtful == set()


def test_a_rename_over_it_is_seen(bench: Bench) -> None:
    bench.write(bench.bundle, padded("A", 2000))
    assert bench.roots() == [name("A")]
    bench.write(bench.root / "new", padded("B", 2000)).replace(bench.bundle)
    assert bench.roots() == [name("B")]


def test_a_change_whose_time_is_set_back_is_seen(bench: Bench) -> None:
    bench.write(bench.bundle, padded("A", 2000))
    before = bench.bundle.stat()
    assert bench.roots() == [name("A")]
    with bench.bundle.open("r+") as file:
        file.write(padded("B", 2000))
    os.utime(bench.bundle, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert bench.roots() == [name("B")]


def test_a_link_led_elsewhere_is_seen(bench: Bench) -> None:
    for holder in "AB":
        bench.write(bench.root / f"{holder}.pem", padded(holder, 2000))
    bench.bundle.parent.mkdir(parents=True)
    bench.bundle.symlink_to(bench.root / "A.pem")
    assert bench.roots() == [name("A")]
    bench.bundle.unlink()
    bench.bundle.symlink_to(bench.root / "B.pem")
    assert bench.roots() == [name("B")]


def test_files_that_come_and_go_are_seen(bench: Bench) -> None:
    assert bench.roots() == []
    bench.write(bench.bundle, W["A"].pem)
    assert bench.roots() == [name("A")]
    bench.bundle.unlink()
    assert bench.roots() == []
    assert bench.look().cas[V2G].form is StoreForm.MISSING


def test_only_what_changed_is_parsed_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, v2g_ca_bundle="ca/v2g")
    for holder in "AB":
        bench.write(bench.bundle / f"{holder}.pem", W[holder].pem)
    before = {file.path.name: file for file in bench.look().cas[V2G].files}
    bench.write(bench.bundle / "B.pem", W["S"].pem)
    after = {file.path.name: file for file in bench.look().cas[V2G].files}
    assert after["A.pem"] is before["A.pem"]
    assert after["B.pem"] is not before["B.pem"]


# ---- what is what


def test_fault_45_one_bad_block_or_file_hides_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, v2g_ca_bundle="ca/v2g")
    bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    bench.write(bench.bundle / "a.pem", bad + W["A"].pem)
    bench.write(bench.bundle / "b.pem", W["B"].pem + bad)
    bench.write(bench.bundle / "c.pem", bad)
    assert bench.roots() == [name("A"), name("B")]
    assert [problem.path.name for problem in bench.look().problems] == ["a.pem", "b.pem", "c.pem"]
    assert [problem.text.split(":")[0] for problem in bench.look().problems][1] == f"at byte {len(W['B'].pem)}"


@pytest.mark.parametrize("suffix", [".crt", ".cer", ".PEM", ".der", ""])
def test_fault_74_a_bundle_may_be_called_anything(suffix: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, v2g_ca_bundle=f"ca/roots{suffix}")
    bench.write(bench.bundle, W["A"].pem)
    assert bench.roots() == [name("A")]


def test_der_and_text_are_told_by_content(tmp_path: Path) -> None:
    bench = Bench(tmp_path, v2g_ca_bundle="ca/v2g")
    bench.bundle.mkdir(parents=True)
    (bench.bundle / "a.pem").write_bytes(W["A"].der)
    bench.write(bench.bundle / "b.der", W["B"].pem)
    bench.write(bench.bundle / "c.txt", W["S"].pem)
    assert bench.roots() == [name("A"), name("B")]


def test_forms_of_bundles(tmp_path: Path) -> None:
    bench = Bench(tmp_path, mo_ca_bundle="mo", mf_ca_bundle="loop")
    bench.write(bench.bundle, W["A"].pem)
    (tmp_path / "mo").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    found = bench.look()
    assert found.cas[V2G].form is StoreForm.FILE
    assert found.cas[MO].form is StoreForm.DIRECTORY
    assert found.cas[MF].form is StoreForm.UNREADABLE
    assert found.cas[CaCertificateType.CSMS].form is StoreForm.MISSING
    assert [problem.path.name for problem in found.problems] == ["loop"]
    assert not found.readable


def test_a_directory_of_leaves_that_is_not_there_says_nothing_about_keys(tmp_path: Path) -> None:
    bench = Bench(tmp_path, secc_leaf_key_directory="keys")
    bench.write(tmp_path / "keys" / "x.key", "")
    assert not bench.look().leaves[LeafCertificateType.V2G].readable
    (tmp_path / "client" / "cso").mkdir(parents=True)
    assert bench.look().leaves[LeafCertificateType.V2G].readable
    (tmp_path / "client" / "cso" / "x.pem").symlink_to("/unmounted/x.pem")
    assert not bench.look().leaves[LeafCertificateType.V2G].readable


def test_leftovers_are_found_wherever_they_are_made(tmp_path: Path) -> None:
    bench = Bench(tmp_path, mo_ca_bundle="mo")
    bench.write(tmp_path / "elsewhere" / "real.pem", W["A"].pem)
    bench.bundle.parent.mkdir(parents=True)
    bench.bundle.symlink_to("../../elsewhere/real.pem")
    places = ["elsewhere", "ca/v2g", "ca/v2g/ocsp", "ca/v2g/bundle", "mo", "mo/bundle", "client/cso", "client/cso/der"]
    expected = {bench.write(tmp_path / place / ".0123.evse-tmp", "half") for place in places}
    assert set(bench.look().leftovers) == expected


@pytest.mark.parametrize("stamp", [-(10**10), 10**12])
def test_a_file_time_that_no_calendar_has_stops_nothing(stamp: int, bench: Bench) -> None:
    keys = bench.layout.leaves[LeafCertificateType.V2G].keys
    key = bench.write(keys / "SECC_LEAF_M01_D01_Y2030_H00_M00_S00_i3_r119942029.key", "")
    look = SimpleNamespace(st_size=1, st_ino=1, st_dev=1, st_mtime_ns=stamp * 10**9, st_ctime_ns=1, st_mode=0o600)
    forms = dict.fromkeys(bench.layout.bundles, StoreForm.MISSING)
    listing = Listing.of(forms, {str(key): stamp_of(look)}, {}, {})
    found = bench.picture.take(listing, listing.everything())
    assert found.leaves[LeafCertificateType.V2G].keys[0].path == key
    assert found.newest_written is None


def test_a_file_from_a_clock_that_ran_decades_ahead_makes_no_other_clock_doubted(bench: Bench) -> None:
    keys = bench.layout.leaves[LeafCertificateType.V2G].keys
    for number, written in enumerate((NOW, datetime(2099, 1, 1, tzinfo=UTC))):
        key = bench.write(keys / f"SECC_LEAF_M01_D01_Y2030_H00_M00_S00_i{number}_r1.key", "")
        os.utime(key, (written.timestamp(),) * 2)
    assert bench.look().newest_written == NOW


def test_a_cached_answer_is_the_one_that_the_file_beside_it_names(bench: Bench) -> None:
    made = world("Root > Sub > SECC", "Sub > Other")
    directory = bench.layout.leaves[LeafCertificateType.V2G].certificates / "ocsp"
    ids = [certificate_id(Certificate(made[one].der), Certificate(made["Sub"].der)) for one in ("SECC", "Other")]
    for cert_id in (*ids, None):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "1_ocsp.der").write_bytes(ocsp_answer(made, "SECC"))
        (directory / "1_ocsp.hash").write_bytes(b"" if cert_id is None else cert_id.lines)
        [entry] = bench.look().ocsp
        assert (entry.answer is None) == (cert_id == ids[1])
    assert bench.look().ocsp_by_id == {}  # whom nothing is named for, it is never offered


def test_a_sub_ca_in_many_files_is_one_certificate(bench: Bench) -> None:
    directory = bench.layout.leaves[LeafCertificateType.V2G].certificates
    for number in range(3):
        bench.write(directory / f"{number}.pem", W.pem("S"))
    found = [file.certificates[0] for file in bench.look().leaves[LeafCertificateType.V2G].files]
    assert len(found) == 3
    assert all(one is found[0] for one in found)


# ---- keys that are left for later


def leaves_of(bench: Bench, *holders: str) -> World:
    """Put leaves of one PKI into the store, the single file of each named like its key."""
    made = world(*(f"Root > {holder}" for holder in holders))
    directory = bench.layout.leaves[LEAF].certificates
    for holder in holders:
        bench.write(directory / f"{holder}.pem", made[holder].pem)
        bench.write(directory / f"{holder}.key", made[holder].key_pem())
    return made


def test_the_keys_of_leaves_that_are_not_asked_for_are_left_for_later(bench: Bench) -> None:
    made = leaves_of(bench, "A", "B", "C")
    store = bench.disk.look([LeavesFirst(LEAF)]).leaves[LEAF]
    assert {Path(location).name for location in store.unread} == {"A.key", "B.key", "C.key"}
    leaf = store.leaf_of(Certificate(made["B"].der))
    assert leaf is not None
    with pytest.raises(KeysUnread) as needed:
        store.need_keys_of([leaf])
    assert {Path(location).name for location in needed.value.locations} == {"B.key"}
    with pytest.raises(KeysUnread):
        store.keys_for(leaf.certificate)
    after = bench.disk.look([KeysAt(LEAF, needed.value.locations)]).leaves[LEAF]
    found = after.leaf_of(leaf.certificate)
    assert found is not None
    assert found.key is not None
    after.need_keys_of([found])
    assert {Path(location).name for location in after.unread} == {"A.key", "C.key"}
    assert {Path(location).name for location in store.unread} == {"A.key", "B.key", "C.key"}  # as it was seen


@pytest.mark.parametrize("later", [None, [LeavesOf(LeafCertificateType.V2G)]], ids=["everything", "the leaves"])
def test_whoever_asks_for_all_gets_all_keys(later: Parts, bench: Bench) -> None:
    leaves_of(bench, "A", "B", "C")
    assert bench.disk.look([LeavesFirst(LEAF)]).leaves[LEAF].unread
    store = bench.disk.look(later).leaves[LEAF]
    assert [key.path.name for key in store.keys] == ["A.key", "B.key", "C.key"]
    assert all(leaf.key is not None for leaf in store.leaves)


def test_a_key_of_another_name_is_found_among_all(bench: Bench) -> None:
    made = leaves_of(bench, "A", "B")
    directory = bench.layout.leaves[LEAF].certificates
    (directory / "A.key").rename(directory / "x.key")
    store = bench.disk.look([LeavesFirst(LEAF)]).leaves[LEAF]
    leaf = store.leaf_of(Certificate(made["A"].der))
    assert leaf is not None
    with pytest.raises(KeysUnread) as needed:
        store.need_keys_of([leaf])
    assert needed.value.locations == store.unread


def test_keys_that_change_or_go_before_they_are_read(bench: Bench) -> None:
    leaves_of(bench, "A", "B", "C")
    directory = bench.layout.leaves[LEAF].certificates
    assert len(bench.disk.look([LeavesFirst(LEAF)]).leaves[LEAF].unread) == 3
    (directory / "A.key").unlink()
    bench.write(directory / "B.key", "no key")
    store = bench.disk.look([LeavesFirst(LEAF)]).leaves[LEAF]
    assert {Path(location).name for location in store.unread} == {"C.key"}
    assert [key.path.name for key in bench.look().leaves[LEAF].keys] == ["B.key", "C.key"]
