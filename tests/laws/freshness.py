"""Changes that others make to a store with plain file operations, and whether a station that lives long sees them.

    python -m tests.laws.freshness --sequences 2000

A technician copies, moves, removes, links and rewrites files in every order; after each change a station that was open
before must answer exactly like one that was opened just now.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

from evse_security import Station
from evse_security.additions import CA_TYPES, CERTIFICATE_TYPES
from evse_security.interface import WITH_OEM
from evse_security.store.stamp import SETTLING_NS
from evse_security.vocabulary import EncodingFormat, LeafCertificateType
from tests.laws import stores
from tests.laws.freshness_changes import Place, apply, changes, named_elsewhere
from tests.laws.stores import Prepared

# ---- stores to change


STORES: dict[str, Callable[[Path], Prepared]] = {
    "files": stores.file_store,
    "directories": stores.directory_store,
    "links": stores.linked_store,
}


class Stock:
    """Stores made once, and copied for each use."""

    def __init__(self, directory: Path) -> None:
        """Keep them there."""
        self._directory = directory

    def place(self, layout: str, root: Path) -> Place:
        """A store of a layout of its own, with another one whose files may be put there."""
        one, other = self._made(layout)
        (aside := root.with_name(f"{root.name}-aside")).mkdir()
        return Place(one.copied_to(root), other.copied_to(aside / "spare").root)

    @cache  # noqa: B019  one stock lives as long as all tests
    def _made(self, layout: str) -> tuple[Prepared, Prepared]:
        first, second = (STORES[layout](self._directory / f"{layout}-{n}") for n in "ab")
        return first, second


# ---- what a station sees


def seen(station: Station) -> dict[str, object]:
    """All that a station knows of its store, file by file."""
    snapshot = station._core.look()[0]
    found: dict[str, object] = {
        f"CA certificates {ca_type}": (
            store.form,
            [(f.path, f.certificates, f.problems, f.fit, f.holds_more) for f in store.files],
        )
        for ca_type, store in snapshot.cas.items()
    }
    for leaf_type, leaves in snapshot.leaves.items():
        found[f"leaves {leaf_type}"] = [(f.path, f.certificates, f.problems, f.fit) for f in leaves.files]
        found[f"keys {leaf_type}"] = leaves.keys, leaves.listed
    return found | {
        "OCSP": snapshot.ocsp,
        "leftovers": sorted(snapshot.leftovers),
        "copies": sorted(snapshot.derived),
        "names": snapshot.names,
        "size": snapshot.size,
        "problems": snapshot.problems,
        "newest": snapshot.newest_written,
    }


def answers(station: Station) -> dict[str, object]:
    """What a station answers."""
    interface, roots = station.interface(), station.interface(WITH_OEM)
    found: dict[str, object] = {
        "installed": roots.get_installed_certificates(certificate_types=CERTIFICATE_TYPES),
        "questions": interface.get_v2g_ocsp_request_data(),
    }
    for ca_type in CA_TYPES:
        found[f"is installed {ca_type}"] = roots.is_ca_certificate_installed(certificate_type=ca_type)
        found[f"verify file {ca_type}"] = roots.get_verify_file(certificate_type=ca_type)
    for leaf_type in LeafCertificateType:
        for ask in (interface.get_leaf_certificate_info, interface.get_all_valid_certificates_info):
            found[f"{ask.__name__} {leaf_type}"] = ask(
                certificate_type=leaf_type, encoding=EncodingFormat.PEM, include_ocsp=True
            )
    return found


def in_der(station: Station) -> dict[str, object]:
    """What a station answers where copies are made, and what the files hold that it names."""
    found: dict[str, object] = {}
    for leaf_type in (LeafCertificateType.V2G, LeafCertificateType.CSMS):
        pair = station.interface("2023-10").get_key_pair(certificate_type=leaf_type, encoding=EncodingFormat.DER)
        info = station.interface().get_leaf_certificate_info(
            certificate_type=leaf_type, encoding=EncodingFormat.DER, include_ocsp=False
        )
        one = info.info
        paths = () if one is None else (one.key, one.certificate, one.certificate_single)
        held = [_content(Path(path)) for path in paths if path is not None]
        found[f"in DER {leaf_type}"] = pair, info, held
    return found


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def chains(station: Station) -> dict[str, object]:
    """What its TLS shows. It asks whether anything changed, instead of looking."""
    return {f"chains {kind}": station.chains(kind) for kind in (LeafCertificateType.V2G, LeafCertificateType.CSMS)}


def overview(station: Station) -> dict[str, object]:
    """What a person is shown."""
    return {"overview": station.overview()}


ALL = (chains, seen, answers, overview, in_der)
"""In DER last: copies are made for it."""


def look(station: Station) -> None:
    """Have a station see everything."""
    for what in ALL:
        what(station)


class Stale(AssertionError):
    """A station that lives long sees something else than one that was opened just now."""


def compare(station: Station, place: Place, change: str) -> None:
    """Demand that a station sees, knows and answers what a new one does. Raises `Stale`."""
    new = place.store.station()
    for what in ALL:
        known, truth = what(station), what(new)
        wrong = [name for name in truth if known[name] != truth[name]]
        if wrong:
            name = wrong[0]
            raise Stale(f"after {change}: {wrong}\n  {name}: {known[name]}\n  instead of {truth[name]}")


def settle(place: Place) -> None:
    """Wait until every later change shows in the time stamps of files, which are coarse."""
    newest = max((os.lstat(path).st_ctime_ns for path in place.store.root.rglob("*")), default=0)
    time.sleep(max(0, newest + SETTLING_NS + 20_000_000 - time.time_ns()) / 1e9)


# ---- campaigns


def sequence(stock: Stock, root: Path, random: Random, length: int, *, waits: float = 0.1) -> list[str]:
    """Make random changes one after the other, and compare after each. Raises `Stale`.

    `waits`: how often it waits until stamps are sure to tell changes, between 0 and 1.
    """
    place = stock.place(random.choice(list(STORES)), root)
    if random.random() < 0.3:
        named_elsewhere(place, random.choice(["roots", "single leaf", "chain", "key"]))
    station, names = place.store.station(), list(changes())
    compare(station, place, "nothing")
    done: list[str] = []
    for _ in range(length):
        if random.random() < 0.5:
            compare(station, place, "nothing")
        if random.random() < waits:
            settle(place)
            compare(station, place, "time")
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            name = random.choice(names)
            done.append(name if apply(place, name) else f"({name})")
        compare(station, place, " + ".join(done))
    remove(root)
    return done


def remove(root: Path) -> None:
    """Remove a place with what was put aside."""
    for directory in (root, root.with_name(f"{root.name}-aside")):
        if directory.is_symlink() or directory.is_file():
            directory.unlink()
        shutil.rmtree(directory, ignore_errors=True)


def main() -> int:
    """Run a campaign."""
    parser = argparse.ArgumentParser(prog="python -m tests.laws.freshness", description=__doc__)
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    logging.disable()
    seed = arguments.seed if arguments.seed is not None else Random().randrange(10**6)
    directory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    stock, begin, made = Stock(directory), time.monotonic(), 0
    for number in range(arguments.sequences):
        try:
            made += len(sequence(stock, directory / str(number), Random(f"{seed} {number}"), 6))
        except Stale as stale:
            print(f"seed {seed}, sequence {number}: {stale}\nthe store is {directory / str(number)}")
            return 1
    shutil.rmtree(directory)
    print(f"{arguments.sequences} sequences, {made} changes, none stale, {time.monotonic() - begin:.0f} s, seed {seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
