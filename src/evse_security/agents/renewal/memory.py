"""Where the records of renewals are kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evse_security.agents.renewal.record import Record, from_json, to_json
from evse_security.service.ours import insist
from evse_security.service.renewals import Renewed
from evse_security.service.state import StateFile

FILE = "renewal.json"
VERSION = 1


class Memory:
    """The records of all leaves in one file. Its methods wait for the disk.

    In a directory that others may write in nothing is remembered, nor believed: they could keep leaves from renewal.
    """

    def __init__(self, directory: Path | None) -> None:
        """In a directory; None: nothing outlives a restart."""
        self._file = None if directory is None else StateFile(directory / FILE)
        self.place = directory
        """Where the file is, if anywhere."""

    def load(self) -> Mapping[Renewed, Record]:
        """What is remembered. Raises `StateDamaged`, having set the file aside, and OSError."""
        if self._file is None:
            return {}
        insist(self._file.path.parent)
        content = self._file.load()
        if content is None:
            return {}
        try:
            return _records(content)
        except (ValueError, TypeError) as problem:
            raise self._file.damaged(str(problem)) from None

    def save(self, records: Mapping[Renewed, Record]) -> None:
        """Remember. Raises OSError."""
        if self._file is not None:
            leaves = {leaf.value: to_json(record) for leaf, record in records.items()}
            insist(self._file.path.parent)
            self._file.save({"version": VERSION, "leaves": leaves})


def _records(content: Any) -> dict[Renewed, Record]:
    if not isinstance(content, Mapping) or content.get("version") != VERSION:
        raise ValueError(f"not version {VERSION}")
    leaves = content.get("leaves")
    if not isinstance(leaves, Mapping):
        raise ValueError("leaves is no object")
    return {Renewed(leaf): from_json(record) for leaf, record in leaves.items()}
