"""Whether the broker is there is seen by who asks over HTTP, and by nobody else waited for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from evse_security.mqtt import client
from evse_security.mqtt.api import ApiPart
from evse_security.mqtt.broker import Broker, BrokerAddress, Transport
from tests.http.kit import Running, served
from tests.mqtt.broker import Mosquitto, free_port

METRIC = "evse_security_transport_connected"


async def told(running: Running) -> tuple[list[str], str]:
    """What is wrong, and what is measured."""
    async with running.client() as asking:
        problems = (await asking.get("/readyz")).json()["problems"]
        lines = (await asking.get("/metrics")).text.splitlines()
    return problems, "".join(line.removeprefix(METRIC) for line in lines if line.startswith(METRIC))


async def until_told(running: Running, beginning: str = "") -> None:
    """Wait until there is this problem, or none, and look at what is measured."""
    measured = f'{{transport="mqtt"}} {float(not beginning)}'
    async with asyncio.timeout(20):
        while True:
            problems, found = await told(running)
            if [text[: len(beginning)] for text in problems] == [beginning] * bool(beginning) and found == measured:
                break
            await asyncio.sleep(0.01)


def test_a_broker_that_is_not_there_is_a_problem_until_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)
    address = BrokerAddress(Transport.tcp, "localhost", free_port())
    mosquitto = Mosquitto(tmp_path, address)
    lost = f"mqtt: no connection to mqtt://localhost:{address.port}, trying again: "

    async def work(running: Running) -> None:
        assert await told(running) == ([], "")
        was_ready = asyncio.Event()
        part = asyncio.create_task(ApiPart(running.service, Broker(address)).run(was_ready.set))
        await was_ready.wait()
        await until_told(running, lost)
        await asyncio.to_thread(mosquitto.start)
        await until_told(running)
        await asyncio.to_thread(mosquitto.stop)
        await until_told(running, lost)
        part.cancel()
        with suppress(asyncio.CancelledError):
            await part

    try:
        served(tmp_path / "certs", work)
    finally:
        mosquitto.stop()


def test_a_part_that_ended_is_not_connected(tmp_path: Path) -> None:
    address = BrokerAddress(Transport.tcp, "localhost", free_port())
    mosquitto = Mosquitto(tmp_path, address)

    async def work(running: Running) -> None:
        await asyncio.to_thread(mosquitto.start)
        part = asyncio.create_task(ApiPart(running.service, Broker(address)).run(lambda: None))
        await until_told(running)
        part.cancel()
        with suppress(asyncio.CancelledError):
            await part
        await until_told(running, "mqtt: not connected to ")

    try:
        served(tmp_path / "certs", work)
    finally:
        mosquitto.stop()
