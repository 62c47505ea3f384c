"""The records of all kinds while the service runs: in memory, and on the disk as far as that takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from evse_security.agents.renewal.memory import Memory
from evse_security.agents.renewal.record import Record
from evse_security.service.state import StateDamaged
from evse_security.vocabulary import LeafCertificateType


class Records:
    """What is remembered of each kind. A disk that takes nothing is told of once, and holds up nothing."""

    def __init__(self, memory: Memory, warn: Callable[[str], None]) -> None:
        """Nothing is read yet."""
        self._memory, self._warn = memory, warn
        self._records: dict[LeafCertificateType, Record] = {}
        self._saving = asyncio.Lock()
        self._forgetful = False

    def __getitem__(self, kind: LeafCertificateType) -> Record:
        return self._records.get(kind, Record())

    async def load(self) -> None:
        """Read what is remembered, but for what is known already."""
        try:
            self._records = {**await asyncio.to_thread(self._memory.load), **self._records}
        except (StateDamaged, OSError) as problem:
            self._warn(f"what was remembered of renewals is lost: {problem}")

    def note(self, kind: LeafCertificateType, record: Record) -> None:
        """Remember; it is written down with the next that is."""
        self._records[kind] = record

    async def put(self, kind: LeafCertificateType, record: Record) -> None:
        """Remember, and write it down if it is new, or if the disk did not take what was new before."""
        if self[kind] == record and not self._forgetful:
            return
        self._records[kind] = record
        # A thread cannot be cancelled, and of two that write, the one that ends last would be right.
        await asyncio.shield(asyncio.create_task(self._save()))

    async def settled(self) -> None:
        """Wait until all is written down, also for those who waited no longer."""
        async with self._saving:
            pass

    async def _save(self) -> None:
        async with self._saving:
            try:
                await asyncio.to_thread(self._memory.save, dict(self._records))
                self._forgetful = False
            except OSError as problem:
                if not self._forgetful:
                    why = f"{self._memory.place} cannot be written: {problem.strerror or problem} (state_directory)"
                    self._warn(f"renewals are not remembered across restarts: {why}")
                self._forgetful = True
