"""Serves the station of a play, whose SECC leaf is about to expire, beside a CA, and tells what happens."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evse_security import Station, StationConfig
from evse_security.clock import Clock, system_clock
from evse_security.daemon.life import Configuration, live
from evse_security.daemon.logs import log_to_stderr
from evse_security.daemon.notify import Notifier
from evse_security.daemon.parts import assemble
from evse_security.demo.acts import STATION
from evse_security.demo.authority import Signer, ageing, responder
from evse_security.demo.home import Home
from evse_security.demo.play import say
from evse_security.service.config import ServiceConfig
from evse_security.service.events import Event, EventKind
from evse_security.service.parts import Part
from evse_security.service.service import Service

USUAL_PORT = 8866
STATE = "service"
"""Directory in which the service remembers its renewals, beside the station's certificates."""
LONGEST_VALUE = 60
"""Characters of a value, as events are told."""


def serve(place: Home, seconds: float | None, environment: Mapping[str, str], clock: Clock = system_clock) -> int:
    """Serve until interrupted, or for so many seconds: then 1 if no leaf was renewed or no OCSP response came."""
    station = place.config(clock)
    port = _free_port()
    log_to_stderr("text", "warning", environment)
    with Station.open(station) as opened:
        _let_age(opened, place, clock)
    teller = _Teller()
    with responder(place.pki, clock) as url:
        service = ServiceConfig(
            http_listen=(f"127.0.0.1:{port}",),
            mqtt_broker=environment.get("EVSE_SECURITY_MQTT_BROKER", ""),
            state_directory=place.directory / STATE,
            ocsp_proxy=url,
        )

        def parts(running: Service, all_ready: Callable[[], bool]) -> Sequence[Part]:
            running.events.hear(teller.tell)
            more: list[Part] = [Signer(running, place.pki)]
            if seconds is not None:
                more.append(_Ending(seconds))
            return [*assemble(running, all_ready), *more]

        _say_what_to_try(station, port)
        asyncio.run(live(lambda: Configuration(station, service), parts, Notifier(None)))
    return 0 if seconds is None or teller.complete else 1


def _free_port() -> int:
    """The usual port, or any where that is taken."""
    for port in (USUAL_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise OSError("there is no free port")


def _let_age(station: Station, place: Home, clock: Clock) -> None:
    """Replace the SECC's leaves by one that expires in ten days: it is to be renewed.

    That an earlier run renewed one is forgotten: the service renews at most one a day.
    """
    shutil.rmtree(place.directory / STATE, ignore_errors=True)
    request = {"certificate_type": "V2G", "country": "DE", "organization": "Demo Charging", "common": STATION}
    for hash_data in _installed_leaves(station):
        station.dispatch("delete_certificate", {"certificate_hash_data": hash_data})
    csr = station.dispatch("generate_certificate_signing_request", {**request, "use_tpm": False})["csr"]
    chain = ageing(place.pki, csr, clock)
    station.dispatch("update_leaf_certificate", {"certificate_chain": chain, "certificate_type": "V2G"})


def _installed_leaves(station: Station) -> Iterator[Any]:
    reply = station.dispatch("get_installed_certificates", {"certificate_types": ["V2GCertificateChain"]})
    for chain in reply["certificate_hash_data_chain"]:
        yield chain["certificate_hash_data"]


def _say_what_to_try(station: StationConfig, port: int) -> None:
    certs = station.v2g_ca_bundle.parent.parent.parent
    certs = certs.relative_to(Path.cwd()) if certs.is_relative_to(Path.cwd()) else certs
    page = f"http://127.0.0.1:{port}"
    say(f"The station is served: {page}/")
    say("Its SECC leaf expires in ten days. What happens to it is told below; end it with Ctrl-C. To try meanwhile:")
    question = f"{page}/api/2026-04/get_leaf_expiry_days_count"
    say(f"  curl -s {question} -H 'Content-Type: application/json' -d '{{\"certificate_type\": \"V2G\"}}'")
    say(f"  curl -sN {page}/api/events")
    say(f"  .venv/bin/evse-security --certs {certs} explain V2G")


class _Teller:
    """Tells events, and knows whether everything has been seen."""

    def __init__(self) -> None:
        self._asked = self._renewed = self._answered = False

    @property
    def complete(self) -> bool:
        """Whether a leaf was renewed and an OCSP response came."""
        return self._renewed and self._answered

    def tell(self, event: Event) -> None:
        """Tell one event in a line."""
        self._asked |= event.kind is EventKind.certificate_signing_request
        self._renewed |= self._asked and event.data.get("leaf_certificate_type") == "V2G"
        self._answered |= event.kind is EventKind.ocsp
        say(f"  {event.time:%H:%M:%S} {event.kind}: {_in_short(event.data)}")


def _in_short(data: Mapping[str, Any]) -> str:
    """What an event says in words, or else its members."""
    about = [str(data[key]) for key in ("leaf_certificate_type", "state", "certificate", "status") if key in data]
    words = data.get("text") or data.get("reason")
    if words:
        return f"{' '.join(about[:2])}: {words}" if "reason" in data else str(words)
    return ", ".join(about if "state" in data else (f"{key} {_short(value)}" for key, value in data.items()))


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


class _Ending:
    """Ends the service after some seconds."""

    name = "end of the demo"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def run(self, ready: Callable[[], None]) -> None:
        """Wait, then end this process as its operator would."""
        ready()
        await asyncio.sleep(self._seconds)
        os.kill(os.getpid(), signal.SIGTERM)
