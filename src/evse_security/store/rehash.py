"""A directory that OpenSSL can look up roots in: links named by the hash of each subject (openssl-rehash(1)).

OpenSSL reads `hash.0`, `hash.1` … until the first that is missing. What was made by others is left alone: files of such
names, links out of the directory or to files that are no certificates of the store, and links to revocation lists.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from itertools import count, islice
from pathlib import Path

from evse_security.pki.certificate import Certificate
from evse_security.store.changes import Change, Link, Remove, Write, together
from evse_security.store.layout import BUNDLE_DIRECTORY
from evse_security.store.snapshot import CertificateFile

_NAME = re.compile(r"([0-9a-f]{8})\.(0|[1-9]\d{0,8})", re.ASCII)


def copies(directory: Path, files: Iterable[CertificateFile]) -> list[Write]:
    """The copies, for links to lead to, of files that OpenSSL does not read there, or not as they are read here."""
    unfit = [file for file in files if file.certificates and not file.fit]
    return together(Write(directory / name_of(f), "".join(c.pem for c in f.certificates).encode()) for f in unfit)


def name_of(file: CertificateFile) -> str:
    """What a link leads to, seen from the directory: the file, or the copy of one that is not fit for OpenSSL."""
    return file.path.name if file.fit else f"{BUNDLE_DIRECTORY}/{file.path.name}.pem"


def links(directory: Path, files: Sequence[CertificateFile]) -> list[Change]:
    """What is to be done so that every certificate is found, and nothing that is gone. Raises OSError.

    Links are added or led elsewhere before others are removed, so that look-ups go on meanwhile.
    """
    found = _Found(directory, files)
    made: list[Link] = []
    removed: list[Remove] = []
    for key in sorted(found.ours.keys() | found.wanted.keys()):
        present = found.ours.get(key, {})
        numbered = _numbered(found.needed(key), present, found.others.get(key, frozenset()))
        made += [Link(directory / f"{key}.{n}", name) for n, name in numbered.items() if present.get(n) != name]
        removed += [Remove(directory / f"{key}.{n}") for n in sorted(present.keys() - numbered.keys())]
    return [*together(made), *together(removed)]


def every_one_is_found(changes: Iterable[Change]) -> bool:
    """Whether these changes only tidy up: all certificates are found without them."""
    return all(isinstance(change, Remove) for change in changes)


def is_name(name: str) -> bool:
    """Whether a name is of the form of such links."""
    return _NAME.fullmatch(name) is not None


class _Found:
    """What is in the directory, by subject hash."""

    def __init__(self, directory: Path, files: Iterable[CertificateFile]) -> None:
        self.wanted: dict[str, dict[str, set[Certificate]]] = defaultdict(lambda: defaultdict(set))
        """Files, each with the certificates for which it is wanted there."""
        self.ours: dict[str, dict[int, str]] = defaultdict(dict)
        """Links to files of the store, or to what was one, by their numbers."""
        self.others: dict[str, set[int]] = defaultdict(set)
        """Numbers that are taken by what is none of ours."""
        names: set[str] = set()
        old: set[tuple[str, str]] = set()
        for file in files:
            both = {name_of(file), file.path.name}  # a link may be from when the file was fit, or not yet so
            names |= both
            for certificate in file.certificates:
                old |= {(_old_hash(certificate), name) for name in both}
                self.wanted[f"{certificate.subject_hash:08x}"][name_of(file)].add(certificate)
        with os.scandir(directory) as entries:
            for entry in entries:
                if (match := _NAME.fullmatch(entry.name)) is not None:
                    key, number = match[1], int(match[2])
                    leads_to = os.readlink(entry.path) if entry.is_symlink() else "/"
                    if (key, leads_to) not in old and _is_ours(directory, leads_to, names):
                        self.ours[key][number] = leads_to
                    else:
                        self.others[key].add(number)

    def needed(self, key: str) -> set[str]:
        """The files to be found under a hash: those that are, where no certificate is missing; otherwise all."""
        wanted = self.wanted.get(key, {})
        linked = wanted.keys() & set(self.ours.get(key, {}).values())
        enough = {c for name in linked for c in wanted[name]} == {c for found in wanted.values() for c in found}
        return set(linked) if enough else set(wanted)


def _old_hash(certificate: Certificate) -> str:
    """What OpenSSL before 1.0 looked for; c_rehash still makes links of it (openssl-x509(1), -subject_hash_old)."""
    digest = hashlib.md5(certificate.subject, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


def _is_ours(directory: Path, leads_to: str, names: set[str]) -> bool:
    """Whether a link leads to a file of the store, or within the directory to what is gone."""
    if leads_to in names or leads_to.startswith(f"{BUNDLE_DIRECTORY}/"):
        return True
    return "/" not in leads_to and not os.path.lexists(directory / leads_to)


def _numbered(names: set[str], present: dict[int, str], taken: Container[int]) -> dict[int, str]:
    """The lowest free numbers for these names; a link that has one of them keeps it."""
    numbers = list(islice((n for n in count() if n not in taken), len(names)))
    kept: dict[int, str] = {}
    for n in numbers:
        if present.get(n) in names - set(kept.values()):
            kept[n] = present[n]
    rest = iter(sorted(names - set(kept.values())))
    return {n: kept[n] if n in kept else next(rest) for n in numbers}
