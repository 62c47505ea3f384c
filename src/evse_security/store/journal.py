"""The audit log as text: entries in a chain of hashes, what its head says of it, and what is wrong with it.

One entry is one line of JSON in ASCII. Its last member, `hash`, is the SHA-256 of the line before `,"hash":`; its
member `prev` is the hash of the entry before, and random in the first of a chain. So who edits, removes, inserts or
moves a line breaks the chain there. The head says beside the log how many entries there are and what the hash of the
last is: it shows that the last ones were removed. Whoever can write all of these files can make another chain
altogether; that only shows against a hash that was noted elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

FORMAT = 1
LONGEST_LINE = 16 * 1024
"""Bytes of an entry. Fields are bounded so that none needs more."""
HEAD_BYTES = 256
"""Bytes of the head: less than a block of any disk, so that it is written at once."""
MOST_FINDINGS = 1000
"""Findings that are told of, and lines in a row that are no entries before the rest of a file is passed over."""
_HASH = b',"hash":"'
_DIGITS = 64
_JSON = json.JSONEncoder(separators=(",", ":"))


class Link(NamedTuple):
    """An entry's place in the chain: how many there were with it, and its hash."""

    number: int
    hash: str


class Entry(NamedTuple):
    """A line that was read. `sound`: its hash is that of its content."""

    link: Link
    prev: str
    sound: bool
    body: dict[str, Any]


def sealed(before: Link, body: Mapping[str, Any]) -> tuple[bytes, Link]:
    """The line of the entry that comes after another, and its place."""
    number = before.number + 1
    text = _JSON.encode({"n": number, **body, "prev": before.hash})[:-1].encode("ascii")
    digest = hashlib.sha256(text).hexdigest()
    return b'%b%b%b"}\n' % (text, _HASH, digest.encode()), Link(number, digest)


def opened(line: bytes) -> Entry:
    """Read a line. Raises ValueError where it is no entry."""
    text, found, tail = line.rstrip(b"\n").rpartition(_HASH)
    body = json.loads(line) if found and len(tail) == _DIGITS + 2 and len(line) <= LONGEST_LINE else None
    if not isinstance(body, dict):
        raise ValueError("not an entry")
    number, prev, said = body.get("n"), body.get("prev"), body.get("hash")
    if type(number) is not int or not isinstance(prev, str) or not isinstance(said, str):
        raise ValueError("not an entry")
    return Entry(Link(number, said), prev, hashlib.sha256(text).hexdigest() == said, body)


class Head(NamedTuple):
    """What is known beside the log: the last entry, the log's size then, and the first entries that are kept."""

    last: Link
    size: int
    """Bytes of the log itself."""
    began: int
    """Number of its first entry."""
    first: int
    """Number of the oldest entry that is kept: those before it went as the log was rotated."""

    def text(self) -> bytes:
        """As it is written: one line of constant length, JSON."""
        line = _HEAD_TEXT % (FORMAT, self.last.number, self.last.hash.encode(), self.size, self.began, self.first)
        return b'%b, "check": "%b"}' % (line, _short(line)) + b" " * (HEAD_BYTES - _CHECK_BYTES - len(line)) + b"\n"

    @classmethod
    def of(cls, text: bytes) -> Head | None:
        """Read it; None where it is none, or was not written to its end."""
        found = _HEAD_PATTERN.fullmatch(text) if len(text) == HEAD_BYTES else None
        if found is None or _short(found[1]) != found[7]:
            return None
        number, digest, size, began, first = (found[group] for group in range(2, 7))
        return cls(Link(int(number), digest.decode()), int(size), int(began), int(first))


_HEAD_TEXT = b'{"format": %d, "entries": %d, "hash": "%b", "size": %d, "began": %d, "first": %d'
_HEAD_PATTERN = re.compile(
    rb'(\{"format": 1, "entries": (\d{1,18}), "hash": "([0-9a-f]{64})", "size": (\d{1,18}), "began": (\d{1,18}), '
    rb'"first": (\d{1,18})), "check": "([0-9a-f]{16})"\} *\n'
)
_CHECK_BYTES = len(', "check": ""}\n') + 16


def _short(line: bytes) -> bytes:
    return hashlib.sha256(line).hexdigest()[:16].encode()


# ---- what is wrong


class Finding(NamedTuple):
    """Something wrong with the log: the file, its line (counted from 1; 0: the file as a whole), and what."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}{f', line {self.line}' if self.line else ''}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of the whole log found."""

    entries: int
    last: Link | None
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...]
    """What is no sign of tampering, but worth knowing: entries that could not be written, writes that were torn."""

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


_UNVOUCHED = (
    "the head was missing or damaged when it was written: whether entries before it were removed cannot be seen"
)


class Check:
    """Follows the chain through the files of a log, oldest first."""

    def __init__(self, head: Head | None) -> None:
        """`head` as it was before the files were read."""
        self._head = head
        self._expected: Link | None = None
        self._findings: list[Finding] = []
        self._remarks: list[str] = []
        self._entries = 0
        self._file = ""

    def follow(self, file: str, lines: Iterable[bytes]) -> Iterator[Entry]:
        """Look at the lines of one file; what can be read is handed on."""
        self._file = file
        others = 0
        for number, line in enumerate(lines, start=1):
            if others == MOST_FINDINGS:
                self._found(0, f"the rest was not looked at, after {others} lines in a row that are no entries")
                return
            if not line.endswith(b"\n") and len(line) <= LONGEST_LINE:
                self._remark(f"{file}, line {number}: not written to its end, as after a power cut")
                continue
            try:
                entry = opened(line)
            except (ValueError, RecursionError):
                self._found(number, "no entry of the log: edited, or not written by this program")
                others += 1
                continue
            others = 0
            self._look(number, entry)
            yield entry

    def _look(self, number: int, entry: Entry) -> None:
        self._entries += 1
        if not entry.sound:
            self._found(number, f"entry {entry.link.number} was edited: its hash is not that of what it says")
        if (problem := self._misplaced(entry)) is not None:
            self._found(number, problem)
        if self._expected is None or entry.link.number > self._expected.number or entry.link.number == 1:
            self._expected = entry.link
        if entry.body.get("event") == "headless":
            self._found(number, _UNVOUCHED)
        elif "event" in entry.body:
            self._remark(f"entry {entry.link.number}: {_in_words(entry.body)}")

    def _misplaced(self, entry: Entry) -> str | None:
        """What is wrong with an entry's place, seen from the entry before it."""
        number, before = entry.link.number, self._expected
        if before is None:
            first = 1 if self._head is None else max(self._head.first, 1)
            return None if number <= first else f"the entries before {number} are missing; {first} should be the first"
        if number == 1:
            return "a new chain begins here: the log before it was taken away while nobody wrote"
        if number <= before.number:
            return f"entry {number} stands after {before.number}: moved here or put in"
        if number > before.number + 1:
            missing = number - before.number - 1
            return f"{missing} {'entry is' if missing == 1 else 'entries are'} missing before entry {number}"
        if entry.prev != before.hash:
            return f"entry {number} does not follow the entry before it, which was replaced or edited"
        return None

    def _found(self, line: int, what: str) -> None:
        if len(self._findings) < MOST_FINDINGS:
            self._findings.append(Finding(self._file, line, what))
        elif len(self._findings) == MOST_FINDINGS:
            self._findings.append(Finding(self._file, 0, "more is wrong than is told here"))

    def _remark(self, what: str) -> None:
        if len(self._remarks) < MOST_FINDINGS:
            self._remarks.append(what)

    def verdict(self, noted: Link | None = None, hash_of_noted: str | None = None) -> Verdict:
        """The verdict, after the last file.

        `noted` is an entry whose hash was noted elsewhere, and `hash_of_noted` what the log says of it.
        """
        head, last = self._head, self._expected
        self._file = self._file or "the log"
        if head is None:
            self._found(0, "its head is missing or damaged: whether the last entries were removed cannot be seen")
        elif head.last.number > (last.number if last else 0):
            missing = head.last.number - (last.number if last else 0)
            gone = "last entry is" if missing == 1 else f"last {missing} entries are"
            self._found(0, f"the {gone} missing: removed, or lost in a power cut")
        elif last is not None and head.last.number == last.number and head.last.hash != last.hash:
            self._found(0, f"entry {last.number}, the last, is not the one that was written")
        if noted is not None and hash_of_noted != noted.hash:
            was = "is missing" if hash_of_noted is None else f"has another hash: {hash_of_noted}"
            self._found(0, f"entry {noted.number} {was}; the log is not the one that was noted")
        return Verdict(self._entries, last, tuple(self._findings), tuple(self._remarks))


def _in_words(body: Mapping[str, Any]) -> str:
    words = {
        "missed": "{count} entries before it could not be written",
        "torn": "{count} bytes of an entry that was not written to its end were cut off before it",
        "lost": "{count} entries before it were gone when it was written",
    }
    template = words.get(str(body["event"]), "{event}")
    return template.format(event=str(body["event"])[:40], count=body.get("count"))
