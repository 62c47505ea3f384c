"""The steps of writing: modes from the first byte, whole or not at all."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

from evse_security.store.changes import PUBLIC_MODE, SECRET_MODE
from evse_security.store.files import Files
from tests.laws import children

TIME = 1_893_456_000.0
FILES = Files()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@children.forks
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("wanted", [SECRET_MODE, PUBLIC_MODE, 0o640])
def test_a_file_has_its_mode_whatever_the_umask(wanted: int, umask: int, tmp_path: Path) -> None:
    def write() -> None:
        os.umask(umask)
        FILES.write_new(tmp_path / "file", b"content", wanted, None, TIME)
        FILES.make_directory(tmp_path / "keys", 0o700)

    assert children.run(write) == 0
    assert mode(tmp_path / "file") == wanted
    assert mode(tmp_path / "keys") == 0o700
    assert (tmp_path / "file").read_bytes() == b"content"
    assert (tmp_path / "file").stat().st_mtime == TIME


@children.forks
def test_fault_28_a_secret_is_nobody_elses_from_the_first_byte(tmp_path: Path) -> None:
    """Stopped in the middle of the content by a limit, under a umask that gives everything away."""

    def write() -> None:
        os.umask(0)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        with pytest.raises(OSError, match="File too large"):
            FILES.write_new(tmp_path / "key", bytes(100), SECRET_MODE, None, TIME)

    assert children.run(write) == 0
    assert (tmp_path / "key").stat().st_size == 10
    assert mode(tmp_path / "key") == 0o600


@pytest.mark.parametrize("kind", ["file", "link", "dangling"])
def test_nothing_that_is_there_is_written_to(kind: str, tmp_path: Path) -> None:
    path, victim = tmp_path / "new", tmp_path / "victim"
    if kind == "file":
        path.write_text("victim")
    else:
        path.symlink_to(victim)
        if kind == "link":
            victim.write_text("victim")
    with pytest.raises(FileExistsError):
        FILES.write_new(path, b"content", PUBLIC_MODE, None, TIME)
    assert not victim.exists() or victim.read_text() == "victim"


def test_what_is_kept_can_come_back(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    FILES.keep(tmp_path / "old", tmp_path / "aside")
    (tmp_path / "new").write_text("new")
    FILES.replace(tmp_path / "new", tmp_path / "old")
    FILES.replace(tmp_path / "aside", tmp_path / "old")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old": "old"}


def test_removing_what_is_gone_is_done_already(tmp_path: Path) -> None:
    FILES.remove(tmp_path / "nothing")


def test_a_link_is_made_where_nothing_is(tmp_path: Path) -> None:
    FILES.make_link(tmp_path / "link", "somewhere")
    assert os.readlink(tmp_path / "link") == "somewhere"
    with pytest.raises(FileExistsError):
        FILES.make_link(tmp_path / "link", "elsewhere")


def test_appending_adds_to_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    path.write_bytes(b"old ")
    number = path.stat().st_ino
    FILES.append(path, b"new")
    assert (path.read_bytes(), path.stat().st_ino) == (b"old new", number)


@children.forks
def test_what_does_not_fit_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    path.write_bytes(b"old")

    def append() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        with pytest.raises(OSError, match="File too large"):
            FILES.append(path, bytes(100))

    assert children.run(append) == 0
    assert path.read_bytes() == b"old"


def test_only_directories_are_synchronised_as_such(tmp_path: Path) -> None:
    FILES.sync_directory(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        FILES.sync_directory(tmp_path / "file")
