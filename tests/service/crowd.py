"""How many calls a service answers at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from evse_security.service.service import Service


def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Have calls take a moment; returns how to ask how many there were at once at most."""
    call, here, most = Service.call, 0, 0

    async def slowly(*given: Any, **named: Any) -> Any:
        nonlocal here, most
        here += 1
        most = max(most, here)
        await asyncio.sleep(0.02)
        try:
            return await call(*given, **named)
        finally:
            here -= 1

    monkeypatch.setattr(Service, "call", slowly)
    return lambda: most
