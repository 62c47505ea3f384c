"""What can be mended safely, as changes: what a sweep removes, rights, stale copies and links, OCSP in base64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from evse_security.store.changes import Change, Decision, Remove, Write
from evse_security.store.diagnosis.derived import outdated
from evse_security.store.diagnosis.inspection import Inspection
from evse_security.store.diagnosis.places import OTHERS, keys
from evse_security.store.diagnosis.responses import believed, subject
from evse_security.store.rules.sweep import sweep

_KEY_MODE, _KEY_DIRECTORY_MODE, _WRITE_ALL = 0o600, 0o700, 0o002


class NewMode(NamedTuple):
    """Other permission bits for a file or directory."""

    path: Path
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class Treatment:
    """Everything that is mended: changes of the store, permission bits, links; each with words for it."""

    decision: Decision
    said: dict[Path, str]
    """What is done with each file that changes."""
    modes: tuple[NewMode, ...]
    links: tuple[Path, ...]
    """Directories of roots whose links are made anew."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.decision.changes or self.modes or self.links)


def treatment(seen: Inspection, keep_newest: int) -> Treatment:
    """What to do. 1. What a sweep does, 2. OCSP responses into DER, 3. stale copies, 4. rights, 5. links."""
    swept = sweep(
        seen.snapshot,
        seen.moment,
        csr_lifetime=seen.limits.csr_lifetime,
        keep_newest=keep_newest,
        protected=seen.limits.kept,
    )
    said = {file.path: f"removed: {file.reason}" for file in swept.removed}  # 1
    changes: list[Change] = []
    for write in _into_der(seen):  # 2
        if write.path not in said:
            changes.append(write)
            said[write.path] = "made DER of base64"
    for copy, content in outdated(seen).items():  # 3
        if copy not in said:
            changes.append(Remove(copy) if content is None else Write(copy, content))
            said[copy] = "removed: a stale copy, made anew when needed" if content is None else "copied anew"
    modes = tuple(mode for mode in _modes(seen) if mode.path not in said)  # 4
    links = tuple(sorted(directory for directory, made in seen.surroundings.links.items() if made))  # 5
    decision = Decision((*swept.decision.changes, *changes), swept.decision.updates)
    return Treatment(decision, said, modes, links)


def _into_der(seen: Inspection) -> Iterator[Write]:
    """The responses that EVerest's module kept in base64, if they are to be kept."""
    if seen.moment.doubt is not None:
        return
    for entry in seen.snapshot.ocsp:
        if entry.answer is not None or not (entry.has_hash and entry.has_response):
            continue
        about = subject(entry, seen)
        held = seen.surroundings.responses.get(entry.response_path)
        encoded = None if about is None else believed(held, *about, seen)
        if encoded is not None:
            yield Write(entry.response_path, encoded)


def _modes(seen: Inspection) -> Iterator[NewMode]:
    """Rights that are taken from everybody. What only a group has stays: it may be meant so."""
    modes: dict[Path, NewMode] = {}
    for place in seen.surroundings.places:
        if place.rights is not None:
            old = place.rights.mode
            new = _KEY_DIRECTORY_MODE if place.holds_keys and old & OTHERS else old & ~_WRITE_ALL
            modes[place.path] = NewMode(place.path, old, new)
    files = {path: rights for path, rights in seen.surroundings.files.items() if rights.leads_to is None}
    for path, rights in files.items():
        modes[path] = NewMode(path, rights.mode, rights.mode & ~_WRITE_ALL)
    for path in {key.path for key in keys(seen)} | seen.surroundings.key_copies.keys():
        if path in modes and modes[path].old & OTHERS:
            modes[path] = modes[path]._replace(new=_KEY_MODE)
    yield from (mode for _, mode in sorted(modes.items()) if mode.new != mode.old)
