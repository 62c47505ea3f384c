"""Backups and restoring them: everything is there again, on any layout; nothing is touched before all is verified."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from evse_security.errors import BackupRefused, NotWritable
from evse_security.keys.files import to_pem
from evse_security.recovery import Recovery
from evse_security.station import Others
from evse_security.store import archive
from evse_security.store.archive import Archive, Item, LeftOut, Unreadable
from evse_security.store.layout import TEMPORARY_SUFFIX
from evse_security.vocabulary import CertificateStoreUpdate, InstallCertificateResult
from tests.builders import DAY, NOW, key, world
from tests.laws import stores
from tests.laws.steps import DyingAt, FailingAt, Killed, Watched
from tests.laws.stores import MO_CA, Prepared, deleting, facts, installing, pki, requesting, tree

SEPARATE = {
    "v2g_ca_bundle": "roots/v2g",
    "mo_ca_bundle": "roots/mo.pem",
    "csms_leaf_cert_directory": "leaves/csms",
    "csms_leaf_key_directory": "keys/csms",
    "secc_leaf_cert_directory": "leaves/secc",
    "secc_leaf_key_directory": "keys/secc",
}
"""Another layout: a directory of roots, and keys apart from certificates."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return stores.file_store(tmp_path_factory.mktemp("recovery") / "template")


@pytest.fixture
def store(template: Prepared, tmp_path: Path) -> Prepared:
    return template.copied_to(tmp_path / "store")


@pytest.fixture
def saved(store: Prepared, tmp_path: Path) -> Path:
    path = tmp_path / "backup"
    store.station().backup(path, passphrase=None)
    return path


def members(path: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(path) as found:
        return {member.name: member for member in found.getmembers()}


def main_files(store: Prepared) -> dict[str, bytes | str]:
    """What a backup brings back: not what is derived, nor lock files."""
    return {
        name: content
        for name, content in tree(store.root).items()
        if isinstance(content, bytes) and "/der/" not in name and not name.endswith(".lock")
    }


def sparse(path: Path, size: int) -> None:
    path.touch()
    os.truncate(path, size)


def key_pem(holder: str) -> bytes:
    return to_pem(key(holder), None)


# ---- making one


def test_any_tar_opens_it_and_finds_the_files_as_they_were(store: Prepared, saved: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "xf", saved, "-C", tmp_path], check=True)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["format"] == 1
    assert manifest["made"] == "2030-01-01T00:00:00Z"
    assert (tmp_path / "ca/V2G/bundle/V2G_ROOT_CA.pem").read_bytes() == store.config().v2g_ca_bundle.read_bytes()
    for path in (store.root / "client/cso").glob("*.key"):
        out = tmp_path / "leaves/V2G/keys" / path.name
        assert (out.read_bytes(), out.stat().st_mode & 0o777) == (path.read_bytes(), 0o600)
    assert len(manifest["files"]) == len(main_files(store))


def test_it_is_for_nobody_else_and_nothing_is_left_beside_it(saved: Path) -> None:
    assert saved.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in saved.parent.iterdir() if path.name.endswith(TEMPORARY_SUFFIX)] == []


def test_it_is_on_the_disk_before_that_is_said(store: Prepared, tmp_path: Path, forced: list[str]) -> None:
    (tmp_path / "backups").mkdir()
    store.station().backup(tmp_path / "backups" / "one", passphrase=None)
    written = [path for path in forced if path.startswith(str(tmp_path / "backups"))]
    assert written[0].endswith(TEMPORARY_SUFFIX)
    assert written[1:] == [str(tmp_path / "backups")]


def test_the_same_store_at_the_same_time_makes_the_same_bytes(store: Prepared, saved: Path, tmp_path: Path) -> None:
    store.station().backup(tmp_path / "again", passphrase=None)
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_nothing_is_written_over_and_not_among_the_certificates(store: Prepared, saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(BackupRefused, match="there is such a file already"):
        store.station().backup(saved, passphrase=None)
    assert saved.read_bytes() == before
    with pytest.raises(BackupRefused, match="among the files of the store"):
        store.station().backup(store.root / "client/cso/backup.pem", passphrase=None)
    with pytest.raises(BackupRefused, match="No such file"):
        store.station().backup(store.root / "nowhere/backup", passphrase=None)


def test_a_bundle_that_is_a_link_to_itself_is_named(store: Prepared, saved: Path, tmp_path: Path) -> None:
    bundle = store.config().v2g_ca_bundle
    bundle.unlink()
    bundle.symlink_to(bundle.name)
    with pytest.raises(BackupRefused, match=r"V2G_ROOT_CA\.pem: it cannot be read, so a backup would lack it"):
        store.station().backup(tmp_path / "another", passphrase=None)
    with pytest.raises(BackupRefused, match=r"V2G_ROOT_CA\.pem: it cannot be looked at"):
        store.station().restore(saved, passphrase=None)


def test_what_cannot_be_read_is_named_and_the_rest_is_saved(store: Prepared, tmp_path: Path) -> None:
    sparse(store.root / "client/cso/huge.pem", 17 << 20)
    report = store.station().backup(tmp_path / "backup", passphrase=None)
    [left_out] = report.left_out
    assert left_out.path == "leaves/V2G/certificates/huge.pem"
    assert "larger than" in left_out.why
    assert store.station().restore(tmp_path / "backup", passphrase=None).left_out == (left_out,)


@pytest.mark.parametrize("closed", ["client", "client/cso"])
def test_a_directory_that_cannot_be_entered_is_named(store: Prepared, tmp_path: Path, closed: str) -> None:
    directory = store.root / closed
    directory.rename(tmp_path / "aside")
    directory.symlink_to(directory.name)  # as closed to root as one of mode 0 is to others
    report = store.station().backup(tmp_path / "b.tar", passphrase=None)
    assert {"leaves/V2G/certificates", "leaves/V2G/keys"} <= {one.path for one in report.left_out}
    directory.unlink()
    (tmp_path / "aside").rename(directory)
    made = store.station().restore(tmp_path / "b.tar", passphrase=None, others=Others.GO, dry_run=True)
    assert not [
        one
        for one in made.changes
        if one.path.is_relative_to(store.root / "client/cso") and "ocsp" not in one.path.parts
    ]


def test_what_is_damaged_in_the_store_comes_back_as_it_is(store: Prepared, tmp_path: Path) -> None:
    leaves = store.root / "client/cso"
    for name, content in {
        "garbage.pem": b"\xff\x00" * 50,
        "empty.pem": b"",
        "half.pem": pki()["SECC"].pem.encode()[:300],
        "garbage.key": b"nothing",
        "empty.key": b"",
        "ocsp/x_ocsp.hash": b"nothing",
        "ocsp/x_ocsp.der": b"bm90aGluZw==",
        "ocsp/y_ocsp.hash": b"",
    }.items():
        (leaves / name).write_bytes(content)
    store.config().mf_ca_bundle.parent.mkdir(parents=True, exist_ok=True)
    store.config().mf_ca_bundle.write_bytes(b"no certificate in it\n")
    (store.root / "ca/mo/MO_ROOT_CA.pem").write_bytes(pki()["MORoot"].der)
    store.station().backup(tmp_path / "backup", passphrase=None)
    new = Prepared(tmp_path / "new")
    new.station().restore(tmp_path / "backup", passphrase=None)
    assert main_files(new) == main_files(store)


def test_a_store_without_anything_makes_a_backup_of_nothing(tmp_path: Path) -> None:
    report = Prepared(tmp_path / "store").station().backup(tmp_path / "backup", passphrase=None)
    assert report.files == 0
    assert not (tmp_path / "store").exists()


# ---- restoring


def test_everything_is_there_again_on_a_new_machine(store: Prepared, saved: Path, tmp_path: Path) -> None:
    new = Prepared(tmp_path / "new")
    report = new.station().restore(saved, passphrase=None)
    assert report.kept is None
    assert main_files(new) == main_files(store)
    assert facts(new) == facts(store)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in new.root.rglob("*.key"))
    assert (new.root / "client/cso").stat().st_mode & 0o77 == 0  # keys lie in it


@pytest.mark.parametrize("there", [SEPARATE, {"v2g_ca_bundle": "ca/v2g"}, {"mo_ca_bundle": "ca/v2g/V2G_ROOT_CA.pem"}])
def test_other_layouts_get_the_same_and_give_it_back(
    store: Prepared, saved: Path, tmp_path: Path, there: dict[str, Any]
) -> None:
    new = Prepared(tmp_path / "new", there)
    new.station().restore(saved, passphrase=None)
    found, expected = facts(new), facts(store)
    assert found.roots >= expected.roots
    assert found[1:] == expected[1:]
    new.station().backup(tmp_path / "second", passphrase=None)
    back = Prepared(tmp_path / "back")
    back.station().restore(tmp_path / "second", passphrase=None)
    assert facts(back).roots >= expected.roots
    assert facts(back)[1:] == expected[1:]


def test_leaves_that_shared_a_directory_go_to_their_own(store: Prepared, tmp_path: Path) -> None:
    shared = {key: "client" for key in SEPARATE if "leaf" in key}
    one = stores.in_service(Prepared(tmp_path / "one", shared))
    one.station().backup(tmp_path / "backup", passphrase=None)
    two = Prepared(tmp_path / "two", SEPARATE)
    two.station().restore(tmp_path / "backup", passphrase=None)
    assert facts(two).leaves == facts(one).leaves


def test_what_was_deleted_comes_back_and_what_is_new_stays(store: Prepared, saved: Path) -> None:
    before = facts(store)
    assert stores.deleting_the_leaf(store.station(), store)
    assert deleting("MORoot")(store.station(), store)
    assert requesting(store.station(), store)
    report = store.station().restore(saved, passphrase=None)
    after = facts(store)
    assert after[:4] == before[:4]
    assert after.waiting == before.waiting + 1
    assert {change.what for change in report.changes} == {"added", "replaced"}


def test_exactly_the_backup(store: Prepared, saved: Path) -> None:
    before = main_files(store)
    assert requesting(store.station(), store)
    (store.root / "client/cso/README").write_text("somebody's own")
    store.station().restore(saved, passphrase=None, others=Others.GO)
    after = main_files(store)
    assert after.pop("client/cso/README") == b"somebody's own"
    assert after == before


def test_what_cannot_be_backed_up_is_not_removed(store: Prepared, saved: Path) -> None:
    assert installing("NewRoot")(store.station(), store)
    sparse(large := store.root / "client/cso/large.pem", 17 << 20)
    bundle = store.config().v2g_ca_bundle.read_bytes()
    with pytest.raises(BackupRefused, match=r"large\.pem.*cannot be backed up before: larger than"):
        store.station().restore(saved, passphrase=None, others=Others.GO)
    assert large.exists()
    assert store.config().v2g_ca_bundle.read_bytes() == bundle
    assert not list(saved.parent.glob("*.before-*"))
    assert store.station().restore(saved, passphrase=None).kept is not None


def test_what_was_there_is_not_kept_among_the_certificates(store: Prepared, saved: Path) -> None:
    inside = store.root / "client/cso"
    assert installing("NewRoot")(store.station(), store)
    shutil.copy(saved, inside / "station.backup")
    before = tree(store.root)
    for path, keep in ((inside / "station.backup", None), (saved, inside / "kept.pem")):
        with pytest.raises(BackupRefused, match="among the files of the store"):
            store.station().restore(path, passphrase=None, keep=keep)
    assert tree(store.root) == before
    store.station().restore(inside / "station.backup", passphrase=None, keep=saved.with_name("kept"))


def test_what_was_there_is_kept_beside_and_can_be_restored(store: Prepared, saved: Path) -> None:
    assert installing("NewRoot")(store.station(), store)
    before = main_files(store)
    report = store.station().restore(saved, passphrase=None)
    assert report.kept == saved.with_name("backup.before-20300101T000000Z")
    assert report.kept.stat().st_mode & 0o777 == 0o600
    store.station().restore(report.kept, passphrase=None)
    assert main_files(store) == before


def test_a_backup_of_what_was_not_replaced_after_all_is_not_left_behind(store: Prepared, saved: Path) -> None:
    """There are keys in it, and nobody knows of it."""
    assert installing("NewRoot")(store.station(), store)
    before = main_files(store)
    with pytest.raises(NotWritable):
        store.station(FailingAt(0, errno.ENOSPC)).restore(saved, passphrase=None)
    assert main_files(store) == before
    assert not list(saved.parent.glob("*.before-*"))
    other = saved.with_name("other")
    other.write_bytes(b"somebody's")
    with pytest.raises(BackupRefused):
        store.station().restore(saved, passphrase=None, keep=other)
    assert other.read_bytes() == b"somebody's"


@pytest.mark.parametrize("others", Others)
def test_a_backup_stays_where_the_disk_breaks_and_not_all_can_be_taken_back(
    store: Prepared, saved: Path, tmp_path: Path, others: Others
) -> None:
    """As where a file system becomes read-only after an error: what it lost is nowhere else."""
    assert installing("NewRoot")(store.station(), store)
    assert requesting(store.station(), store)
    before, stayed = main_files(store), 0
    for number in range(20):
        (place := tmp_path / f"{number}").mkdir()
        one, backup = store.copied_to(place / "store"), Path(shutil.copy(saved, place))
        try:
            one.station(FailingAt(number, errno.EIO, for_good=True)).restore(backup, passphrase=None, others=others)
        except NotWritable as refusal:
            kept = list(place.glob("*.before-*"))
            left = {name: content for name, content in main_files(one).items() if not name.endswith(TEMPORARY_SUFFIX)}
            assert bool(kept) is (left != before)
            if kept:
                stayed += 1
                assert str(refusal).endswith(f"what was there before is in {kept[0]}")
                one.station().restore(kept[0], passphrase=None)
                assert main_files(one).items() >= before.items()
    assert stayed


def test_what_was_there_is_kept_as_it_is_when_it_is_replaced(
    store: Prepared, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that is missing is made before the store is locked at last: others may add a key meanwhile."""
    assert installing("NewRoot")(store.station(), store)
    station = store.station()
    for lock in store.root.rglob("*.lock"):
        lock.unlink()
    make = station._core._disk.make_directories

    def slowly() -> None:
        assert requesting(store.station(), store)
        make()

    monkeypatch.setattr(station._core._disk, "make_directories", slowly)
    report = station.restore(saved, passphrase=None, others=Others.GO)
    assert report.kept is not None
    removed = {change.path.name for change in report.changes if change.what == "removed"}
    assert {name for name in removed if name.endswith(".key")}
    assert removed <= {Path(name).name for name in members(report.kept)}


def test_where_nothing_changes_nothing_is_written(store: Prepared, saved: Path) -> None:
    before = tree(store.root)
    report = store.station().restore(saved, passphrase=None)
    assert (report.changes, report.kept) == ((), None)
    assert tree(store.root) == before


def test_a_key_that_is_as_it_was_but_open_to_everybody_is_closed(store: Prepared, saved: Path) -> None:
    [key] = (store.root / "client/csms").glob("*.key")
    key.chmod(0o644)
    report = store.station().restore(saved, passphrase=None)
    assert [(one.what, one.path) for one in report.changes] == [("closed to everybody", key)]
    assert key.stat().st_mode & 0o777 == 0o600
    assert store.station().restore(saved, passphrase=None).changes == ()


def test_a_dry_run_says_the_same_and_changes_nothing(store: Prepared, saved: Path) -> None:
    assert deleting("MORoot")(store.station(), store)
    before = tree(store.root.parent)
    planned = store.station().restore(saved, passphrase=None, dry_run=True)
    assert tree(store.root.parent) == before
    assert store.station().restore(saved, passphrase=None).changes == planned.changes != ()


def test_no_key_is_lost_where_its_file_is_replaced(store: Prepared, saved: Path) -> None:
    placed = next((store.root / "client/csms").glob("*.key"))
    mine, other = placed.read_bytes(), key_pem("another key")
    placed.write_bytes(other)
    report = store.station().restore(saved, passphrase=None)
    assert placed.read_bytes() == mine
    what = "kept under another name until csr_lifetime is over"
    [kept] = [change.path for change in report.changes if change.what == what]
    assert kept.read_bytes() == other
    assert kept.stat().st_mode & 0o777 == 0o600
    os.utime(kept, (NOW.timestamp(), NOW.timestamp()))
    store.station(now=NOW + timedelta(minutes=59)).sweep()
    assert kept.exists()
    store.station(now=NOW + timedelta(minutes=61)).sweep()
    assert not kept.exists()


@pytest.mark.parametrize("name", ["leaf.key", f"{'ü' * 120}.key"])
def test_a_key_named_by_hand_no_sweep_removes_under_its_other_name_either(
    store: Prepared, tmp_path: Path, name: str
) -> None:
    by_hand, path = store.root / "client/csms" / name, tmp_path / "backup"
    by_hand.write_bytes(mine := key_pem("mine"))
    store.station().backup(path, passphrase=None)
    by_hand.write_bytes(other := key_pem("another key"))
    report = store.station().restore(path, passphrase=None)
    [kept] = [change.path for change in report.changes if change.what == "kept under another name"]
    store.station(now=NOW + DAY).sweep()
    assert (by_hand.read_bytes(), kept.read_bytes()) == (mine, other)
    assert any(found.path == kept for found in store.snapshot().leaves[stores.CSMS].keys)


def test_an_empty_file_is_no_key_to_be_kept(store: Prepared, saved: Path) -> None:
    placed = next((store.root / "client/csms").glob("*.key"))
    mine = placed.read_bytes()
    placed.write_bytes(b"")
    assert [change.what for change in store.station().restore(saved, passphrase=None).changes] == ["replaced"]
    assert placed.read_bytes() == mine


def test_keys_among_certificates_are_treated_as_keys(tmp_path: Path) -> None:
    """Where keys have a directory of their own, somebody may still have left one, in DER perhaps, with any mode."""
    store, path = stores.in_service(Prepared(tmp_path / "store", SEPARATE)), tmp_path / "backup"
    placed = store.root / "leaves/secc/by-hand.key"
    placed.write_bytes(content := key("by hand").private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    placed.chmod(0o644)
    report = store.station().backup(path, passphrase=None)
    assert report.plain_keys == len(list(store.root.rglob("*.key")))
    placed.write_bytes(other := key_pem("another key"))
    done = store.station().restore(path, passphrase=None)
    assert (placed.read_bytes(), placed.stat().st_mode & 0o777) == (content, 0o600)
    [kept] = [change.path for change in done.changes if change.what == "kept under another name"]
    assert (kept.read_bytes(), kept.stat().st_mode & 0o777) == (other, 0o600)


def test_changes_are_announced_and_recorded(store: Prepared, saved: Path) -> None:
    assert deleting("MORoot")(store.station(), store)
    station = store.station(audit_log="audit/audit.jsonl")
    told: list[CertificateStoreUpdate] = []
    station.subscribe(told.append)
    station.restore(saved, passphrase=None)
    assert [(str(one.operation), one.ca_certificate_type) for one in told] == [("Installed", MO_CA)]
    [entry] = station.audit_entries()
    assert (entry["command"], entry["result"]) == ("restore", "done")
    assert "made 2030-01-01T00:00:00Z, SHA-256 " in entry["note"]
    station.backup(saved.with_name("second"), passphrase=None)
    with pytest.raises(BackupRefused):
        station.restore(saved, passphrase="x")
    assert [(one["command"], one["result"]) for one in station.audit_entries()][1:] == [
        ("backup", "done"),
        ("restore", "refused"),
    ]


# ---- bad backups


def flipped(data: bytes) -> Iterator[bytes]:
    for at in (0, 100, 300, 600, 5000, len(data) // 2, len(data) - 2000):
        yield data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def cut(data: bytes) -> Iterator[bytes]:
    yield from (data[:length] for length in (0, 1, 511, 512, 1500, 10000, len(data) - 1, len(data) - 600))
    yield data + b"x"


def foreign(_: bytes) -> Iterator[bytes]:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, b"S", b"x"):
        yield tar([member("ca/V2G/bundle/x.pem", b"", kind)])
    yield tar([member("../../etc/passwd", b"x")])
    yield tar([member("manifest.json", b"[" * 20000)])
    yield tar([member("manifest.json", b"{}")])
    yield tar([member("manifest.json", b'{"format": 2}')])
    yield tar([member("manifest.json", b'{"format": 1, "files": 7, "made": 1, "left_out": []}')])
    yield b"\0" * 10240
    yield b"-----BEGIN CERTIFICATE-----\n" * 1000
    yield tar([member("huge", b"")]).replace(b"00000000000", b"77777777777", 1)


def member(name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.type = len(content), kind
    return info, content


def tar(entries: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as made:
        for info, content in entries:
            made.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize("damaged", [flipped, cut, foreign])
def test_a_bad_backup_is_refused_and_nothing_is_touched(
    store: Prepared, saved: Path, damaged: Callable[[bytes], Iterator[bytes]]
) -> None:
    assert deleting("MORoot")(store.station(), store)
    before, content = tree(store.root), saved.read_bytes()
    for bad in damaged(content):
        saved.write_bytes(bad)
        with pytest.raises(BackupRefused):
            store.station().restore(saved, passphrase=None)
    assert tree(store.root) == before
    assert list(saved.parent.glob("*.before-*")) == []


SOUND = Item("ca/MO/bundle", "MO.pem", pki()["MORoot"].pem.encode(), 0o644)
LAWLESS = {
    "up": replace(SOUND, role="ca/MO/files", path="../x.pem"),
    "absolute": replace(SOUND, role="ca/MO/files", path="/etc/x.pem"),
    "empty": replace(SOUND, role="ca/MO/files", path=""),
    "NUL": replace(SOUND, role="ca/MO/files", path="a\0.pem"),
    "nowhere": replace(SOUND, role="ca/XX/files"),
    "modes": replace(SOUND, mode=0o4755),
    "deep": replace(SOUND, role="ca/MO/files", path="/".join("abcdefghijk") + ".pem"),
    "no certificate": replace(SOUND, role="ca/MO/files", content=b"nothing"),
    "no key": Item("leaves/V2G/keys", "x.key", b"nothing", 0o600),
    "a program": Item("leaves/V2G/keys", "x.sh", b"#!/bin/sh", 0o755),
    "no response": Item("leaves/V2G/ocsp", "x.hash", b"nothing", 0o644),
}


@pytest.mark.parametrize("what", LAWLESS)
def test_files_that_do_not_belong_there_are_refused(tmp_path: Path, what: str) -> None:
    store, path = Prepared(tmp_path / "store"), tmp_path / "backup"
    path.write_bytes(archive.packed(Archive((LAWLESS[what],), NOW, "1")))
    with pytest.raises(BackupRefused):
        store.station().restore(path, passphrase=None)
    assert not store.root.exists()


def test_no_file_gets_rights_that_no_file_of_a_store_has(tmp_path: Path) -> None:
    store, path = Prepared(tmp_path / "store"), tmp_path / "backup"
    secret = Item("leaves/V2G/keys", "x.key", key_pem("k"), 0o666)
    hidden = Item("leaves/V2G/certificates", "both.pem", pki()["SECC"].pem.encode() + key_pem("k"), 0o666)
    path.write_bytes(archive.packed(Archive((replace(SOUND, mode=0o777), secret, hidden), NOW, "1")))
    store.station().restore(path, passphrase=None)
    modes = {p.name: p.stat().st_mode & 0o777 for p in store.root.rglob("*") if p.suffix in (".pem", ".key")}
    assert modes == {"MO_ROOT_CA.pem": 0o664, "x.key": 0o600, "both.pem": 0o600}


def test_names_of_all_kinds_come_back(tmp_path: Path) -> None:
    names = ["plain.pem", "Grüße.pem", "line\nbreak.pem", "\udcff.pem", "n" * 250 + ".pem", "-rf.pem", "sub/x.pem"]
    items = tuple(Item("leaves/V2G/certificates", name, pki()["SECC"].pem.encode(), 0o644) for name in names)
    data = archive.packed(Archive(items, NOW, "1", (LeftOut("a", "b"),)))
    assert {item.path for item in archive.opened(data).items} == set(names)
    with tarfile.open(fileobj=io.BytesIO(data)) as found:
        assert all(name.isascii() and ".." not in name for name in found.getnames())


def test_a_backup_of_a_newer_format_says_so(tmp_path: Path) -> None:
    data = tar([member("manifest.json", b'{"format": 2}')])
    with pytest.raises(Unreadable, match="only a newer version reads"):
        archive.opened(data)


@pytest.mark.parametrize("name", ["/dev/zero", "fifo", "directory", "sparse"])
def test_what_is_no_file_or_far_too_large_is_refused_unread(store: Prepared, tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    sparse(tmp_path / "sparse", 1 << 40)
    with pytest.raises(BackupRefused):
        store.station().restore(tmp_path / name, passphrase=None)


def test_the_limit_holds_both_ways(store: Prepared, tmp_path: Path) -> None:
    station = store.station()
    station._recovery = Recovery(station._core)
    station._recovery._limit = 1000
    with pytest.raises(BackupRefused, match="more than 1000 bytes"):
        station.backup(tmp_path / "backup", passphrase=None)
    assert not (tmp_path / "backup").exists()


# ---- killed, failed


@pytest.fixture
def damaged_store(store: Prepared, saved: Path) -> Prepared:
    assert stores.deleting_the_leaf(store.station(), store)
    assert deleting("MORoot")(store.station(), store)
    return store


def steps_of(store: Prepared, saved: Path, root: Path) -> int:
    files = Watched()
    store.copied_to(root).station(files).restore(saved, passphrase=None)
    return len(files.steps)


def test_killed_at_any_step_a_restoration_can_be_given_again(
    damaged_store: Prepared, saved: Path, template: Prepared, tmp_path: Path
) -> None:
    expected, before = facts(template), facts(damaged_store)
    for number in range(steps_of(damaged_store, saved, tmp_path / "watched")):
        killed = damaged_store.copied_to(tmp_path / f"killed-{number}")
        with pytest.raises(Killed):
            killed.station(DyingAt(number)).restore(saved, passphrase=None)
        between = facts(killed)
        assert before.roots <= between.roots <= expected.roots
        assert between.problems == ()
        assert before.leaves <= between.leaves <= expected.leaves
        killed.station().restore(saved, passphrase=None)
        assert facts(killed)[:5] == expected[:5]
        killed.station(now=NOW + DAY).sweep()
        assert not [name for name in tree(killed.root) if name.endswith(TEMPORARY_SUFFIX)]
        shutil.rmtree(killed.root)


def renamed(store: Prepared) -> Prepared:
    """Name the newest CSMS leaf as people do, in the place of the one that was named so."""
    leaf = max(store.snapshot().leaves[stores.CSMS].leaves, key=lambda one: one.certificate.not_after)
    assert leaf.key is not None
    leaf.key.path.rename(store.root / "client/csms/leaf.key")
    leaf.file.path.rename(store.root / "client/csms/leaf.pem")
    return store


def test_killed_while_another_key_takes_a_name_there_is_a_leaf_with_its_key(store: Prepared, tmp_path: Path) -> None:
    path = tmp_path / "backup"
    renamed(store).station().backup(path, passphrase=None)
    station = store.station()
    later = stores.signed(station, stores.CSMS, "CSMSRoot", not_after=NOW + 90 * DAY)
    assert stores.updated(station, later, stores.CSMS) is InstallCertificateResult.Accepted
    old = max(store.snapshot().leaves[stores.CSMS].leaves, key=lambda one: one.certificate.not_after)
    other = renamed(store)
    for number in range(steps_of(other, path, tmp_path / "watched")):
        killed = other.copied_to(tmp_path / f"killed-{number}")
        with pytest.raises(Killed):
            killed.station(DyingAt(number)).restore(path, passphrase=None)
        assert [kind for kind, _, _ in facts(killed).leaves].count(stores.CSMS) == 1
        killed.station().restore(path, passphrase=None)
        assert killed.root.joinpath("client/csms/leaf.key").read_bytes() in path.read_bytes()
        assert any(key.token == old.key.token for key in killed.snapshot().leaves[stores.CSMS].keys if old.key)
        shutil.rmtree(killed.root)


def test_failed_at_any_step_nothing_is_changed(damaged_store: Prepared, saved: Path, tmp_path: Path) -> None:
    before = main_files(damaged_store)
    for number in range(steps_of(damaged_store, saved, tmp_path / "watched")):
        failed = damaged_store.copied_to(tmp_path / f"failed-{number}")
        try:
            failed.station(FailingAt(number, errno.ENOSPC)).restore(saved, passphrase=None)
        except NotWritable:
            assert main_files(failed) == before
        shutil.rmtree(failed.root)


def test_failed_for_good_at_any_step_what_was_there_is_there_or_in_the_backup_of_it(
    store: Prepared, saved: Path, tmp_path: Path
) -> None:
    """A key that was let go cannot always be put back; then the backup that was made first is the only one."""
    chain = stores.signed(store.station(), stores.CSMS, "CSMSRoot", not_after=NOW + 90 * DAY)
    assert stores.updated(store.station(), chain, stores.CSMS) is InstallCertificateResult.Accepted
    before, needed = main_files(store), 0
    watched = Watched()
    store.copied_to(tmp_path / "watched").station(watched).restore(saved, passphrase=None, others=Others.GO)
    for number in range(len(watched.steps)):
        failed, keep = store.copied_to(tmp_path / f"failed-{number}"), tmp_path / f"kept-{number}"
        try:
            files = FailingAt(number, errno.EIO, for_good=True)
            failed.station(files).restore(saved, passphrase=None, others=Others.GO, keep=keep)
        except NotWritable as refusal:
            is_there = before.items() <= main_files(failed).items()
            assert keep.exists() is not is_there
            assert (str(keep) in str(refusal)) is not is_there
            needed += not is_there
        if keep.exists():
            failed.station().restore(keep, passphrase=None)
            assert before.items() <= main_files(failed).items()
    assert needed


def test_while_a_backup_is_made_nobody_changes_the_store(store: Prepared) -> None:
    other = store.station()._core._disk
    with store.station()._core.still(), pytest.raises(NotWritable), other.writing(0.0):
        pass
    with other.writing(0.0):
        pass


# ---- encrypted


@pytest.fixture(scope="module")
def age() -> Any:
    return pytest.importorskip("pyrage")


def test_encrypted_it_comes_back_with_the_passphrase_only(store: Prepared, tmp_path: Path, age: Any) -> None:
    path = tmp_path / "backup.age"
    report = store.station().backup(path, passphrase="correct horse")
    assert report.plain_keys == 0
    assert b"PRIVATE" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert installing("NewRoot")(store.station(), store)
    before = tree(store.root)
    for wrong, problem in (("wrong", "the passphrase is wrong"), (None, "no passphrase is given")):
        with pytest.raises(BackupRefused, match=problem):
            store.station().restore(path, passphrase=wrong)
    assert tree(store.root) == before
    kept = store.station().restore(path, passphrase="correct horse").kept
    assert kept is not None
    assert kept.read_bytes().startswith(b"age-encryption.org/v1\n")
    content = path.read_bytes()
    for bad in (content[:-1], content[:100], content[:-50] + bytes([content[-50] ^ 1]) + content[-49:], content + b"x"):
        path.write_bytes(bad)
        with pytest.raises(BackupRefused, match="damaged"):
            store.station().restore(path, passphrase="correct horse")


@pytest.mark.parametrize("work", [21, 24, 10**30])
def test_an_encrypted_backup_cannot_take_all_memory(tmp_path: Path, work: int) -> None:
    """Whoever made the file says how much work it is to try a passphrase; 24 would be 16 GiB."""
    pytest.importorskip("pyrage")
    header = f"age-encryption.org/v1\n-> scrypt {'A' * 22} {work}\n{'A' * 43}\n--- {'A' * 43}\n"
    (path := tmp_path / "backup.age").write_bytes(header.encode() + bytes(64))
    with pytest.raises(BackupRefused, match="more work"):
        Prepared(tmp_path / "store").station().restore(path, passphrase="x")


def test_an_empty_passphrase_is_none(store: Prepared, tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match="empty"):
        store.station().backup(tmp_path / "backup", passphrase="")


def test_a_passphrase_for_what_is_not_encrypted_is_refused(store: Prepared, saved: Path) -> None:
    with pytest.raises(BackupRefused, match="not encrypted"):
        store.station().restore(saved, passphrase="x")


def test_the_names_of_certificates_do_not_matter(tmp_path: Path) -> None:
    odd = world("Odd >")["Odd"].pem
    store = Prepared(tmp_path / "store")
    store.config().v2g_ca_bundle.parent.mkdir(parents=True)
    store.config().v2g_ca_bundle.write_text(odd)
    store.station().backup(tmp_path / "backup", passphrase=None)
    assert "ca/V2G/bundle/V2G_ROOT_CA.pem" in members(tmp_path / "backup")


def test_a_backup_that_is_not_sure_to_last_is_not_left_behind(
    store: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    force = os.fsync

    def fail_at_directories(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) and os.path.samestat(os.fstat(descriptor), os.stat(tmp_path)):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        force(descriptor)

    monkeypatch.setattr(os, "fsync", fail_at_directories)
    with pytest.raises(BackupRefused, match=os.strerror(errno.EIO)):
        store.station().backup(tmp_path / "backup", passphrase=None)
    assert not (tmp_path / "backup").exists()


def test_what_is_mended_is_kept_as_it_is_then(store: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As what is restored: another process may be killed while it writes a key, just before the store is locked."""
    station, directory = store.station(), store.root / "client/cso"
    for lock in store.root.rglob("*.lock"):
        lock.unlink()
    (directory / f".1{TEMPORARY_SUFFIX}").write_bytes(b"one")
    make = station._core._disk.make_directories

    def slowly() -> None:
        (directory / f".2{TEMPORARY_SUFFIX}").write_bytes(b"another")
        make()

    monkeypatch.setattr(station._core._disk, "make_directories", slowly)
    report = station.mend(tmp_path / "aside")
    removed = {deed.path.name for deed in report.deeds if deed.what.startswith("removed")}
    assert removed == {f".1{TEMPORARY_SUFFIX}", f".2{TEMPORARY_SUFFIX}"}
    assert removed == {path.name for path in (tmp_path / "aside").rglob("*") if path.is_file()}
