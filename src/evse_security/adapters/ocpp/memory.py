"""What a station remembers across restarts of what goes on between it and its CSMS."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evse_security.adapters.ocpp import events, root_trial, trial
from evse_security.adapters.ocpp.events import Waiting
from evse_security.adapters.ocpp.root_trial import RootMemory
from evse_security.adapters.ocpp.trial import Trial
from evse_security.adapters.ocpp.uses import SigningUse
from evse_security.agents.renewal import record as records
from evse_security.agents.renewal.record import Record
from evse_security.errors import EvseSecurityError
from evse_security.service.state import StateDamaged, StateFile

log = logging.getLogger(__name__)

VERSION = 1
RENEWALS, EVENTS, ROOTS = "ocpp.json", "ocpp-events.json", "ocpp-roots.json"
_LONGEST_SETTING, _MOST_SETTINGS, _LONGEST_CHAIN = 1000, 20, 100_000


@dataclass(eq=False)
class NotReadable(EvseSecurityError):
    """What is remembered is there, and cannot be read for now: it would be forgotten if it were begun anew."""

    template = "{path} cannot be read: {problem}; what it remembers is not begun anew while it is there"
    path: str
    problem: str


class Memory:
    """Pending requests, the trial of a client certificate, settings of the CSMS, and events that wait.

    Its methods wait for the disk. A disk that takes nothing is told of once, and holds up nothing.
    """

    def __init__(self, directory: Path | None) -> None:
        """Read what is remembered; None: nothing outlives a restart. Raises `NotReadable`.

        Going on without it would take a lower security profile or a root that was left for as good as before.
        """
        self._renewals = None if directory is None else StateFile(directory / RENEWALS)
        self._events = None if directory is None else StateFile(directory / EVENTS)
        self._roots = None if directory is None else StateFile(directory / ROOTS)
        self._unwritten: dict[StateFile, Any] = {}
        """What the disk has not taken yet."""
        self.records: dict[SigningUse, Record] = {}
        self.accepted: dict[SigningUse, str] = {}
        """Fingerprints of the leaves that were installed last: who sends one twice did not hear the answer."""
        self.installing = ""
        """The chain of a combined certificate that is being installed: a power cut may leave it in one place alone."""
        self.trial: Trial | None = None
        self.settings: dict[str, str] = {}
        self.waiting: tuple[Waiting, ...] = ()
        self.roots = RootMemory()
        self._load()

    def _load(self) -> None:
        for file, take in (
            (self._renewals, self._take_renewals),
            (self._events, self._take_events),
            (self._roots, self._take_roots),
        ):
            if file is None:
                continue
            try:
                _read(file, take)
            except StateDamaged as problem:
                log.warning("what was remembered for the CSMS is lost: %s", problem)
            except OSError as problem:
                raise NotReadable(str(file.path), problem.strerror or str(problem)) from None

    def _take_renewals(self, content: Mapping[str, Any]) -> None:
        leaves, accepted, settings = (_members(content.get(name)) for name in ("leaves", "accepted", "settings"))
        found = {SigningUse(use): records.from_json(one) for use, one in leaves.items()}
        known = {SigningUse(use): _text(one) for use, one in accepted.items()}
        installing = _text(content.get("installing", ""), _LONGEST_CHAIN)
        if len(settings) > _MOST_SETTINGS:
            raise ValueError("too many settings")
        said = {_text(name): _text(value) for name, value in settings.items()}
        self.trial = trial.from_json(content.get("trial"))
        self.records, self.accepted, self.settings, self.installing = found, known, said, installing

    def _take_events(self, content: Mapping[str, Any]) -> None:
        self.waiting = events.from_json(content.get("events"))

    def _take_roots(self, content: Mapping[str, Any]) -> None:
        self.roots = root_trial.from_json(content)

    def renewal(self, use: SigningUse) -> Record:
        """What is remembered of the leaf of a use."""
        return self.records.get(use, Record())

    def put(self, use: SigningUse, record: Record) -> None:
        """Remember, and write it down if it is new."""
        if self.renewal(use) != record:
            self.records[use] = record
            self.save()

    def save(self) -> None:
        """Write down what was changed."""
        content = {
            "version": VERSION,
            "leaves": {use.value: records.to_json(record) for use, record in self.records.items()},
            "accepted": {use.value: fingerprint for use, fingerprint in self.accepted.items()},
            "installing": self.installing,
            "trial": trial.to_json(self.trial),
            "settings": self.settings,
        }
        self._write(self._renewals, content)

    def queue(self, waiting: tuple[Waiting, ...]) -> None:
        """Remember which events wait."""
        if self.waiting != waiting:
            self.waiting = waiting
            self._write(self._events, {"version": VERSION, "events": events.to_json(waiting)})

    def remember_roots(self, roots: RootMemory) -> None:
        """Remember what goes on between two CSMS roots."""
        if self.roots != roots:
            self.roots = roots
            self._write(self._roots, {"version": VERSION, **root_trial.to_json(roots)})

    def _write(self, file: StateFile | None, content: Any) -> None:
        if file is not None:
            was_told = bool(self._unwritten)
            self._unwritten[file] = content
            self.write_again(was_told=was_told)

    @property
    def is_written(self) -> bool:
        """Whether the disk has all that it is to have."""
        return not self._unwritten

    def write_again(self, *, was_told: bool = True) -> None:
        """Write down what the disk did not take before: nothing else would, until something changes."""
        for file, content in tuple(self._unwritten.items()):
            try:
                file.save(content)
            except OSError as problem:
                if not was_told:
                    log.warning("what is agreed with the CSMS is not remembered across restarts: %s", problem)
                was_told = True
            else:
                if self._unwritten.get(file) is content:  # and nothing newer, nor another thread was quicker
                    self._unwritten.pop(file, None)


def _read(file: StateFile, take: Callable[[Mapping[str, Any]], None]) -> None:
    """Take what a file holds, if there is one. Raises `StateDamaged`, having set the file aside, and OSError."""
    content = file.load()
    if content is None:
        return
    try:
        if not isinstance(content, Mapping) or content.get("version") != VERSION:
            raise ValueError(f"not version {VERSION}")
        take(content)
    except (ValueError, TypeError) as problem:
        raise file.damaged(str(problem)) from None


def _members(written: object) -> Mapping[str, Any]:
    if not isinstance(written, Mapping | None):
        raise ValueError("no object")
    return written or {}


def _text(value: object, longest: int = _LONGEST_SETTING) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise ValueError("no text")
    return value
