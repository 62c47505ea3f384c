"""Directories in memory: these tests make thousands of files and force each to the disk. Commands ready to run."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
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
