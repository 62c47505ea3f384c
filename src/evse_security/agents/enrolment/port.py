"""The port between the renewal of leaves and whoever signs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from evse_security.service.renewals import Renewed

SECONDS = 120.0
"""Longest that an enrolment may take, whatever a server or program does."""
MOST_BYTES = 256 * 1024
"""Bytes of an answer that are read: a chain of the largest certificates has less."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The leaf in use, with which the station shows that it is this station."""

    chain: Path
    key: Path
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Request:
    """A signing request to be brought to a CA."""

    wanted: Renewed
    number: int
    attempt: int
    csr: str
    """PKCS #10 in PEM."""
    key: Path | None
    """The file of its private key."""
    leaf: Credentials | None
    """The leaf in use, if there is one."""
    key_password: str | None = field(default=None, repr=False)
    """The password of new keys."""


class Signed(NamedTuple):
    """The CA signed it: a chain (PEM), leaf first. Whether it is of use is not looked at yet."""

    chain: str


class Published(NamedTuple):
    """Others were told of it: one of them answers with update_leaf_certificate, or none does."""


class Later(NamedTuple):
    """There is no answer now; the same request may be brought again, after so many seconds if the CA named any."""

    reason: str
    seconds: int | None = None


class Refused(NamedTuple):
    """The CA does not sign it: asking again at once is of no use."""

    reason: str


Answer = Signed | Published | Later | Refused


class EnrolmentPort(Protocol):
    """One way to a CA."""

    async def enrol(self, request: Request) -> Answer:
        """Bring a request to the CA. Ends within `SECONDS`, and what it began ends with it when it is cancelled."""


def one_line(text: str, longest: int = 200) -> str:
    """What others said, as a piece of one line of a log."""
    shown = "".join(each if each.isprintable() else " " for each in text[: 4 * longest])
    return " ".join(shown.split())[:longest]
