"""Running a program that is not trusted to end, to be brief, or to tidy up."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from evse_security.agents.enrolment.port import MOST_BYTES

T = TypeVar("T")

MOST_SAID = 4096
"""Bytes of the standard error that are kept, the last ones."""
GRACE = 2.0
"""Seconds from asking a program to end to ending it."""
LOOK = 0.02
"""Seconds between looks whether it has ended."""
_INHERITED = ("PATH", "HOME", "TZ", "LANG", "TMPDIR")
"""What programs get of our environment, which may hold passwords."""


class ProgramFailed(Exception):
    """A program that could not be run, took too long or said too much."""


class Ended(NamedTuple):
    """How a program ended."""

    code: int
    output: bytes
    said: str
    """The end of its standard error."""


async def run(
    command: Sequence[str],
    given: bytes = b"",
    *,
    seconds: float,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    descriptors: Sequence[int] = (),
) -> Ended:
    """Run a program without a shell, in a session of its own, that ends with all its children. Raises ProgramFailed.

    `descriptors` are open files that it gets beside the three.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    try:
        process = await _begun(
            asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**inherited, **(environment or {})},
                cwd=directory or "/",
                pass_fds=descriptors,
                start_new_session=True,
            )
        )
    except (OSError, ValueError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else "not a command"
        raise ProgramFailed(f"{command[0]} cannot be run: {why}") from None
    try:
        async with asyncio.timeout(seconds):
            return await _talk(process, given)
    except TimeoutError:
        raise ProgramFailed(f"{command[0]} did not end within {seconds:g} s") from None
    finally:
        await _end(process)


async def _begun(beginning: Coroutine[Any, Any, Process]) -> Process:
    """The process, once it has begun. Whoever stops waiting ends it, too.

    If that were left to asyncio, its children would live on, and would be waited for (python/cpython#119710).
    """
    task = asyncio.ensure_future(beginning)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(OSError, ValueError):
            await _end(await task)
        raise


async def _talk(process: Process, given: bytes) -> Ended:
    try:
        async with asyncio.TaskGroup() as group:
            output, said = group.create_task(_output(process)), group.create_task(_said(process))
            group.create_task(_feed(process, given))
            code = await _ended(process)
            _signal(process, signal.SIGKILL)  # children that it left behind would keep the pipes open
    except* ProgramFailed as failed:
        raise ProgramFailed(str(failed.exceptions[0])) from None
    return Ended(code, output.result(), said.result().decode("utf-8", "replace"))


async def _ended(process: Process) -> int:
    """The exit status. Before Python 3.13, `wait` also waited for all who hold the pipes (python/cpython#119710)."""
    while process.returncode is None:
        await asyncio.sleep(LOOK)
    return process.returncode


def _pipe(pipe: T | None) -> T:
    if pipe is None:
        raise ProgramFailed("there is no pipe to the program")
    return pipe


async def _feed(process: Process, given: bytes) -> None:
    stdin = _pipe(process.stdin)
    with suppress(ConnectionError):  # it need not read
        stdin.write(given)
        await stdin.drain()
    stdin.close()


async def _output(process: Process) -> bytes:
    stdout = _pipe(process.stdout)
    output = bytearray()
    while piece := await stdout.read(65536):
        output += piece
        if len(output) > MOST_BYTES:
            raise ProgramFailed(f"more than {MOST_BYTES} bytes came from the program")
    return bytes(output)


async def _said(process: Process) -> bytes:
    stderr = _pipe(process.stderr)
    said = b""
    while piece := await stderr.read(65536):
        said = (said + piece)[-MOST_SAID:]
    return said


async def _end(process: Process) -> None:
    """End whatever of its session still runs: it is asked to, and ended soon after."""
    if process.returncode is None:
        _signal(process, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await _ended(process)
    _signal(process, signal.SIGKILL)
    await _ended(process)
    process._transport.close()  # type: ignore[attr-defined]  # else its pipes stay open while anybody holds them


def _signal(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
