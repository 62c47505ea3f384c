"""Which parts run: what the configuration asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

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
    return [*_http(service, all_ready, renewal), *_mqtt(service), *_export(service), *watching(service), renewal]


def assemble_what_can_be(service: Service) -> Sequence[Part]:
    """As `assemble`, for a process that must go on: what is configured wrongly is a part that says so when it runs."""
    renewal = list(_unless_refused(_renewal(service)))
    renewals = next((part for part in renewal if isinstance(part, RenewalAgent)), NoRenewals())
    transports = _http(service, lambda: True, renewals), _mqtt(service), _export(service)
    return [*watching(service), *renewal, *(part for parts in transports for part in _unless_refused(parts))]


def _unless_refused(parts: Iterator[Part]) -> Iterator[Part]:
    """The parts up to one that cannot be, and why that is so."""
    try:
        yield from parts
    except InvalidConfiguration as refusal:
        yield Refused(refusal)


class Refused:
    """A part that cannot be."""

    def __init__(self, refusal: InvalidConfiguration) -> None:
        """With the reason."""
        self.name = refusal.key
        self._refusal = refusal

    async def run(self, ready: Callable[[], None]) -> None:
        """Say why."""
        raise self._refusal


def _renewal(service: Service) -> Iterator[RenewalAgent]:
    yield RenewalAgent.of(service)


# Transports are imported where they are wanted: not everybody has installed what they need.


def _http(service: Service, all_ready: Callable[[], bool], renewals: Renewals) -> Iterator[Part]:
    if service.config.http_listen:
        with _needing("http_listen", "http"):
            from evse_security.http.page import routes
            from evse_security.http.server import HttpPart
        yield HttpPart(service, pages=routes(service, renewals), parts_ready=all_ready, renewals=renewals)


def _mqtt(service: Service) -> Iterator[Part]:
    if service.config.mqtt_broker:
        with _needing("mqtt_broker", "mqtt"):
            from evse_security.mqtt.api import ApiPart
            from evse_security.mqtt.broker import Broker
        broker = Broker.of(service.config)
        if broker is not None:
            yield ApiPart(service, broker)


def _export(service: Service) -> Iterator[Part]:
    directory = service.config.iso15118_export_directory
    if directory is not None:
        from evse_security.adapters.iso15118.export import ExportPart

        yield ExportPart(service, directory)


@contextmanager
def _needing(key: str, extra: str) -> Iterator[None]:
    """Import what comes with an extra, for a key of the configuration."""
    try:
        yield
    except ModuleNotFoundError as missing:
        problem = f"needs {missing.name}, which comes with the extra: pip install 'evse-security[{extra}]'"
        raise InvalidConfiguration(key, problem) from None
