"""The disk that forgets: it forgets what a disk may, and nothing else. Shown by writers that are wrong, and right."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws.powercut_model import Forced, State, Tear, chance, torn
from tests.laws.powercut_record import Recorder

OLD, NEW = b"old " * 4, b"new " * 8


class Writer(Recorder):
    """Replaces or makes files below a directory in ways that are told step by step."""

    def now(self, path: Path, content: bytes) -> None:
        """Write without any care."""
        self.look()
        path.write_bytes(content)
        self.look()

    def forced(self, path: Path, content: bytes) -> None:
        self.write_new(path, content, 0o600, None, 1.0)


Write = Callable[[Writer, Path], object]


def overwriting(writer: Writer, root: Path) -> None:
    writer.now(root / "file", NEW)


def renaming_unforced(writer: Writer, root: Path) -> None:
    writer.now(root / "new", NEW)
    writer.replace(root / "new", root / "file")
    writer.sync_directory(root)


def renaming(writer: Writer, root: Path) -> None:
    writer.forced(root / "new", NEW)
    writer.replace(root / "new", root / "file")


def renaming_forced(writer: Writer, root: Path) -> None:
    renaming(writer, root)
    writer.sync_directory(root)


def without_a_name(writer: Writer, root: Path) -> None:
    """Make a file that has no name, force it, and give it one."""
    directory = os.open(root, os.O_RDONLY)
    descriptor = os.open(root, os.O_TMPFILE | os.O_RDWR)
    try:
        os.write(descriptor, NEW)
        writer.force(descriptor)
        os.link(f"/proc/self/fd/{descriptor}", root / "new", src_dir_fd=directory)
    finally:
        os.close(directory)
        os.close(descriptor)
    writer.replace(root / "new", root / "file")
    writer.sync_directory(root)


def left(tmp_path: Path, write: Write) -> tuple[list[State], Writer]:
    """All that may be left after a writer is done, of what is likely, extreme, or found in a thousand trials."""
    root = tmp_path / "disk"
    (root / "a").mkdir(parents=True)
    (root / "b").mkdir()
    (root / "file").write_bytes(OLD)
    writer = Writer(root)
    write(writer, root)
    disk, random = writer.tape.disk(writer.look()), Random(0)
    fates = [*disk.plain_fates(), *(chance(random) for _ in range(1000))]
    return list({state.key(): state for state in map(disk.left, fates)}.values()), writer


def contents(states: list[State], name: str) -> set[bytes | str | None]:
    return {state.tree().get(name) for state in states}


def test_a_file_that_is_written_over_may_be_anything_between(tmp_path: Path) -> None:
    states, _ = left(tmp_path, overwriting)
    found = contents(states, "file")
    assert {OLD, NEW, b"", NEW[:16], NEW[:16] + bytes(16), bytes(16) + NEW[16:]} <= found
    assert len(found) > 40


def test_a_file_that_is_renamed_unforced_may_be_empty(tmp_path: Path) -> None:
    states, _ = left(tmp_path, renaming_unforced)
    assert {NEW, b"", NEW[:16]} < contents(states, "file")
    assert OLD not in contents(states, "file")


def test_a_renaming_that_is_not_forced_may_be_undone_but_is_never_half(tmp_path: Path) -> None:
    states, _ = left(tmp_path, renaming)
    assert contents(states, "file") == {OLD, NEW}
    assert {("new" in state.tree(), state.tree()["file"]) for state in states} == {
        (False, OLD),
        (True, OLD),
        (False, NEW),
    }


@pytest.mark.parametrize("write", [renaming_forced, without_a_name])
def test_a_renaming_that_is_forced_stays(write: Write, tmp_path: Path) -> None:
    states, writer = left(tmp_path, write)
    assert [state.tree() for state in states] == [{"a": "directory 755", "b": "directory 755", "file": NEW}]
    for event in writer.tape.events:
        if isinstance(event, Forced):
            but = writer.tape.disk(len(writer.tape.events), but=event.site)
            assert len({but.left(fate).key() for fate in but.plain_fates()}) > 1


def test_a_renaming_to_another_directory_is_two_changes(tmp_path: Path) -> None:
    states, _ = left(tmp_path, lambda writer, root: writer.replace(root / "file", root / "a" / "file"))
    assert {("file" in state.tree(), "a/file" in state.tree()) for state in states} == {
        (one, other) for one in (False, True) for other in (False, True)
    }


def test_a_second_name_keeps_what_a_renaming_replaced(tmp_path: Path) -> None:
    def keep(writer: Writer, root: Path) -> None:
        writer.keep(root / "file", root / "aside")
        writer.sync_directory(root)
        renaming_forced(writer, root)

    states, _ = left(tmp_path, keep)
    assert [(state.tree()["file"], state.tree()["aside"]) for state in states] == [(NEW, OLD)]


def test_what_is_in_a_directory_is_lost_with_it(tmp_path: Path) -> None:
    def deep(writer: Writer, root: Path) -> None:
        writer.make_directory(root / "c", 0o700)
        writer.forced(root / "c" / "file", NEW)
        writer.sync_directory(root / "c")

    states, writer = left(tmp_path, deep)
    assert contents(states, "c/file") == {None, NEW}
    disk = writer.tape.disk(2)  # made, and named
    assert {state.tree().get("c") for state in map(disk.left, disk.plain_fates())} == {None, "directory 700"}


def test_removals_arrive_in_any_order(tmp_path: Path) -> None:
    def remove(writer: Writer, root: Path) -> None:
        for name in ("one", "two"):
            writer.forced(root / name, NEW)
        writer.sync_directory(root)
        for name in ("one", "two"):
            writer.remove(root / name)

    states, _ = left(tmp_path, remove)
    assert len({frozenset(state.tree()) for state in states}) == 4


def test_a_mode_is_a_matter_of_its_own(tmp_path: Path) -> None:
    def close(writer: Writer, root: Path) -> None:
        (root / "file").chmod(0o600)

    states, _ = left(tmp_path, close)
    assert {version.mode for state in states for version in state.files.values()} == {0o644, 0o600}


def test_a_state_is_made_as_it_is(tmp_path: Path) -> None:
    def arrange(writer: Writer, root: Path) -> None:
        writer.forced(root / "a" / "key", NEW)
        os.link(root / "a" / "key", root / "b" / "key")
        writer.make_link(root / "link", "a/key")

    _, writer = left(tmp_path, arrange)
    seen = writer.tape.disk(writer.look()).seen()
    seen.build(tmp_path / "built")
    built = Recorder(tmp_path / "built").tape.disk(0).seen()
    assert built.tree() == seen.tree()
    assert (tmp_path / "built" / "a" / "key").samefile(tmp_path / "built" / "b" / "key")
    assert (tmp_path / "built" / "a" / "key").stat().st_mode & 0o777 == 0o600


@given(st.binary(max_size=20), st.binary(max_size=20), st.sampled_from(Tear), st.floats(0, 1))
def test_a_torn_content_keeps_what_both_begin_with(old: bytes, new: bytes, tear: Tear, share: float) -> None:
    found = torn(old, new, tear, share)
    common = next((n for n in range(min(len(old), len(new))) if old[n] != new[n]), min(len(old), len(new)))
    assert found[:common] == old[:common] == new[:common]
    assert found == old if tear is Tear.LOST else len(found) <= len(new)
    assert torn(old, new, tear, 1.0) == (old if tear is Tear.LOST else new)
