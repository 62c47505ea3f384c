"""How the renewal of leaves stands, in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evse_security.http.page.happenings import bounded
from evse_security.http.page.words import Badge, Tone, minute
from evse_security.service.renewals import RenewalState, RenewalStatus

_BADGES: dict[RenewalState, Badge] = {
    RenewalState.unknown: Badge("not looked at yet", Tone.IDLE),
    RenewalState.off: Badge("off", Tone.IDLE),
    RenewalState.clock: Badge("waits for the clock", Tone.SOON),
    RenewalState.absent: Badge("no leaf", Tone.IDLE),
    RenewalState.unconfigured: Badge("not configured", Tone.BAD),
    RenewalState.fresh: Badge("not due yet", Tone.GOOD),
    RenewalState.asking: Badge("asking the CA", Tone.SOON),
    RenewalState.waiting: Badge("waits for an answer", Tone.SOON),
    RenewalState.retrying: Badge("is tried again", Tone.SOON),
    RenewalState.exhausted: Badge("tried in vain", Tone.BAD),
    RenewalState.refused: Badge("refused", Tone.BAD),
    RenewalState.renewed: Badge("renewed", Tone.GOOD),
}


class RenewalView(NamedTuple):
    """One leaf."""

    leaf: str
    words: str
    state: Badge
    reason: str
    next_attempt: str
    """Empty where it does not go on by itself."""
    can_begin: bool


def renewals_view(statuses: Sequence[RenewalStatus]) -> tuple[RenewalView, ...]:
    """What the overview shows."""
    return tuple(map(_view, statuses))


def _view(status: RenewalStatus) -> RenewalView:
    at = "" if status.next_attempt is None else minute(status.next_attempt)
    can_begin = status.state is not RenewalState.off
    return RenewalView(
        status.leaf.value, status.leaf.words, _BADGES[status.state], bounded(status.reason), at, can_begin
    )
