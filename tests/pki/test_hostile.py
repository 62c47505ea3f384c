"""Some hundred hostile inputs, the same in every run; `make fuzz` tries others."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_but_documented_errors_escapes(target: str) -> None:
    inputs, check = TARGETS[target]

    @settings(max_examples=300, suppress_health_check=list(HealthCheck))
    @given(st.shared(inputs, key=target))
    def attempt(data: bytes) -> None:
        check(data)

    attempt()
