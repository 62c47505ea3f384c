"""Tokens: what callers from elsewhere show. Their file holds digests, from which nobody can make a token.

A token is 256 random bits, so its SHA-256 is enough: there is no dictionary to try, and what makes passwords slow to
try (scrypt, argon2) would only let strangers keep the processor busy.

The file is JSON: `{"format": "evse-security tokens 1", "tokens": [{"name", "scope", "sha256", "created", "expires"}]}`.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evse_security.clock import believable
from evse_security.errors import InvalidConfiguration
from evse_security.http.scopes import Scope
from evse_security.service.state import force
from evse_security.settings import at_once

KEY = "http_tokens"
FORMAT = "evse-security tokens 1"
PREFIX = "evse_"
"""How tokens begin, so that people and scanners of leaked secrets know one."""
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
LONGEST_FILE = 1 << 16
MOST_TOKENS = 100
LONGEST_TOKEN = 200
"""Characters of what is worth comparing."""


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token."""

    name: str
    scope: Scope
    sha256: str
    created: datetime
    expires: datetime | None = None

    def valid_at(self, now: datetime) -> bool:
        """Whether it can be used then. One that expires cannot while the clock is not believed: it may have expired."""
        return self.expires is None or (believable(now) and now < self.expires)


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def known(tokens: Sequence[Token], sha256: str, now: datetime) -> Token | None:
    """The valid token of this digest. All are compared, each in constant time."""
    found = [token for token in tokens if hmac.compare_digest(token.sha256, sha256)]
    return next((token for token in found if token.valid_at(now)), None)


class TokenFile:
    """The file of tokens. Its methods read and write a disk: not for the event loop's thread."""

    def __init__(self, path: Path) -> None:
        """Nothing is read yet."""
        self._path = path
        self._seen: tuple[tuple[int, ...], tuple[Token, ...]] | None = None

    def tokens(self) -> tuple[Token, ...]:
        """The tokens; the file is read again if it has changed. Raises `InvalidConfiguration`."""
        with self._told():
            found = os.stat(self._path)
            signature = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            seen = self._seen
            if seen is None or seen[0] != signature:
                seen = self._seen = signature, self._read()  # at once: several threads may be here
        return seen[1]

    def add(self, name: str, scope: Scope, now: datetime, expires: datetime | None) -> str:
        """Make a token, keep its digest, and return it: it cannot be had again. Raises `InvalidConfiguration`."""
        if not NAME.fullmatch(name):
            raise InvalidConfiguration(KEY, "a name has 1 to 64 letters, digits, dots, underscores and hyphens")
        made = PREFIX + secrets.token_urlsafe(32)

        def with_it(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
            if any(token.name == name for token in tokens):
                raise InvalidConfiguration(KEY, f"there is a token {name} already")
            if len(tokens) >= MOST_TOKENS:
                raise InvalidConfiguration(KEY, f"there are {MOST_TOKENS} tokens already: revoke some")
            return (*tokens, Token(name, scope, digest(made), now, expires))

        self._change(with_it)
        return made

    def revoke(self, name: str) -> bool:
        """Forget a token; false if there is none of this name. Raises `InvalidConfiguration`."""
        had: list[Token] = []

        def without_it(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
            had.extend(token for token in tokens if token.name == name)
            return tuple(token for token in tokens if token.name != name)

        self._change(without_it)
        return bool(had)

    def _change(self, change: Callable[[tuple[Token, ...]], tuple[Token, ...]]) -> None:
        with self._told(), self._alone() as directory:
            before = self._read() if self._path.exists() else ()
            after = change(before)
            if after != before:
                self._write(after, directory)

    def _read(self) -> tuple[Token, ...]:
        with open(self._path, "rb", opener=at_once) as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(LONGEST_FILE + 1) if stat.S_ISREG(mode) else b""
        if not stat.S_ISREG(mode):
            raise InvalidConfiguration(KEY, f"{self._path} is not a file")
        if mode & 0o077:
            raise InvalidConfiguration(KEY, f"{self._path} is open to others (mode {mode & 0o777:04o}): chmod 600 it")
        if len(content) > LONGEST_FILE:
            raise InvalidConfiguration(KEY, f"{self._path} has more than {LONGEST_FILE} bytes")
        try:
            return _parsed(json.loads(content))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise InvalidConfiguration(KEY, f"{self._path} is not a file of tokens") from None

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            why = problem.strerror or str(problem)
            raise InvalidConfiguration(KEY, f"{self._path} cannot be used: {why}") from None

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """The open directory of the file, while nobody else writes."""
        with suppress(FileExistsError):
            os.mkdir(self._path.parent, 0o700)
            force(self._path.parent.parent)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield directory
        finally:
            os.close(directory)

    def _write(self, tokens: Sequence[Token], directory: int) -> None:
        """Replace the file at once: a power cut leaves the old one or the new one."""
        text = json.dumps({"format": FORMAT, "tokens": [_row(token) for token in tokens]}, indent=1) + "\n"
        aside = f".{self._path.name}.{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(aside, flags, 0o600, dir_fd=directory), "w", encoding="ascii") as file:
            try:
                if os.geteuid() == 0:  # the service that reads it is another user's
                    above = os.fstat(directory)
                    os.fchown(file.fileno(), above.st_uid, above.st_gid)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                os.replace(aside, self._path.name, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                with suppress(OSError):
                    os.unlink(aside, dir_fd=directory)
                raise
        os.fsync(directory)


def _parsed(document: Any) -> tuple[Token, ...]:
    if document["format"] != FORMAT:
        raise ValueError
    tokens = tuple(_token(row) for row in document["tokens"])
    if len(tokens) > MOST_TOKENS:
        raise ValueError
    return tokens


def _token(row: Any) -> Token:
    if not NAME.fullmatch(row["name"]) or not re.fullmatch(r"[0-9a-f]{64}", row["sha256"]):
        raise ValueError
    expires = row.get("expires")
    return Token(row["name"], Scope(row["scope"]), row["sha256"], _time(row["created"]), expires and _time(expires))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _row(token: Token) -> dict[str, str]:
    row = {
        "name": token.name,
        "scope": token.scope.value,
        "sha256": token.sha256,
        "created": token.created.isoformat(timespec="seconds"),
    }
    return row if token.expires is None else {**row, "expires": token.expires.isoformat(timespec="seconds")}
