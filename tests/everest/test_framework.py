"""The module on everestpy. The `everest.framework` here is a stand-in: the real one exists only inside an EVerest."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from evse_security.errors import InvalidConfiguration
from evse_security.everest.framework import NO, revision_with, serve_through_everestpy
from evse_security.everest.surroundings import Surroundings
from evse_security.interface import REVISIONS
from evse_security.mqtt.broker import BrokerAddress
from evse_security.serve.codec import decode
from evse_security.serve.command import commands
from evse_security.service.spate import MOST
from tests.everest.test_module import ROOT


class FakeModule:
    """Keeps what it is given, and insists on what the real one insists on."""

    latest: FakeModule

    def __init__(self, session: object) -> None:
        FakeModule.latest = self
        names = [*commands("2026-04"), "of_tomorrow"]
        self.implementations = {"main": SimpleNamespace(commands=names, variables=["certificate_store_update"])}
        self.handlers: dict[str, Callable[[dict[str, Any]], Any]] = {}
        self.published: list[tuple[str, str, Any]] = []
        self.ready = threading.Event()
        self.shut: Callable[[], None] | None = None

    def say_hello(self) -> Any:
        values = {"v2g_ca_bundle": "ca/v2g/V2G_ROOT_CA.pem"}
        return SimpleNamespace(configs=SimpleNamespace(module=values, implementations={}), connections={})

    def implement_command(self, implementation: str, command: str, handler: Callable[[dict[str, Any]], Any]) -> None:
        assert implementation == "main"
        self.handlers[command] = handler

    def init_done(self) -> None:
        assert self.handlers.keys() == set(self.implementations["main"].commands)
        self.ready.set()

    def publish_variable(self, implementation: str, name: str, value: Any) -> None:
        self.published.append((implementation, name, value))

    def shutdown_handler(self, handler: Callable[[], None]) -> None:
        self.shut = handler


@pytest.fixture
def everestpy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    framework = ModuleType("everest.framework")
    framework.Module = FakeModule  # type: ignore[attr-defined]
    framework.RuntimeSession = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "everest", ModuleType("everest"))
    monkeypatch.setitem(sys.modules, "everest.framework", framework)
    yield


@pytest.mark.usefixtures("everestpy")
def test_the_commands_are_implemented_and_never_raise(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    surroundings = Surroundings("evse_security", tmp_path, BrokerAddress.parse("mqtt://localhost"))

    def user() -> None:
        module = FakeModule.latest
        assert module.ready.wait(10)
        call = module.handlers
        install = {"certificate": ROOT.pem, "certificate_type": "V2G"}
        assert call["install_ca_certificate"](install) == "Accepted"
        assert call["is_ca_certificate_installed"]({"certificate_type": "V2G"}) is True
        bundle = tmp_path / "etc/everest/certs/ca/v2g/V2G_ROOT_CA.pem"
        assert call["get_verify_file"]({"certificate_type": "V2G"}) == str(bundle)
        for name, handler in call.items():
            answer = handler({"surprise": 1})
            if name != "of_tomorrow":
                assert answer == NO[commands("2026-04")[name].result]
        while not module.published:
            pass
        update = {"operation": "Installed", "ca_certificate_type": "V2G"}
        assert module.published == [("main", "certificate_store_update", update)]
        assert module.shut is not None
        module.shut()

    async def work() -> None:
        async with asyncio.timeout(20):
            serving = asyncio.create_task(serve_through_everestpy(surroundings, lambda _: ()))
            while "latest" not in vars(FakeModule):
                await asyncio.sleep(0.01)
            await asyncio.to_thread(user)
            await serving

    asyncio.run(work())
    assert len([record for record in caplog.records if record.getMessage().startswith("call of ")]) == MOST


def test_without_everestpy_it_is_said_where_it_should_be(tmp_path: Path) -> None:
    surroundings = Surroundings("evse_security", tmp_path, BrokerAddress.parse("mqtt://localhost"))
    with pytest.raises(InvalidConfiguration, match="lib/everest/everestpy"):
        asyncio.run(serve_through_everestpy(surroundings, lambda _: ()))


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_result_has_a_no_of_its_type(revision: str) -> None:
    for command in commands(revision).values():
        decode(command.result, NO[command.result])


def test_the_revision_is_seen_from_the_names() -> None:
    assert revision_with("verify_certificate", commands("2023-10")) == "2023-10"
    assert revision_with("verify_certificate", commands("2026-04")) == "2026-04"
    assert revision_with("verify_certificate", [*commands("2026-04"), "of_tomorrow"]) == "2026-04"
