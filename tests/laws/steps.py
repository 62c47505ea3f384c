"""`Files` that watch, kill, fail or pause: every step of writing goes through one method."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from evse_security.store.files import Files


class Step(NamedTuple):
    """One step of writing: which of them all, what it is, and to which path."""

    number: int
    name: str
    path: Path


class Killed(BaseException):
    """The process is no more. No Exception, so that nothing can catch it and go on."""


class Watched(Files):
    """Tells `before` of each step first. It may raise, and then the step is not done."""

    def __init__(self, before: Callable[[Step], None] = lambda _: None) -> None:
        self.before = before
        self.steps: list[Step] = []

    def step(self, name: str, path: Path) -> None:
        self.steps.append(Step(len(self.steps), name, path))
        self.before(self.steps[-1])

    def make_directory(self, path: Path, mode: int) -> None:
        self.step("make_directory", path)
        super().make_directory(path, mode)

    def write_new(self, path: Path, content: bytes, mode: int, owner: tuple[int, int] | None, time: float) -> None:
        self.step("write_new", path)
        super().write_new(path, content, mode, owner, time)

    def write_copy(self, path: Path, content: bytes, mode: int, owner: tuple[int, int] | None, time: float) -> None:
        self.step("write_copy", path)
        super().write_copy(path, content, mode, owner, time)

    def make_link(self, path: Path, leads_to: str) -> None:
        self.step("make_link", path)
        super().make_link(path, leads_to)

    def keep(self, path: Path, aside: Path) -> None:
        self.step("keep", path)
        super().keep(path, aside)

    def replace(self, source: Path, target: Path) -> None:
        self.step("replace", target)
        super().replace(source, target)

    def remove(self, path: Path) -> None:
        self.step("remove", path)
        super().remove(path)

    def sync_directory(self, path: Path) -> None:
        self.step("sync_directory", path)
        super().sync_directory(path)

    def append(self, path: Path, addition: bytes) -> None:
        self.step("append", path)
        super().append(path, addition)


class DyingAt(Watched):
    """Dies before the step of this number, and does nothing from then on.

    `torn`: dies in the middle of it instead, where it is one that can be half done: content half written.
    """

    def __init__(self, number: int, *, torn: bool = False) -> None:
        super().__init__(self.die_at)
        self.number, self.torn = number, torn

    def die_at(self, step: Step) -> None:
        if step.number >= self.number and not (self.torn and step.number == self.number):
            raise Killed

    def write_new(self, path: Path, content: bytes, mode: int, owner: tuple[int, int] | None, time: float) -> None:
        half = self.torn and len(self.steps) == self.number
        super().write_new(path, content[: len(content) // 2] if half else content, mode, owner, time)
        if half:
            raise Killed


class KillingItselfAt(Watched):
    """Has the kernel kill this process before the step of this number."""

    def __init__(self, number: int) -> None:
        super().__init__(lambda step: os.kill(os.getpid(), signal.SIGKILL) if step.number == number else None)


class FailingAt(Watched):
    """Fails the steps of these numbers with an error of the operating system."""

    def __init__(self, number: int, error: int, *, for_good: bool = False) -> None:
        super().__init__(self.fail)
        self.number, self.error, self.for_good = number, error, for_good

    def mend(self) -> None:
        """From now on nothing fails any more."""
        self.before = lambda _: None

    def fail(self, step: Step) -> None:
        if step.number == self.number or (self.for_good and step.number > self.number):
            raise OSError(self.error, os.strerror(self.error), str(step.path))


class MountedByItself(Watched):
    """Cannot replace this file, as a file cannot be replaced that is mounted into a container."""

    def __init__(self, mounted: Path) -> None:
        super().__init__()
        self.mounted = mounted

    def replace(self, source: Path, target: Path) -> None:
        if target == self.mounted:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(target))
        super().replace(source, target)

    def keep(self, path: Path, aside: Path) -> None:
        if path == self.mounted:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(path))
        super().keep(path, aside)
