"""Mix-ins for a ChargePoint of the package `ocpp`: with them every certificate message is answered and sent.

    class MyStation(CertificateHandlers201, ChargePoint): ...
    station = MyStation("CS1", connection, certificates=certificates)

They come before `ChargePoint` among the bases. Handlers that the class has for the same messages, `on` and `after`, are
asked for what is not about certificates: another vendor's DataTransfer, an UpdateFirmware whose certificate is good.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict, make_dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from evse_security.adapters.ocpp.certificates import Certificates
from evse_security.adapters.ocpp.editions import Edition, Payload
from evse_security.adapters.ocpp.sending import Declined, NotDelivered
from evse_security.errors import InvalidConfiguration

_NOT_OURS = {
    "DataTransfer": {"status": "UnknownVendorId"},
    "TriggerMessage": {"status": "NotImplemented"},
    "ExtendedTriggerMessage": {"status": "NotImplemented"},
    "UpdateFirmware": {"status": "Rejected"},
    "SignedUpdateFirmware": {"status": "Rejected"},
}
"""What is answered where the class has no handler of its own."""

if TYPE_CHECKING:

    class _ChargePoint:
        """What the mix-ins use of `ocpp.charge_point.ChargePoint`."""

        route_map: dict[str, dict[str, Any]]

        def __init__(self, *arguments: Any, **named: Any) -> None: ...

        async def start(self) -> None: ...

        async def call(self, payload: Any, *arguments: Any, **named: Any) -> Any: ...

else:
    _ChargePoint = object


def message(action: str, payload: Mapping[str, Any]) -> Any:
    """A message as `ocpp` takes it: an object of a class of its name, whose fields are those of the wire.

    The package's own classes cannot say all: what it makes of `prioritized_emaids` is refused by its own schema.
    """
    return _class_of(action, tuple(payload))(**payload)


@lru_cache(maxsize=256)
def _class_of(action: str, members: tuple[str, ...]) -> Any:
    """Making a class takes longer than all else that an answer takes."""
    return make_dataclass(action, [(name, Any) for name in members])


class CertificateHandlers(_ChargePoint):
    """What the mix-ins have in common."""

    editions: frozenset[Edition] = frozenset(Edition)

    def __init_subclass__(cls, **named: Any) -> None:
        """Raises TypeError where the bases are in the wrong order: `ocpp` would answer, or nobody."""
        super().__init_subclass__(**named)
        first = cls.__mro__[: cls.__mro__.index(CertificateHandlers)]
        if any(one.__module__.partition(".")[0] == "ocpp" for one in first):
            raise TypeError(f"{cls.__name__}: the CertificateHandlers come before ChargePoint among the bases")

    def __init__(self, *arguments: Any, certificates: Certificates, **named: Any) -> None:
        """Take over the messages about certificates. Raises `InvalidConfiguration` for another version's policy."""
        super().__init__(*arguments, **named)
        if certificates.edition not in self.editions:
            raise InvalidConfiguration("edition", f"{type(self).__name__} does not speak {certificates.edition}")
        self.certificates = certificates
        self._gone = asyncio.Event()
        self._left_to_own: dict[str, str] = {}
        """The last message of each action that was answered by the class's own handler."""
        for action in certificates.actions:
            self._take_over(action)

    def _take_over(self, action: str) -> None:
        before = dict(self.route_map.get(action, {}))
        route = {
            "_on_action": self._on(action, before.get("_on_action")),
            "_after_action": self._after(action, before.get("_after_action")),
            "_skip_schema_validation": False,
        }
        self.route_map[action] = route

    def _on(self, action: str, own: Callable[..., Any] | None) -> Callable[..., Any]:
        """The handler of a message: certificates first, then the one that the class has for it."""
        from ocpp.charge_point import snake_to_camel_case

        async def handle(call_unique_id: str, **named: Any) -> Any:
            answer = await self.certificates.answer(action, snake_to_camel_case(named))
            if answer is not None:
                return message(action, answer)
            if own is None:
                return message(action, _NOT_OURS[action])
            self._left_to_own[action] = call_unique_id
            result = own(**_for(own, named, call_unique_id))
            return await result if inspect.isawaitable(result) else result

        return handle

    def _after(self, action: str, own: Callable[..., Any] | None) -> Callable[..., Any]:
        def handle(call_unique_id: str, **named: Any) -> Any:
            self.certificates.after(action)
            if action in _NOT_OURS and self._left_to_own.get(action) != call_unique_id:
                return None  # no download begins of a firmware that was refused
            return None if own is None else own(**_for(own, named, call_unique_id))

        return handle

    async def start(self) -> None:
        """Listen to the CSMS until the connection is gone.

        What the station has to say of certificates waits for an accepted BootNotification, or for `begin`.
        """
        try:
            await super().start()
        finally:
            self._gone.set()
            self.certificates.offline()

    async def call(self, payload: Any, *arguments: Any, **named: Any) -> Any:
        """As `ChargePoint.call`; an accepted BootNotification lets certificates be spoken of."""
        answer = await super().call(payload, *arguments, **named)
        if type(payload).__name__ == "BootNotification" and getattr(answer, "status", None) == "Accepted":
            self.begin()
        return answer

    def begin(self) -> None:
        """The CSMS knows this station already: a connection that was lost is there again."""
        self.certificates.online(self.tell)

    async def tell(self, action: str, payload: Payload) -> Payload:
        """Send one message and return its answer as it is on the wire. Raises `NotDelivered` and `Declined`."""
        from ocpp.charge_point import remove_nones, snake_to_camel_case
        from ocpp.exceptions import OCPPError

        try:
            answer = await self._while_connected(super().call(message(action, payload), suppress=False))
        except OCPPError as problem:
            raise Declined(action, f"{type(problem).__name__}: {problem.description:.200}") from None
        except TimeoutError:
            raise NotDelivered(action, "no answer in time") from None
        except Exception as problem:  # whatever kind of connection it is
            raise NotDelivered(action, type(problem).__name__, is_gone=True) from None
        return dict(snake_to_camel_case(remove_nones(asdict(answer))))

    async def _while_connected(self, calling: Coroutine[Any, Any, Any]) -> Any:
        """What a call comes to. `ocpp` would wait for an answer on a connection that is gone; no car has that long."""
        call, gone = asyncio.ensure_future(calling), asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({call, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                raise ConnectionError
            return call.result()
        finally:
            for one in (call, gone):
                one.cancel()


def _for(own: Callable[..., Any], named: Mapping[str, Any], call_unique_id: str) -> dict[str, Any]:
    """The arguments that a handler of `ocpp` gets."""
    wants_id = "call_unique_id" in inspect.signature(own).parameters
    return {**named, "call_unique_id": call_unique_id} if wants_id else dict(named)


class CertificateHandlers16(CertificateHandlers):
    """For `ocpp.v16.ChargePoint`: the security whitepaper, and Plug & Charge in DataTransfer."""

    editions = frozenset({Edition.V16})


class CertificateHandlers201(CertificateHandlers):
    """For `ocpp.v201.ChargePoint`."""

    editions = frozenset({Edition.V201, Edition.V201_2025})


class CertificateHandlers21(CertificateHandlers):
    """For `ocpp.v21.ChargePoint`."""

    editions = frozenset({Edition.V21})
