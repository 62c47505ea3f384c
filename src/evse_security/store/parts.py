"""The parts of a store, and to which of them a file belongs by its path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from evse_security.additions import AnyCaType
from evse_security.store.castore import StoreForm
from evse_security.store.kinds import LEAF_KINDS
from evse_security.store.layout import (
    CERTIFICATE_SUFFIXES,
    DERIVED_DIRECTORIES,
    KEY_SUFFIXES,
    OCSP_DIRECTORY,
    Layout,
)
from evse_security.vocabulary import LeafCertificateType


class RootsOf(NamedTuple):
    """The part of a store that is the CA certificates of a domain."""

    ca_type: AnyCaType
    kind: str = "roots"


class LeavesOf(NamedTuple):
    """The part of a store that is the leaves of a kind with their keys."""

    leaf_type: LeafCertificateType
    kind: str = "leaves"


class LeavesFirst(NamedTuple):
    """The leaves of a kind, whose keys may be left for later."""

    leaf_type: LeafCertificateType
    kind: str = "leaves first"


class KeysAt(NamedTuple):
    """Some keys that were left for later, by their paths."""

    leaf_type: LeafCertificateType
    locations: frozenset[str]
    kind: str = "keys"


class AllResponses(NamedTuple):
    """The cached OCSP responses."""

    kind: str = "responses"


Part = RootsOf | LeavesOf
AnyPart = Part | LeavesFirst | KeysAt | AllResponses
Parts = Iterable[AnyPart] | None
"""Parts of a store that a command needs; None: all of them, and the OCSP responses."""
EVERYTHING: Parts = None


class Role(NamedTuple):
    """What a file is, or the files of a directory may be."""

    certificates: Sequence[Part] = ()
    keys: Sequence[LeavesOf] = ()
    is_response: bool = False
    """Whether it is half of an OCSP response."""


Forms = Mapping[AnyCaType, StoreForm]
"""How the paths of bundles look."""


class Roles:
    """What the files of a store are, by the layout and how the paths of the bundles look."""

    def __init__(self, layout: Layout, forms: Forms) -> None:
        """For as long as the bundles look so."""
        self.forms = forms
        self._layout = layout
        self._bundles: dict[str, list[RootsOf]] = {}
        for ca_type, path in layout.bundles.items():
            self._bundles.setdefault(str(path), []).append(RootsOf(ca_type))
        self._directories: dict[str, Role] = {}

    def of(self, location: str) -> Role:
        """What a file is."""
        directory, _, name = location.rpartition("/")
        may_be, suffix = self._directories.get(directory) or self._directory(directory), _suffix(name)
        parts: Sequence[Part] = may_be.certificates if suffix.lower() in CERTIFICATE_SUFFIXES else ()
        if parts and self._layout.shared_leaf_directory:
            parts = [one for one in parts if not _is_foreign(one, name)]
        if location in self._bundles:
            files = [one for one in self._bundles[location] if self.forms[one.ca_type] is not StoreForm.DIRECTORY]
            parts = (*parts, *files)
        keys = may_be.keys if suffix in KEY_SUFFIXES else ()
        return Role(parts, keys, may_be.is_response and suffix in (".hash", ".der"))

    def _directory(self, directory: str) -> Role:
        name, leaves = directory.rpartition("/")[2], self._layout.leaves.items()
        certificates: list[Part] = [LeavesOf(one) for one, at in leaves if str(at.certificates) == directory]
        for part in self._bundles.get(directory, ()):
            if self.forms[part.ca_type] is StoreForm.DIRECTORY:
                certificates.append(part)
        keys = [
            LeavesOf(one)
            for one, at in leaves
            if name not in DERIVED_DIRECTORIES
            and (str(at.certificates) == directory or f"{directory}/".startswith(f"{at.keys}/"))
        ]
        self._directories[directory] = Role(tuple(certificates), tuple(keys), name == OCSP_DIRECTORY)
        return self._directories[directory]


def _is_foreign(part: Part, name: str) -> bool:
    """Whether a file in a directory of both kinds of leaves is named as one of the other kind."""
    return isinstance(part, LeavesOf) and name.startswith(LEAF_KINDS[part.leaf_type].foreign_marks)


def _suffix(name: str) -> str:
    """What follows the last dot, with it; a name that only begins with a dot has none."""
    stem, dot, suffix = name.rpartition(".")
    return dot + suffix if stem.strip(".") else ""
