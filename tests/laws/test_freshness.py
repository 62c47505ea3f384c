"""A station that lives long sees at once what others do to its files: one kind of change after the other, and many."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_security import Station
from evse_security.store.layout import TEMPORARY_SUFFIX
from evse_security.vocabulary import LeafCertificateType
from tests.laws import children, freshness
from tests.laws.conftest import Mount
from tests.laws.freshness import STORES, Stale, Stock, compare, sequence
from tests.laws.freshness_changes import FILES, Place, apply, changes, named_elsewhere
from tests.laws.stores import Prepared, installing, pki

SEQUENCES = 100
GROUPS = sorted({name.partition(":")[0] for name in changes()})
"""A kind of files or directories, or a change of its own."""
ALIKE = frozenset({"single leaf", "chain", "OCSP response", "OCSP hash", "DER copy", "the OCSP directory"})
"""What is the same in every layout."""
TABLE = [(layout, group) for layout in STORES for group in GROUPS if layout == "files" or group not in ALIKE]
INAPPLICABLE = frozenset(
    f"{kind}: {fate}"
    for kind in FILES
    for fate in ("written through its name elsewhere", "written through its name beside")
)
"""What needs another change before it."""


@pytest.fixture(scope="module")
def stock(memory: Path) -> Stock:
    return Stock(memory)


@children.forks
@pytest.mark.parametrize(("layout", "group"), TABLE)
def test_a_change_is_seen_at_once(layout: str, group: str, stock: Stock, tmp_path: Path) -> None:
    """By a station that has just looked, while the stamps of the files cannot show another change yet."""
    applied = 0
    for number, name in enumerate(changes_of(group)):
        place = stock.place(layout, tmp_path / str(number))
        station = place.store.station()
        freshness.look(station)
        applied += apply(place, name)
        compare(station, place, name)
    assert applied


@children.forks
@pytest.mark.parametrize("group", GROUPS)
def test_a_change_of_a_store_at_rest_is_seen_at_once(group: str, stock: Stock, tmp_path: Path) -> None:
    """By a station that looked when every later change was sure to show in the stamps of the files."""
    names = changes_of(group)
    places = [stock.place("files", tmp_path / str(number)) for number, _ in enumerate(names)]
    freshness.settle(places[-1])
    for place, name in zip(places, names, strict=True):
        station = place.store.station()
        freshness.look(station)
        apply(place, name)
        compare(station, place, name)


def changes_of(group: str) -> list[str]:
    return [name for name in changes() if name.partition(":")[0] == group and name not in INAPPLICABLE]


@pytest.mark.parametrize("kind", FILES)
def test_what_is_written_through_another_name_is_seen(kind: str, stock: Stock, tmp_path: Path) -> None:
    place = stock.place("files", tmp_path / "store")
    named_elsewhere(place, kind)
    station = place.store.station()
    compare(station, place, "nothing")
    assert apply(place, f"{kind}: written through its name elsewhere")
    compare(station, place, "writing elsewhere")
    assert apply(place, f"{kind}: given another name beside")
    compare(station, place, "another name")
    assert apply(place, f"{kind}: written through its name beside")
    compare(station, place, "writing beside")


def test_a_change_is_seen_after_more_of_them_than_are_told(stock: Stock, tmp_path: Path) -> None:
    """inotify(7) drops what is more than `max_queued_events`, 16384 unless changed."""
    place = stock.place("files", tmp_path / "store")
    station = place.store.station()
    compare(station, place, "nothing")
    busy = place.leaves / "busy.pem"
    for _ in range(6000):
        busy.touch()
        busy.unlink()
    assert apply(place, "another leaf is copied there")
    compare(station, place, "very much")


@children.forks
def test_a_station_and_its_fork_both_see_changes(stock: Stock, tmp_path: Path) -> None:
    """What one of them was told is not kept from the other."""
    place = stock.place("files", tmp_path / "store")
    station = place.store.station()
    compare(station, place, "nothing")
    for name in ("another station installs a root", "key: removed"):
        assert apply(place, name)
        assert children.run(partial(compare, station, place, name)) == 0
        compare(station, place, name)


@children.forks
def test_a_fork_of_a_station_that_is_in_use_answers(stock: Stock, tmp_path: Path) -> None:
    """Whatever its other threads were at: none of them is there to let go of a lock."""
    config = stock.place("files", tmp_path / "store").store.config()
    station = Station.open(replace(config, audit_log=tmp_path / "audit" / "log"))
    core, held, done = station._core, threading.Barrier(2), threading.Event()
    station.chains(LeafCertificateType.V2G)

    def at_work() -> None:
        with core._disk._looking, core._changing, core._disk._writer._threads, core.working, core.audit_log._threads:
            held.wait()
            done.wait()

    worker = threading.Thread(target=at_work)
    worker.start()
    held.wait()
    answered = children.run(partial(_use, station))
    done.set()
    worker.join()
    assert answered == 0


def _use(station: Station) -> None:
    signal.alarm(20)
    freshness.look(station)
    assert station.chains(LeafCertificateType.V2G).chains
    assert installing("NewRoot")(station, Prepared(Path()))
    assert [entry["command"] for entry in station.audit_entries()] == ["install_ca_certificate"]


@children.forks
@settings(max_examples=SEQUENCES)
@given(seed=st.integers(0, 2**32))
def test_many_changes_in_a_row_are_seen(seed: int, stock: Stock, memory: Path) -> None:
    root = memory / f"sequence-{seed}"
    freshness.remove(root)
    sequence(stock, root, Random(seed), 2, waits=0)


def test_what_the_command_line_did_is_seen(stock: Stock, tmp_path: Path) -> None:
    place = stock.place("files", tmp_path / "store")
    station = place.store.station()
    compare(station, place, "nothing")
    (root := tmp_path / "root.pem").write_text(pki().pem("NewRoot"))
    call = ["call", "install_ca_certificate", "--certificate", f"@{root}", "--certificate-type", "V2G"]
    ran = subprocess.run(
        [sys.executable, "-m", "evse_security", "--certs", place.store.root, *call], capture_output=True, check=True
    )
    assert b"Accepted" in ran.stdout
    compare(station, place, "the command line")
    assert pki()["NewRoot"].pem in place.bundle.read_text()


def test_a_store_that_is_deployed_anew_is_seen(stock: Stock, tmp_path: Path) -> None:
    """Versions lie beside each other, and a link on the way to all files is led from one to the next at once."""
    place = stock.place("files", tmp_path / "store")
    current, new = tmp_path / "current", tmp_path / "new"
    current.symlink_to(place.store.root)
    new.symlink_to(place.spare)
    linked = Place(Prepared(current), place.spare)
    station = linked.store.station()
    compare(station, linked, "nothing")
    new.rename(current)
    compare(station, linked, "the link")
    apply(linked, "roots: made longer")
    compare(station, linked, "a change behind the link")
    assert pki()["NewRoot"].pem in (place.spare / "ca" / "v2g" / "V2G_ROOT_CA.pem").read_text()


def test_roots_that_are_deployed_anew_are_seen_with_what_lies_beside_them(stock: Stock, tmp_path: Path) -> None:
    """The same bundle as before, and other OCSP responses."""
    place = stock.place("files", tmp_path / "store")
    current = place.bundle.parent
    current.rename(old := current.with_name("old"))
    current.symlink_to("old")
    shutil.copytree(old, new := current.with_name("new"), copy_function=os.link)
    station = place.store.station()
    compare(station, place, "nothing")
    shutil.copytree(place.leaves / "ocsp", new / "ocsp")
    (link := current.with_name("link")).symlink_to("new")
    link.rename(current)
    compare(station, place, "the link")
    shutil.rmtree(new / "ocsp")
    compare(station, place, "a change behind the link")


def test_a_link_behind_a_link_that_is_led_into_another_directory_is_seen(stock: Stock, tmp_path: Path) -> None:
    """Also what lies beside the file at its end: what was being written there is left over."""
    place = stock.place("files", tmp_path / "store")
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        shutil.copy(place.bundle, tmp_path / name / "roots.pem")
    (tmp_path / "current").symlink_to("old/roots.pem")
    place.bundle.unlink()
    place.bundle.symlink_to(tmp_path / "current")
    station = place.store.station()
    compare(station, place, "nothing")
    (tmp_path / "new" / f"x{TEMPORARY_SUFFIX}").touch()
    (tmp_path / "link").symlink_to("new/roots.pem")
    (tmp_path / "link").rename(tmp_path / "current")
    compare(station, place, "the link")
    (tmp_path / "new" / f"y{TEMPORARY_SUFFIX}").touch()
    compare(station, place, "a change behind the link")


MOUNTED: dict[str, Callable[[Place], Path]] = {
    "leaves": lambda place: place.leaves,
    "what leaves lie in": lambda place: place.leaves.parent,
    "a chain": lambda place: next(place.leaves.glob("*CHAIN*.pem")),
    "a key": lambda place: next(place.keys.glob("*.key")),
    "the bundle": lambda place: place.bundle,
    "OCSP responses": lambda place: place.leaves / "ocsp",
}


@pytest.mark.parametrize("what", MOUNTED)
def test_what_is_mounted_over_something_is_seen(what: str, mount: Mount, stock: Stock, tmp_path: Path) -> None:
    """A volume that comes late, or goes: inotify tells nothing of it."""
    place = stock.place("files", tmp_path / "store")
    covered = MOUNTED[what](place)
    station = place.store.station()
    freshness.look(station)
    compare(station, place, "nothing")
    other = tmp_path / "empty"
    other.mkdir() if covered.is_dir() else other.touch()
    mount("--bind", other, covered)
    compare(station, place, "mounting")
    subprocess.run(["umount", covered], check=True)
    compare(station, place, "unmounting")
    mount("--bind", other, covered)
    compare(station, place, "mounting again")


def test_a_stale_station_is_found_out(stock: Stock, tmp_path: Path) -> None:
    """The comparison sees it: here a station looks at a copy of the store, to which nothing happens."""
    place = stock.place("files", tmp_path / "store")
    blind = Place(place.store.copied_to(tmp_path / "copy"), place.spare)
    station = blind.store.station()
    with pytest.raises(Stale):
        compare(station, place, "nothing but the place")
