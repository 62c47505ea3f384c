"""Sending messages of the station: how that fails, and what goes through DataTransfer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evse_security.adapters.ocpp import plug_and_charge
from evse_security.adapters.ocpp.editions import Edition, Payload
from evse_security.errors import EvseSecurityError

Send = Callable[[str, Payload], Awaitable[Payload]]
"""Sends a message of the station and returns its answer. Raises `NotDelivered` (`Unanswered`) or `Declined`."""


@dataclass(eq=False)
class NotDelivered(EvseSecurityError):
    """A message that got no answer: there is no connection, or it came to nothing."""

    template = "{action} was not answered: {problem}"
    action: str
    problem: str
    is_gone: bool = False
    """Whether the connection is: then a request goes out on the next one, and is not repeated after a pause."""


class Unanswered(NotDelivered):
    """A message that got no answer in time, on a connection that is there: other messages may be answered."""


@dataclass(eq=False)
class Declined(EvseSecurityError):
    """A message that the CSMS answered with an error (CALLERROR)."""

    template = "the CSMS does not take {action}: {problem}"
    action: str
    problem: str


async def asked(
    send: Send, edition: Edition, action: str, payload: Payload, *, plug_and_charge_only: bool
) -> Mapping[str, Any]:
    """Ask the CSMS; what belongs to Plug & Charge goes through DataTransfer in 1.6. Raises as `send`."""
    if edition is Edition.V16 and plug_and_charge_only:
        return plug_and_charge.answer_of(await send("DataTransfer", plug_and_charge.wrapped(action, payload)))
    return await send(action, payload)
