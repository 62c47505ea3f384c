"""A fleet that was installed on one day does not ask its CSMS on one day, nor at one time."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from evse_security.agents.renewal import rules
from evse_security.renewing import LeafFacts, LeafUse
from tests.builders import DAY, NOW


def leaf(common: str) -> LeafFacts:
    return LeafFacts(
        use=LeafUse.in_use,
        name=common,
        serial="1",
        fingerprint=common,
        country="DE",
        organization="Operator",
        common=common,
        not_before=NOW,
        not_after=NOW + 365 * DAY,
    )


def test_a_fleet_of_200_does_not_ask_at_one_time() -> None:
    begins = sorted(rules.due(leaf(f"CS-{number:04}"), 30) for number in range(200))
    assert begins[0] >= NOW + (365 - 30 - 8) * DAY
    assert begins[-1] <= NOW + (365 - 30) * DAY  # a month before, at the latest
    assert begins[-1] - begins[0] > 7 * DAY
    in_an_hour = Counter((begin - begins[0]) // timedelta(hours=1) for begin in begins)
    assert max(in_an_hour.values()) <= 8
