"""Directories in memory: these tests make thousands of files and force each to the disk. Commands ready to run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.laws.cases import Case, Cases, made

_MEMORY = Path("/dev/shm")  # noqa: S108  # the directories made in it have names of their own


@pytest.fixture(scope="session")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory in memory where there is one, else on the disk."""
    if not os.access(_MEMORY, os.W_OK):
        yield tmp_path_factory.mktemp("memory")
        return
    directory = Path(tempfile.mkdtemp(prefix="evse-security-", dir=_MEMORY))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def tmp_path(memory: Path) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(dir=memory))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def cases(memory: Path) -> Cases:
    known: dict[str, Case] = {}

    def case(name: str) -> Case:
        if name not in known:
            known[name] = made(name, memory / name.replace(" ", "-"))
        return known[name]

    return case


Mount = Callable[..., None]


@pytest.fixture
def mount() -> Iterator[Mount]:
    """mount(8), undone at the end; only root may."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount file systems")
    mounted: list[str] = []

    def run(*arguments: str | Path) -> None:
        done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
        if "remount" not in str(arguments) and str(arguments[-1]) not in mounted:
            mounted.append(str(arguments[-1]))

    yield run
    for place in reversed(mounted):
        subprocess.run(["umount", place], check=True)
