"""Keeping copies of files before they are changed, and taking rights away from them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from evse_security.errors import NotWritable


def keep_aside(paths: Iterable[Path], common: Path, aside: Path, force: Callable[[int], object] = os.fsync) -> None:
    """Copy files into a new directory that nobody else may look into, each under its path below `common`.

    Links are copied as links; what is gone is passed over. All is forced to the disk: what is removed then may not be
    lost in a power cut. Raises `NotWritable`.
    """
    try:
        above = [one for one in aside.parents if not one.exists()]
        aside.mkdir(mode=0o700, parents=True)
        for path in paths:
            target = aside / os.path.relpath(path, common)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _copy(path, target)
        for directory, _, names in os.walk(aside, topdown=False):
            for name in (*names, "."):
                _force(os.path.join(directory, name), force)
        for one in (aside, *above):
            _force(one.parent, force)
    except OSError as error:
        problem = f"{error.strerror or error}; nothing is mended before the files are kept as they are"
        raise NotWritable(str(error.filename or aside), problem) from error


def _copy(path: Path, target: Path) -> None:
    """Copy one file with its mode and times; readable to nobody else from its first byte."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISREG(found.st_mode):
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        shutil.copyfile(path, target, follow_symlinks=False)
        shutil.copystat(path, target, follow_symlinks=False)
    elif stat.S_ISLNK(found.st_mode):
        target.symlink_to(os.readlink(path))


def _force(path: str | Path, force: Callable[[int], object]) -> None:
    """Force a file or directory to the disk; a link is forced with its directory."""
    if not os.path.islink(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            force(descriptor)
        finally:
            os.close(descriptor)


def set_mode(path: Path, mode: int) -> None:
    """Give a regular file or a directory other permission bits; a link is not followed. Raises `NotWritable`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
                raise NotWritable(str(path), "neither a file nor a directory")
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise NotWritable(str(path), error.strerror or str(error)) from error
