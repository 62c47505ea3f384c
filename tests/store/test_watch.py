"""What inotify tells, what is asked for beside it, and that in doubt anything may have happened."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from evse_security.store import inotify as module
from evse_security.store.watch import Watch

Change = Callable[[Path], object]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a.pem").write_text("first")
    return tmp_path / "store"


def watching(directory: Path) -> Watch:
    watch = Watch()
    watch.begin()
    watch.remember(str(directory))
    watch.add_directory(str(directory))
    assert watch.news() == set()
    return watch


CHANGES: dict[str, tuple[Change, set[str]]] = {
    "written": (lambda at: (at / "a.pem").write_text("other"), {"a.pem"}),
    "made": (lambda at: (at / "b.pem").touch(), {"b.pem"}),
    "removed": (lambda at: (at / "a.pem").unlink(), {"a.pem"}),
    "renamed": (lambda at: (at / "a.pem").rename(at / "c.pem"), {"a.pem", "c.pem"}),
    "moved in": (lambda at: (at.parent / "x").rename(at / "a.pem"), {"a.pem"}),
    "rights": (lambda at: (at / "a.pem").chmod(0o600), {"a.pem"}),
    "times": (lambda at: os.utime(at / "a.pem", (1, 1)), {"a.pem"}),
    "linked": (lambda at: os.link(at / "a.pem", at / "d.pem"), {"d.pem"}),
    "truncated": (lambda at: os.truncate(at / "a.pem", 1), {"a.pem"}),
    "odd name": (lambda at: (at / "line\nfeed \udcff.pem").touch(), {"line\nfeed \udcff.pem"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_told_once(change: str, store: Path) -> None:
    (store.parent / "x").write_text("x")
    watch = watching(store)
    act, expected = CHANGES[change]
    assert watch.is_still()
    act(store)
    assert not watch.is_still()
    assert not watch.is_still()  # asking takes nothing from the next answer
    assert watch.news() == {f"{store}/{name}" for name in expected}
    assert watch.news() == set()


def remove(at: Path) -> None:
    (at / "a.pem").unlink()
    at.rmdir()


def replace(at: Path) -> None:
    at.rename(at.with_name("elsewhere"))
    at.mkdir()


def replace_parent(at: Path) -> None:
    at.parent.rename(at.parent.with_name("moved"))
    at.mkdir(parents=True)


REPLACED: dict[str, Change] = {
    "removed": remove,
    "renamed": lambda at: at.rename(at.with_name("elsewhere")),
    "replaced": replace,
    "its parent replaced": replace_parent,
    "rights": lambda at: at.chmod(0o700),
}


@pytest.mark.parametrize("change", REPLACED)
def test_of_another_directory_nothing_is_known(change: str, store: Path) -> None:
    inner = store / "certs"
    inner.mkdir(0o750)
    (inner / "a.pem").write_text("")
    watch = watching(inner)
    REPLACED[change](inner)
    assert not watch.is_still()
    assert watch.news() is None
    assert watch.news() is None  # until the next beginning


def test_a_directory_that_is_made_is_noticed(store: Path) -> None:
    later = store / "later"
    watch = watching(store)
    watch.remember(str(later))
    later.mkdir()
    assert watch.news() is None


def test_what_a_link_leads_to_is_looked_at(store: Path, tmp_path: Path) -> None:
    (tmp_path / "real.pem").write_text("first")
    link = store / "link.pem"
    link.symlink_to(tmp_path / "real.pem")
    watch = watching(store)
    watch.remember(str(link))
    watch.add_file(str(link))
    assert watch.is_still()
    (tmp_path / "real.pem").write_text("other")
    assert not watch.is_still()
    assert watch.news() == {str(link)}
    (tmp_path / "new.pem").write_text("third")
    (tmp_path / "new.pem").rename(tmp_path / "real.pem")
    assert str(link) in (watch.news() or ())


def test_a_file_with_several_names_is_watched_itself(store: Path, tmp_path: Path) -> None:
    os.link(store / "a.pem", tmp_path / "again.pem")
    watch = watching(store)
    watch.add_file(str(store / "a.pem"))
    (tmp_path / "again.pem").write_text("other")
    assert watch.news() == {f"{store}/a.pem"}
    (store / "a.pem").unlink()
    (tmp_path / "again.pem").unlink()
    assert watch.news() == {f"{store}/a.pem"}
    assert watch.news() == set()


def test_what_happens_to_a_file_that_was_replaced_is_of_no_interest(store: Path, tmp_path: Path) -> None:
    os.link(store / "a.pem", tmp_path / "kept.pem")
    watch = watching(store)
    watch.add_file(f"{store}/a.pem")
    watched = len(module.hub().inboxes)
    (store / "b.pem").write_text("second")
    (store / "b.pem").rename(store / "a.pem")
    assert f"{store}/a.pem" in (watch.news() or ())
    watch.add_file(f"{store}/a.pem")
    (tmp_path / "kept.pem").write_text("of no interest")
    (tmp_path / "kept.pem").unlink()
    assert watch.news() == set()
    os.link(store / "a.pem", tmp_path / "again.pem")
    assert watch.news() == {f"{store}/a.pem"}
    (tmp_path / "again.pem").write_text("third")
    assert watch.news() == {f"{store}/a.pem"}
    assert len(module.hub().inboxes) == watched


def test_a_file_that_was_replaced_by_another_watched_one_is_still_watched_there(store: Path) -> None:
    (store / "b.pem").write_text("second")
    watch = watching(store)
    for name in ("a.pem", "b.pem"):
        watch.add_file(f"{store}/{name}")
    (store / "a.pem").unlink()
    os.link(store / "b.pem", store / "a.pem")
    assert {f"{store}/a.pem", f"{store}/b.pem"} <= (watch.news() or set())
    watch.add_file(f"{store}/a.pem")
    (store / "b.pem").unlink()
    (store / "b.pem").write_text("third")
    watch.news()
    watch.add_file(f"{store}/b.pem")
    os.link(store / "a.pem", store / "c.pem")
    assert watch.news() == {f"{store}/a.pem", f"{store}/c.pem"}


def test_a_link_to_a_directory_takes_nothing_from_what_is_told_of_that(store: Path) -> None:
    """The kernel has one watch for both, and what was asked for last is what it tells."""
    watch, other = watching(store), Watch()
    other.begin()
    (store / "loop.pem").symlink_to(".")
    assert watch.news() == {f"{store}/loop.pem"}
    for one in (watch, other):
        one.add_file(f"{store}/loop.pem")
    (store.parent / "x").write_text("x")
    (store.parent / "x").rename(store / "b.pem")
    assert f"{store}/b.pem" in (watch.news() or ())
    (store / "loop.pem").unlink()
    (store / "loop.pem").symlink_to("a.pem")
    assert f"{store}/loop.pem" in (watch.news() or ())
    watch.add_file(f"{store}/loop.pem")
    (store / "b.pem").unlink()
    assert f"{store}/b.pem" in (watch.news() or ())


def test_two_watches_of_one_directory_are_both_told_and_one_that_ends_leaves_the_other(store: Path) -> None:
    one, other = watching(store), watching(store)
    (store / "b.pem").touch()
    assert one.news() == other.news() == {f"{store}/b.pem"}
    one.close()
    assert one.news() is None
    (store / "c.pem").touch()
    assert other.news() == {f"{store}/c.pem"}


def test_a_watch_that_is_forgotten_leaves_nothing_behind(store: Path) -> None:
    watch = watching(store)
    hub = module.hub()
    before = len(hub.inboxes)
    del watch
    gc.collect()
    assert len(hub.inboxes) == before - 1


def test_many_watches_share_one_instance_of_the_kernel(store: Path) -> None:
    watches = [watching(store) for _ in range(200)]  # a user may have 128
    (store / "b.pem").touch()
    assert all(watch.news() == {f"{store}/b.pem"} for watch in watches)


def test_more_events_than_the_kernel_keeps_mean_that_anything_may_have_happened(store: Path) -> None:
    watch = watching(store)
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    names = [str(store / f"{number}") for number in range(2)]
    os.close(os.open(names[0], os.O_CREAT))
    for number in range(most // 2 + 10):  # two events each; equal ones in a row would be one
        os.rename(names[number % 2], names[1 - number % 2])
    assert watch.news() is None
    watch = watching(store)
    (store / "b.pem").touch()
    assert watch.news() == {f"{store}/b.pem"}


def test_a_fork_knows_nothing_and_takes_nothing_from_its_parent(store: Path) -> None:
    watch = watching(store)
    (store / "b.pem").touch()
    child = os.fork()
    if child == 0:
        own = watch.news() is None
        watch.begin()
        watch.add_directory(str(store))
        os._exit(0 if own and watch.news() == set() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert watch.news() == {f"{store}/b.pem"}


def test_file_systems_that_others_change_are_not_trusted() -> None:
    watch = Watch()
    watch.begin()
    watch.add_directory("/proc")
    assert watch.news() is None


def test_too_much_to_look_at_each_time_is_as_good_as_looking_at_everything(store: Path) -> None:
    watch = watching(store)
    for number in range(300):
        watch.remember(f"{store}/{number}")
    assert watch.news() is None


def test_doubt_lasts_until_the_next_beginning(store: Path) -> None:
    watch = watching(store)
    watch.doubt()
    assert watch.news() is None
    watch.begin()
    assert watch.news() == set()


def test_asking_lets_no_other_thread_run(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Getting the interpreter back may take milliseconds, so nothing is asked by calls that let go of it."""
    watch = watching(store)
    (store / "a.pem").write_text("other")

    def never(*_: object, **__: object) -> object:
        raise AssertionError("a call that lets other threads run")

    for call in ("stat", "lstat", "read"):
        monkeypatch.setattr(os, call, never)
    assert watch.news() == {f"{store}/a.pem"}
    assert watch.news() == set()
