"""Faults of the machine at any point of every changing command: no room, no descriptors, places that vanish or change.

Each time: an answer in words, nothing changed unless acknowledged, nothing written elsewhere, and all well afterwards.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from evse_security.errors import CommandRefused, NotWritable
from evse_security.keys.files import public_key_of
from evse_security.store.layout import BUNDLE_DIRECTORY, DER_DIRECTORY
from evse_security.store.lock import LOCK_FILE
from tests.builders import DAY, NOW
from tests.laws import children, stores
from tests.laws.cases import Case, Cases, each_command
from tests.laws.steps import Step, Watched
from tests.laws.stores import Prepared, facts, tree

DERIVED = (BUNDLE_DIRECTORY, DER_DIRECTORY)


def attempted(case: Case, store: Prepared, files: Watched | None = None) -> bool:
    """Whether the command was acknowledged. Nothing but a refusal in words may come out of it."""
    try:
        return case.run(store.station(files), store)
    except (CommandRefused, NotWritable):
        return False


def contents(store: Prepared) -> dict[str, bytes | str]:
    """What is in the files and links of a store; copies for consumers may be made or not."""
    return {
        name: content
        for name, content in tree(store.root).items()
        if not str(content).startswith("directory")
        and Path(name).name != LOCK_FILE
        and Path(name).parent.name not in DERIVED
    }


def check(case: Case, store: Prepared, *, acknowledged: bool) -> None:
    """What was acknowledged is there; otherwise nothing changed; and now that the fault is gone it can be done."""
    if acknowledged:
        assert facts(store)[:4] == case.facts_after[:4]
    else:
        assert contents(store) == contents(case.before)
        assert attempted(case, store)
    assert facts(store)[:4] == case.facts_after[:4]
    assert facts(store).problems == ()


# ---- no room


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 2 MiB; only root may mount it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mounting, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@each_command
def test_every_command_on_a_disk_with_so_many_pages_left(name: str, cases: Cases, small_disk: Path) -> None:
    case, filler = cases(name), small_disk / "filler"
    for pages in count():
        store = case.before.copied_to(small_disk / "store")
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        filler.write_bytes(bytes(free - 4096 * pages))
        acknowledged = attempted(case, store)
        filler.unlink()
        check(case, store, acknowledged=acknowledged)
        shutil.rmtree(store.root)
        if acknowledged:
            break


@children.forks
@pytest.mark.parametrize("room", [0, 1, 700, 4096])
@each_command
def test_every_command_where_files_end_after_so_many_bytes(name: str, room: int, cases: Cases, tmp_path: Path) -> None:
    """By a limit of the process: the one way to have real writes end at any byte."""
    case = cases(name)
    store = case.before.copied_to(tmp_path / "store")

    def starved() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
        acknowledged = attempted(case, store)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        check(case, store, acknowledged=acknowledged)

    assert children.run(starved) == 0


# ---- no descriptors


@children.forks
@each_command
def test_every_command_with_so_many_descriptors_left(name: str, cases: Cases, tmp_path: Path) -> None:
    """From none up to enough. It is looked around first, as in service, and in a station that has just started."""
    case = cases(name)

    def starved() -> None:
        usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        for looked_around in (False, True):
            for free in count():
                store = case.before.copied_to(tmp_path / f"{looked_around}-{free}")
                station = store.station()
                if looked_around:
                    station.overview()
                lowest = os.dup(0)
                os.close(lowest)
                resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + free, most))
                try:
                    acknowledged = case.run(station, store)
                except (CommandRefused, NotWritable):
                    acknowledged = False
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (usual, most))
                if not acknowledged or (name == "sweep" and contents(store) == contents(case.before)):
                    assert contents(store) == contents(case.before)
                    assert case.run(station, store)
                assert facts(store)[:4] == case.facts_after[:4]
                station.close()
                if acknowledged:
                    break

    assert children.run(starved) == 0


# ---- places that vanish or change


class Swapping(Watched):
    """Moves the place of a step away before it; `put` puts something there meanwhile."""

    def __init__(self, number: int, put: Callable[[Path, Path], None], *, what: Callable[[Step], Path]) -> None:
        super().__init__(self.swap)
        self.number, self.put, self.what = number, put, what
        self.place: Path | None = None

    def swap(self, step: Step) -> None:
        if step.number == self.number and os.path.lexists(self.what(step)):
            self.place = self.what(step)
            self.away = self.place.with_name(f"{self.place.name} away")
            self.place.rename(self.away)
            self.put(self.place, self.away)

    def back(self) -> None:
        """All is as if nothing had been there in between."""
        if self.place is None:
            return
        if self.place.is_dir() and not self.place.is_symlink():
            shutil.rmtree(self.place)
        else:
            self.place.unlink(missing_ok=True)
        self.away.rename(self.place)


def directory(step: Step) -> Path:
    return step.path.parent if step.name != "sync_directory" else step.path


def nothing(place: Path, away: Path) -> None:
    """A volume is gone."""


def an_empty_one(place: Path, away: Path) -> None:
    """A volume is gone, and its mount point is left."""
    place.mkdir()


def another(place: Path, away: Path) -> None:
    """The same files as they were, as after a restored backup."""
    shutil.copytree(away, place, symlinks=True)


MEANWHILE = (nothing, an_empty_one, another)


@each_command
def test_directories_that_vanish_at_any_step_and_come_back(name: str, cases: Cases, tmp_path: Path) -> None:
    case = cases(name)
    for step in case.steps:
        store = case.before.copied_to(tmp_path / str(step.number))
        files = Swapping(step.number, MEANWHILE[step.number % len(MEANWHILE)], what=directory)
        acknowledged = attempted(case, store, files)
        files.back()
        check(case, store, acknowledged=acknowledged)


class Outside:
    """A directory that is none of the store's, with files of the same names."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.was: dict[str, bytes | str] = {}

    def put(self, place: Path, away: Path) -> None:
        shutil.copytree(away, self.root, symlinks=True)
        self.was = tree(self.root)
        place.symlink_to(self.root)

    @property
    def is_untouched(self) -> bool:
        return not self.was or tree(self.root) == self.was


SECRET = b"root:$6$planted$secret:19000:0:99999:7:::\n"


@each_command
def test_a_link_swapped_in_for_a_directory_at_any_step_leads_no_writer_out(
    name: str, cases: Cases, tmp_path: Path
) -> None:
    case = cases(name)
    for step in case.steps:
        store, outside = (
            case.before.copied_to(tmp_path / str(step.number)),
            Outside(tmp_path / f"{step.number} outside"),
        )
        files = Swapping(step.number, outside.put, what=directory)
        acknowledged = attempted(case, store, files)
        files.back()
        assert outside.is_untouched
        check(case, store, acknowledged=acknowledged)


def a_link(leads_to: Path, place: Path, away: Path) -> None:
    place.symlink_to(leads_to)


@each_command
def test_a_link_swapped_in_for_a_file_at_any_step_is_not_followed(name: str, cases: Cases, tmp_path: Path) -> None:
    """Neither is what it leads to changed, nor does its content come into the store."""
    case = cases(name)
    for step in case.steps:
        store, victim = case.before.copied_to(tmp_path / str(step.number)), tmp_path / f"victim-{step.number}"
        victim.write_bytes(SECRET)
        victim.chmod(0o600)
        files = Swapping(step.number, partial(a_link, victim), what=lambda step: step.path)
        attempted(case, store, files)
        assert (victim.read_bytes(), victim.stat().st_mode & 0o777) == (SECRET, 0o600)
        assert not [path for path in store.root.rglob("*") if not path.is_symlink() and holds(path, SECRET)]


def holds(path: Path, content: bytes) -> bool:
    return path.is_file() and content in path.read_bytes()


# ---- keys


@children.forks
@each_command
def test_at_no_step_may_anybody_else_read_a_key(name: str, cases: Cases, tmp_path: Path) -> None:
    case = cases(name)
    store = case.before.copied_to(tmp_path / "store")

    def watched() -> None:
        os.umask(0)
        assert case.run(store.station(Watched(lambda _: assert_keys_are_secret(store.root))), store)
        assert_keys_are_secret(store.root)

    assert children.run(watched) == 0


def assert_keys_are_secret(root: Path) -> None:
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and public_key_of(path.read_bytes(), None).token is not None:
            assert path.stat().st_mode & 0o077 == 0, path


# ---- full stores


@pytest.mark.parametrize("limit", ["max_store_entries", "max_store_bytes"])
def test_a_full_store_collects_and_no_installed_leaf_loses_its_key(limit: str, tmp_path: Path) -> None:
    """Keys apart from certificates: CSR after CSR, renewal after renewal, in a store with no room but what it frees."""
    store = stores.in_service(
        Prepared(tmp_path / "store", {"secc_leaf_key_directory": "client/keys", "keep_newest": 1}), expired=2
    )
    swept = store.copied_to(tmp_path / "swept")
    assert stores.sweeping(swept.station(), swept)
    before, kept, listing = facts(store), facts(swept), store.snapshot().listing
    assert len(kept.certificates) < len(before.certificates)
    room = {"max_store_entries": listing.entries, "max_store_bytes": listing.size}[limit]
    full = Prepared(store.root, {**store.overrides, limit: room})
    for day in range(1, 5):
        assert stores.requesting(full.station(now=NOW + day * DAY), full)
        found = facts(full)
        assert kept.leaves <= found.leaves
        assert found.roots == before.roots
    assert facts(full).certificates == kept.certificates
