"""Whether a directory is ours: what lies in one that others may write in may be their work, also a moment later."""

from __future__ import annotations

import errno
import logging
import os
import stat
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)


def fault(directory: Path) -> str | None:
    """Why a directory must not be relied upon, and what mends that; None: it is ours, root's, or not there.

    Raises OSError.
    """
    try:
        found = os.stat(directory)
    except FileNotFoundError:
        return None
    user = os.geteuid()
    if found.st_uid not in (0, user):
        return f"it belongs to user {found.st_uid}: chown it to user {user}, or run this as its owner"
    if found.st_mode & stat.S_IWOTH:
        return f"it is writable by everybody (mode {stat.S_IMODE(found.st_mode):04o}): chmod go-w it"
    return None


def insist(directory: Path) -> None:
    """Raises OSError for a directory that must not be relied upon."""
    found = fault(directory)
    if found is not None:
        raise OSError(errno.EPERM, found, str(directory))


def warn_of_others(what: str, directory: Path) -> None:
    """Warn where others may write. Of a group only people know whether it is this user's own: nothing is refused."""
    with suppress(OSError):
        found = fault(directory)
        if found is None and directory.exists() and directory.stat().st_mode & stat.S_IWGRP:
            found = "it is writable by its group: chmod g-w it, unless nobody else is in that"
        if found is not None:
            log.warning("%s: %s: %s", what, directory, found)
