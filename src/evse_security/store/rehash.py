"""A directory that OpenSSL can look up roots in: links named by the hash of each subject (openssl-rehash)."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from evse_security.store.layout import BUNDLE_DIRECTORY, TEMPORARY_SUFFIX
from evse_security.store.snapshot import CertificateFile

_LINK = re.compile(r"[0-9a-f]{8}\.\d+", re.ASCII)


def wanted(files: Iterable[CertificateFile]) -> dict[str, set[str]]:
    """The files to be found under each subject hash. One that holds several certificates is found under each."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in files:
        for certificate in file.certificates:
            found[f"{certificate.subject_hash:08x}"].add(name_of(file))
    return found


def name_of(file: CertificateFile) -> str:
    """What a link leads to, seen from the directory: the file, or for one in DER its copy as text."""
    return f"{BUNDLE_DIRECTORY}/{file.path.name}.pem" if file.in_der else file.path.name


def is_hashed(directory: Path, files: Iterable[CertificateFile]) -> bool:
    """Whether every certificate can be found through a link, and no link leads astray."""
    return _by_hash(_links(directory)) == {key: sorted(names) for key, names in wanted(files).items()}


def rehash(directory: Path, files: Iterable[CertificateFile]) -> None:
    """Make the links `hash.0`, `hash.1` … without a gap, and remove those that lead nowhere. Raises OSError.

    Links are only ever added or replaced before others are removed, so that look-ups go on meanwhile.
    """
    names = {f"{key}.{n}": name for key, found in wanted(files).items() for n, name in enumerate(sorted(found))}
    present = dict(_links(directory))
    for link, name in names.items():
        if present.get(link) != name:
            aside = directory / f".{link}{TEMPORARY_SUFFIX}"
            with suppress(FileNotFoundError):
                aside.unlink()
            aside.symlink_to(name)
            os.replace(aside, directory / link)
    for link in present.keys() - names.keys():
        (directory / link).unlink(missing_ok=True)


def _links(directory: Path) -> Iterator[tuple[str, str]]:
    for entry in os.scandir(directory):
        if entry.is_symlink() and _LINK.fullmatch(entry.name):
            yield entry.name, os.readlink(entry.path)


def _by_hash(links: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for link, name in links:
        found[link.partition(".")[0]].append(name)
    return {key: sorted(names) for key, names in found.items()}
