"""What is remembered across restarts: whole or as before, private, bounded, and set aside when damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evse_security.service.state import MOST_BYTES, Claim, StateDamaged, StateFile


def test_what_is_saved_is_loaded_and_private(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "service" / "some.json")
    assert file.load() is None
    for content in ({"a": 1}, {"a": [2, None, "ü"]}):
        file.save(content)
        assert file.load() == content
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.path.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in file.path.parent.iterdir()] == ["some.json"]


def test_parents_are_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        StateFile(tmp_path / "not" / "there" / "some.json").save({})


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b" " * (MOST_BYTES + 1), b"1" * 5000])
def test_a_damaged_file_is_set_aside(tmp_path: Path, content: bytes) -> None:
    file = StateFile(tmp_path / "some.json")
    file.path.write_bytes(content)
    with pytest.raises(StateDamaged, match=r"some.json cannot be used and was set aside as .*some.json.damaged"):
        file.load()
    assert file.load() is None
    assert (tmp_path / "some.json.damaged").read_bytes() == content


def test_a_directory_may_be_a_link_of_ours(tmp_path: Path) -> None:
    """As systemd makes one for a DynamicUser."""
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    file = StateFile(tmp_path / "link" / "some.json")
    file.save({"a": 1})
    assert file.load() == {"a": 1}
    claim, other = Claim(tmp_path / "link"), Claim(tmp_path / "real")
    assert claim.take()
    assert not other.take()
    claim.release()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make links of others")
def test_links_of_others_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    os.lchown(tmp_path / "link", 65534, 65534)
    with pytest.raises(OSError, match="Not a directory"):
        StateFile(tmp_path / "link" / "some.json").save({})


def test_a_file_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "some.json").symlink_to("elsewhere")
    with pytest.raises(OSError, match="Too many levels"):
        StateFile(tmp_path / "some.json").load()
    StateFile(tmp_path / "some.json").save({})
    assert not (tmp_path / "elsewhere").exists()
    assert StateFile(tmp_path / "some.json").load() == {}


def test_a_leftover_of_a_crash_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".some.json.new").write_text("x" * 1000)
    StateFile(tmp_path / "some.json").save({})
    assert StateFile(tmp_path / "some.json").load() == {}


def test_a_new_directory_is_forced_to_the_disk_with_its_name(tmp_path: Path, forced: list[str]) -> None:
    StateFile(tmp_path / "service" / "some.json").save({})
    directory = str(tmp_path / "service")
    assert forced == [str(tmp_path), f"{directory}/.some.json.new", directory]


def test_a_directory_is_one_services_alone_until_it_ends_in_whatever_way(tmp_path: Path) -> None:
    place = tmp_path / "service"
    program = "import sys, pathlib; from evse_security.service.state import Claim; c = Claim(pathlib.Path(sys.argv[1]))"
    waiting = [sys.executable, "-c", f"{program}; print(c.take(), flush=True); input()", str(place)]
    with subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        claim = Claim(place)
        assert not claim.take()
        other.kill()
    assert claim.take()
    assert claim.take()
    second = Claim(place)
    assert not second.take()
    claim.release()
    assert second.take()
    second.release()
    assert place.stat().st_mode & 0o777 == 0o700


def test_where_nothing_can_be_remembered_nothing_is_kept_from_others(tmp_path: Path) -> None:
    assert Claim(None).take()
    assert Claim(tmp_path / "not" / "there").take()


def test_of_two_that_make_the_directory_at_once_one_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, make = tmp_path / "state", os.mkdir
    first, second = Claim(place), Claim(place)

    def slow(path: Path, mode: int) -> None:
        monkeypatch.setattr(os, "mkdir", make)
        assert first.take()
        make(path, mode)

    monkeypatch.setattr(os, "mkdir", slow)
    assert not second.take()
    first.release()
    assert second.take()
    second.release()
