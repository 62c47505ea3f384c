"""The part that stays connected, over a real mosquitto."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from evse_security.errors import InvalidConfiguration
from evse_security.lab.authority import LEAF, ROOT_CA, Entity, name, self_signed
from evse_security.mqtt import client as module
from evse_security.mqtt.broker import Broker, BrokerAddress, Transport
from evse_security.mqtt.client import MqttPart, back_off
from evse_security.mqtt.connection import Connection, Message, is_topic
from evse_security.service.events import Events
from tests.builders import NOW, key
from tests.mqtt.broker import Mosquitto, broker, free_port


def nothing() -> None:
    pass


async def echo(connection: Connection, ready: Callable[[], None]) -> None:
    """Answer on `TOPIC/reply`."""
    await connection.subscribe("ask/+")
    ready()
    async for message in connection.messages():
        await connection.publish(f"reply/{message.topic[4:]}", message.payload)


async def asks(connection: Connection, ready: Callable[[], None]) -> None:
    """Ask the echo until it answers, and end."""
    await connection.subscribe("reply/x")
    answer = asyncio.create_task(next_of(connection))
    while not answer.done():
        await connection.publish("ask/x", b"payload")
        await asyncio.wait({answer}, timeout=0.05)
    assert answer.result() == Message("reply/x", b"payload")
    ready()


async def next_of(connection: Connection) -> Message:
    return await anext(connection.messages())


async def both(one: Broker, other: Broker | None = None) -> None:
    async with asyncio.timeout(20):
        answering = asyncio.create_task(MqttPart("echo", one, echo).run(nothing))
        try:
            await MqttPart("asks", other or one, asks).run(nothing)
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)


def run(work: Awaitable[None]) -> None:
    async def within() -> None:
        async with asyncio.timeout(30):
            await work

    asyncio.run(within())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)


def test_messages_go_both_ways_and_a_protocol_that_returns_ends_the_part(mosquitto: Mosquitto) -> None:
    run(both(Broker(mosquitto.address)))


def test_sockets_of_this_machine(tmp_path: Path) -> None:
    with broker(tmp_path, transport=Transport.unix) as running:
        run(both(Broker(running.address)))


def test_nothing_waits_for_more_to_send(mosquitto: Mosquitto) -> None:
    async def speak(connection: Connection, ready: Callable[[], None]) -> None:
        raw = connection._client._client.socket()  # type: ignore[attr-defined]
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    run(MqttPart("x", Broker(mosquitto.address), speak).run(nothing))


def pem_files(directory: Path, name: str, entity: Entity) -> tuple[Path, Path]:
    certificate, private_key = directory / f"{name}.pem", directory / f"{name}.key"
    certificate.write_text(entity.pem)
    private_key.write_text(entity.key_pem())
    return certificate, private_key


def end_entity(root: Entity, host: str) -> Entity:
    names = (x509.DNSName(host),)
    return root.issue(key(host), replace(LEAF, subject=name(CN=host), alternative_names=names))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho drops sockets that failed
def test_tls_with_client_certificates_users_and_passwords(tmp_path: Path) -> None:
    root = self_signed(key("ca"), replace(ROOT_CA, subject=name(CN="Brokers")))
    ca, _ = pem_files(tmp_path, "ca", root)
    certificate, own_key = pem_files(tmp_path, "client", end_entity(root, "client"))
    served, served_key = pem_files(tmp_path, "server", end_entity(root, "localhost"))
    users = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", users, "me", "secret"], check=True)
    lines = (f"cafile {ca}", f"certfile {served}", f"keyfile {served_key}", "require_certificate true",
             f"password_file {users}", "allow_anonymous false")  # fmt: skip
    password = tmp_path / "password"
    password.write_text("secret\n")
    with broker(tmp_path / "broker", *lines, transport=Transport.tls) as running:
        good = Broker(running.address, "me", password, ca, certificate, own_key)
        run(both(good))

        async def refused(bad: Broker, words: str) -> None:
            events = Events(lambda: NOW)
            part = asyncio.create_task(MqttPart("x", bad, echo, events).run(nothing))
            while not events.recent():
                await asyncio.sleep(0.01)
            part.cancel()
            await asyncio.gather(part, return_exceptions=True)
            assert words in str(events.recent()[0].data["text"])

        run(
            refused(
                Broker(running.address, "me", password, certificate, certificate, own_key), "certificate verify failed"
            )
        )
        wrong = tmp_path / "wrong"
        wrong.write_text("guessed")
        run(refused(Broker(running.address, "me", wrong, ca, certificate, own_key), "ot authorized"))
        elsewhere = BrokerAddress(Transport.tls, "127.0.0.1", running.address.port)
        run(refused(Broker(elsewhere, "me", password, ca, certificate, own_key), "IP address mismatch"))
    gc.collect()


def test_a_broker_is_waited_for_and_warned_about_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    address = BrokerAddress(Transport.tcp, "localhost", free_port())
    late = Mosquitto(tmp_path, address)

    async def work() -> None:
        asking = asyncio.create_task(both(Broker(address)))
        await asyncio.sleep(0.15)
        await asyncio.to_thread(late.start)
        await asking

    try:
        with caplog.at_level(logging.INFO, "evse_security"):
            run(work())
    finally:
        late.stop()
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert sorted(text.split(":")[0] for text in warnings) == ["asks", "echo"]
    assert f"mqtt://localhost:{address.port}" in warnings[0]


def test_a_lost_connection_is_spoken_on_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spoken = 0
    restarting: list[asyncio.Task[None]] = []

    def restart() -> None:
        running.stop()
        running.start()

    async def speak(connection: Connection, ready: Callable[[], None]) -> None:
        nonlocal spoken
        spoken += 1
        ready()
        if spoken == 3:
            return
        restarting.append(asyncio.create_task(asyncio.to_thread(restart)))
        if spoken == 1:
            async with asyncio.TaskGroup() as group:  # which wraps what it raises
                group.create_task(next_of(connection))
        await asyncio.Event().wait()  # that nobody will set: it does not even listen

    with broker(tmp_path) as running:
        run(MqttPart("x", Broker(running.address), speak).run(nothing))
    assert spoken == 3
    assert "trying again" in caplog.text
    assert "Unspecified" not in caplog.text  # which is all that paho has to say of it


def test_what_a_protocol_raises_is_raised(mosquitto: Mosquitto) -> None:
    async def speak(connection: Connection, ready: Callable[[], None]) -> None:
        with pytest.raises(ValueError, match="no topic"):
            await connection.publish("a/#", b"")
        raise LookupError

    with pytest.raises(LookupError):
        run(MqttPart("x", Broker(mosquitto.address), speak).run(nothing))


def test_unusable_files_are_configuration_at_the_start_and_a_lost_connection_later(tmp_path: Path) -> None:
    password = tmp_path / "password"
    with pytest.raises(InvalidConfiguration):
        run(MqttPart("x", Broker(BrokerAddress.parse("mqtt://localhost:1"), "me", password), echo).run(nothing))
    password.write_text("x")
    spoken: list[bool] = []

    async def speak(connection: Connection, ready: Callable[[], None]) -> None:
        spoken.append(password.exists())
        if len(spoken) == 2:
            return
        password.unlink()
        asyncio.get_running_loop().call_later(0.1, password.write_text, "x")
        raise ConnectionResetError("lost")

    with broker(tmp_path / "broker") as running:
        run(MqttPart("x", Broker(running.address, "me", password), speak).run(nothing))
    assert spoken == [True, True]


def test_more_messages_than_can_be_read_are_dropped(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MOST_MESSAGES", 3)
    heard: list[bytes] = []

    async def speak(connection: Connection, ready: Callable[[], None]) -> None:
        await connection.subscribe("flood", qos=1)
        for number in range(6):
            await connection.publish("flood", b"%d" % number)
        await connection.publish("other", b"", qos=2)
        async for message in connection.messages():
            heard.append(message.payload)
            if message.payload == b"2":
                await connection.publish("flood", b"end")
            if message.payload == b"end":
                return

    run(MqttPart("x", Broker(mosquitto.address), speak).run(nothing))
    assert heard == [b"0", b"1", b"2", b"end"]
    assert [record.message.split(":")[0] for record in caplog.records if record.levelno == logging.WARNING] == [
        "more messages come than can be answered"
    ]


class Speechless(asyncio.Protocol):
    """A broker that never answers: a stand-in, since no real one is so."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport


def test_a_broker_that_does_not_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER", 0.05)
    versions: list[bytes] = []

    class Broken(Speechless):
        def data_received(self, data: bytes) -> None:
            if data[:1] == b"\x10":
                versions.append(data[8:9])

    async def work() -> None:
        server = await asyncio.get_running_loop().create_server(Broken, "127.0.0.1", 0)
        address = BrokerAddress(Transport.tcp, "127.0.0.1", server.sockets[0].getsockname()[1])
        part = asyncio.create_task(MqttPart("x", Broker(address), echo).run(nothing))
        while len(versions) < 3:
            await asyncio.sleep(0.01)
        part.cancel()
        await asyncio.gather(part, return_exceptions=True)
        server.close()

    run(work())
    assert versions[:3] == [b"\x05", b"\x04", b"\x05"]


def test_a_broker_that_is_too_old_for_mqtt_5_is_spoken_to_in_3(monkeypatch: pytest.MonkeyPatch) -> None:
    versions: list[bytes] = []

    class Old(Speechless):
        def data_received(self, data: bytes) -> None:
            if data[:1] == b"\x10":
                versions.append(data[8:9])
                self.transport.write(b"\x20\x02\x00" + (b"\x01" if data[8:9] == b"\x05" else b"\x00"))

    async def speak(connection: Connection, ready: Callable[[], None]) -> None:
        ready()

    async def work() -> None:
        server = await asyncio.get_running_loop().create_server(Old, "127.0.0.1", 0)
        address = BrokerAddress(Transport.tcp, "127.0.0.1", server.sockets[0].getsockname()[1])
        await MqttPart("x", Broker(address), speak).run(nothing)
        server.close()

    run(work())
    assert versions == [b"\x05", b"\x04"]


def test_waiting_doubles_up_to_a_limit_and_not_for_all_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT", 1.0)
    assert [back_off(failures, 1.0) for failures in (1, 2, 3, 6, 1000)] == [1, 2, 4, 30, 30]
    assert back_off(3, 0.0) == 2


@pytest.mark.parametrize(
    ("topic", "fine"),
    [("a/b", True), ("/", True), ("", False), ("a/+", False), ("#", False), ("a\0", False), ("\ud800", False),
     ("x" * 65_535, True), ("ü" * 32_768, False)],
)  # fmt: skip
def test_topics_that_can_be_published_to(topic: str, *, fine: bool) -> None:
    assert is_topic(topic) is fine


def test_a_password_that_others_can_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for text in ("mqtt://localhost", "mqtts://broker.example", "mqtt://broker.example"):
        MqttPart("x", Broker(BrokerAddress.parse(text), "me", tmp_path), echo)
    assert [record.message for record in caplog.records] == [
        "x: the password goes to mqtt://broker.example:1883 in plain: use mqtts"
    ]
