"""What the clock is good for: judging by it, and going on when it is not believed.

A station that boots in 1970, or in 2106, must not drop its connection for it. While the clock is not believed, nothing
is refused for its time that would be in time by the clock, or at any moment since the last time that is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from evse_security.clock import Moment
from evse_security.errors import Expired, NotYetValid
from evse_security.pki.certificate import Certificate
from evse_security.pki.path import LeafStart, Policy, TrustStore, VerifiedChain, verify


def attempts(policy: Policy, moment: Moment) -> Iterator[tuple[Policy, datetime]]:
    """What to judge by: the clock; and while that is not believed, the time that it is at least, or any later one."""
    yield policy, moment.now
    if moment.at_least is not None:
        yield replace(policy, leaf_start=LeafStart.UNKNOWN), moment.at_least


def verified(
    leaf: Certificate, intermediates: Sequence[Certificate], trust: TrustStore, policy: Policy, moment: Moment
) -> VerifiedChain:
    """Verify a chain (`pki.path.verify`). What is refused for its time says what is wrong with the clock."""
    refusals: list[Expired | NotYetValid] = []
    for attempt, now in attempts(policy, moment):
        try:
            return verify(leaf, intermediates=intermediates, trust=trust, policy=attempt, now=now)
        except (Expired, NotYetValid) as refusal:
            refusals.append(refusal)
    raise _by_the_clock(refusals[0], moment)


def _by_the_clock(refusal: Expired | NotYetValid, moment: Moment) -> Expired | NotYetValid:
    if moment.doubt is not None:
        refusal.now = f"{refusal.now}, not believed: {moment.doubt}"
    return refusal
