"""Some hundred hostile inputs of each kind, the same in every run; `make fuzz` tries others."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from evse_security.interface import REVISIONS
from evse_security.serve.command import commands
from tests.hostile.arguments import VALUES
from tests.hostile.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_documented_refusals_escapes(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=target.in_tests, suppress_health_check=list(HealthCheck))
    @given(target.inputs)
    def attempt(value: object) -> None:
        target.check(value)

    attempt()


def test_every_argument_is_tried() -> None:
    declared = {
        one.name for revision in REVISIONS for command in commands(revision).values() for one in command.arguments
    }
    assert declared == VALUES.keys()
