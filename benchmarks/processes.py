"""Running the functions of `benchmarks.children` in new processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast


def _command(name: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "benchmarks.children", name, *map(str, arguments)]


def child(name: str, *arguments: str | Path) -> dict[str, float]:
    """What a new process measured."""
    done = subprocess.run(_command(name, *arguments), check=True, stdout=subprocess.PIPE, text=True)
    return cast(dict[str, float], json.loads(done.stdout.splitlines()[-1]))


@contextmanager
def running_child(name: str, *arguments: object) -> Iterator[None]:
    """A process that runs until the block ends."""
    with subprocess.Popen(_command(name, *map(str, arguments))) as process:
        try:
            yield
        finally:
            process.terminate()


class Renamer:
    """Another process that renames files when it is told to."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        """Talk through these."""
        self._requests, self._answers = requests, answers

    def __call__(self, pairs: Iterable[tuple[Path, Path]]) -> None:
        """Have files renamed, and wait until they are."""
        self._requests.write(json.dumps([(str(source), str(target)) for source, target in pairs]) + "\n")
        self._requests.flush()
        assert self._answers.readline() == "done\n"


@contextmanager
def renamer() -> Iterator[Renamer]:
    """Start that process; it ends with the block."""
    with subprocess.Popen(_command("rename"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        yield Renamer(process.stdin, process.stdout)
        process.stdin.close()
