"""A station that is killed between two calls of the kernel that write."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

STEPS = ("replace", "rename", "unlink", "fsync", "link")
"""The calls before which it is killed."""


def killed_at(number: int, act: Callable[[], object]) -> None:
    """Act in a child that is killed before the call of that number."""
    if os.fork():
        return
    left = iter(range(number))

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return step

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))
    act()
    os._exit(0)
