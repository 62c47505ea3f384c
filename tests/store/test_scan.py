"""Looking at files: only regular ones are opened, what cannot be looked at is said, and no change is missed."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from evse_security.store import scan
from evse_security.store.layout import TEMPORARY_SUFFIX
from evse_security.store.lock import LOCK_FILE
from evse_security.store.scan import (
    Directory,
    Manner,
    Seen,
    look_at,
    read,
    walk,
)
from evse_security.store.stamp import (
    COARSE_SETTLING_NS,
    SETTLING_NS,
    changed_ns,
    mode_of,
    modified_ns,
    settled,
    size_of,
    stamp_of,
)

SECOND = 1_000_000_000


def found(directory: Path) -> dict[str, str | None]:
    """Names below a directory: None for a file that was seen, else why it was not."""
    return {
        os.path.relpath(one.location, directory): None if isinstance(one.found, bytes) else one.found
        for one in sorted(one for one in walk(str(directory)) if isinstance(one, Seen))
    }


def seen(path: Path) -> Seen:
    one = look_at(str(path))
    assert isinstance(one, Seen)
    return one


def test_all_regular_files_are_seen_by_name(tmp_path: Path) -> None:
    for name in ("b.pem", "a.pem", "sub/c.key", "sub/sub/d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert list(found(tmp_path)) == ["a.pem", "b.pem", "sub/c.key", "sub/sub/d"]


def test_a_directory_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("nothing", "file", "file/x"):
        assert list(walk(str(tmp_path / name))) == [Directory(str(tmp_path / name))]


def test_a_directory_that_cannot_be_entered_is_said(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    [_, unseen] = walk(str(loop))
    assert unseen == Seen(str(loop), "Too many levels of symbolic links", Manner.LINK, passing=True)


def test_links_to_files_are_followed_and_links_to_directories_are_not(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.pem").write_text("text")
    (tmp_path / "store" / "link.pem").symlink_to("../other/x.pem")
    (tmp_path / "store" / "links").symlink_to("../other")
    assert found(tmp_path / "store") == {"link.pem": None}
    stamp = seen(tmp_path / "store" / "link.pem").found
    assert isinstance(stamp, bytes)
    assert size_of(stamp) == 4


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("x.pem", "a link that leads nowhere"),
        ("x.key", "a link that leads nowhere"),
        ("x.CRT", "a link that leads nowhere"),
        ("1234abcd.0", None),
    ],
)
def test_a_link_that_leads_nowhere_is_said_where_a_certificate_or_key_may_be_missing(
    name: str, why: str | None, tmp_path: Path
) -> None:
    (tmp_path / name).symlink_to("nowhere")
    assert found(tmp_path) == ({name: why} if why else {})


def test_what_is_no_file_is_said_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.pem")
    (tmp_path / "zero.pem").symlink_to("/dev/zero")
    (tmp_path / "loop.pem").symlink_to("loop.pem")
    os.mkfifo(tmp_path / "fifo")
    assert found(tmp_path) == {
        "fifo.pem": "not a regular file",
        "loop.pem": "Too many levels of symbolic links",
        "zero.pem": "not a regular file",
    }


def test_a_link_under_a_temporary_name_is_a_leftover_wherever_it_leads(tmp_path: Path) -> None:
    (tmp_path / f".x{TEMPORARY_SUFFIX}").symlink_to("nowhere")
    assert found(tmp_path) == {f".x{TEMPORARY_SUFFIX}": None}


def test_directories_are_looked_into_to_a_depth(tmp_path: Path) -> None:
    deep = tmp_path
    for n in range(scan.MAX_DEPTH + 2):
        (deep / f"{n}.pem").write_text("")
        deep = deep / "d"
        deep.mkdir()
    assert [Path(name).stem for name in found(tmp_path)] == [str(n) for n in range(scan.MAX_DEPTH + 1)]


def test_reading_has_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read(path, 5) == b"12345"
    with pytest.raises(ValueError, match="larger than 4 bytes"):
        read(path, 4)


def test_a_file_without_a_size_is_read_no_further_than_its_limit() -> None:
    with pytest.raises(ValueError, match="larger than 10 bytes"):
        read(Path("/proc/self/status"), 10)


@pytest.mark.parametrize("kind", ["fifo", "directory", "device"])
def test_reading_what_is_no_file_neither_hangs_nor_succeeds(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises((ValueError, OSError)):
        read(path, 100)


# ---- one entry


def test_one_entry_looks_as_in_a_walk(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("text")
    (tmp_path / "link.pem").symlink_to("a.pem")
    (tmp_path / "gone.pem").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo.pem")
    os.mkfifo(tmp_path / "fifo")
    os.link(tmp_path / "a.pem", tmp_path / "again.pem")
    (tmp_path / f".x{TEMPORARY_SUFFIX}").symlink_to("nowhere")
    (tmp_path / LOCK_FILE).touch()
    (tmp_path / "directory.pem").mkdir()
    (tmp_path / "to-directory.pem").symlink_to("directory.pem")
    walked = {one.location: one for one in walk(str(tmp_path)) if isinstance(one, Seen)}
    assert len(walked) == 7
    for entry in os.listdir(tmp_path):
        path = str(tmp_path / entry)
        assert look_at(path) == (Directory(path) if entry == "directory.pem" else walked.get(path))
    assert look_at(str(tmp_path / "nothing.pem")) is None
    assert look_at("a\0b.pem") is None


def test_how_a_name_leads_to_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("text")
    (tmp_path / "link.pem").symlink_to("a.pem")
    manners = {Path(one.location).name: one.manner for one in walk(str(tmp_path)) if isinstance(one, Seen)}
    assert manners == {"a.pem": Manner.DIRECTLY, "link.pem": Manner.LINK}
    os.link(tmp_path / "a.pem", tmp_path / "again.pem")
    assert seen(tmp_path / "a.pem").manner is seen(tmp_path / "again.pem").manner is Manner.ONE_OF_SEVERAL


@pytest.mark.parametrize(("stamp", "needed"), [(5 * SECOND + 1, SETTLING_NS), (5 * SECOND, COARSE_SETTLING_NS)])
def test_coarse_time_stamps_take_longer_to_settle(stamp: int, needed: int) -> None:
    look = SimpleNamespace(st_size=1, st_ino=1, st_dev=1, st_mtime_ns=stamp, st_ctime_ns=stamp, st_mode=0o644)
    file = stamp_of(look)
    assert not settled(file, stamp + needed)
    assert settled(file, stamp + needed + 1)
    assert not settled(file, stamp - SECOND)


def test_a_stamp_tells_what_it_was_made_of() -> None:
    look = SimpleNamespace(st_size=5, st_ino=7, st_dev=9, st_mtime_ns=-11, st_ctime_ns=1 << 70, st_mode=0o100640)
    stamp = stamp_of(look)
    assert (size_of(stamp), modified_ns(stamp), mode_of(stamp)) == (5, -11, 0o640)
    assert changed_ns(stamp) == (1 << 63) - 1  # the farthest that fits
