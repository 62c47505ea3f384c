"""Asking the service on behalf of an agent, who has time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from evse_security.errors import ServiceBusy
from evse_security.service.service import Service
from evse_security.station import Station

T = TypeVar("T")

BUSY = 1.0
"""Seconds after which is asked again where too many others are waiting."""


async def ask(service: Service, question: Callable[[Station], T], *, caller: str) -> T:
    """As `Service.ask`, and again as long as the service is busy with others."""
    while True:
        try:
            return await service.ask(question, caller=caller)
        except ServiceBusy:
            await asyncio.sleep(BUSY)


async def look(service: Service, question: Callable[[Station], T], *, caller: str) -> T:
    """As `Service.look`, and again as long as the service is busy with others."""
    while True:
        try:
            return await service.look(question, caller=caller)
        except ServiceBusy:
            await asyncio.sleep(BUSY)


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for something to happen, so long at most."""
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await event.wait()
    except TimeoutError:
        pass
