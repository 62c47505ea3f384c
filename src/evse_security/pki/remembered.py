"""Remembering what short octets say: names, keys and extensions that a store holds a thousand times."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

T = TypeVar("T")


def remembered(count: int, *, longest: int) -> Callable[[Callable[[bytes], T]], Callable[[bytes], T]]:
    """Have a reader remember the last `count` answers, for octets of at most `longest`.

    Longer ones are read each time and leave nothing, so that nobody fills the memory. What raises is not remembered.
    """

    def remembering(read: Callable[[bytes], T]) -> Callable[[bytes], T]:
        remember = lru_cache(count)(read)

        @wraps(read)
        def ask(octets: bytes) -> T:
            return remember(octets) if len(octets) <= longest else read(octets)

        return ask

    return remembering


def shared(octets: bytes) -> bytes:
    """One object for equal octets that come again and again, such as where the parts of alike certificates lie."""
    return _shared(octets) if len(octets) <= _LONGEST_SHARED else octets


_LONGEST_SHARED = 64
_shared = lru_cache(256)(bytes)
