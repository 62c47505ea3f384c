"""The largest inputs, in processes that may take little memory beyond the input, and a time that none ever needs."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tests.hostile.large import MIB, Large, cases
from tests.laws.children import forks, run

MOST = 96 * MIB
"""Octets of memory beyond what is taken before: refused is what is large before it is copied."""
SECONDS = 60

_LEFT_OUT = (
    ", JSON",
    "blanks",
    "base64 in lines",
    "half a surrogate pair",
    "of one certificate",
    "ca/v2g/V2G",
    "20 roots",
)
TRIED = {name: large for name, large in cases() if not any(word in name for word in _LEFT_OUT)}
"""`make fuzz ARGS=--bounds` tries all, and measures."""


@forks
@pytest.mark.parametrize("name", TRIED)
def test_it_is_refused_in_little_memory(tmp_path: Path, name: str) -> None:
    assert run(lambda: _tried(TRIED[name], tmp_path)) == 0


def _tried(large: Large, directory: Path) -> None:
    prepared = large.made(directory)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MOST, taken + MOST))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    assert large.tried(prepared)
