"""How the command line speaks and listens: answers to stdout, complaints to stderr, bounded texts from files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import BinaryIO

from evse_security.visible import printable

LARGEST_FILE = 4 << 20
"""Bytes of a file that is given as an argument: one string of the interface, in UTF-8."""


class Unusable(Exception):
    """Something given on the command line cannot be used."""


class Unwritten(Exception):
    """The answer could not be written."""


PLAIN = str.maketrans({"├": "|", "└": "`", "│": "|", "─": "-"})
"""Branches for terminals that show nothing but ASCII."""


def complain(text: str) -> None:
    """Say on stderr what is wrong."""
    print(f"evse-security: {printable(text)}", file=sys.stderr)


def answer(text: str) -> None:
    """Print a line of the answer. Text that comes from elsewhere goes through `printable` first."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = text.translate(PLAIN)
    with _writing():
        print(text)


def flush() -> None:
    """Let the answer reach whoever reads it. Raises `Unwritten`; BrokenPipeError where nobody reads any more."""
    with _writing():
        sys.stdout.flush()


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as problem:
        raise Unwritten(f"the answer cannot be written: {problem.strerror}") from None


def answer_json(value: object) -> None:
    """Print the answer as JSON, escaped to ASCII: safe for any terminal and any locale."""
    answer(json.dumps(value, indent=2))


def text_of(source: str) -> str:
    """The text of a file, or of stdin for `-`. Raises `Unusable`."""
    try:
        return bytes_of(source).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unusable(f"{source} is not UTF-8 text") from None


def bytes_of(source: str) -> bytes:
    """The content of a file, or of stdin for `-`; of what is larger than any argument may be no more is read."""
    try:
        with _opened(source) as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as problem:
        raise Unusable(f"{source} cannot be read: {problem.strerror}") from None
    except ValueError:
        raise Unusable("a path with a NUL character") from None
    if len(content) > LARGEST_FILE:
        raise Unusable(f"{source} has more than {LARGEST_FILE} bytes")
    return content


def _opened(source: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if source == "-" else open(source, "rb")
