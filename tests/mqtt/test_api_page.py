"""What the page on the API shows is what happens."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path

import pytest

from evse_security.service.events import EventKind
from tests.mqtt.broker import Mosquitto
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
