"""Calls that keep the interpreter say what those of `os` say."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from evse_security.store import brief, scan
from evse_security.store.brief import Status

CALLS = [(brief.status, os.stat), (brief.own_status, os.lstat)]
FIELDS = ("st_mode", "st_ino", "st_dev", "st_nlink", "st_size", "st_mtime_ns", "st_ctime_ns")


def places(directory: Path) -> dict[str, str]:
    """One of each kind of thing that has a name, and names that nothing has."""
    file, folder = directory / "file.pem", directory / "folder"
    file.write_bytes(b"1234")
    folder.mkdir()
    os.utime(file, ns=(1, -1_000_000_001))
    (directory / "link").symlink_to(file)
    (directory / "dangling").symlink_to("nowhere")
    (directory / "loop").symlink_to("loop")
    os.link(file, directory / "again")
    os.mkfifo(directory / "fifo")
    (directory / "b\udcff\u00fc").write_bytes(b"")
    found = {path.name: str(path) for path in directory.iterdir()}
    others = {"device": "/dev/null", "proc": "/proc/self/mountinfo", "root": "/", "nothing": str(directory / "nothing")}
    return found | others | {"below a file": f"{file}/x", "too long": f"{directory}/{'n' * 300}", "empty": ""}


def answer(ask: Callable[[str], object], path: str) -> object:
    try:
        found = ask(path)
    except OSError as error:
        return type(error), error.errno, error.strerror, error.filename
    except ValueError:
        return ValueError
    return [getattr(found, field) for field in FIELDS]


@pytest.mark.parametrize("is_known", [True, False], ids=["statx", "a kernel without statx"])
@pytest.mark.parametrize(("ask", "as_os_does"), CALLS, ids=["stat", "lstat"])
def test_the_status_is_that_of_os(
    tmp_path: Path,
    ask: Callable[[str], Status],
    as_os_does: Callable[[str], object],
    is_known: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not is_known:
        monkeypatch.setattr(brief, "_statx", lambda: None)
    found = places(tmp_path)
    assert len(found) == 15
    for path in (*found.values(), f"{tmp_path}/a\0b"):
        assert answer(ask, path) == answer(as_os_does, path), path


def test_a_small_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"", b"1234", b"\0" * (brief.MAX_BYTES - 1)):
        path.write_bytes(content)
        assert brief.read(str(path), 1 << 20) == scan.read_briefly(str(path), 1 << 20) == content


def test_what_cannot_be_read_so_is_read_otherwise(tmp_path: Path) -> None:
    found = places(tmp_path)
    large = tmp_path / "large"
    large.write_bytes(b"1" * brief.MAX_BYTES)
    for path in (*found.values(), str(large), f"{tmp_path}/a\0b"):
        if path not in (found["file.pem"], found["link"], found["again"], found["b\udcff\u00fc"]):
            assert brief.read(path, 1 << 20) is None, path
    assert scan.read_briefly(str(large), 1 << 20) == large.read_bytes()
    with pytest.raises(ValueError, match="larger than 3 bytes"):
        scan.read_briefly(found["file.pem"], 3)
    with pytest.raises(FileNotFoundError):
        scan.read_briefly(found["nothing"], 3)
    with pytest.raises(ValueError, match="not a regular file"):
        scan.read_briefly(found["device"], 3)


def test_nothing_stays_open(tmp_path: Path) -> None:
    found = places(tmp_path)
    before = set(os.listdir("/proc/self/fd"))
    for path in found.values():
        brief.read(path, 1 << 20)
    assert set(os.listdir("/proc/self/fd")) == before


def test_threads_do_not_mix_their_answers(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(8)]
    for number, path in enumerate(paths):
        path.write_bytes(b"x" * number)
    wrong: list[int] = []

    def ask(number: int) -> None:
        for _ in range(500):
            if (
                brief.status(str(paths[number])).st_size != number
                or brief.read(str(paths[number]), 99) != b"x" * number
            ):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
