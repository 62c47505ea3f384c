"""What every test may use, and the rule that nothing is skipped where EVSE_SECURITY_NO_SKIP is set (as in CI)."""

import ctypes
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

# The same examples on every machine and in every run; `make fuzz` is where chance comes in.
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.load_profile("fixed")

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

NO_SKIP = bool(os.environ.get("EVSE_SECURITY_NO_SKIP"))


_NEW_MOUNTS, _PRIVATE, _RECURSIVELY = 0x00020000, 1 << 18, 1 << 14
"""CLONE_NEWNS, MS_PRIVATE and MS_REC of Linux."""


@pytest.fixture(scope="session", autouse=True)
def own_mounts() -> None:
    """What tests mount is mounted for this process alone, and what others mount disturbs none; only for root."""
    if sys.platform == "linux" and os.geteuid() == 0:
        libc = ctypes.CDLL(None)
        if libc.unshare(_NEW_MOUNTS) == 0:
            libc.mount(b"none", b"/", None, _PRIVATE | _RECURSIVELY, None)


@pytest.fixture(scope="session")
def realworld(pytestconfig: pytest.Config) -> Path:
    """The real certificates, requests and responses that are kept beside the repository, not in it."""
    directory = pytestconfig.rootpath.parent / "shared" / "data" / "realworld"
    if not directory.is_dir():
        pytest.skip(f"no real-world data in {directory}")
    return directory


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of what is forced to the disk, in order."""
    paths: list[str] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        paths.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    return paths


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _unless_forbidden((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _unless_forbidden((yield))


def _unless_forbidden(report: Report) -> Report:
    if NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is forbidden here: {report.longrepr}"
    return report
