"""The records of all leaves while the service runs: in memory, and on the disk as far as that takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from evse_security.agents.renewal.memory import Memory
from evse_security.agents.renewal.record import Cause, Record
from evse_security.service.renewals import Renewed
from evse_security.service.state import StateDamaged


class Records:
    """What is remembered of each leaf. A disk that takes nothing is told of once, and holds up nothing."""

    def __init__(self, memory: Memory, warn: Callable[[str], None]) -> None:
        """Nothing is read yet."""
        self._memory, self._warn = memory, warn
        self._records: dict[Renewed, Record] = {}
        self._saving = asyncio.Lock()
        self._forgetful = False
        self._is_read = False
        """Whether what is on the disk is known: nothing is written over what is not."""

    def __getitem__(self, leaf: Renewed) -> Record:
        return self._records.get(leaf, Record())

    async def load(self) -> None:
        """Read what is remembered, but for what is known already. What cannot be read now is tried again."""
        try:
            await self._read()
        except OSError as problem:
            self._warn(f"what is remembered of renewals cannot be read, and stays as it is: {problem}")

    async def _read(self) -> None:
        """Read it, if that was not done yet. Raises OSError."""
        if self._is_read:
            return
        try:
            known = await asyncio.to_thread(self._memory.load)
            since = {leaf: _since(known.get(leaf, one), one) for leaf, one in self._records.items()}
            self._records = {**known, **since}
        except StateDamaged as problem:  # it was set aside
            self._warn(f"what was remembered of renewals is lost: {problem}")
        self._is_read = True

    def note(self, leaf: Renewed, record: Record) -> None:
        """Remember; it is written down with the next that is."""
        self._records[leaf] = record

    async def put(self, leaf: Renewed, record: Record) -> None:
        """Remember, and write it down if it is new, or if the disk did not take what was new before."""
        if self[leaf] == record and not self._forgetful:
            return
        self._records[leaf] = record
        # A thread cannot be cancelled, and of two that write, the one that ends last would be right.
        await asyncio.shield(asyncio.create_task(self._save()))

    async def trigger(self, leaves: Sequence[Renewed], who: str) -> None:
        """Remember that somebody asks for these leaves: first on the disk, so that what was accepted is not lost.

        Raises OSError, and nothing is remembered then.
        """
        await asyncio.shield(asyncio.create_task(self._save_trigger(leaves, who)))

    async def _save_trigger(self, leaves: Sequence[Renewed], who: str) -> None:
        async with self._saving:
            await self._read()
            await asyncio.to_thread(self._memory.save, {**self._records, **self._triggered(leaves, who)})
            self._records |= self._triggered(leaves, who)  # others may have changed meanwhile, and wait to be written

    def _triggered(self, leaves: Sequence[Renewed], who: str) -> dict[Renewed, Record]:
        return {leaf: replace(self[leaf], trigger=who) for leaf in leaves}

    async def settled(self) -> None:
        """Wait until all is written down, also for those who waited no longer."""
        async with self._saving:
            pass

    async def _save(self) -> None:
        async with self._saving:
            try:
                await self._read()
                await asyncio.to_thread(self._memory.save, dict(self._records))
                self._forgetful = False
            except OSError as problem:
                if not self._forgetful:
                    why = f"{self._memory.place} cannot be written: {problem.strerror or problem} (state_directory)"
                    self._warn(f"renewals are not remembered across restarts: {why}")
                self._forgetful = True


def _since(known: Record, since: Record) -> Record:
    """What holds of a leaf that was looked at before what was remembered of it could be read.

    A renewal that has begun since goes on; who asked for one before that was told that it is written down.
    """
    return known if since.cause is Cause.none else replace(since, trigger=since.trigger or known.trigger)
