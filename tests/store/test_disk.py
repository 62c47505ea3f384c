"""Changing the directory: all or nothing, links only where the configuration has them, modes never wider."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from evse_security import Station
from evse_security.errors import CommandRefused, InvalidConfiguration, NotWritable
from evse_security.keys.files import KeyProblem, public_key_of
from evse_security.store import picture as picture_module
from evse_security.store.changes import SECRET_MODE, Change, Edit, Link, Order, Remove, Write, together
from evse_security.store.contents import CertificateFile
from evse_security.store.disk import Disk
from evse_security.store.files import Files
from evse_security.store.layout import TEMPORARY_SUFFIX, Layout
from evse_security.store.listing import Listing
from evse_security.store.parts import EVERYTHING, Parts
from evse_security.store.picture import Picture
from evse_security.store.reading import Reading
from evse_security.store.snapshot import Snapshot
from evse_security.store.view import View
from evse_security.vocabulary import (
    EncodingFormat,
    GetCertificateInfoStatus,
    InstallCertificateResult,
)
from tests.builders import NOW, ocsp_answer, world
from tests.laws import children, stores
from tests.laws.steps import FailingAt, Step, Watched
from tests.laws.stores import MO_CA, V2G, V2G_CA, Prepared, hash_data, pki, tree

OTHER_USER = 65534


def disk_of(store: Prepared, files: Files | None = None) -> Disk:
    layout = Layout.of(store.config())
    return Disk(layout, Picture(layout, lambda _: stores.NO_KEY), files)


def apply(disk: Disk, *changes: Change) -> None:
    with disk.writing():
        disk.apply(changes, NOW)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return stores.file_store(tmp_path_factory.mktemp("disk") / "template")


@pytest.fixture
def store(template: Prepared, tmp_path: Path) -> Prepared:
    return template.copied_to(tmp_path / "store")


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


# ---- all or nothing


def test_changes_of_every_kind_are_made_in_order_and_leave_nothing_else(tmp_path: Path) -> None:
    store = Prepared(tmp_path / "store")
    place = store.root / "ca"
    place.mkdir(parents=True)
    (place / "gone").write_text("gone")
    (place / "edited").write_text("old\n")
    (place / "link").symlink_to("old")
    apply(
        disk_of(store),
        Write(place / "new", b"new"),
        Edit(place / "edited", append=b"new"),
        Link(place / "link", "elsewhere"),
        Remove(place / "gone"),
        Remove(place / "never"),
    )
    assert {name: text for name, text in tree(place).items() if isinstance(text, bytes)} == {
        "new": b"new",
        "edited": b"old\nnew",
    }
    assert os.readlink(place / "link") == "elsewhere"
    assert sorted(path.name for path in place.iterdir()) == ["edited", "link", "new"]


@pytest.mark.parametrize("number", range(16))
def test_whatever_fails_every_kind_of_change_is_taken_back(number: int, tmp_path: Path) -> None:
    store = Prepared(tmp_path / "store")
    place = store.root / "ca"
    place.mkdir(parents=True)
    for name in ("gone", "edited", "replaced"):
        (place / name).write_text(f"old {name}\n")
    (place / "replaced").chmod(0o600)
    (place / "link").symlink_to("old")
    before = tree(store.root)
    files = FailingAt(number, 5)
    changes = (
        Write(place / "new", b"new"),
        Write(place / "replaced", b"new"),
        Link(place / "link", "elsewhere"),
        Edit(place / "edited", append=b"new"),
        Remove(place / "gone"),
        Write(place / "directory", b"", SECRET_MODE),
    )
    (place / "directory").mkdir()  # what cannot be replaced by a file: the last change fails in any case
    before["ca/directory"] = tree(store.root)["ca/directory"]
    with pytest.raises(NotWritable):
        apply(disk_of(store, files), *changes)
    assert tree(store.root) == before
    assert mode(place / "replaced") == 0o600


def test_directories_are_forced_where_order_needs_it_and_before_the_end(tmp_path: Path) -> None:
    store = Prepared(tmp_path / "store")
    a, b = store.root / "a", store.root / "b"
    for place in (a, b):
        place.mkdir(parents=True)
        (place / "old").write_text("old")
    files = Watched()
    changes: tuple[Change, ...] = (
        *together([Write(a / "1", b""), Write(b / "2", b"")]),  # they need not wait for each other
        Remove(b / "old", order=Order.FREE),  # which waits for nothing, and is waited for by nobody
        Write(a / "3", b"", order=Order.FREE),
        Write(b / "4", b""),  # which waits for the first two
        Write(a / "5", b""),
    )
    apply(disk_of(store, files), *changes)
    done = [(step.name, step.path) for step in files.steps if step.name in ("replace", "sync_directory")]
    assert [(name, path.name if name == "sync_directory" or path.suffix == "" else "aside") for name, path in done] == [
        ("replace", "1"),
        ("replace", "2"),
        ("replace", "aside"),
        ("replace", "3"),
        ("sync_directory", "a"),
        ("sync_directory", "b"),
        ("replace", "4"),
        ("sync_directory", "b"),
        ("replace", "5"),
        ("sync_directory", "a"),
        ("sync_directory", "b"),  # what was removed is gone for good
    ]


def test_copies_for_consumers_are_not_forced_and_torn_ones_are_made_again(store: Prepared) -> None:
    files = Watched()
    shutil.rmtree(store.root / "client" / "cso" / "der")
    station = store.station(files)
    found = stores.leaf_files(station, EncodingFormat.DER)
    assert found is not None
    assert {"write_new"}.isdisjoint(step.name for step in files.steps)
    whole = [path.read_bytes() for path in found]
    for torn in (b"", whole[0][:7], bytes(len(whole[0]))):
        for path in found:
            path.write_bytes(torn)
        assert stores.leaf_files(store.station(), EncodingFormat.DER) == found
        assert [path.read_bytes() for path in found] == whole


class WithoutHardLinks(FailingAt):
    """As on FAT, or where a link to another user's file is forbidden."""

    def keep(self, path: Path, aside: Path) -> None:
        self.step("keep", path)
        if path.lstat():
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(path))


@pytest.mark.parametrize("number", range(20))
def test_without_hard_links_a_failed_change_is_taken_back_all_the_same(number: int, tmp_path: Path) -> None:
    store = Prepared(tmp_path / "store")
    place = store.root / "ca"
    place.mkdir(parents=True)
    for name in ("edited", "replaced", "gone"):
        (place / name).write_text(f"old {name}\n")
    (place / "replaced").chmod(0o600)
    (place / "link").symlink_to("old")
    (place / "directory").mkdir()
    before = tree(store.root)
    changes = (
        Write(place / "replaced", b"new"),
        Edit(place / "edited", append=b"new"),
        Link(place / "link", "elsewhere"),
        Remove(place / "gone"),
        Write(place / "directory", b""),
    )
    with pytest.raises(NotWritable):
        apply(disk_of(store, WithoutHardLinks(number, errno.EIO)), *changes)
    assert tree(store.root) == before
    assert mode(place / "replaced") == 0o600
    apply(disk_of(store, WithoutHardLinks(99, errno.EIO)), *changes[:-1])
    assert sorted(path.name for path in place.iterdir()) == ["directory", "edited", "link", "replaced"]


def test_an_edit_cuts_only_what_was_seen(store: Prepared) -> None:
    disk = disk_of(store)
    bundle = store.config().mo_ca_bundle
    [file] = disk.look().cas[MO_CA].files
    [block] = file.blocks
    text = b"# put before it by an editor\n" + bundle.read_bytes()
    bundle.write_bytes(text)
    with pytest.raises(NotWritable, match="changed by somebody else"):
        apply(disk, Edit(bundle, ((block.start, block.end),), of=file))
    assert bundle.read_bytes() == text
    [file] = disk.look().cas[MO_CA].files
    apply(disk, Edit(bundle, ((29 + block.start, 29 + block.end),), of=file))
    assert bundle.read_bytes() == b"# put before it by an editor\n"


def test_files_with_the_longest_names_can_be_changed(tmp_path: Path) -> None:
    store = Prepared(tmp_path / "store")
    path = store.root / f"{'x' * 251}.pem"
    path.parent.mkdir()
    path.write_text("old ")
    apply(disk_of(store), Edit(path, append=b"new"))
    assert path.read_text() == "old \nnew"


def test_fault_16_nothing_else_in_a_directory_is_rewritten(tmp_path: Path) -> None:
    store = stores.directory_store(tmp_path / "store")
    place = store.config().v2g_ca_bundle
    mixed = (
        b"# comment\r\n" + pki()["NewRoot"].pem.encode() + b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"
    )
    (place / "mixed.pem").write_bytes(mixed)
    before = {path.name: (path.stat().st_ino, path.read_bytes()) for path in place.iterdir()}
    station = store.station()
    spare = world("Spare >")["Spare"].pem
    answer = station.interface().install_ca_certificate(certificate=spare, certificate_type=V2G_CA)
    assert answer is InstallCertificateResult.Accepted
    assert stores.deleting("Other")(station, store)
    after = {path.name: (path.stat().st_ino, path.read_bytes()) for path in place.iterdir()}
    kept = before.keys() & after.keys()
    assert "mixed.pem" in kept
    assert {name: before[name] for name in kept} == {name: after[name] for name in kept}
    assert stores.deleting("NewRoot")(station, store)
    assert (place / "mixed.pem").read_bytes() == mixed.replace(pki()["NewRoot"].pem.encode(), b"")


def test_fault_17_installing_deletes_no_file_without_a_certificate_in_text(tmp_path: Path) -> None:
    store = stores.directory_store(tmp_path / "store")
    place = store.config().v2g_ca_bundle
    for name, text in {"empty.pem": "", "comment.pem": "# later", "key.pem": "-----BEGIN PRIVATE KEY-----"}.items():
        (place / name).write_text(text)
    before = tree(place)
    assert stores.installing("NewRoot")(store.station(), store)
    assert before.items() <= tree(place).items()
    assert "der.der" in before


def test_fault_18_a_chain_that_does_not_fit_leaves_no_single_leaf(store: Prepared) -> None:
    before = stores.facts(store)
    writes = 0

    def fail_the_second(step: Step) -> None:
        nonlocal writes
        writes += step.name == "write_new"
        if writes == 2 and step.name == "write_new":
            raise OSError(28, "No space left on device")

    files = Watched(fail_the_second)
    station = store.station(files)
    assert not stores.updating(station, store)
    assert stores.facts(store) == before
    files.before = lambda _: None
    assert stores.updating(station, store)


def test_fault_21_half_an_ocsp_answer_is_made_whole(store: Prepared) -> None:
    [der] = (store.root / "client" / "cso" / "ocsp").glob("*.der")
    der.unlink()
    assert not stores.facts(store).responses
    names = set(tree(store.root)) | {str(der.relative_to(store.root))}
    for _ in range(2):
        assert stores.caching("SubCA2")(store.station(), store)
        assert set(tree(store.root)) == names
    assert der.stat().st_size > 0


# ---- links


def test_an_ocsp_answer_is_not_written_through_a_link(store: Prepared) -> None:
    victim = store.root / "passwd"
    victim.write_text("root")
    [der] = (store.root / "client" / "cso" / "ocsp").glob("*.der")
    der.unlink()
    der.symlink_to(victim)
    text = b64encode(ocsp_answer(pki(), "SubCA2", this_update=NOW)).decode()
    store.station().interface().update_ocsp_cache(certificate_hash_data=hash_data("SubCA2"), ocsp_response=text)
    assert victim.read_text() == "root"
    assert der.is_file() and not der.is_symlink()


def test_a_certificate_is_not_cut_out_of_what_a_link_in_a_directory_leads_to(tmp_path: Path) -> None:
    store = stores.directory_store(tmp_path / "store")
    system = store.root / "system.pem"
    system.write_text(pki()["NewRoot"].pem + pki()["CSMSRoot"].pem)
    link = store.config().v2g_ca_bundle / "link.pem"
    link.symlink_to(system)
    text = system.read_text()
    assert stores.deleting("NewRoot")(store.station(), store)
    assert system.read_text() == text
    assert link.read_text() == pki()["CSMSRoot"].pem


def test_a_directory_of_roots_may_be_a_link(tmp_path: Path) -> None:
    store = stores.directory_store(tmp_path / "store")
    bundle = store.config().v2g_ca_bundle
    bundle.rename(tmp_path / "volume")
    bundle.symlink_to(tmp_path / "volume")
    assert stores.installing("NewRoot")(store.station(), store)
    assert stores.deleting("Other")(store.station(), store)
    assert bundle.is_symlink()
    held = {certificate.fingerprint for certificate in store.snapshot().cas[V2G_CA].certificates}
    assert (pki_fingerprint("NewRoot") in held, pki_fingerprint("Other") in held) == (True, False)


def pki_fingerprint(holder: str) -> str:
    return hashlib.sha256(pki()[holder].der).hexdigest()


@pytest.mark.parametrize("name", ["der", "ocsp"])
def test_nothing_is_written_where_nobody_would_look(name: str, store: Prepared) -> None:
    outside = store.root / "outside"
    outside.mkdir()
    directory = store.root / "client" / "cso" / name
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    directory.symlink_to(outside)
    station = store.station()
    if name == "der":
        answer = station.interface().get_leaf_certificate_info(
            certificate_type=V2G, encoding=EncodingFormat.DER, include_ocsp=False
        )
        assert answer.status is GetCertificateInfoStatus.Rejected
    else:
        with pytest.raises(CommandRefused, match="is a link"):
            stores.caching("SubCA2")(station, store)
    assert not list(outside.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make links for others")
def test_a_bundle_that_another_user_made_a_link_is_not_written_through(store: Prepared) -> None:
    victim, bundle = store.root / "shadow", store.config().mo_ca_bundle
    victim.write_text("root:*\n")
    bundle.unlink()
    bundle.symlink_to(victim)
    os.lchown(bundle, OTHER_USER, OTHER_USER)
    assert not stores.installing("MORoot", MO_CA)(store.station(), store)
    assert victim.read_text() == "root:*\n"
    os.lchown(bundle, 0, 0)
    assert stores.installing("MORoot", MO_CA)(store.station(), store)
    assert victim.read_text() == "root:*\n" + pki()["MORoot"].pem


def test_a_bundle_for_which_a_link_is_swapped_in_after_the_look_is_not_read_through(store: Prepared) -> None:
    """What it leads to may be nobody's to read, and bundles are everybody's."""
    disk, bundle, victim = disk_of(store), store.config().mo_ca_bundle, store.root / "shadow"
    victim.write_text("root:*\n")
    with disk.writing(), pytest.raises(NotWritable):
        disk.look()
        bundle.unlink()
        bundle.symlink_to(victim)
        disk.apply([Edit(bundle, append=b"new")], NOW)
    assert victim.read_text() == "root:*\n"
    assert bundle.is_symlink()


def test_a_linked_bundle_that_is_led_elsewhere_after_the_look_is_not_written(tmp_path: Path) -> None:
    store = stores.linked_store(tmp_path / "store")
    disk, bundle, victim = disk_of(store), store.config().v2g_ca_bundle, store.root / "shadow"
    victim.write_text("root:*\n")
    with disk.writing(), pytest.raises(NotWritable, match="led elsewhere"):
        disk.look()
        bundle.unlink()
        bundle.symlink_to(victim)
        disk.apply([Edit(bundle, append=b"new")], NOW)
    assert victim.read_text() == "root:*\n"


def test_a_link_that_leads_nowhere_yet_is_a_bundle_to_be(tmp_path: Path) -> None:
    store = Prepared(tmp_path / "store")
    bundle = store.config().mo_ca_bundle
    bundle.parent.mkdir(parents=True)
    bundle.symlink_to("volume/mo.pem")
    assert stores.installing("MORoot", MO_CA)(store.station(), store)
    assert bundle.is_symlink()
    assert (bundle.parent / "volume" / "mo.pem").read_text() == pki()["MORoot"].pem


# ---- modes


def test_modes_that_are_narrower_stay(store: Prepared) -> None:
    bundle = store.config().mo_ca_bundle
    bundle.chmod(0o600)
    assert stores.installing("NewRoot", MO_CA)(store.station(), store)
    assert mode(bundle) == 0o600


def test_odd_bits_are_not_kept(store: Prepared) -> None:
    bundle = store.config().mo_ca_bundle
    bundle.chmod(0o4755)
    assert stores.installing("NewRoot", MO_CA)(store.station(), store)
    assert mode(bundle) == 0o755


class Modes(Watched):
    """Notes the mode of every file and directory as soon as it is there."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, int]] = []

    def write_new(self, path: Path, content: bytes, mode: int, owner: tuple[int, int] | None, time: float) -> None:
        super().write_new(path, content, mode, owner, time)
        self.note(path, content)

    def write_copy(self, path: Path, content: bytes, mode: int, owner: tuple[int, int] | None, time: float) -> None:
        super().write_copy(path, content, mode, owner, time)
        self.note(path, content)

    def note(self, path: Path, content: bytes) -> None:
        if b"PRIVATE KEY" in content or not isinstance(public_key_of(content, None).problem, KeyProblem):
            self.found.append(("key", path.stat().st_mode & 0o777))

    def make_directory(self, path: Path, mode: int) -> None:
        super().make_directory(path, mode)
        if path.name in ("cso", "csms", "der"):
            self.found.append((path.name, path.stat().st_mode & 0o777))


@children.forks
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_fault_28_keys_are_for_nobody_else(umask: int, tmp_path: Path) -> None:
    store = Prepared(tmp_path / "store")

    def use() -> None:
        os.umask(umask)
        files = Modes()
        station = store.station(files)
        assert stores.installing("V2GRoot")(station, store)
        assert stores.updated(station, stores.signed(station, V2G, "SubCA2", "SubCA1")) == "Accepted"
        assert files.found.count(("key", 0o600)) >= 2
        assert all(found == (0o600 if what == "key" else 0o700) for what, found in files.found if what != "csms")

    assert children.run(use) == 0
    keys = [*store.root.rglob("*.key"), *store.root.rglob("*.key.der")]
    assert len(keys) == 2
    assert {mode(path) for path in keys} == {0o600}
    for directory in {path.parent for path in keys} | {store.root / "client" / "csms"}:
        assert mode(directory) & 0o077 == 0


# ---- looking


def test_nothing_is_cut_out_of_what_others_were_shown_meanwhile(store: Prepared) -> None:
    """Another process puts other roots in place, ours has decided already, and a thread looks in between."""
    layout, bundle = Layout.of(store.config()), store.config().v2g_ca_bundle
    other = b"# another\n" + world("Other")["Other"].pem.encode()

    class Meddling(Files):
        def read(self, path: Path, *, follow_links: bool) -> bytes:
            bundle.write_bytes(other)
            reader = threading.Thread(target=disk.look)
            reader.start()
            reader.join()
            return super().read(path, follow_links=follow_links)

    disk = Disk(layout, Picture(layout, lambda _: stores.NO_KEY), Meddling())
    with disk.writing():
        file = disk.look().cas[V2G_CA].files[0]
        cut = ((file.blocks[0].start, file.blocks[0].end),)
        with pytest.raises(NotWritable, match="changed by somebody else"):
            disk.apply([Edit(bundle, cut, of=file)], NOW)
    assert bundle.read_bytes() == other


def test_the_snapshot_of_a_store_that_changes_all_the_time_is_taken_nevertheless(store: Prepared) -> None:
    disk = disk_of(store)
    bundle = store.config().mo_ca_bundle

    class Restless(View):
        def refresh(self) -> set[str]:
            with bundle.open("ab") as file:
                file.write(b"#")
            return super().refresh()

    layout = Layout.of(store.config())
    restless = Disk(layout, Picture(layout, lambda _: stores.NO_KEY), view=Restless(layout))
    assert restless.look().cas[MO_CA].certificates == disk.look().cas[MO_CA].certificates


@pytest.mark.parametrize(("readers", "shown"), [(0, 1), (1, 2)])
def test_where_other_threads_look_they_are_shown_a_change_before_it_is_forced(
    readers: int, shown: int, store: Prepared
) -> None:
    """Forcing lasts, and whoever came meanwhile would have to look at the change itself."""
    seen: list[int] = []
    bundle = store.config().mo_ca_bundle

    class Telling(Files):
        def sync_directory(self, path: Path) -> None:
            seen.append(len(picture.last.cas[MO_CA].certificates))
            super().sync_directory(path)

    layout = Layout.of(store.config())
    picture = Picture(layout, lambda _: stores.NO_KEY)
    disk = Disk(layout, picture, Telling())
    disk.look()
    apply(disk)
    disk.look()
    seen.clear()
    for _ in range(readers):
        reader = threading.Thread(target=disk.look)
        reader.start()
        reader.join()
    apply(disk, Edit(bundle, append=world("Other")["Other"].pem.encode()))
    assert seen == [shown]
    assert len(disk.look().cas[MO_CA].certificates) == 2


def test_a_change_that_cannot_be_shown_is_made_all_the_same(store: Prepared, caplog: pytest.LogCaptureFixture) -> None:
    layout = Layout.of(store.config())

    class Breaking(Picture):
        breaks = False

        def take(self, *args: Any, **options: Any) -> Snapshot:
            if self.breaks:
                raise MemoryError
            return super().take(*args, **options)

    picture = Breaking(layout, lambda _: stores.NO_KEY)
    disk = Disk(layout, picture)
    for _ in range(2):
        disk.look()
    with disk.writing():
        picture.breaks = True
        disk.apply([Edit(store.config().mo_ca_bundle, append=world("Other")["Other"].pem.encode())], NOW)
        disk.show()
    assert "could not be looked at" in caplog.text
    picture.breaks = False
    assert len(disk.look().cas[MO_CA].certificates) == 2


@pytest.mark.parametrize("where", ["Picture.take", "View.refresh"])
def test_a_look_that_broke_off_does_not_hide_what_happened(
    where: str, store: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of memory, or interrupted: what the kernel told is told once, and must not be forgotten with it."""
    layout, breaks = Layout.of(store.config()), set[str]()

    class BreakingReading(Reading):
        def certificates(self, location: str) -> CertificateFile:
            if "Picture.take" in breaks:
                raise MemoryError
            return super().certificates(location)

    class BreakingView(View):
        def refresh(self) -> set[str]:
            found = super().refresh()
            if "View.refresh" in breaks:
                raise MemoryError
            return found

    monkeypatch.setattr(picture_module, "Reading", BreakingReading)
    disk = Disk(layout, Picture(layout, lambda _: stores.NO_KEY), view=BreakingView(layout))
    disk.look()
    disk.look()
    with store.config().mo_ca_bundle.open("a") as bundle:
        bundle.write(pki()["NewRoot"].pem)
    with store.config().csms_ca_bundle.open("a") as bundle:
        bundle.write(pki()["NewRoot"].pem)
    breaks.add(where)
    with pytest.raises(MemoryError):
        disk.look()
    breaks.clear()
    found, truth = disk.look(), disk_of(store).look()
    assert {ca: one.certificates for ca, one in found.cas.items()} == {
        ca: one.certificates for ca, one in truth.cas.items()
    }


class Sticking(Files):
    """Removes no temporary name."""

    error: BaseException = OSError(errno.EIO, "sick")

    def remove(self, path: Path) -> None:
        raise self.error


class Exhausted(Sticking):
    error = MemoryError()


class NotTakenBack(Files):
    """Forces no directory, and gives nothing back its name after that."""

    sick = False

    def sync_directory(self, path: Path) -> None:
        self.sick = True
        raise OSError(errno.EIO, "sick")

    def replace(self, source: Path, target: Path) -> None:
        if self.sick:
            raise OSError(errno.EIO, "sick")
        super().replace(source, target)


@pytest.mark.parametrize("files", [Sticking, Exhausted, NotTakenBack])
def test_what_a_change_left_behind_is_seen_at_the_next_look(files: type[Files], store: Prepared) -> None:
    disk = disk_of(store, files())
    disk.look()
    with suppress(MemoryError, NotWritable):
        apply(disk, Edit(store.config().mo_ca_bundle, append=pki()["NewRoot"].pem.encode()))
    left = {path.name for path in disk.look().leftovers}
    assert left
    assert left == {path.name for path in store.root.rglob(f"*{TEMPORARY_SUFFIX}")}


def test_a_deletion_half_seen_is_looked_at_again(store: Prepared) -> None:
    """What was listed before files went is looked at again: a leaf would lack its sub-CAs."""
    layout = Layout.of(store.config())
    chains = [path for path in (store.root / "client" / "cso").glob("*.pem") if "CHAIN" in path.name]

    class Late(Picture):
        def take(
            self, listing: Listing, changed: Iterable[str], parts: Parts = EVERYTHING, *, briefly: bool = False
        ) -> Snapshot:
            for path in chains:
                path.unlink(missing_ok=True)
            return super().take(listing, changed, parts, briefly=briefly)

    found = Disk(layout, Late(layout, lambda _: stores.NO_KEY)).look()
    assert chains
    assert not {problem.path for problem in found.problems} & set(chains)


def test_wrong_directory_in_the_configuration_is_said_at_opening(tmp_path: Path) -> None:
    store = Prepared(tmp_path / "store")
    (tmp_path / "store" / "client").mkdir(parents=True)
    (tmp_path / "store" / "client" / "cso").write_text("")
    with pytest.raises(InvalidConfiguration, match="is not a directory"):
        Station.open(store.config())


def test_a_command_on_a_store_that_is_locked_for_good_is_refused(store: Prepared) -> None:
    """As `tests/store/test_lock.py` says, by an error that names the directory."""
    disk = disk_of(store)

    class Stuck:
        def held(self, *_: object) -> object:
            raise TimeoutError(110, "another process is holding the lock on it", "/certs/ca")

    disk._writer = Stuck()  # type: ignore[assignment]
    with pytest.raises(NotWritable, match="/certs/ca could not be written: another process"), disk.writing():
        pass
