"""Which of two client certificates a station connects with, until one of them has proven itself (A02.FR.10, .28, .29).

Pure: a trial begins when a renewed certificate is installed, and every connection that comes about or fails moves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, NamedTuple

from evse_security.adapters.ocpp.editions import Takeover
from evse_security.vocabulary import CertificateInfo

MOST_DOUBTS = 3
"""Attempts in a row that may fail for whatever reason until it is taken for the certificate's fault."""


class Blame(Enum):
    """What a connection that failed says of the client certificate."""

    NONE = auto()
    """Nothing: it was not shown to anybody."""
    DOUBT = auto()
    """The connection was cut. So do CSMSs that refuse a certificate, and so can anybody on the way to it."""
    CERTAIN = auto()
    """The CSMS itself refused who had shown it."""


class ClientCertificate(NamedTuple):
    """A certificate to connect to the CSMS with."""

    fingerprint: str
    info: CertificateInfo


@dataclass(frozen=True, slots=True)
class Trial:
    """A renewed certificate and the one before it, by fingerprint."""

    new: str
    old: str
    begins: datetime
    """When the new one begins."""
    new_failed: bool = False
    """Whether the last attempt with the new one failed: then it is the old one's turn."""
    under: str = ""
    """The CSMS roots that were trusted then."""
    old_failed: bool = False
    """Whether the last attempt with the old one failed: then it is the new one's turn, whatever a clock shows."""
    doubts: int = 0
    """Attempts with the new one that failed since, of which nobody knows why. A restart forgives them."""

    def use(self, now: datetime) -> str:
        """The certificate of the next attempt."""
        if self.old_failed:
            return self.new
        return self.old if self.new_failed or now < self.begins else self.new


class Verdict(NamedTuple):
    """What follows from a connection that came about."""

    trial: Trial | None
    """What remains of the trial."""
    discard: str = ""
    """The certificate that is of no use any more."""
    renewed_one: bool = False
    """Whether that is the renewed one, which the CSMS is told (DiscardedRenewedClientCertificate)."""


def connected(trial: Trial, fingerprint: str, takeover: Takeover, under: str = "") -> Verdict:
    """A connection came about: with the new one, the old one goes; with the old one after the new failed, that goes.

    Where the edition keeps old certificates nothing goes. A connection with the old one says nothing while the new one
    was not tried `under` the same CSMS roots: then it is tried once more, as what failed may be a trial of roots.
    """
    if fingerprint == trial.new:
        return Verdict(None, trial.old if takeover is Takeover.at_once else "")
    if fingerprint != trial.old:
        return Verdict(trial)
    trial = replace(trial, old_failed=False)
    if not trial.new_failed or takeover is not Takeover.at_once:
        return Verdict(trial)
    if trial.under != under:
        return Verdict(replace(trial, new_failed=False))
    return Verdict(None, trial.new, renewed_one=True)


def failed(trial: Trial, fingerprint: str, under: str = "", blame: Blame = Blame.CERTAIN) -> Trial:
    """A connection failed: it is the other one's turn. The reason may be the network, so nothing is concluded.

    The new one is tried some times before: what is cut once would otherwise be discarded when the old one connects.
    A clock may show too little for ever, where only the CSMS would set it: the old one must not be all that is tried.
    """
    if blame is Blame.NONE or fingerprint not in (trial.new, trial.old):
        return trial
    if fingerprint == trial.old:
        return replace(trial, new_failed=False, old_failed=True, doubts=0)
    if blame is Blame.DOUBT and trial.doubts + 1 < MOST_DOUBTS:
        return replace(trial, doubts=trial.doubts + 1)
    return replace(trial, new_failed=True, old_failed=False, under=under, doubts=0)


def to_json(trial: Trial | None) -> dict[str, Any] | None:
    """A trial as it is written down."""
    if trial is None:
        return None
    return {
        "new": trial.new,
        "old": trial.old,
        "begins": trial.begins.isoformat(),
        "new_failed": trial.new_failed,
        "under": trial.under,
        "old_failed": trial.old_failed,
    }


def from_json(written: object) -> Trial | None:
    """A trial as it was written down. Raises ValueError."""
    if written is None:
        return None
    if not isinstance(written, Mapping):
        raise ValueError("a trial is no object")
    new, old, begins = (written.get(name) for name in ("new", "old", "begins"))
    if not (isinstance(new, str) and isinstance(old, str) and isinstance(begins, str)):
        raise ValueError("a trial lacks a certificate")
    try:
        moment = datetime.fromisoformat(begins)
        began = moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("a trial begins beyond all time") from None
    if moment.tzinfo is None:
        raise ValueError("a trial begins without a zone")
    under = written.get("under", "")
    if not isinstance(under, str):
        raise ValueError("a trial has no text for its roots")
    new_failed, old_failed = (written.get(name) is True for name in ("new_failed", "old_failed"))
    return Trial(new, old, began, new_failed, under, old_failed)
