"""Which parts run: what the configuration asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from evse_security.agents.renewal.agent import RenewalAgent
from evse_security.agents.watching import watching
from evse_security.errors import InvalidConfiguration
from evse_security.service.parts import Part
from evse_security.service.renewals import NoRenewals, Renewals
from evse_security.service.service import Service


def assemble(service: Service, all_ready: Callable[[], bool] = lambda: True) -> Sequence[Part]:
    """The transports and agents of a service; `all_ready` tells whether they are, for who asks over HTTP.

    Raises `InvalidConfiguration`, also where what they need is not installed.
    """
    renewal = RenewalAgent.of(service)
    return [*_transports(service, all_ready, renewal), *watching(service), renewal]


def assemble_what_can_be(service: Service) -> Sequence[Part]:
    """As `assemble`, for a process that must go on: what is configured wrongly is a part that says so when it runs."""
    parts: list[Part] = list(watching(service))
    renewals: Renewals = NoRenewals()
    try:
        renewals = renewal = RenewalAgent.of(service)
        parts.append(renewal)
    except InvalidConfiguration as refusal:
        parts.append(Refused(refusal))
    try:
        for transport in _transports(service, lambda: True, renewals):
            parts.append(transport)
    except InvalidConfiguration as refusal:
        parts.append(Refused(refusal))
    return parts


class Refused:
    """A part that cannot be."""

    def __init__(self, refusal: InvalidConfiguration) -> None:
        """With the reason."""
        self.name = refusal.key
        self._refusal = refusal

    async def run(self, ready: Callable[[], None]) -> None:
        """Say why."""
        raise self._refusal


def _transports(service: Service, all_ready: Callable[[], bool], renewals: Renewals) -> Iterator[Part]:
    """What serves the commands to others. Each is imported where it is wanted: not everybody has installed it."""
    key, extra = "", ""
    try:
        if service.config.http_listen:
            key, extra = "http_listen", "http"
            from evse_security.http.page import routes
            from evse_security.http.server import HttpPart

            yield HttpPart(service, pages=routes(service, renewals), parts_ready=all_ready, renewals=renewals)
        key, extra = "mqtt_broker", "mqtt"
        from evse_security.mqtt.broker import Broker

        if broker := Broker.of(service.config):
            from evse_security.mqtt.api import ApiPart

            yield ApiPart(service, broker)
    except ModuleNotFoundError as missing:
        problem = f"needs {missing.name}, which comes with the extra: pip install 'evse-security[{extra}]'"
        raise InvalidConfiguration(key, problem) from None
