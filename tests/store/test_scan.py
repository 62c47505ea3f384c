"""Looking at files: only regular ones are opened, what cannot be looked at is said, and no change is missed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evse_security.store import scan
from evse_security.store.layout import TEMPORARY_SUFFIX
from evse_security.store.scan import COARSE_SETTLING_NS, SETTLING_NS, Contents, Seen, Unseen, read, seen, walk

SECOND = 1_000_000_000


def found(directory: Path) -> dict[str, str | None]:
    """Names below a directory: None for a file that was seen, else why it was not."""
    return {
        str(one.path.relative_to(directory)): one.why if isinstance(one, Unseen) else None for one in walk(directory)
    }


def test_all_regular_files_are_seen_by_name(tmp_path: Path) -> None:
    for name in ("b.pem", "a.pem", "sub/c.key", "sub/sub/d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert list(found(tmp_path)) == ["a.pem", "b.pem", "sub/c.key", "sub/sub/d"]


def test_a_directory_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert list(walk(tmp_path / "nothing")) == list(walk(tmp_path / "file")) == list(walk(tmp_path / "file/x")) == []


def test_a_directory_that_cannot_be_entered_is_said(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    assert list(walk(loop)) == [Unseen(loop, "Too many levels of symbolic links")]


def test_links_to_files_are_followed_and_links_to_directories_are_not(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.pem").write_text("text")
    (tmp_path / "store" / "link.pem").symlink_to("../other/x.pem")
    (tmp_path / "store" / "links").symlink_to("../other")
    assert found(tmp_path / "store") == {"link.pem": None}
    assert next(walk(tmp_path / "store")).size == 4  # type: ignore[union-attr]  # it is seen


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


def test_seeing_what_cannot_be_seen_is_none(tmp_path: Path) -> None:
    assert seen(tmp_path / "nothing") is None
    assert seen(tmp_path) is None
    assert seen(Path("a\0b")) is None


# ---- contents


class Shelf:
    """Contents with a count of what was parsed, and a time that is set."""

    def __init__(self, file: Path) -> None:
        self.file, self.parsed, self.now = file, 0, 0
        self.contents: Contents[list[bytes]] = Contents(self.parse, self.refuse, 1000, lambda: self.now)

    def parse(self, _: Path, data: bytes) -> list[bytes]:
        self.parsed += 1
        return [data]

    def refuse(self, _: Path, problem: str) -> list[bytes]:
        self.parsed += 1
        return [problem.encode()]

    def look(self) -> Seen:
        file = seen(self.file)
        assert file is not None
        return file


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "file").write_bytes(b"first")
    return Shelf(tmp_path / "file")


def test_a_settled_file_is_read_once(shelf: Shelf) -> None:
    file = shelf.look()
    shelf.now = file.changed_ns + COARSE_SETTLING_NS + 1
    value = shelf.contents.of(file)
    shelf.file.write_bytes(b"other")  # which the stamps of `file` do not show
    assert shelf.contents.of(file) is value
    assert shelf.contents.settled


def test_a_rewrite_that_the_time_stamps_do_not_show_is_seen(shelf: Shelf) -> None:
    file = shelf.look()
    shelf.now = file.changed_ns + 1
    assert shelf.contents.of(file) == [b"first"]
    assert not shelf.contents.settled
    shelf.file.write_bytes(b"other")
    shelf.now = file.changed_ns + COARSE_SETTLING_NS + 1
    assert shelf.contents.of(file) == [b"other"]
    assert shelf.contents.settled


def test_a_file_that_was_only_touched_is_the_same_object(shelf: Shelf) -> None:
    value = shelf.contents.of(shelf.look())
    os.utime(shelf.file, (1, 1))
    assert shelf.contents.of(shelf.look()) is value
    assert shelf.parsed == 1


def test_a_file_that_could_not_be_read_is_read_again(shelf: Shelf) -> None:
    file = shelf.look()
    shelf.now = file.changed_ns + COARSE_SETTLING_NS + 1
    aside = shelf.file.rename(shelf.file.with_name("aside"))
    refused = shelf.contents.of(file)
    assert refused == [b"No such file or directory"]
    assert shelf.contents.of(file) is refused
    assert not shelf.contents.settled
    aside.rename(shelf.file)
    assert shelf.contents.of(file) == [b"first"]


def test_a_file_that_is_too_large_is_not_tried_for_ever(shelf: Shelf) -> None:
    shelf.file.write_bytes(bytes(1001))
    file = shelf.look()
    shelf.now = file.changed_ns + COARSE_SETTLING_NS + 1
    assert shelf.contents.of(file) == [b"larger than 1000 bytes"]
    assert shelf.contents.settled


def test_files_that_are_gone_are_forgotten(shelf: Shelf) -> None:
    file = shelf.look()
    value = shelf.contents.of(file)
    shelf.contents.forget({shelf.file})
    assert shelf.contents.of(file) is value
    shelf.contents.forget(set())
    assert shelf.contents.settled
    assert shelf.contents.of(file) is not value


def test_which_content_was_read_is_known_without_keeping_it(shelf: Shelf) -> None:
    assert not shelf.contents.shows(shelf.file, b"first")
    shelf.parse = lambda *_: []  # type: ignore[method-assign]
    contents: Contents[None] = Contents(lambda *_: None, lambda *_: None, 1000)
    contents.of(shelf.look())
    assert contents.shows(shelf.file, b"first")
    assert not contents.shows(shelf.file, b"other")
    assert "first" not in repr(vars(contents))


@pytest.mark.parametrize(("stamp", "needed"), [(5 * SECOND + 1, SETTLING_NS), (5 * SECOND, COARSE_SETTLING_NS)])
def test_coarse_time_stamps_take_longer_to_settle(stamp: int, needed: int) -> None:
    file = Seen(Path("x"), 1, 1, 1, stamp, stamp, 0o644)
    assert not file.settled(stamp + needed)
    assert file.settled(stamp + needed + 1)
    assert not file.settled(stamp - SECOND)
