"""How the command line speaks and listens: answers to stdout, complaints to stderr, bounded texts from files."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import BinaryIO

LARGEST_FILE = 4 << 20
"""Bytes of a file that is given as an argument: one string of the interface, in UTF-8."""


class Unusable(Exception):
    """Something given on the command line cannot be used."""


def complain(text: str) -> None:
    """Say on stderr what is wrong."""
    print(f"evse-security: {printable(text)}", file=sys.stderr)


def answer(text: str) -> None:
    """Print a line of the answer. Text that comes from elsewhere goes through `printable` first."""
    print(text)


def answer_json(value: object) -> None:
    """Print the answer as JSON, escaped to ASCII: safe for any terminal and any locale."""
    print(json.dumps(value, indent=2))


def printable(text: str) -> str:
    """The text with everything escaped that is not seen but acts: control characters, directions, surrogates."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


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
