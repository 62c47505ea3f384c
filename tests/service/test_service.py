"""The one worker: order, errors, who is behind a command, what is observed, and too many callers."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Event

import pytest

from evse_security import Station, StationConfig
from evse_security.errors import MalformedRequest, ServiceBusy
from evse_security.service.config import ServiceConfig
from evse_security.service.events import EventKind
from evse_security.service.service import MOST_WAITING, Called, Service, outcome
from evse_security.station import Refused
from tests.builders import at, world


def served(certs: Path, work: Callable[[Service], Awaitable[None]]) -> None:
    config = StationConfig.under(certs, clock=lambda: at("2030-01-01"))

    async def run() -> None:
        with Station.open(config) as station:
            service = Service(station, ServiceConfig())
            try:
                await work(service)
            finally:
                service.close()

    asyncio.run(run())


def test_commands_are_answered_announced_observed_and_recorded(tmp_path: Path) -> None:
    observed: list[Called] = []

    async def work(service: Service) -> None:
        service.observe(observed.append)
        root = world("V2GRoot")["V2GRoot"].pem
        arguments = {"certificate": root, "certificate_type": "V2G"}
        assert await service.call("install_ca_certificate", arguments, caller="http:test") == "Accepted"
        assert [event.data for event in service.events.recent()] == [
            {"operation": "Installed", "ca_certificate_type": "V2G"}
        ]
        installed = await service.call("is_ca_certificate_installed", {"certificate_type": "V2G"}, caller="x")
        assert installed is True
        with pytest.raises(MalformedRequest):
            await service.call("is_ca_certificate_installed", {}, caller="x")
        entries = await service.ask(lambda station: list(station.audit_entries()), caller="x")
        assert entries[0]["actor"] == "http:test"

    served(tmp_path, work)
    assert [(each.command, each.result) for each in observed] == [
        ("install_ca_certificate", "Accepted"),
        ("is_ca_certificate_installed", "true"),
        ("is_ca_certificate_installed", "MalformedRequest"),
    ]


def test_more_callers_than_can_be_answered_are_refused_at_once(tmp_path: Path) -> None:
    async def work(service: Service) -> None:
        go_on = Event()
        waiting = [asyncio.create_task(service.ask(lambda _: go_on.wait(30), caller="x")) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(ServiceBusy, match="try again later"):
            await service.ask(lambda _: None, caller="x")
        go_on.set()
        assert all(await asyncio.gather(*waiting))
        await service.ask(lambda _: None, caller="x")

    served(tmp_path, work)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ("Accepted", "Accepted"),
        ({"status": "NotFound"}, "NotFound"),
        ({"result": "Valid"}, "Valid"),
        (True, "true"),
        ("/certs/ca/v2g", "answered"),
        ("", "answered"),
        (None, "answered"),
        (30, "answered"),
        ({"ocsp_request_data_list": []}, "answered"),
    ],
)
def test_results_in_one_word(answer: object, word: str) -> None:
    assert outcome(answer) == word


def test_commands_do_not_wait_for_who_looks(tmp_path: Path) -> None:
    async def work(service: Service) -> None:
        go_on = Event()
        looking = asyncio.create_task(service.look(lambda _: go_on.wait(30), caller="x"))
        await asyncio.sleep(0)
        installed = await service.call("is_ca_certificate_installed", {"certificate_type": "V2G"}, caller="x")
        assert (installed, looking.done()) == (False, False)
        go_on.set()
        assert await looking

    served(tmp_path, work)


def test_who_asks_is_told_why_a_change_was_refused(tmp_path: Path) -> None:
    async def work(service: Service) -> None:
        heard: list[Refused] = []
        arguments = {"certificate": world("Root > Sub > Leaf")["Leaf"].pem, "certificate_type": "V2G"}
        answer = await service.call("install_ca_certificate", arguments, caller="x", hear=heard.append)
        assert (answer, heard[0].why.code) == ("InvalidCertificateChain", "NotACa")
        await service.call("install_ca_certificate", arguments, caller="x")
        assert len(heard) == 1

    served(tmp_path, work)


def test_a_closed_service_hears_no_more_though_events_go_on(tmp_path: Path) -> None:
    """As after a reload: the stream is the same, and must not hold what each configuration had in memory."""
    heard: list[int] = []

    async def run() -> None:
        with Station.open(StationConfig.under(tmp_path)) as station:
            service = Service(station, ServiceConfig())
            service.hear(lambda event: heard.append(event.number))
            service.events.publish(EventKind.warning, {})
            service.close()
            service.events.publish(EventKind.warning, {})

    asyncio.run(run())
    assert heard == [1]
