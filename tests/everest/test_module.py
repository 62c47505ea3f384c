"""The module end to end over a real mosquitto, with a manager that says what EVerest's says."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evse_security import Station, StationConfig
from evse_security.errors import InvalidConfiguration
from evse_security.everest import protocol
from evse_security.everest.protocol import EverestProtocol
from evse_security.everest.revisions import every_command
from evse_security.everest.run import main, serve
from evse_security.everest.surroundings import Surroundings
from evse_security.everest.wire import Generation
from evse_security.lab.authority import LEAF, ROOT_CA, SUB_CA, name, self_signed
from evse_security.mqtt import client
from evse_security.mqtt.broker import BrokerAddress, Transport
from evse_security.mqtt.connection import Connection
from evse_security.serve.command import commands
from evse_security.service import spate
from evse_security.service.events import EventKind
from evse_security.service.room import LARGE
from evse_security.service.service import Service
from evse_security.service.spate import MOST
from tests.builders import key
from tests.everest.manager import Manager
from tests.mqtt.broker import Mosquitto, broker
from tests.service.crowd import counted

A, B, C = Generation
IMPLEMENTATION = "modules/evse_security/impl/main"
ROOT = self_signed(key("root"), replace(ROOT_CA, subject=name(CN="V2GRoot")))
SUB = ROOT.issue(key("sub"), replace(SUB_CA, subject=name(CN="SubCA")))
OTHER = self_signed(key("other"), replace(ROOT_CA, subject=name(CN="Other")))

Work = Callable[[Manager], Awaitable[None]]


@asynccontextmanager
async def module(address: BrokerAddress, prefix: Path, generation: Generation, **more: Any) -> AsyncIterator[Manager]:
    """A module that is ready, and its manager."""
    topics = f"{prefix.name}/everest/"
    values = more.pop("values", {})
    async with Manager(address, topics, generation, values, **more) as manager:
        surroundings = Surroundings("evse_security", prefix, address, topics)
        running = asyncio.create_task(serve(surroundings, lambda _: ()))
        manager.running = running  # type: ignore[attr-defined]
        ready = asyncio.create_task(manager.ready())
        await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        await ready
        try:
            yield manager
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def with_module(
    mosquitto: Mosquitto, prefix: Path, work: Work, generation: Generation = Generation.C, **more: Any
) -> None:
    async def within() -> None:
        async with asyncio.timeout(30), module(mosquitto.address, prefix, generation, **more) as manager:
            await work(manager)

    asyncio.run(within())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)


@pytest.mark.parametrize(("generation", "older"), [(A, True), (A, False), (B, False), (C, False)])
def test_each_generation(mosquitto: Mosquitto, tmp_path: Path, generation: Generation, *, older: bool) -> None:
    async def work(manager: Manager) -> None:
        metadata = await manager.wait_for_topic("modules/evse_security/metadata")
        told = {"module": "EvseSecurity", "provides": {"main": {"interface": "evse_security"}}}
        kind = {"B": "GetConfigResponse", "C": "ConfigurationResponse"}.get(generation)
        assert metadata == (told if kind is None else {"msg_type": kind, "data": told})

        v2g = {"certificate_type": "V2G"}
        answer = await manager.call("is_ca_certificate_installed", v2g)
        assert answer == {"id": answer["id"], "retval": False, "origin": "evse_security"}
        install = {"certificate": ROOT.pem, "certificate_type": "V2G"}
        assert (await manager.call("install_ca_certificate", install))["retval"] == "Accepted"
        update = {"operation": "Installed", "ca_certificate_type": "V2G"}
        if generation is A:
            expected = {"name": "certificate_store_update", "data": update}
            assert await manager.wait_for_topic(f"{IMPLEMENTATION}/var") == expected
        else:
            variable = await manager.wait_for_topic(f"{IMPLEMENTATION}/var/certificate_store_update")
            assert variable == {"msg_type": "Var", "data": {"data": update}}
        assert (await manager.call("is_ca_certificate_installed", v2g))["retval"] is True

        wrong = await manager.call("is_ca_certificate_installed", {"certificate_type": "X"})
        assert wrong["error"]["__everest__error_type"] == "SchemaValidationError"
        assert wrong["error"]["__everest__error_msg"].startswith("certificate_type: ")
        assert ("retval" in wrong) is (generation is A)
        path = tmp_path / "etc" / "everest" / "certs" / "ca" / "v2g" / "V2G_ROOT_CA.pem"
        assert (await manager.call("get_verify_file", v2g))["retval"] == str(path)
        known = {"B": {"ConfigurationResponse"}, "C": {"GetConfigResponse"}}.get(generation, set())
        assert not known & {said.get("msg_type") for _, said in manager.heard if isinstance(said, dict)}

    with_module(mosquitto, tmp_path, work, generation, older=older)


def test_the_configuration_is_everests(mosquitto: Mosquitto, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.pem"

    async def work(manager: Manager) -> None:
        for domain, path in (("V2G", elsewhere), ("MO", tmp_path / "etc/everest/certs/mine/mo.pem")):
            await manager.call("install_ca_certificate", {"certificate": ROOT.pem, "certificate_type": domain})
            answer = await manager.call("get_verify_file", {"certificate_type": domain})
            assert answer["retval"] == str(path)

    values = {
        "v2g_ca_bundle": str(elsewhere),
        "mo_ca_bundle": "mine/mo.pem",
        "csms_ca_bundle": "ca/csms/CSMS_ROOT_CA.pem",
    }
    with_module(mosquitto, tmp_path, work, values=values)


async def signed_leaf(manager: Manager, *, revision: str = "2026-04") -> None:
    """Have a V2G leaf made."""
    subject = {"certificate_type": "V2G", "country": "DE", "organization": "Pole", "common": "SECC"}
    if revision == "2026-04":
        made = await manager.call("generate_certificate_signing_request", {**subject, "use_tpm": False})
        csr = made["retval"]["csr"]
    else:
        csr = (await manager.call("generate_certificate_signing_request", subject))["retval"]
    chain = SUB.answer(csr, LEAF)
    update = {"certificate_chain": chain, "certificate_type": "V2G"}
    assert (await manager.call("update_leaf_certificate", update))["retval"] == "Accepted"


def readings(revision: str, chain: str) -> Mapping[str, dict[str, Any]]:
    """The commands that only read, with arguments."""
    leaf = {"certificate_type": "V2G", "encoding": "PEM"}
    types = {"certificate_type": "V2G"} if revision == "2023-10" else {"certificate_types": ["V2G"]}
    arguments: dict[str, dict[str, Any]] = {
        "verify_certificate": {"certificate_chain": chain, **types},
        "get_installed_certificates": {"certificate_types": ["V2GRootCertificate", "V2GCertificateChain"]},
        "get_ocsp_request_data": {},
        "get_v2g_ocsp_request_data": {},
        "get_mo_ocsp_request_data": {"certificate_chain": chain},
        "is_ca_certificate_installed": {"certificate_type": "CSMS"},
        "get_key_pair": leaf,
        "get_leaf_certificate_info": {**leaf, "include_ocsp": True},
        "get_all_valid_certificates_info": {**leaf, "include_ocsp": False},
        "get_verify_file": {"certificate_type": "V2G"},
        "get_verify_location": {"certificate_type": "V2G"},
        "get_leaf_expiry_days_count": {"certificate_type": "V2G"},
        "verify_file_signature": {"file_path": "/nowhere", "signing_certificate": ROOT.pem, "signature": "AAAA"},
    }
    return {command: given for command, given in arguments.items() if command in commands(revision)}


WRITING = {"install_ca_certificate", "update_leaf_certificate", "generate_certificate_signing_request",
           "delete_certificate", "update_ocsp_cache"}  # fmt: skip


def definition_of(revision: str) -> dict[str, Any]:
    """The definition of the interface as a manager keeps it."""
    return {
        name: {"arguments": {argument.name: {} for argument in command.arguments}, "result": {"type": "null"}}
        for name, command in commands(revision).items()
    }


@pytest.mark.parametrize(("revision", "generation"), [("2023-10", A), ("2026-04", C)])
def test_every_command_is_answered_as_in_python(
    mosquitto: Mosquitto, tmp_path: Path, revision: str, generation: Generation
) -> None:
    async def work(manager: Manager) -> None:
        install = {"certificate": ROOT.pem, "certificate_type": "V2G"}
        assert (await manager.call("install_ca_certificate", install))["retval"] == "Accepted"
        await signed_leaf(manager, revision=revision)
        asked = readings(revision, SUB.pem)
        assert asked.keys() | WRITING == commands(revision).keys()
        with Station.open(StationConfig.under(tmp_path / "etc" / "everest" / "certs")) as station:
            for command, arguments in asked.items():
                expected = await asyncio.to_thread(station.dispatch, command, arguments, revision=revision)
                assert (await manager.call(command, arguments))["retval"] == expected, command
        installed = (await manager.call("get_installed_certificates", asked["get_installed_certificates"]))["retval"]
        hashes = installed["certificate_hash_data_chain"][0]["certificate_hash_data"]
        # That nothing is said here is told in the log: an error would end EVerest's OCPP modules.
        cached = await manager.call("update_ocsp_cache", {"certificate_hash_data": hashes, "ocsp_response": "AAAA"})
        assert "error" not in cached
        assert cached["retval"] is None
        deleted = await manager.call("delete_certificate", {"certificate_hash_data": hashes})
        assert deleted["retval"] == "Accepted"

    with_module(mosquitto, tmp_path, work, generation, definition=definition_of(revision))


def test_without_a_definition_the_names_of_both_revisions_are_answered(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async def work(manager: Manager) -> None:
        for revision in ("2023-10", "2026-04"):
            for command, arguments in readings(revision, SUB.pem).items():
                if command != "verify_certificate" or revision == "2026-04":
                    assert "retval" in await manager.call(command, arguments), command

    with_module(mosquitto, tmp_path, work, B)


GARBAGE = [
    b"", b"\xff\xfe", b"null", b"[]", b"{", b'"x"', b"{}", b"true ", b"1" * 5000, b"[" * 100_000,
    b'{"msg_type":"Cmd"}', b'{"msg_type":"Surprise","data":{}}', b'{"msg_type":"Cmd","data":[]}',
    b'{"msg_type":"Cmd","data":{"id":7,"args":{},"origin":"user"}}', b'{"type":"call","data":{}}',
    b'{"msg_type":"Cmd","data":{"id":"x","args":{},"origin":"a/#"}}', b'{"msg_type":"Cmd","data":{"id":"x","args":{}}}',
]  # fmt: skip


@pytest.mark.parametrize("generation", [A, B, C])
def test_garbage_on_every_topic(mosquitto: Mosquitto, tmp_path: Path, generation: Generation) -> None:
    async def work(manager: Manager) -> None:
        commands_topics = [f"{IMPLEMENTATION}/cmd"] if generation is A else [
            f"{IMPLEMENTATION}/cmd/{command}" for command in every_command()
        ]  # fmt: skip
        topics = ["ready", "settings", "module_names", "interface_definitions/evse_security",
                  "modules/evse_security/response", "modules/evse_security/config",
                  "modules/evse_security/config/set_request", *commands_topics]  # fmt: skip
        for topic in topics:
            for payload in GARBAGE:
                await manager.client.publish(manager.prefix + topic, payload, 0)
        for payload in GARBAGE:
            if payload.strip() != b"true":
                await manager.client.publish(f"{manager.prefix}shutdown", payload, 0)
        assert not (await manager.call("is_ca_certificate_installed", {"certificate_type": "V2G"}))["retval"]

    async def patient(manager: Manager) -> None:
        running = manager.running  # type: ignore[attr-defined]
        answering = asyncio.create_task(work(manager))
        await asyncio.wait({answering, running}, return_when=asyncio.FIRST_COMPLETED)
        assert not running.done()
        await answering

    with_module(mosquitto, tmp_path, patient, generation)


def test_what_lay_at_the_broker_is_said_to_nobody(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async def work() -> None:
        topics = f"{tmp_path.name}/"
        data = {"id": "old", "args": {"certificate": ROOT.pem, "certificate_type": "V2G"}, "origin": "user"}
        async with asyncio.timeout(20), Manager(mosquitto.address, topics, C, {}) as manager:
            old = {"shutdown": True, f"{IMPLEMENTATION}/cmd/install_ca_certificate": {"msg_type": "Cmd", "data": data}}
            for topic, message in old.items():
                await manager.say(topic, message, retain=True)
            surroundings = Surroundings("evse_security", tmp_path, mosquitto.address, topics)
            running = asyncio.create_task(serve(surroundings, lambda _: ()))
            await manager.ready()
            assert not (await manager.call("is_ca_certificate_installed", {"certificate_type": "V2G"}))["retval"]
            for topic in old:
                await manager.say(topic, b"", retain=True)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(work())


@pytest.mark.parametrize("generation", [A, C])
def test_whoever_can_be_answered_is(mosquitto: Mosquitto, tmp_path: Path, generation: Generation) -> None:
    async def work(manager: Manager) -> None:
        no_arguments: tuple[Any, ...] = (None, [], "x", 1)
        for arguments in no_arguments:
            answer = await manager.call("get_verify_file", arguments)
            assert answer["error"]["__everest__error_type"] == "MessageParsingError"
        answer = await manager.call("get_verify_file", {"surprise": "x" * 100_000})
        assert answer["error"]["__everest__error_type"] == "SchemaValidationError"
        assert len(answer["error"]["__everest__error_msg"]) < 500
        if generation is A:
            answer = await manager.call("format_the_disk", {})
            assert answer["error"]["__everest__error_type"] == "SchemaValidationError"

    with_module(mosquitto, tmp_path, work, generation)


def test_what_is_ours_to_mend_is_answered_too(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Station, *_: object, **__: object) -> None:
        raise ZeroDivisionError("private")

    async def work(manager: Manager) -> None:
        monkeypatch.setattr(Station, "dispatch", fails)
        answer = await manager.call("get_verify_file", {"certificate_type": "V2G"})
        assert answer["error"] == {
            "__everest__error_type": "HandlerException",
            "__everest__error_msg": "ZeroDivisionError: see the log",
        }
        monkeypatch.undo()
        assert "retval" in await manager.call("get_verify_file", {"certificate_type": "V2G"})

    with_module(mosquitto, tmp_path, work)


@pytest.mark.parametrize("fault", [False, True])
def test_who_calls_wrongly_again_and_again_does_not_fill_the_log(
    mosquitto: Mosquitto,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    fault: bool,
) -> None:
    def fails(self: Station, *_: object, **__: object) -> None:
        raise ZeroDivisionError

    async def work(manager: Manager) -> None:
        if fault:
            monkeypatch.setattr(Station, "dispatch", fails)
        for _ in range(MOST + 15):
            assert "error" in await manager.call("get_verify_file", {"surprise": 1})
        monkeypatch.setattr(spate, "PERIOD", 0.0)
        assert "error" in await manager.call("get_verify_file", {"surprise": 1})

    with_module(mosquitto, tmp_path, work)
    told = [record.getMessage() for record in caplog.records if "call" in record.getMessage()]
    failed = [text for text in told if text.startswith('call of "get_verify_file" by "user": ')]
    assert len(failed) == MOST + 1
    assert told[MOST] == "15 more calls failed"
    assert caplog.text.count("Traceback") == (MOST + 1 if fault else 0)


def test_many_callers_at_once(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async def work(manager: Manager) -> None:
        calls = [manager.call("get_verify_file", {"certificate_type": "V2G"}, f"user{n}") for n in range(80)]
        assert {answer["retval"] for answer in await asyncio.gather(*calls)} == {""}

    with_module(mosquitto, tmp_path, work)


def test_large_calls_are_read_one_after_another(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their values would fill the memory."""
    most = counted(monkeypatch)

    async def work(manager: Manager) -> None:
        arguments = {"certificate_type": "x" * LARGE}
        calls = [manager.call("get_verify_file", arguments, f"user{n}") for n in range(10)]
        assert all("error" in answer for answer in await asyncio.gather(*calls))
        assert most() == 1

    with_module(mosquitto, tmp_path, work)


@pytest.mark.parametrize("generation", [B, C])
def test_the_configuration_at_run_time(mosquitto: Mosquitto, tmp_path: Path, generation: Generation) -> None:
    async def ask(manager: Manager, data: Any) -> tuple[str, str]:
        since = len(manager.heard)
        kind = {"B": "GetConfig", "C": "ConfigurationRequest"}[generation]
        await manager.say("modules/evse_security/config/set_request", {"msg_type": kind, "data": data})
        said = await manager.wait_for_topic("modules/evse_security/config/set_response", since)
        assert said["msg_type"] == {"B": "GetConfigResponse", "C": "ConfigurationResponse"}[generation]
        data = said["data"]
        assert (data["status"], data["status_info"], data["type"]) == ("Ok", "", "Set")
        return data["response"]["status"], data["response"]["status_info"]

    def identifier(key: str) -> dict[str, str]:
        return {"module_id": "evse_security", "configuration_parameter_name": key}

    async def work(manager: Manager) -> None:
        for name_, value, status in (
            ("log_level", "info", "Accepted"),
            ("log_level", "loud", "Rejected"),
            ("v2g_ca_bundle", "other.pem", "RebootRequired"),
            ("max_store_entries", "10", "RebootRequired"),
            ("max_store_entries", "-1", "Rejected"),
            ("nonsense", "1", "Rejected"),
        ):
            assert (await ask(manager, {"identifier": identifier(name_), "value": value}))[0] == status, name_
        assert await ask(manager, {"value": 1}) == ("Rejected", "identifier is no object")

    with_module(mosquitto, tmp_path, work, generation)


def test_the_configuration_is_asked_for_again(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(protocol, "PATIENCE", 0.1)

    async def work() -> None:
        topics = f"{tmp_path.name}/"
        async with Manager(mosquitto.address, topics, C, {}) as manager:
            manager.ignored_requests = 3
            surroundings = Surroundings("evse_security", tmp_path, mosquitto.address, topics)
            running = asyncio.create_task(serve(surroundings, lambda _: ()))
            await manager.ready()
            assert sum(topic == "config/request" for topic, _ in manager.heard) == 4
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(work())
    assert sum("does not give the configuration" in record.message for record in caplog.records) == 1


def test_a_manager_that_says_nothing_is_known_by_its_library(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "PATIENCE", 0.1)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libframework.so").write_bytes(b"\x7fELF\0GetConfig\0GetConfigResponse\0")

    async def work() -> None:
        topics = f"{tmp_path.name}/"
        async with Manager(mosquitto.address, topics, B, {}) as manager:
            await manager.keep(gone=True)
            surroundings = Surroundings("evse_security", tmp_path, mosquitto.address, topics)
            running = asyncio.create_task(serve(surroundings, lambda _: ()))
            await manager.ready()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(work())


def test_a_broker_that_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speak = EverestProtocol.speak
    services: list[Service] = []

    def beside(service: Service) -> tuple[()]:
        services.append(service)
        return ()

    async def work(running: Mosquitto) -> None:
        go_on = asyncio.Event()
        go_on.set()

        async def gated(self: EverestProtocol, connection: Connection, ready: Callable[[], None]) -> None:
            await go_on.wait()
            await speak(self, connection, ready)

        monkeypatch.setattr(EverestProtocol, "speak", gated)
        surroundings = Surroundings("evse_security", tmp_path, running.address, "everest/")
        served = asyncio.create_task(serve(surroundings, beside))
        async with Manager(running.address, "everest/", C, {}) as manager:
            await manager.ready()
            install = {"certificate": ROOT.pem, "certificate_type": "V2G"}
            assert (await manager.call("install_ca_certificate", install))["retval"] == "Accepted"
            await manager.wait_for_topic(f"{IMPLEMENTATION}/var/certificate_store_update")
        go_on.clear()
        await asyncio.to_thread(running.stop)
        assert await services[0].call("is_ca_certificate_installed", {"certificate_type": "V2G"}, caller="other")
        other = {"certificate": OTHER.pem, "certificate_type": "MO"}
        assert await services[0].call("install_ca_certificate", other, caller="other") == "Accepted"
        await asyncio.to_thread(running.start)
        async with Manager(running.address, "everest/", C, {}) as again:
            go_on.set()
            variable = await again.wait_for_topic(f"{IMPLEMENTATION}/var/certificate_store_update")
            assert variable["data"]["data"] == {"operation": "Installed", "ca_certificate_type": "MO"}
            assert (await again.call("is_ca_certificate_installed", {"certificate_type": "V2G"}))["retval"] is True
            # EVerest knows that we are ready, and our configuration is what it was.
            assert not {"modules/evse_security/ready", "config/request"} & {topic for topic, _ in again.heard}
        served.cancel()
        await asyncio.gather(served, return_exceptions=True)

    async def within(running: Mosquitto) -> None:
        async with asyncio.timeout(30):
            await work(running)

    with broker(tmp_path / "broker") as running:
        asyncio.run(within(running))


def test_a_broker_behind_a_socket(tmp_path: Path) -> None:
    async def work(manager: Manager) -> None:
        assert (await manager.call("get_verify_file", {"certificate_type": "V2G"}))["retval"] == ""

    with broker(tmp_path / "broker", transport=Transport.unix) as running:
        with_module(running, tmp_path, work)


def test_shutdown_ends_the_module_after_what_it_was_asked(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async def work(manager: Manager) -> None:
        data = {"id": "last", "args": {"certificate_type": "V2G"}, "origin": "user"}
        await manager.say(f"{IMPLEMENTATION}/cmd/get_verify_file", {"msg_type": "Cmd", "data": data})
        await manager.say("shutdown", True)
        assert (await manager.answer("get_verify_file", "last"))["retval"] == ""
        await manager.running  # type: ignore[attr-defined]

    with_module(mosquitto, tmp_path, work)


# ---- as the manager starts it


def environment(mosquitto: Mosquitto, prefix: Path) -> dict[str, str]:
    return {
        "EV_MODULE": "evse_security",
        "EV_PREFIX": str(prefix),
        "EV_LOG_CONF_FILE": str(prefix / "logging.ini"),
        "EV_MQTT_EVEREST_PREFIX": f"{prefix.name}/",
        "EV_MQTT_EXTERNAL_PREFIX": "",
        "EV_MQTT_BROKER_HOST": "localhost",
        "EV_MQTT_BROKER_PORT": str(mosquitto.address.port),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PATH": os.environ["PATH"],
    }


@pytest.mark.parametrize("end", ["shutdown", "SIGTERM"])
def test_the_process_ends_in_order(mosquitto: Mosquitto, tmp_path: Path, end: str) -> None:
    async def work() -> None:
        variables = environment(mosquitto, tmp_path)
        async with asyncio.timeout(30), Manager(mosquitto.address, f"{tmp_path.name}/", C, {}) as manager:
            program = tmp_path / "module.py"
            program.write_text(MODULE_PY)
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(program), env=variables, stderr=asyncio.subprocess.PIPE
            )
            await manager.ready()
            assert (await manager.call("get_verify_file", {"certificate_type": "V2G"}))["retval"] == ""
            if end == "shutdown":
                await manager.say("shutdown", True)
            else:
                process.send_signal(signal.SIGTERM)
            _, log = await process.communicate()
            assert process.returncode == 0, log.decode()
            assert b"Traceback" not in log

    asyncio.run(work())


MODULE_PY = "import sys\n\nfrom evse_security.daemon.module import main\n\nsys.exit(main())\n"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"EV_MODULE": ""}, "EV_MODULE"),
        ({"EV_PREFIX": "relative"}, "EV_PREFIX"),
        ({"EV_MQTT_BROKER_HOST": ""}, "EV_MQTT_BROKER_HOST"),
        ({"EV_MQTT_BROKER_PORT": "x"}, "EV_MQTT_BROKER_PORT"),
        ({"EV_MQTT_EVEREST_PREFIX": "#/"}, "EV_MQTT_EVEREST_PREFIX"),
        ({"EVSE_SECURITY_EVEREST_FRAMEWORK": "ros"}, "must be mqtt or everestpy"),
        ({"EVSE_SECURITY_EVEREST_FRAMEWORK": "everestpy"}, "everestpy cannot be used"),
        ({"EVSE_SECURITY_EVEREST_GENERATION": "Z"}, "must be one of A, B, C"),
    ],
)
def test_a_wrong_environment_is_said(
    mosquitto: Mosquitto, tmp_path: Path, changes: dict[str, str], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert main({**environment(mosquitto, tmp_path), **changes}) == 2
    assert words in caplog.text


def test_a_wrong_configuration_is_said_and_nothing_is_served(
    mosquitto: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def nothing(manager: Manager) -> None:
        raise AssertionError

    with pytest.raises(InvalidConfiguration, match="max_store_entries"):
        with_module(mosquitto, tmp_path, nothing, values={"max_store_entries": "many"})


class Part:
    """A part beside the module."""

    def __init__(self, service: Service, problem: Exception | None, name: str = "part") -> None:
        self.service, self.problem, self.name = service, problem, name
        self.has_ended = False

    async def run(self, ready: Callable[[], None]) -> None:
        if self.problem is not None:
            raise self.problem
        ready()
        self.service.events.publish(EventKind.certificate_store_update, {"operation": "Installed"})
        try:
            await asyncio.Event().wait()
        finally:
            self.has_ended = True


def test_a_part_that_is_configured_wrongly_ends_no_other(
    mosquitto: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    beside: list[Part] = []

    def parts(service: Service) -> list[Part]:
        beside[:] = [Part(service, InvalidConfiguration("http_listen", "is taken"), "http"), Part(service, None)]
        return beside

    async def work() -> None:
        topics = f"{tmp_path.name}/"
        async with asyncio.timeout(20), Manager(mosquitto.address, topics, C, {}) as manager:
            surroundings = Surroundings("evse_security", tmp_path, mosquitto.address, topics)
            running = asyncio.create_task(serve(surroundings, parts))
            await manager.ready()
            await manager.wait_for_topic(f"{IMPLEMENTATION}/var/certificate_store_update")
            assert not beside[1].has_ended
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(work())
    assert sum("the module goes on without http" in record.message for record in caplog.records) == 1


def test_what_runs_beside_it_shares_the_store_and_never_ends_it(
    mosquitto: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        for number, problem in enumerate((None, InvalidConfiguration("http_listen", "is taken"))):
            topics = f"{tmp_path.name}/{number}/"
            async with asyncio.timeout(20), Manager(mosquitto.address, topics, C, {}) as manager:
                surroundings = Surroundings("evse_security", tmp_path, mosquitto.address, topics)
                running = asyncio.create_task(serve(surroundings, lambda service, p=problem: [Part(service, p)]))  # type: ignore[misc]
                await manager.ready()
                assert (await manager.call("get_verify_file", {"certificate_type": "V2G"}))["retval"] == ""
                if problem is None:
                    await manager.wait_for_topic(f"{IMPLEMENTATION}/var/certificate_store_update")
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    asyncio.run(work())
    assert sum("the module goes on without" in record.message for record in caplog.records) == 1
