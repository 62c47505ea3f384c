"""One writer at a time, and nobody who waits for ever."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evse_security.store.lock import LOCK_FILE, Missing, WriterLock
from tests.laws import children

OTHER_USER = 65534


@contextmanager
def held_elsewhere(directory: Path) -> Iterator[None]:
    """Another process holds the lock: to the kernel another open file is another holder."""
    with WriterLock().held([directory], 0):
        yield


def is_free(directory: Path) -> bool:
    descriptor = os.open(directory / LOCK_FILE, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def openings(path: Path) -> int:
    """How often this process has a file open."""
    return [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")].count(str(path))


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


def test_all_directories_are_held_by_one_file_each_which_stays(tmp_path: Path) -> None:
    directories = [tmp_path / "a", tmp_path / "b"]
    for directory in directories:
        directory.mkdir()
    lock = WriterLock()
    with lock.held(directories, missing=Missing.LEAVE) as held:
        assert held == ({}, False)
    assert not any(map(list, map(Path.iterdir, directories)))
    with lock.held(directories) as held:
        assert (set(held.places), held.complete) == (set(directories), True)
        assert not any(map(is_free, directories))
        with lock.held(directories):
            pass
        assert not any(map(is_free, directories))
    assert all(map(is_free, directories))
    with lock.held(directories, missing=Missing.LEAVE) as held:
        assert (set(held.places), held.complete) == (set(directories), True)
    files = [directory / LOCK_FILE for directory in directories]
    assert [path for directory in directories for path in directory.iterdir()] == files
    numbers = [path.stat().st_ino for path in files]
    with WriterLock().held(directories):
        assert [path.stat().st_ino for path in files] == numbers


def test_two_names_of_one_directory_are_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with WriterLock().held([tmp_path / "link", tmp_path / "real"], 0):
        assert not is_free(tmp_path / "real")


def test_what_is_no_directory_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with WriterLock().held([tmp_path / "nothing", tmp_path / "file", tmp_path]):
        assert not is_free(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [LOCK_FILE, "file"]


@children.forks
@pytest.mark.parametrize("umask", [0o000, 0o077])
@pytest.mark.parametrize(("directory", "file"), [(0o755, 0o600), (0o700, 0o600), (0o775, 0o660), (0o2770, 0o660)])
def test_a_lock_is_for_those_who_may_write_beside_it(directory: int, file: int, umask: int, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(directory)

    def lock() -> None:
        os.umask(umask)
        with WriterLock().held([place]):
            assert mode(place / LOCK_FILE) == file

    assert children.run(lock) == 0


@children.forks
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_whoever_may_only_read_a_directory_stops_no_writer(tmp_path: Path) -> None:
    """Neither by locking the directory, nor by the file, which they cannot open."""
    with WriterLock().held([tmp_path]):
        pass
    shown = os.open(tmp_path, os.O_RDONLY)

    def hold() -> None:
        os.setgroups([])
        os.setgid(OTHER_USER)
        os.setuid(OTHER_USER)
        fcntl.flock(shown, fcntl.LOCK_EX)
        os.fchdir(shown)
        with pytest.raises(PermissionError):
            os.open(LOCK_FILE, os.O_RDONLY)

    tmp_path.chmod(0o755)
    assert children.run(hold) == 0
    other = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with WriterLock().held([tmp_path], 0):
        assert not is_free(tmp_path)
    os.close(other)
    os.close(shown)


@children.forks
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_lock_that_root_made_is_of_the_directorys_owner(tmp_path: Path) -> None:
    os.chown(tmp_path, OTHER_USER, OTHER_USER)
    with WriterLock().held([tmp_path]):
        found = (tmp_path / LOCK_FILE).stat()
    assert (found.st_uid, found.st_gid) == (OTHER_USER, OTHER_USER)


@children.forks
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_directory_that_we_cannot_write_in_is_left_out() -> None:
    """Its owner may lock it meanwhile; what is ours is locked."""
    place = Path(tempfile.mkdtemp())  # others may not look into pytest's
    theirs, ours = place / "theirs", place / "ours"
    for directory in (theirs, ours):
        directory.mkdir()
    os.chown(ours, OTHER_USER, OTHER_USER)

    def lock() -> None:
        os.chdir(place)
        os.setgroups([])
        os.setgid(OTHER_USER)
        os.setuid(OTHER_USER)
        with WriterLock().held([Path("theirs"), Path("ours")], 0) as held:
            assert (set(held.places), held.complete) == ({Path("ours")}, True)
            assert not is_free(Path("ours"))

    place.chmod(0o755)
    assert children.run(lock) == 0
    assert not (theirs / LOCK_FILE).exists()
    with held_elsewhere(theirs):
        assert children.run(lock) == 0
    shutil.rmtree(place)


@pytest.mark.parametrize("leads_to", ["victim", "nowhere"])
def test_a_lock_that_is_a_link_is_not_followed(leads_to: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (tmp_path / "victim").write_text("victim")
    (place / LOCK_FILE).symlink_to(tmp_path / leads_to)
    with pytest.raises(OSError, match="symbolic links") as caught, WriterLock().held([place]):
        pass
    assert caught.value.filename == str(place / LOCK_FILE)
    assert [path.name for path in tmp_path.iterdir() if path != place] == ["victim"]


def test_it_is_free_after_an_error(tmp_path: Path) -> None:
    lock = WriterLock()
    with pytest.raises(RuntimeError), lock.held([tmp_path]):
        raise RuntimeError
    assert is_free(tmp_path)


def test_somebody_who_holds_it_too_long_is_named_in_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    impatient = WriterLock().held([tmp_path / "a", tmp_path / "b"], 0)
    with held_elsewhere(tmp_path / "b"), pytest.raises(TimeoutError, match="another process") as caught, impatient:
        pass
    assert caught.value.filename == str(tmp_path / "b" / LOCK_FILE)
    assert is_free(tmp_path / "a")


def test_it_waits_for_somebody_who_holds_it_for_a_while(tmp_path: Path) -> None:
    holding, entered = threading.Event(), threading.Event()

    def wait_and_enter() -> None:
        holding.set()
        with WriterLock().held([tmp_path]):
            entered.set()

    thread = threading.Thread(target=wait_and_enter)
    with held_elsewhere(tmp_path):
        thread.start()
        assert holding.wait(60)
        assert not entered.is_set()
    thread.join(60)
    assert entered.is_set()


def test_a_directory_made_anew_while_waiting_is_locked_itself(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    holding, entered, leave = threading.Event(), threading.Event(), threading.Event()

    def wait_and_enter() -> None:
        holding.set()
        with WriterLock().held([place]):
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=wait_and_enter)
    with held_elsewhere(place):
        thread.start()
        assert holding.wait(60)
        while openings(place / LOCK_FILE) < 2:  # so that it waits for the old one
            thread.join(0.001)
        place.rename(tmp_path / "old")
        place.mkdir()
    assert entered.wait(60)
    assert not is_free(place)
    leave.set()
    thread.join(60)
