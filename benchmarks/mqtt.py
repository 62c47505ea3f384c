"""Commands as EVerest's modules call them, through mosquitto, beside a program that sends back what it gets."""

from __future__ import annotations

import json
import queue
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.measure import Bound, Row, Target, in_turns, paired
from benchmarks.plan import Plan
from benchmarks.processes import running_child
from benchmarks.stores import Stores

GROUP = "a command over MQTT"
TARGET = Target(Bound.RATIO, 1.5)
PREFIX, ECHO, REPLY = "everest/", "echo", "echo/reply"
MODULE = f"{PREFIX}modules/evse_security"
COMMANDS: dict[str, dict[str, Any]] = {
    "is_ca_certificate_installed": {"certificate_type": "V2G"},
    "get_leaf_certificate_info": {"certificate_type": "V2G", "encoding": "PEM", "include_ocsp": False},
}


def rows(plan: Plan, stores: Stores) -> Iterator[Row]:
    """The round trips of some commands, in turns with the echo of the same message, all with quality of service 2."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        print("no mosquitto here: not measured")
        return
    with ExitStack() as stack:
        port = stack.enter_context(_mosquitto(program, stack.enter_context(stores.scratch())))
        user = stack.enter_context(_user(port))
        stack.enter_context(running_child("mqtt_echo", port, ECHO))
        store = stack.enter_context(stores.store(plan.usual))
        stack.enter_context(running_child("mqtt_module", port, PREFIX, store))
        user.wait_until_ready()
        for command, arguments in COMMANDS.items():
            topic = f"{MODULE}/impl/main/cmd/{command}"
            taken = in_turns(
                {
                    "ours": lambda topic=topic, arguments=arguments: user.call(topic, arguments),  # type: ignore[misc]
                    "echo": lambda arguments=arguments: user.call(ECHO, arguments),  # type: ignore[misc]
                },
                seconds=plan.seconds,
            )
            yield paired(
                taken["ours"],
                taken["echo"],
                group=GROUP,
                what=command,
                size=f"{plan.usual} leaves",
                floor_is="the same message sent back",
                target=TARGET,
            )


@contextmanager
def _mosquitto(program: str, directory: Path) -> Iterator[int]:
    """A broker on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    configuration = directory / "mosquitto.conf"
    configuration.write_text(f"listener {port} 127.0.0.1\nset_tcp_nodelay true\nallow_anonymous true\n")
    with subprocess.Popen([program, "-c", configuration], stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    end = time.monotonic() + 10
    while True:
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return
        assert time.monotonic() < end, "mosquitto does not start"
        time.sleep(0.01)


class _User:
    """Another module, and of the manager as much as a module needs: its configuration."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._answers: queue.Queue[MQTTMessage] = queue.Queue()
        self._ready: queue.Queue[MQTTMessage] = queue.Queue()
        self._numbers = count()
        client.on_message = lambda _client, _data, message: self._answers.put(message)
        client.message_callback_add(f"{PREFIX}config/request", lambda *_: self._configure())
        client.message_callback_add(f"{MODULE}/ready", lambda _client, _data, message: self._ready.put(message))
        topics = (
            f"{PREFIX}config/request",
            f"{MODULE}/ready",
            f"{MODULE}/impl/main/cmd/+/response/user",
            f"{ECHO}/reply",
        )
        client.subscribe([(topic, 2) for topic in topics])

    def _configure(self) -> None:
        data: object = {"module_config": {"configuration_parameters": {"!module": []}}}
        response = {"status": "Ok", "type": "Get", "response": {"type": "Module", "data": data}}
        self._client.publish(f"{MODULE}/response", _envelope("ConfigurationResponse", response), 2)

    def wait_until_ready(self) -> None:
        """Wait for the module and for the echo."""
        self._ready.get(timeout=60)
        while True:
            self._client.publish(ECHO, b"", 2)
            try:
                self._answers.get(timeout=1)
                return
            except queue.Empty:
                continue

    def call(self, topic: str, arguments: dict[str, Any]) -> None:
        """Call a command and wait for its answer, which must be to this call, and no error."""
        number = str(next(self._numbers))
        payload = _envelope("Cmd", {"id": number, "args": arguments, "origin": "user"})
        self._client.publish(topic, payload, 2)
        answer = json.loads(self._answers.get(timeout=10).payload)["data"]
        answer = answer.get("data", answer)
        assert answer["id"] == number
        assert "error" not in answer, answer


def _envelope(kind: str, data: object) -> str:
    return json.dumps({"msg_type": kind, "data": data}, separators=(",", ":"))


@contextmanager
def _user(port: int) -> Iterator[_User]:
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    connection: Any = client.socket()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.loop_start()
    try:
        yield _User(client)
    finally:
        client.disconnect()
        client.loop_stop()
