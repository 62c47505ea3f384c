"""Looking at the directories of a store: which files are there, and how each bundle's path looks."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from evse_security.store import scan
from evse_security.store.layout import BUNDLE_DIRECTORY, OCSP_DIRECTORY, TEMPORARY_SUFFIX, Layout
from evse_security.store.scan import Seen, Unseen
from evse_security.store.snapshot import StoreForm
from evse_security.vocabulary import CaCertificateType

NO_DIRECTORY = "there is no such directory"


class View(NamedTuple):
    """What the directories show: how each bundle's path looks, and all files."""

    forms: tuple[tuple[CaCertificateType, StoreForm], ...]
    files: tuple[Seen, ...]
    bundle_files: tuple[Seen, ...]
    """Files beside bundles that belong to the store though their directory does not: OCSP responses, leftovers."""
    unseen: tuple[Unseen, ...] = ()
    """What could not be looked at; and directories of leaves that are not there."""


def look(layout: Layout) -> View:
    """Look at the directories, keys before certificates: a key is there before its leaf, and goes after it."""
    forms: list[tuple[CaCertificateType, StoreForm]] = []
    files: dict[Path, Seen] = {}
    beside: dict[Path, Seen] = {}
    unseen: list[Unseen] = []
    for leaf in layout.leaves.values():
        for directory in dict.fromkeys((leaf.keys, leaf.certificates)):
            files |= _sorted_out(scan.walk(directory), unseen)
        if not os.path.isdir(leaf.certificates):  # where Path.is_dir() may raise
            unseen.append(Unseen(leaf.certificates, NO_DIRECTORY))
    for ca_type, path in layout.bundles.items():
        form = _form(path)
        forms.append((ca_type, form))
        if form is StoreForm.DIRECTORY:
            files |= _sorted_out(scan.walk(path), unseen)
        elif form is StoreForm.FILE and (file := scan.seen(path)) is not None:
            files[path] = file
        if form is not StoreForm.DIRECTORY:
            beside |= _sorted_out(_beside(path), unseen)
    return View(tuple(forms), tuple(files.values()), tuple(beside.values()), tuple(dict.fromkeys(unseen)))


def _sorted_out(found: Iterable[Seen | Unseen], unseen: list[Unseen]) -> dict[Path, Seen]:
    """The files by path; what could not be looked at goes to the other list."""
    files = {}
    for one in found:
        if isinstance(one, Unseen):
            unseen.append(one)
        else:
            files[one.path] = one
    return files


def _form(path: Path) -> StoreForm:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return StoreForm.MISSING
    except OSError:
        return StoreForm.UNREADABLE
    if not stat.S_ISDIR(found.st_mode):
        return StoreForm.FILE
    return StoreForm.DIRECTORY if _can_be_listed(path) else StoreForm.UNREADABLE


def _can_be_listed(path: Path) -> bool:
    try:
        os.scandir(path).close()
    except OSError:
        return False
    return True


def _beside(bundle: Path) -> Iterable[Seen | Unseen]:
    """The store's own files beside a bundle file, and beside the file that it is a link to."""
    for name in (OCSP_DIRECTORY, BUNDLE_DIRECTORY):
        yield from scan.walk(bundle.parent / name, scan.MAX_DEPTH)
    for directory in dict.fromkeys((bundle.parent, Path(os.path.realpath(bundle)).parent)):
        try:
            names = [name for name in os.listdir(directory) if name.endswith(TEMPORARY_SUFFIX)]
        except OSError:
            continue
        for name in names:
            if (file := scan.seen(directory / name)) is not None:
                yield file
