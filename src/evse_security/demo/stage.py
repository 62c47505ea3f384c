"""Where a play acts: the station, the cast, and what was made on the way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from evse_security import Station
from evse_security.demo.cast import Cast
from evse_security.demo.home import Home
from evse_security.interface import NEWEST, REVISIONS
from evse_security.serve.command import commands

OLDEST = next(iter(REVISIONS))


class Missing(LookupError):
    """Something that an earlier step should have made."""


@dataclass
class Stage:
    """What the steps of a play share."""

    home: Home
    cast: Cast
    station: Station
    props: dict[str, Any] = field(default_factory=dict)
    called: set[tuple[str, str]] = field(default_factory=set)
    """Revision and name of each command that was called."""
    updates: int = 0
    """How often certificate_store_update was published."""
    notes: list[str] = field(default_factory=list)
    """What a step means this time, instead of what it usually means."""

    def call(self, command: str, /, *, revision: str | None = None, **arguments: Any) -> Any:
        """Call a command of the interface in JSON, in the oldest revision that has it unless told otherwise."""
        revision = revision or (OLDEST if command in commands(OLDEST) else NEWEST)
        self.called.add((revision, command))
        return self.station.dispatch(command, arguments, revision=revision)

    def keep(self, what: str, value: Any) -> Any:
        """Keep something for later steps."""
        self.props[what] = value
        return value

    def kept(self, what: str) -> Any:
        """What an earlier step kept. Raises `Missing`."""
        if what not in self.props:
            raise Missing(f"there is no {what}")
        return self.props[what]

    def told(self, path: str | Path) -> str:
        """A path as it is told: relative to the play's directory."""
        path, directory = Path(path), self.home.directory
        return str(path.relative_to(directory)) if path.is_relative_to(directory) else str(path)


Act = Callable[[Stage], str]


class Step(NamedTuple):
    """One thing that is done."""

    name: str
    """A command of the interface; in parentheses, who else does something."""
    about: str
    act: Act
    expected: str | None
    """The answer that must come; None: any that is one."""
    meaning: str
    when: Callable[[Stage], object] = lambda _: True
    """Whether there is anything to do."""


class Scene:
    """Steps that belong together."""

    def __init__(self, title: str, *steps: Step) -> None:
        """In the order in which they are done."""
        self.title = title
        self.steps = steps


@contextmanager
def listening(stage: Stage) -> Iterator[list[str]]:
    """Count what the station publishes and collect what it logs, which is why an answer is no."""
    reasons = _Reasons()
    log = logging.getLogger("evse_security")
    log.addHandler(reasons)

    def count(_: object) -> None:
        stage.updates += 1

    unsubscribe = stage.station.subscribe(count)
    try:
        yield reasons.texts
    finally:
        unsubscribe()
        log.removeHandler(reasons)


class _Reasons(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
