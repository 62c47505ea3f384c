"""What a part of the service remembers across restarts: one small JSON file, whole or as it was before."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from evse_security.errors import EvseSecurityError

log = logging.getLogger(__name__)

MOST_BYTES = 1 << 21
"""Bytes of such a file: more than any needs. One with 400 events whose texts are no ASCII has 1.3 million."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class StateDamaged(EvseSecurityError):
    """A file of remembered things that cannot be used. It was set aside."""

    template = "{path} cannot be used and was set aside as {aside}: {problem}"

    def __init__(self, path: Path, aside: Path, problem: str) -> None:
        self.path, self.aside, self.problem = path, aside, problem


class StateFile:
    """A JSON file in a private directory. Its methods wait for the disk; all but `load` raise OSError alone."""

    def __init__(self, path: Path) -> None:
        """Nothing is read or written yet; the directory is made when something is first saved."""
        self.path = path

    def load(self) -> Any:
        """What was saved last; None if nothing was. Raises `StateDamaged` and OSError."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(MOST_BYTES + 1)
        try:
            if len(content) > MOST_BYTES:
                raise ValueError(f"more than {MOST_BYTES} bytes")
            return json.loads(content)
        except (ValueError, RecursionError) as problem:
            raise self.damaged(f"{type(problem).__name__}: {problem}") from None

    def damaged(self, problem: str) -> StateDamaged:
        """Set the file aside, and say so."""
        aside = self.path.with_name(f"{self.path.name}.damaged")
        os.replace(self.path, aside)
        return StateDamaged(self.path, aside, problem)

    def save(self, content: Any) -> None:
        """Replace what was saved: after a crash there is the old or the new."""
        data = json.dumps(content, indent=1).encode()
        directory = _directory(self.path.parent)
        try:
            temporary = f".{self.path.name}.new"
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=directory), "wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path.name, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)
        finally:
            os.close(directory)


class Claim:
    """A directory of remembered things is one service's alone, until it lets go of it or ends in whatever way."""

    def __init__(self, directory: Path | None) -> None:
        """Nothing is claimed yet. None: there is nothing that two could have."""
        self._directory = directory
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Whether it is ours now; false while another process or service has it.

        It is ours too where nothing can be remembered (no such directory, no locks there): nobody else can either.
        """
        if self._directory is None or self._descriptor is not None:
            return True
        try:
            self._descriptor = _directory(self._directory)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            return False
        except OSError as problem:
            log.warning("%s cannot be kept from other services: %s", self._directory, problem.strerror or problem)
        return True

    def release(self) -> None:
        """Let others have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _directory(place: Path) -> int:
    """An open directory, made with mode 0700 if it is missing; its parents are not.

    A link is followed if it is ours or root's, as systemd makes one for a DynamicUser.
    """
    try:
        return os.open(place, _DIRECTORY)
    except FileNotFoundError:
        with suppress(FileExistsError):  # another service begins at the same time
            os.mkdir(place, 0o700)
        force(place.parent)
    except NotADirectoryError:
        if os.path.islink(place) and os.lstat(place).st_uid in (0, os.geteuid()):
            return os.open(os.path.realpath(place), _DIRECTORY)
        raise
    return os.open(place, _DIRECTORY)


def force(directory: Path) -> None:
    """Force the names in a directory to the disk: what is saved in a new one would go with it in a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
