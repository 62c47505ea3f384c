"""The variables of one station, for its own device model to ask, and to hand writes over to."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from typing import Any

from evse_security.adapters.ocpp import device_model, variables
from evse_security.adapters.ocpp.desk import Desk
from evse_security.adapters.ocpp.device_model import Item, Mutability, Served
from evse_security.adapters.ocpp.editions import Payload
from evse_security.adapters.ocpp.events import SecurityEvent
from evse_security.adapters.ocpp.uses import SigningUse

log = logging.getLogger(__name__)

Ask = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Has something worked out where waiting for the disk disturbs nobody."""
Own = Callable[[Item], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]
"""Answers one item that is none of ours: the station's own device model. A function or a coroutine function."""
Changed = Callable[[str, str], object]
"""Hears of the name and the value of what the CSMS has set; a secret is refused where it raises. It may be a coroutine
function, which is waited for."""
Result = Mapping[str, Any]


class DeviceModel:
    """What `Certificates` says and takes of variables. Nothing here raises for what a CSMS sends."""

    def __init__(self, desk: Desk, ask: Ask, *, changed: Changed | None, wake: Callable[[], object]) -> None:
        """Of one desk. `wake` is called when a value has changed that may have something sent."""
        self._desk, self._ask, self._changed, self._wake = desk, ask, changed, wake

    async def variables(self) -> tuple[Served, ...]:
        """All that this edition has, as they are now."""
        return await self._with_values(None)

    async def _with_values(self, names: Container[str] | None) -> tuple[Served, ...]:
        found: tuple[Served, ...] = await self._ask(lambda: self._served(names))
        return found

    def _served(self, values_of: Container[str] | None = ()) -> tuple[Served, ...]:
        return variables.served(self._desk, told=self._changed is not None, values_of=values_of)

    # ---- 2.x

    async def get_variables(self, items: Sequence[Item], own: Own | None = None) -> list[Result]:
        """`getVariableResult`, in the order of the items; what is none of ours is answered by `own`."""
        served = await self._with_values(device_model.names(items))
        results = device_model.get_variables(served, items, self._desk.edition)
        pairs = zip(items, results, strict=True)
        return [await _completed(item, result, own) for item, result in pairs]

    async def set_variables(self, items: Sequence[Item], own: Own | None = None) -> list[Result]:
        """`setVariableResult`, in the order of the items; what is none of ours is answered by `own`."""
        return [await _completed(item, await self._set(item), own) for item in items]

    async def _set(self, item: Item) -> Result:
        def work(write: device_model.Write) -> Payload:
            return device_model.set_variables(self._served(), [item], write, self._desk.edition)[0]

        result, taken = await self._written(work)
        return result if taken else device_model.refused(item)

    async def report_data(self, *, settable_only: bool = False) -> list[Payload]:
        """`reportData` of NotifyReport, to be put beside the station's own (B07)."""
        return device_model.report_data(await self.variables(), settable_only=settable_only)

    # ---- 1.6

    async def get_configuration(self, keys: Sequence[str] | None = None) -> Payload:
        """GetConfiguration's answer; the station's own keys are among its `unknownKey`."""
        names = {str(key).lower() for key in keys} if keys else None
        return device_model.get_configuration(await self._with_values(names), keys)

    async def change_configuration(self, key: str, value: str) -> Payload:
        """ChangeConfiguration's answer; NotSupported where the key is none of ours."""
        result, taken = await self._written(
            lambda write: device_model.change_configuration(self._served(), key, value, write)
        )
        return result if taken else {"status": "Rejected"}

    # ---- writing

    async def uses_profile(self, profile: int) -> None:
        """The connector uses this security profile: it went back, or there was a SetNetworkProfile.

        Raises `InvalidConfiguration`.
        """
        await self._ask(lambda: remember(self._desk, "security_profile", str(profile)))

    async def _written(self, work: Callable[[device_model.Write], Payload]) -> tuple[Payload, bool]:
        """The answer to a write, and whether the station's own program took what is its own."""
        heard: list[tuple[Served, str]] = []
        before = self._desk.renewals.policy

        def write(variable: Served, value: str) -> None:
            write_down(self._desk, variable, value)
            heard.append((variable, value))

        result: Payload = await self._ask(lambda: work(write))
        taken = [await self._told(variable, value) for variable, value in heard]
        if not all(taken) and self._desk.renewals.policy.security_profile != before.security_profile:
            await self.uses_profile(before.security_profile)
        self._wake()
        return result, all(taken)

    async def _told(self, variable: Served, value: str) -> bool:
        taken = await self._tell(variable, value)
        if taken and variable.writes in ("", "security_profile"):
            await self._ask(lambda: self._desk.happened(SecurityEvent.PARAMETERS_CHANGED, variable.name))
        return taken

    async def _tell(self, variable: Served, value: str) -> bool:
        try:
            told = None if self._changed is None else self._changed(variable.name, value)
            if inspect.isawaitable(told):  # else a password would be Accepted, and used by nobody
                await told
        except Exception as problem:  # whatever it was: the CSMS gets an answer, and no log the value
            log.warning("setting %s failed: %s", variable.name, type(problem).__name__)
            return variable.mutability is not Mutability.write_only and variable.writes != "security_profile"
        return True


async def _completed(item: Item, result: Result, own: Own | None) -> Result:
    if own is None or not device_model.is_unknown(result):
        return result
    found = own(item)
    return await found if inspect.isawaitable(found) else found


# ---- what a write does


def write_down(desk: Desk, variable: Served, value: str) -> None:
    """Set a variable, and remember it. Raises `InvalidConfiguration` and `ProfileRefused`.

    A secret is not ours to keep: the station's own program gets it.
    """
    if not variable.writes:
        return
    if variable.writes == "security_profile":
        refused = desk.refused_profile(desk.renewals.policy.security_profile, int(value))
        if refused is not None:
            raise refused
    remember(desk, variable.writes, value)
    for use in (one for one in SigningUse if not desk.renewals.policy.asks_for(one)):
        desk.renewals.put(use, desk.memory.renewal(use).idle())


def remember(desk: Desk, field: str, value: str) -> None:
    """Change the policy, over restarts. Raises `InvalidConfiguration`."""
    desk.renewals.policy = desk.renewals.policy.changed(field, value)
    desk.memory.settings[field] = value
    desk.memory.save()
