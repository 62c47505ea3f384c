"""Which lines of our own functions were reached, by a trace function that takes a line's event only once."""

from __future__ import annotations

import inspect
import sys
import types
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import evse_security

SOURCE = Path(evse_security.__file__).parent
Lines = dict[str, set[int]]


class Coverage:
    """Lines by file. Functions all of whose lines were reached cost nothing any more but their call."""

    def __init__(self) -> None:
        """Nothing was reached yet."""
        self.reached: Lines = defaultdict(set)
        self.count = 0
        self._unreached: dict[types.CodeType, set[int] | None] = {}

    def traced(self, function: Callable[[], None]) -> bool:
        """Call a function. Whether it reached a line that none reached before."""
        before = self.count
        sys.settrace(self._call)
        try:
            function()
        finally:
            sys.settrace(None)
        return self.count > before

    def _call(self, frame: types.FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        try:
            missing = self._unreached[code]
        except KeyError:
            ours = code.co_filename.startswith(str(SOURCE)) and _is_function(code)
            missing = self._unreached[code] = _lines(code) - self.reached[code.co_filename] if ours else None
        if not missing:
            return None

        def line(frame: types.FrameType, event: str, argument: Any) -> Any:
            if event == "line" and frame.f_lineno in missing:
                missing.discard(frame.f_lineno)
                self.reached[code.co_filename].add(frame.f_lineno)
                self.count += 1
            return line

        return line

    def table(self, packages: tuple[str, ...]) -> Iterator[tuple[str, int, int]]:
        """Of each package: its name, lines reached, lines there are."""
        for package in packages:
            files = sorted((SOURCE / package).rglob("*.py"))
            there = {str(file): set(_all_lines(file)) for file in files}
            reached = sum(len(lines & self.reached.get(file, set())) for file, lines in there.items())
            yield package, reached, sum(map(len, there.values()))

    def missed(self, packages: tuple[str, ...]) -> Iterator[tuple[str, list[int]]]:
        """Of each file: the lines that nothing reached."""
        for file in (file for package in packages for file in sorted((SOURCE / package).rglob("*.py"))):
            left = set(_all_lines(file)) - self.reached.get(str(file), set())
            if left:
                yield str(file.relative_to(SOURCE)), sorted(left)


def _is_function(code: types.CodeType) -> bool:
    """Whether this is the code of a function; modules and classes are run when they are imported."""
    return bool(code.co_flags & inspect.CO_OPTIMIZED)


def _lines(code: types.CodeType) -> set[int]:
    return {line for _, _, line in code.co_lines() if line and line != code.co_firstlineno}


def _all_lines(file: Path) -> Iterator[int]:
    waiting = [compile(file.read_bytes(), str(file), "exec")]
    while waiting:
        code = waiting.pop()
        waiting += [one for one in code.co_consts if isinstance(one, types.CodeType)]
        if _is_function(code):
            yield from _lines(code)
