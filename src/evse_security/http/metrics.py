"""Measurements for Prometheus. How many series there are is bounded, whatever is installed or asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from evse_security.errors import EvseSecurityError
from evse_security.http.looking import Looking, Sight
from evse_security.interface import REVISIONS
from evse_security.serve.command import commands
from evse_security.service.events import Event, EventKind
from evse_security.service.renewals import Renewals, RenewalState
from evse_security.service.service import Called, Service
from evse_security.store.overview import Node

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST_CERTIFICATES = 200
"""Certificates with series of their own, those that expire first; how many there are besides is a number."""
MOST_WORDS = 60
"""Different values of a label that others choose."""
LONGEST_LABEL = 120
OTHER = "other"
DAY = 86_400
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_COMMANDS = frozenset(name for revision in REVISIONS for name in commands(revision))
_CERTIFICATE = ("domain", "role", "subject", "serial", "fingerprint")


class Words:
    """The values of a label: so many, and one for all further."""

    def __init__(self) -> None:
        """None is known yet."""
        self._known: set[str] = set()

    def of(self, word: str) -> str:
        """The word itself, or `other`."""
        if word not in self._known and len(self._known) < MOST_WORDS and len(word) <= LONGEST_LABEL:
            self._known.add(word)
        return word if word in self._known else OTHER


class Metrics:
    """What is counted as it happens, and what is looked at when it is asked for."""

    def __init__(self, service: Service, looking: Looking, renewals: Renewals) -> None:
        """Counts the service's commands from now on."""
        self._service, self._looking = service, looking
        self._registry = CollectorRegistry()
        self._store = _Store()
        self._registry.register(self._store)
        self._registry.register(_Renewals(renewals))
        self._registry.register(_Links(service.links))
        self._results, self._reasons = Words(), Words()
        self._commands = Counter(
            "evse_security_commands", "Commands by result.", ("command", "result"), registry=self._registry
        )
        self._seconds = Histogram(
            "evse_security_command_seconds",
            "Seconds until commands were answered, with waiting.",
            ("command",),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._refusals = Counter(
            "evse_security_refusals",
            "Requests to change the store that were refused, by reason.",
            ("command", "reason"),
            registry=self._registry,
        )
        self._steps = Counter(
            "evse_security_clock_steps", "Steps of the clock, forwards and backwards.", registry=self._registry
        )
        service.observe(self._called)

    async def listen(self) -> Callable[[], None]:
        """Hear of refusals and of the clock from now on, and of what was just before. Returns how to stop that."""
        for event in self._service.events.recent():
            self._happened(event)
        stop_events = self._service.events.hear(self._happened)
        stop_refusals = await self._service.ask(
            lambda station: station.hear_refusals(lambda refused: self._refused(refused.command, refused.why)),
            caller="http:metrics",
        )

        def stop() -> None:
            stop_events()
            stop_refusals()

        return stop

    async def text(self) -> bytes:
        """All of it, in the text format. The store is left out where it cannot be looked at."""
        try:
            self._store.show(await self._looking.sight(), self._service.clock())
        except (EvseSecurityError, OSError, TimeoutError):
            self._store.hide()
        return generate_latest(self._registry)

    def _called(self, called: Called) -> None:
        command = _command(called.command)
        self._commands.labels(command, self._results.of(called.result)).inc()
        self._seconds.labels(command).observe(called.seconds)

    def _refused(self, command: str, why: EvseSecurityError) -> None:
        self._refusals.labels(_command(command), self._reasons.of(why.code)).inc()

    def _happened(self, event: Event) -> None:
        if event.kind is EventKind.clock and event.data.get("step"):
            self._steps.inc()


def _command(name: str) -> str:
    """A declared command, sweeping, or `other`: callers may ask for anything."""
    return name if name in _COMMANDS or name == "sweep" else OTHER


class _Renewals(Collector):
    """How the renewal of each leaf stands, when it is asked for: also before anything happened to it."""

    def __init__(self, renewals: Renewals) -> None:
        self._renewals = renewals

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        text = "1 for the state in which the renewal of a leaf is, 0 for all others."
        states = GaugeMetricFamily("evse_security_renewal_state", text, labels=("certificate_type", "edition", "state"))
        for status in self._renewals.status():
            for state in RenewalState:
                states.add_metric(
                    (status.leaf.kind.value, status.leaf.edition, state.value), float(state is status.state)
                )
        yield states


class _Links(Collector):
    """Whether transports have the connections that they need."""

    def __init__(self, links: Mapping[str, str | None]) -> None:
        self._links = links

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        text = "1 where a transport has the connection that it needs, such as mqtt to its broker."
        connected = GaugeMetricFamily("evse_security_transport_connected", text, labels=("transport",))
        for name, problem in self._links.items():
            connected.add_metric((name,), float(problem is None))
        yield connected


class _Store(Collector):
    """The store, as it was last looked at."""

    def __init__(self) -> None:
        self._sight: tuple[Sight, datetime] | None = None

    def show(self, sight: Sight, now: datetime) -> None:
        self._sight = sight, now

    def hide(self) -> None:
        self._sight = None

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        yield _gauge("evse_security_store_readable", "1 where the store could be looked at.", float(bool(self._sight)))
        if self._sight is not None:
            sight, now = self._sight
            yield from _of_store(sight)
            yield from _of_certificates(sight, now)


def _of_store(sight: Sight) -> Iterator[Metric]:
    drawn = sight.overview
    yield _gauge("evse_security_store_entries", "Files that count towards the limit.", drawn.entries)
    yield _gauge("evse_security_store_entries_limit", "max_store_entries", sight.max_entries)
    yield _gauge("evse_security_store_bytes", "Bytes of all files.", drawn.bytes)
    yield _gauge("evse_security_store_bytes_limit", "max_store_bytes", sight.max_bytes)
    yield _gauge("evse_security_pending_keys", "Keys that wait for their certificate.", len(drawn.pending_keys))
    yield _gauge("evse_security_store_problems", "Files that cannot be read.", len(drawn.problems))
    yield _gauge("evse_security_clock_believable", "1 where the clock is believed.", float(drawn.clock is None))


def _of_certificates(sight: Sight, now: datetime) -> Iterator[Metric]:
    """Validity and OCSP of each certificate, those first that expire first."""
    drawn = sight.overview
    found = {(domain.domain.value, node.fingerprint): node for domain in drawn.domains for node in _below(domain.trees)}
    shown = sorted(found.items(), key=lambda each: (each[1].not_after, each[0]))
    days, used, age, left = (
        GaugeMetricFamily(name, text, labels=_CERTIFICATE)
        for name, text in (
            ("evse_security_certificate_days_to_expiry", "Days until a certificate expires; below 0 since it has."),
            ("evse_security_certificate_used", "1 for leaves in use and for CAs that are trusted."),
            ("evse_security_ocsp_age_seconds", "Seconds since a cached OCSP response was made (thisUpdate)."),
            ("evse_security_ocsp_seconds_to_next_update", "Seconds until a cached OCSP response is out of date."),
        )
    )
    for (domain, fingerprint), node in shown[:MOST_CERTIFICATES]:
        labels = [domain, node.role.value, node.name[:LONGEST_LABEL], node.serial[:LONGEST_LABEL], fingerprint[:32]]
        days.add_metric(labels, (node.not_after - now).total_seconds() / DAY)
        used.add_metric(labels, float(node.used))
        if node.ocsp is not None:
            age.add_metric(labels, (now - node.ocsp.this_update).total_seconds())
            if node.ocsp.next_update is not None:
                left.add_metric(labels, (node.ocsp.next_update - now).total_seconds())
    yield from (days, used, age, left)
    text = "Certificates that expire later than those that have series of their own."
    yield _gauge("evse_security_certificates_not_shown", text, max(len(shown) - MOST_CERTIFICATES, 0))


def _below(trees: Iterable[Node]) -> Iterator[Node]:
    for node in trees:
        yield node
        yield from _below(node.children)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)
