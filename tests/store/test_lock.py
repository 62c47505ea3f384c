"""One writer at a time, and nobody who waits for ever."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evse_security.store.lock import WriterLock


@contextmanager
def held_elsewhere(path: Path) -> Iterator[None]:
    """Another process holds the lock: to the kernel another open file is another holder."""
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def is_free(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_all_directories_are_held_and_no_file_is_made(tmp_path: Path) -> None:
    directories = [tmp_path / "a", tmp_path / "b"]
    for directory in directories:
        directory.mkdir()
    lock = WriterLock()
    with lock.held(directories):
        assert not any(map(is_free, directories))
        with lock.held(directories):
            pass
        assert not any(map(is_free, directories))
    assert all(map(is_free, directories))
    assert not list(directories[0].iterdir())


def test_two_names_of_one_directory_are_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with WriterLock(0).held([tmp_path / "link", tmp_path / "real"]):
        assert not is_free(tmp_path / "real")


def test_what_is_no_directory_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with WriterLock().held([tmp_path / "nothing", tmp_path / "file", tmp_path]):
        assert not is_free(tmp_path)


def test_it_is_free_after_an_error(tmp_path: Path) -> None:
    lock = WriterLock()
    with pytest.raises(RuntimeError), lock.held([tmp_path]):
        raise RuntimeError
    assert is_free(tmp_path)


def test_somebody_who_holds_it_too_long_is_named_in_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    impatient = WriterLock(patience=0).held([tmp_path / "a", tmp_path / "b"])
    with held_elsewhere(tmp_path / "b"), pytest.raises(TimeoutError, match="another process") as caught, impatient:
        pass
    assert caught.value.filename == str(tmp_path / "b")
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
        place.rename(tmp_path / "old")
        place.mkdir()
    assert entered.wait(60)
    assert not is_free(place)
    leave.set()
    thread.join(60)
