"""Keeping what is in this process's memory there."""

from __future__ import annotations

import ctypes
import logging
import os
import resource
from contextlib import suppress

log = logging.getLogger(__name__)

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def shield() -> None:
    """Write no core dumps, and let no other process of this user look into the memory.

    The password of the private keys is in it, and for moments the keys.
    """
    with suppress(OSError, ValueError):  # a unit of systemd forbids it, and has set it itself
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        log.warning("core dumps cannot be turned off: %s", os.strerror(ctypes.get_errno()))
