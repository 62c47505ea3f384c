"""What is remembered of the renewal of one leaf, across restarts, and how it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, get_type_hints

from evse_security.service.renewals import RenewalState

MOST_TEXT = 500
"""Characters of a reason that are kept: it may have come from a server."""
MOST_CSR = 64 * 1024
"""Characters of a signing request. One with RSA 4096 has 1,700."""
MOST_COUNTED = 10**9


class Cause(StrEnum):
    """Why a renewal is under way."""

    none = "none"
    """None is."""
    window = "window"
    """The leaf expires soon, has expired, or there is none."""
    trigger = "trigger"
    """Somebody asked for it."""


class Outcome(StrEnum):
    """What became of the last attempt."""

    none = "none"
    begun = "begun"
    """It was cut off: the station was restarted meanwhile."""
    asked = "asked"
    failed = "failed"
    refused = "refused"


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of one leaf. Its state is what was told of it last."""

    state: RenewalState = RenewalState.unknown
    since: datetime | None = None
    number: int = 0
    """Of the last signing request."""
    csr: str | None = None
    """The signing request that waits for its certificate, in PEM. There is one at most."""
    cause: Cause = Cause.none
    leaf: str = ""
    """Fingerprint of the leaf that there was when the renewal began."""
    trigger: str = ""
    """Who asked for a renewal that has not begun yet."""
    attempts: int = 0
    last: datetime | None = None
    """When the last attempt began."""
    not_before: datetime | None = None
    """When the CA wants to be asked again (Retry-After)."""
    outcome: Outcome = Outcome.none
    why: str = ""
    """What was wrong with the last attempt."""
    finished: datetime | None = None
    """When the last renewal ended."""
    announced: str = ""
    """Fingerprint of the leaf of which it was announced that it expires."""

    @property
    def waits(self) -> bool:
        """Whether its signing request waits for a certificate."""
        return self.csr is not None and self.outcome in (Outcome.begun, Outcome.asked)

    def ended(self, now: datetime) -> Record:
        """The renewal that is under way has ended with a new leaf."""
        return replace(self.idle(), finished=now)

    def idle(self) -> Record:
        """No renewal is under way."""
        return replace(
            self,
            csr=None,
            cause=Cause.none,
            leaf="",
            attempts=0,
            last=None,
            not_before=None,
            outcome=Outcome.none,
            why="",
        )

    def requested(self, csr: str) -> Record:
        """There is a new signing request, in place of any other."""
        return replace(self, csr=csr, number=self.number + 1)

    def became(self, outcome: Outcome, why: str = "", not_before: datetime | None = None) -> Record:
        """What became of the last attempt."""
        return replace(self, outcome=outcome, why=why[:MOST_TEXT], not_before=not_before)


def to_json(record: Record) -> dict[str, Any]:
    """A record as it is written down."""
    return {one.name: _written(getattr(record, one.name)) for one in fields(Record)}


def _written(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def from_json(text: object) -> Record:
    """A record as it was written down; members that are missing have their default. Raises ValueError."""
    if not isinstance(text, Mapping):
        raise ValueError("no object")
    hints = get_type_hints(Record)
    return Record(**{name: _read(hints[name], text[name], name) for name in hints if name in text})


def _read(kind: Any, value: Any, name: str) -> Any:
    if kind == datetime | None:
        return None if value is None else _moment(value, name)
    if kind is int:
        if type(value) is not int or not 0 <= value <= MOST_COUNTED:
            raise ValueError(f"{name} is no count")
        return value
    if kind == str | None and value is None:
        return None
    if not isinstance(value, str) or len(value) > MOST_CSR:
        raise ValueError(f"{name} is no text")
    return kind(value) if isinstance(kind, type) else value


def _moment(value: object, name: str) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"{name} is no time with its zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{name} is beyond all time") from None
