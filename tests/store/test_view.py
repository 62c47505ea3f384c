"""What the directories show: a listing kept up by what happens is the one that a new look makes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evse_security.config import StationConfig
from evse_security.store import view as module
from evse_security.store.layout import Layout
from evse_security.store.view import BELIEVED_SECONDS, View
from evse_security.store.watch import Watch


class Deaf(Watch):
    """Is told of nothing, and does not know it."""

    def news(self) -> set[str] | None:
        return set() if super().news() is not None else None


def layout(root: Path) -> Layout:
    for directory in ("client/cso", "client/csms", "ca/v2g"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    return Layout.of(StationConfig.under(root))


def test_the_kernels_silence_is_believed_for_a_while_only(tmp_path: Path) -> None:
    seconds = 100.0
    view = View(layout(tmp_path), Deaf(), elapsed=lambda: seconds)
    view.refresh()
    assert view.refresh() == set()
    leaf = tmp_path / "client" / "cso" / "a.pem"
    leaf.write_text("x")
    seconds += BELIEVED_SECONDS
    assert view.refresh() == set()
    seconds += 1
    assert view.refresh() == {str(leaf)}
    assert view.refresh() == set()


@pytest.mark.parametrize("watched", [1000, 0])
def test_a_second_name_given_later_shows_what_is_written_by_it_where_files_are_watched(
    watched: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FILES_WATCHED", watched)
    leaf, other = tmp_path / "client" / "cso" / "a.pem", tmp_path / "other"
    places = layout(tmp_path)
    leaf.write_text("first")
    view = View(places)
    view.refresh()
    os.link(leaf, other)
    view.refresh()
    other.write_text("other")
    assert (str(leaf) in view.refresh()) == (watched > 0)  # in a large store it shows within a minute


def test_of_what_happens_beside_a_bundle_only_what_is_the_stores_is_looked_at(tmp_path: Path) -> None:
    places = layout(tmp_path)
    view = View(places)
    view.refresh()
    (tmp_path / "ca" / "v2g" / "notes.txt").write_text("x")
    assert view.refresh() == set()
    left = tmp_path / "ca" / "v2g" / ".0123.evse-tmp"
    left.write_text("half")
    assert view.refresh() == {str(left)}
    left.unlink()
    assert view.refresh() == {str(left)}
    assert view.listing.leftovers == frozenset()


def test_names_of_our_own_writer_are_looked_at_only_when_it_left_them_behind(tmp_path: Path) -> None:
    places = layout(tmp_path)
    view = View(places)
    view.refresh()
    ours = tmp_path / "client" / "cso" / f".{view.mark}0123.evse-tmp"
    ours.write_text("half")
    others = tmp_path / "client" / "cso" / ".0123.evse-tmp"
    others.write_text("half")
    assert view.refresh() == {str(others)}
    view.forget()
    assert view.refresh() == {str(ours)}
    ours.unlink()
    assert view.refresh() == {str(ours)}
    assert view.listing.leftovers == {str(others)}


def test_what_came_and_went_between_two_looks_is_no_change(tmp_path: Path) -> None:
    places = layout(tmp_path)
    view = View(places)
    view.refresh()
    before = view.listing
    (tmp_path / "client" / "cso" / "a.pem").write_text("x")
    (tmp_path / "client" / "cso" / "a.pem").unlink()
    assert view.refresh() == set()
    assert view.listing is before
