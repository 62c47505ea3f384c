"""Tables that change a little at a time and are shared by all pictures of a store.

A picture that was handed out is never altered; copying everything for every change would make each leaf that is
installed cost what all that are there cost. So what changed lies over what was there, until that is worth a copy.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

_FEW = 256
"""Changes that may lie over a table. Each further one copies them, and every so many cost a copy of the table."""
_FEW_IN_ORDER = 64
"""The same over an order, where they are searched one by one."""


class Table(Generic[Key, Value]):
    """Values by key, the last ones last: an entry that is set anew goes to the end. Never altered once made."""

    __slots__ = ("_base", "_count", "_over")

    def __init__(self, base: Mapping[Key, Value] | None = None) -> None:
        """These entries; the mapping must not be altered any more."""
        self._base: Mapping[Key, Value] = base or {}
        self._over: dict[Key, Value | None] = {}
        self._count = len(self._base)

    def get(self, key: Key) -> Value | None:
        """The value; None where there is none."""
        return self._over[key] if key in self._over else self._base.get(key)

    def __contains__(self, key: Key) -> bool:
        return self.get(key) is not None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Key]:
        return iter(self._merged())

    def items(self) -> Iterator[tuple[Key, Value]]:
        """All entries."""
        return iter(self._merged().items())

    def values(self) -> Iterator[Value]:
        """All values."""
        return iter(self._merged().values())

    def _merged(self) -> Mapping[Key, Value]:
        """The entries as one mapping."""
        if not self._over:
            return self._base
        found = dict(self._base)
        for key, value in self._over.items():
            found.pop(key, None)
            if value is not None:
                found[key] = value
        return found

    def changed(self, changes: Mapping[Key, Value | None]) -> Table[Key, Value]:
        """The table with these entries; None takes one out."""
        if not changes:
            return self
        new: Table[Key, Value] = Table()
        came = sum(value is not None and key not in self for key, value in changes.items())
        went = sum(value is None and key in self for key, value in changes.items())
        new._base, new._count = self._base, self._count + came - went
        new._over = self._over.copy()
        for key, value in changes.items():
            new._over.pop(key, None)
            new._over[key] = value
        return new if len(new._over) <= _FEW else Table(new._merged())


class Notes(Generic[Key, Value]):
    """What was worked out and is worth remembering. Notes are added; notes derived from these have their own."""

    __slots__ = ("_added", "_table")

    def __init__(self, table: Table[Key, Value] | None = None) -> None:
        """These notes."""
        self._table: Table[Key, Value] = Table() if table is None else table
        self._added: dict[Key, Value] = {}

    def get(self, key: Key) -> Value | None:
        """What was noted; None where nothing was."""
        found = self._added.get(key)
        return self._table.get(key) if found is None else found

    def add(self, key: Key, value: Value) -> None:
        """Note something that holds for as long as these notes."""
        self._added[key] = value

    def __len__(self) -> int:
        return len(self._table) + len(self._added)

    def settled(self) -> Table[Key, Value]:
        """All notes. Those that were added are part of the table from now on: what is derived from it shares them."""
        added = self._added.copy()  # others may be adding
        if added:
            self._table = self._table.changed(added)
            self._added = {}  # what they add at this moment is worked out once more
        return self._table


def one_or_more(values: Sequence[Value]) -> Value | tuple[Value, ...]:
    """How a table keeps values by something that most have for themselves: one alone without a tuple around it.

    Nothing is an empty tuple. For values that are no tuples themselves.
    """
    return values[0] if len(values) == 1 else tuple(values)


def each(found: Value | tuple[Value, ...] | None) -> tuple[Value, ...]:
    """The values that were kept so."""
    if isinstance(found, tuple):
        return found
    return () if found is None else (found,)


class Draft(Generic[Key, Value]):
    """Changes of a table that are being put together."""

    def __init__(self, table: Table[Key, Value]) -> None:
        """Nothing is changed yet."""
        self.table = table
        self.changes: dict[Key, Value | None] = {}

    def get(self, key: Key) -> Value | None:
        """The value as it is after the changes so far."""
        return self.changes[key] if key in self.changes else self.table.get(key)

    def put(self, key: Key, value: Value | None) -> None:
        """Set an entry; nothing (None, zero, an empty tuple) takes it out."""
        self.changes[key] = value or None

    def done(self) -> Table[Key, Value]:
        """The table after the changes."""
        return self.table.changed(self.changes)


class Order(Generic[Value]):
    """Values from the least to the greatest. Never altered once made."""

    def __init__(self, values: Iterable[Value], rank: Callable[[Value], Any]) -> None:
        """`rank` says what each is compared by; no two may have the same."""
        self._rank = rank
        self._base: Sequence[Value] = sorted(values, key=rank)
        self._without: frozenset[int] = frozenset()
        self._over: Sequence[Value] = ()

    def __iter__(self) -> Iterator[Value]:
        if not self._without and not self._over:
            return iter(self._base)
        kept = (value for place, value in enumerate(self._base) if place not in self._without)
        return merge(kept, self._over, key=self._rank)

    def changed(self, gone: Iterable[Value], came: Iterable[Value]) -> Order[Value]:
        """The order without some values, and with others."""
        new: Order[Value] = Order((), self._rank)
        over, without = list(self._over), set(self._without)
        for value in gone:
            if any(one is value for one in over):
                over = [one for one in over if one is not value]
            else:
                without.add(bisect_left(self._base, self._rank(value), key=self._rank))
        new._over = sorted((*over, *came), key=self._rank)
        new._base, new._without = self._base, frozenset(without)
        if len(new._over) + len(without) > _FEW_IN_ORDER:
            new._base, new._over, new._without = tuple(new), (), frozenset()
        return new
