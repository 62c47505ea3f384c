"""What others do to the files of a store: a technician copies, moves, removes, links, rewrites, in every order."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tests.laws import children, stores
from tests.laws.stores import Prepared, pki


class Place(NamedTuple):
    """A store in which to change something, and what may be put there."""

    store: Prepared
    spare: Path
    """Another store of the same layout: other leaves, other keys, files of other places."""

    @property
    def bundle(self) -> Path:
        """The V2G bundle."""
        return self.store.config().v2g_ca_bundle

    @property
    def roots(self) -> Path:
        """A file of V2G roots: the bundle, or one of its files."""
        return self.bundle if not self.bundle.is_dir() else min(self.bundle.glob("*.pem"))

    @property
    def leaves(self) -> Path:
        """The directory of SECC leaves."""
        return self.store.config().secc_leaf_cert_directory

    @property
    def keys(self) -> Path:
        """The directory of their keys."""
        return self.store.config().secc_leaf_key_directory

    def there(self, path: Path) -> Path:
        """The same path in the other store."""
        return self.spare / path.relative_to(self.store.root)

    def aside(self, name: str) -> Path:
        """A path outside of the store, on the same file system."""
        return self.spare.parent / name


Change = Callable[[Place], object]


# ---- what one file undergoes


def _first(directory: Path, pattern: str) -> Path:
    return min(directory.glob(pattern), default=directory / "gone")


FILES: dict[str, Callable[[Place], Path]] = {
    "roots": lambda place: place.roots,
    "single leaf": lambda place: _first(place.leaves, "SECC_LEAF_*.pem"),
    "chain": lambda place: _first(place.leaves, "CPO_CERT_*.pem"),
    "key": lambda place: _first(place.keys, "SECC_LEAF_*.key"),
    "OCSP response": lambda place: _first(place.leaves / "ocsp", "*.der"),
    "OCSP hash": lambda place: _first(place.leaves / "ocsp", "*.hash"),
    "DER copy": lambda place: _first(place.leaves / "der", "*"),
}
"""The kinds of files of a store."""


def _content(path: Path) -> bytes:
    """What a file holds; nothing is read from pipes."""
    if not path.is_file():
        raise FileNotFoundError(path)
    return path.read_bytes()


def _other(path: Path) -> bytes:
    """Other content of the same size: a letter in the middle is another one."""
    data = bytearray(_content(path))
    if not data:
        raise ValueError("nothing to change")
    middle = len(data) // 2
    data[middle] = ord("A") if data[middle] != ord("A") else ord("B")
    return bytes(data)


def _rewrite(path: Path, data: bytes) -> None:
    """As an editor does that keeps the file: nothing but its content changes."""
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()


def _rewrite_as_of_then(path: Path, data: bytes) -> None:
    """The same, with the time set back: as `rsync --inplace --times` does."""
    found = path.stat()
    _rewrite(path, data)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def _replace(path: Path, data: bytes) -> None:
    """As an editor does that writes anew: another file gets the name."""
    new = path.with_name(f".{path.name}.swp")
    new.write_bytes(data)
    shutil.copystat(path, new)
    new.replace(path)


def _elsewhere(place: Place, path: Path) -> Path:
    """Move a file out of the store, and leave a link to it."""
    moved = place.aside(f"moved-{path.name}")
    path.rename(moved)
    path.symlink_to(moved)
    return moved


def _name_beside(path: Path) -> Path:
    return path.with_name(f"name{path.suffix}")


def _through_the_name_elsewhere(place: Place, path: Path) -> None:
    """Write into a file by the name that it had outside of the store from the beginning (`named_elsewhere`)."""
    _rewrite(second := place.aside(f"second-{path.name}"), _other(second))


def _opened_before(path: Path) -> None:
    """Write into a file that was opened under its name, and has another one by now."""
    with path.open("r+b") as file:
        moved = path.rename(path.with_name(f"renamed-{path.name}"))
        file.write(_other(moved))


def _put_back(place: Place, path: Path, data: bytes) -> None:
    """Remove a file, and put one of the same size and time there."""
    found = path.stat()
    path.unlink()
    path.write_bytes(data)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def _as_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _as_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _swap(place: Place, path: Path) -> None:
    """Two files change names; nothing else changes."""
    other = next(one for one in sorted(path.parent.iterdir()) if one.suffix == path.suffix and one != path)
    third = path.with_name("third")
    path.rename(third)
    other.rename(path)
    third.rename(other)


FATES: dict[str, Callable[[Place, Path], object]] = {
    "removed": lambda _, path: path.unlink(),
    "touched": lambda _, path: os.utime(path, (1893456000, 1893456000)),
    "made readable for all": lambda _, path: path.chmod(0o644),
    "made unreadable": lambda _, path: path.chmod(0),
    "emptied": lambda _, path: os.truncate(path, 0),
    "cut in half": lambda _, path: os.truncate(path, path.stat().st_size // 2),
    "made longer": lambda _, path: _rewrite(path, _content(path) + pki()["NewRoot"].pem.encode()),
    "rewritten in place, same size": lambda _, path: _rewrite(path, _other(path)),
    "rewritten in place, same size and time": lambda _, path: _rewrite_as_of_then(path, _other(path)),
    "written through its name elsewhere": _through_the_name_elsewhere,
    "written through its name beside": lambda _, path: _rewrite(_name_beside(path), _other(_name_beside(path))),
    "written after it was renamed": lambda _, path: _opened_before(path),
    "replaced": lambda _, path: _replace(path, _other(path)),
    "replaced by itself": lambda _, path: _replace(path, _content(path)),
    "removed and put back": lambda place, path: _put_back(place, path, _content(path)),
    "removed and put back otherwise": lambda place, path: _put_back(place, path, _other(path)),
    "moved away, with a link": _elsewhere,
    "moved away, with a link, and rewritten there": lambda place, path: _rewrite(_elsewhere(place, path), _other(path)),
    "renamed": lambda _, path: path.rename(path.with_name(f"renamed{path.suffix}")),
    "renamed to what is not read": lambda _, path: path.rename(path.with_name(f"{path.name}.bak")),
    "copied beside": lambda _, path: shutil.copy2(path, path.with_name(f"copy{path.suffix}")),
    "linked beside": lambda _, path: path.with_name(f"link{path.suffix}").symlink_to(path.name),
    "given another name beside": lambda _, path: _name_beside(path).hardlink_to(path),
    "swapped with another": _swap,
    "turned into a directory": lambda _, path: _as_directory(path),
    "turned into a pipe": lambda _, path: _as_fifo(path),
    "replaced by the other store's": lambda place, path: _replace(
        path, _content(_first(place.there(path).parent, f"{path.name[:9]}*{path.suffix}"))
    ),
}
"""What may befall any of them."""


# ---- what directories undergo


def _replaced_directory(place: Place, path: Path) -> None:
    path.rename(place.aside(f"old-{path.name}"))
    shutil.copytree(place.there(path), path, symlinks=True)


def _moved_in(place: Place, path: Path) -> None:
    """As `mv` does: the other one was made elsewhere and comes whole."""
    shutil.copytree(place.there(path), new := place.aside(f"new-{path.name}"), symlinks=True)
    path.rename(place.aside(f"old-{path.name}"))
    new.rename(path)


def _as_link(place: Place, path: Path) -> None:
    moved = place.aside(f"linked-{path.name}")
    path.rename(moved)
    path.symlink_to(moved)


def _as_link_and_changed(place: Place, path: Path) -> None:
    _as_link(place, path)
    for file in sorted(place.aside(f"linked-{path.name}").rglob("*.pem")):
        _rewrite(file, _other(file))


def _as_file(place: Place, path: Path) -> None:
    path.rename(place.aside(f"old-{path.name}"))
    path.write_text(pki().pem("NewRoot"))


def _made_anew(_: Place, path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


DIRECTORIES: dict[str, Callable[[Place], Path]] = {
    "the bundle's directory": lambda place: place.roots.parent,
    "the leaves' directory": lambda place: place.leaves,
    "the keys' directory": lambda place: place.keys,
    "the OCSP directory": lambda place: place.leaves / "ocsp",
    "the directory of all CAs": lambda place: place.store.root / "ca",
    "the whole store": lambda place: place.store.root,
}

FORTUNES: dict[str, Callable[[Place, Path], object]] = {
    "removed": lambda _, path: shutil.rmtree(path),
    "moved away": lambda place, path: path.rename(place.aside(f"old-{path.name}")),
    "moved away and back": lambda place, path: path.rename(place.aside("old")).rename(path),
    "replaced by another": _replaced_directory,
    "replaced at once by another": _moved_in,
    "removed and made anew, empty": _made_anew,
    "turned into a link": _as_link,
    "turned into a link and changed there": _as_link_and_changed,
    "turned into a file": _as_file,
    "closed to all": lambda _, path: path.chmod(0),
    "given a directory": lambda place, path: shutil.copytree(place.there(path), path / "inner", symlinks=True),
    "given an empty directory": lambda _, path: (path / "empty").mkdir(),
    "given a link to itself": lambda _, path: (path / "itself.pem").symlink_to("."),
}


# ---- what happens to more than one


def _root_added(place: Place) -> None:
    directory = place.bundle if place.bundle.is_dir() else place.bundle.parent
    (directory / "added.pem").write_text(pki().pem("NewRoot"))


def _linked_elsewhere(place: Place) -> None:
    """The bundle becomes a link to another file, at once."""
    new = place.bundle.with_name("new-link")
    new.symlink_to(place.there(place.roots))
    if place.bundle.is_dir() and not place.bundle.is_symlink():
        place.bundle.rename(place.aside("old-bundle"))
    new.rename(place.bundle)


def _target_changed(change: Callable[[Path, bytes], None]) -> Change:
    def run(place: Place) -> None:
        target = Path(os.path.realpath(place.roots))
        change(target, _content(target) + pki().pem("NewRoot").encode())

    return run


def _leaf_added(place: Place) -> None:
    """As a technician does who copies a directory over another."""
    shutil.copytree(place.there(place.leaves), place.leaves, symlinks=True, dirs_exist_ok=True)
    shutil.copytree(place.there(place.keys), place.keys, symlinks=True, dirs_exist_ok=True)


def _domain_made(place: Place) -> None:
    path = place.store.config().mf_ca_bundle
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir(parents=True)
    path.write_text(pki().pem("NewRoot"))


def _oem_made(place: Place) -> None:
    path = place.store.config().oem_ca_bundle
    assert path is not None
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir(parents=True)
    path.write_text(pki().pem("NewRoot"))


def _domain_moved_in(place: Place) -> None:
    path = place.store.config().mf_ca_bundle
    new = place.aside("new-domain")
    new.mkdir()
    (new / path.name).write_text(pki().pem("NewRoot"))
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    new.rename(path.parent)


def _another_station(place: Place) -> None:
    stores.installing("NewRoot")(place.store.station(), place.store)


def _another_process(place: Place) -> None:
    assert children.run(lambda: _another_station(place)) == 0


def _another_station_deletes_the_leaf(place: Place) -> None:
    stores.deleting_the_leaf(place.store.station(), place.store)


def _another_station_renews(place: Place) -> None:
    stores.updating(place.store.station(), place.store)


def _leftover(place: Place) -> None:
    (place.leaves / ".0123456789abcdef.evse-tmp").write_bytes(b"half")


OTHERS: dict[str, Change] = {
    "a file of a root is added": _root_added,
    "the bundle is led elsewhere": _linked_elsewhere,
    "the target of the bundle is rewritten": _target_changed(_rewrite),
    "the target of the bundle is replaced": _target_changed(_replace),
    "another leaf is copied there": _leaf_added,
    "a domain gets a directory": _domain_made,
    "a domain's directory is moved in": _domain_moved_in,
    "OEM roots come": _oem_made,
    "another station installs a root": _another_station,
    "another process installs a root": _another_process,
    "another station deletes the leaf": _another_station_deletes_the_leaf,
    "another station renews the leaf": _another_station_renews,
    "something is left over": _leftover,
}


def changes() -> dict[str, Change]:
    """Every change by name."""
    found = dict(OTHERS)
    for kind, find in FILES.items():
        for name, fate in FATES.items():
            found[f"{kind}: {name}"] = lambda place, find=find, fate=fate: fate(place, find(place))  # type: ignore[misc]
    for kind, find in DIRECTORIES.items():
        for name, fortune in FORTUNES.items():
            found[f"{kind}: {name}"] = lambda place, find=find, fate=fortune: fate(place, find(place))  # type: ignore[misc]
    return found


def apply(place: Place, name: str) -> bool:
    """Make a change, where what it needs is there."""
    with suppress(OSError, ValueError, StopIteration, shutil.Error):
        changes()[name](place)
        return True
    return False


def named_elsewhere(place: Place, kind: str) -> None:
    """Give a file a second name outside of the store.

    This is done before a station looks at it: the kernel tells who watches a directory nothing of names that its files
    get elsewhere, nor of what is written through them. A file that has several names is watched by itself.
    """
    path = FILES[kind](place)
    place.aside(f"second-{path.name}").hardlink_to(path)
