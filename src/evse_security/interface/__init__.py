"""THE declaration of the interface: one module per revision, one method per command.

Signatures, types and docstrings are all there is to a command: dispatch, command line, schemas and the reference
documentation are read off them. Adding a command is one method here and one in the station.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

REVISIONS: dict[str, str] = {
    "2023-10": "evse_security.interface.r2023_10",
    "2026-04": "evse_security.interface.r2026_04",
}
"""Revision -> the module that declares it, oldest first. Each holds `Interface` and `Variables`."""

NEWEST = "2026-04"
WITH_OEM: Final = "2026-04-oem"
ADDITIONS: dict[str, str] = {WITH_OEM: "evse_security.interface.r2026_04_oem"}
"""What is ours beside the revisions, declared as they are: commands that differ from a revision's in their types.

Nobody who speaks a revision meets it; EVerest and its API do not know it.
"""
EVERYTHING = {**REVISIONS, **ADDITIONS}
"""All that can be asked for by name."""


def changes_the_store(command: F) -> F:
    """Mark a command that may change what is on disk; all others only read."""
    command.changes_the_store = True  # type: ignore[attr-defined]
    return command
