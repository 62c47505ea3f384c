"""What the page on the API shows is what happens."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

from evse_security import Station, StationConfig
from evse_security.mqtt.api import Api
from evse_security.mqtt.broker import Broker
from evse_security.mqtt.client import MqttPart
from evse_security.service.config import ServiceConfig
from evse_security.service.events import EventKind
from evse_security.service.service import Service
from tests.mqtt.broker import Mosquitto, broker
from tests.mqtt.test_api import Served, serve


def shown(page: str) -> list[tuple[str, str]]:
    """Each command of the page's consoles, with what it prints."""
    found = []
    for console in re.findall(r"^```console\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        for block in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
            command, _, printed = block.partition("\n")
            found.append((command, printed))
    return found


def test_the_consoles_of_the_page(
    tmp_path: Path, mosquitto: Mosquitto, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (pytestconfig.rootpath / "docs" / "mqtt-api.md").read_text()
    for program in ("mosquitto_rr", "mosquitto_pub"):
        (tmp_path / program).write_text(f"-p {mosquitto.address.port}\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    outputs = []

    async def work(_: Served) -> None:
        for command, printed in shown(page):
            process = await asyncio.create_subprocess_exec(*shlex.split(command), stdout=asyncio.subprocess.PIPE)
            output, _errors = await process.communicate()
            outputs.append((output.decode(), printed))

    serve(work, tmp_path / "certs", mosquitto, mqtt_prefix="", mqtt_module_id="evse_security")
    assert len(outputs) >= 7
    assert [output for output, _ in outputs] == [printed for _, printed in outputs]


def test_the_page_lists_every_variable(pytestconfig: pytest.Config) -> None:
    page = (pytestconfig.rootpath / "docs" / "mqtt-api.md").read_text()
    assert re.findall(r"^\| `(\w+)` \| ", page.partition("## Variables")[2], re.MULTILINE) == list(EventKind)


def test_the_access_list_of_the_page(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    page = (pytestconfig.rootpath / "docs" / "mqtt-api.md").read_text()
    (tmp_path / "acl").write_text(page.rpartition("```\n")[0].rpartition("```\n")[2])
    (tmp_path / "password").write_text("secret")
    for number, user in enumerate(("evse_security", "charger_app")):
        create = ["-c"] if number == 0 else []
        subprocess.run(["mosquitto_passwd", "-b", *create, tmp_path / "users", user, "secret"], check=True)
    rules = (f"acl_file {tmp_path / 'acl'}", f"password_file {tmp_path / 'users'}", "allow_anonymous false")
    module = "everest_api/1/evse_security_consumer/evse_security/m2e"

    who = ("-u", "charger_app", "-P", "secret")
    called: list[str] = []

    async def run(program: str, *options: str) -> bytes:
        process = await asyncio.create_subprocess_exec(program, *who, *options, stdout=PIPE, stderr=DEVNULL)
        return (await process.communicate())[0]

    async def work(port: str, api: Api, own: Broker) -> None:
        ready = asyncio.Event()
        part = asyncio.create_task(MqttPart("mqtt", own, api.speak).run(ready.set))
        await ready.wait()
        request = '{"headers":{"replyTo":"reply/charger_app/1"},"payload":"V2G"}'
        await run("mosquitto_pub", "-p", port, "-q", "1", "-t", f"{module}/get_verify_file", "-m", request)
        asked = ("-t", f"{module}/is_ca_certificate_installed", "-e", "reply/charger_app/1", "-m", request)
        assert await run("mosquitto_rr", "-p", port, *asked) == b"false\n"
        part.cancel()
        await asyncio.gather(part, return_exceptions=True)

    certs = StationConfig.under(tmp_path / "certs")
    with broker(tmp_path / "broker", *rules) as running, Station.open(certs) as station:
        service = Service(station, ServiceConfig())
        service.observe(lambda answered: called.append(answered.command))
        own = Broker(running.address, "evse_security", tmp_path / "password")
        asyncio.run(asyncio.wait_for(work(str(running.address.port), Api(service), own), 20))
        service.close()
    assert called == ["is_ca_certificate_installed"]
