"""Real processes: children forked from the test, that do one thing and are gone.

Forked and not started anew, so that they know the test's certificates. They touch nothing but the store.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

import pytest

forks = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
"""For tests that fork: Python 3.12 warns of it where there are threads, as under pytest-xdist."""


def start(work: Callable[[], object]) -> int:
    """Start a child; it leaves with 0 if the work was done."""
    child = os.fork()
    return child if child else _leave(work)


def _leave(work: Callable[[], object]) -> NoReturn:
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(status)


def wait(child: int) -> int:
    """How a child ended: 0, its exit code, or the negative number of the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(work: Callable[[], object]) -> int:
    """Have a child do some work, and wait for it."""
    return wait(start(work))
