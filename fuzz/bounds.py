"""What the largest inputs cost: each in a process of its own, by the clock and by the most memory that it took."""

from __future__ import annotations

import logging
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from tests.hostile.home import in_memory
from tests.hostile.large import Large, cases, stores

MOST_SECONDS, MOST_MIB = 1.0, 64
ENOUGH = 4 << 30
"""Bytes of memory after which a process is ended, for the sake of the others."""


def main(only: str = "") -> int:
    """Print a table; 1 if anything took more than it may."""
    over = 0
    logging.disable()  # why each is refused is in its answer
    print(f"{'s':>6} {'MiB':>5}  what: answer")
    for bounded, every in ((True, cases()), (False, stores())):
        for name, large in every:
            if only not in name:
                continue
            seconds, mib, answer = measured(large)
            too_much = bounded and (seconds > MOST_SECONDS or mib > MOST_MIB)
            over += too_much
            print(f"{seconds:6.2f} {mib:5.0f}{'!' if too_much else ' '} {name}: {answer[:70]}", flush=True)
    print(f"{over} over {MOST_SECONDS} s or {MOST_MIB} MiB")
    return bool(over)


def measured(large: Large) -> tuple[float, float, str]:
    """Seconds, MiB beyond what the input itself takes, and what came of it."""
    there, here = os.pipe()
    child = os.fork()
    if not child:
        _measure(large, here)
    os.close(here)
    with os.fdopen(there) as pipe:
        said = pipe.read().split("\n", 2)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return (float(said[0]), float(said[1]), said[2]) if status == 0 else (99.0, 9999.0, f"ended with {status}")


def _measure(large: Large, here: int) -> None:
    status = 1
    try:
        resource.setrlimit(resource.RLIMIT_AS, (ENOUGH, ENOUGH))
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
            prepared = large.made(Path(directory))
            _forget_the_most()
            before, begin = _most(), time.perf_counter()
            answer = large.tried(prepared)
            taken = time.perf_counter() - begin
            os.write(here, f"{taken}\n{(_most() - before) / 1024}\n{ascii(answer)[:200]}".encode())
        status = 0
    except BaseException as problem:
        print(f"{type(problem).__name__}: {str(problem)[:200]}", file=sys.stderr)
    finally:
        os._exit(status)


def _forget_the_most() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _most() -> int:
    """The most memory since then, in KiB (proc(5), VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
