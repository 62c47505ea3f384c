"""EVerest API v1 over a real mosquitto, with mosquitto_pub and mosquitto_sub as the client."""

from __future__ import annotations

import asyncio
import itertools
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from evse_security import Station, StationConfig
from evse_security.errors import InvalidConfiguration
from evse_security.lab.firmware import natural_scheme, sign_firmware
from evse_security.mqtt import client as mqtt_client
from evse_security.mqtt.api import MOST_AT_ONCE, Api
from evse_security.mqtt.broker import Broker
from evse_security.mqtt.client import MqttPart
from evse_security.serve.command import commands
from evse_security.serve.everest_api import REVISION, Topics
from evse_security.service.config import ServiceConfig
from evse_security.service.events import EventKind
from evse_security.service.room import LARGE
from evse_security.service.service import Service
from tests.builders import NOW, World, csms, ocsp_answer, world
from tests.conformance.kit import standard
from tests.mqtt.broker import Mosquitto, broker
from tests.mqtt.foreign import Foreign, foreign
from tests.service.crowd import counted

MODULE = "everest_api/1/evse_security_consumer/sec_api"
COMMANDS = f"{MODULE}/m2e"
VARIABLES = f"{MODULE}/e2m"
_prefixes = (f"test{number}/" for number in itertools.count(1))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_client, "FIRST_WAIT", 0.01)


class Served(NamedTuple):
    station: Station
    service: Service
    api: Api
    client: Foreign
    certs: Path

    async def ask(self, command: str, payload: Any = ..., **headers: Any) -> Any:
        """The JSON answer of a command or variable."""
        return json.loads(await self.client.ask(f"{COMMANDS}/{command}", payload, **headers))

    async def send(self, command: str, payload: bytes | str, *options: str) -> None:
        await self.client.publish(f"{COMMANDS}/{command}", payload, *options)


@asynccontextmanager
async def speaking(api: Api, mosquitto: Mosquitto) -> AsyncIterator[None]:
    """The API on a connection of its own."""
    ready = asyncio.Event()
    part = asyncio.create_task(MqttPart("mqtt", Broker(mosquitto.address), api.speak).run(ready.set))
    await asyncio.wait({part, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
    assert not part.done(), part.exception()
    try:
        yield
    finally:
        part.cancel()
        await asyncio.gather(part, return_exceptions=True)


def serve(
    work: Callable[[Served], Awaitable[None]],
    certs: Path,
    mosquitto: Mosquitto,
    *,
    connected: bool = True,
    **config: Any,
) -> None:
    async def within() -> None:
        chosen: dict[str, Any] = {
            "mqtt_prefix": next(_prefixes),
            "mqtt_module_id": "sec_api",
            "mqtt_heartbeat": 0,
            "mqtt_communication_check": 0,
            **config,
        }
        with Station.open(StationConfig.under(certs, clock=lambda: NOW)) as station:
            service = Service(station, ServiceConfig(**chosen))
            try:
                async with asyncio.timeout(30), foreign(mosquitto.address, chosen["mqtt_prefix"]) as client:
                    served = Served(station, service, Api(service), client, certs)
                    if connected:
                        async with speaking(served.api, mosquitto):
                            await work(served)
                    else:
                        await work(served)
                    served.api.close()
            finally:
                service.close()

    asyncio.run(within())


# ---- the three commands of EVerest's own module, to the byte


def test_the_bytes_of_everests_own_module(tmp_path: Path, mosquitto: Mosquitto) -> None:
    made = standard()

    async def work(served: Served) -> None:
        install(served.station, made)
        reply = served.client.prefix + "my/reply/1"
        ask = '{"headers":{"replyTo":"%s"},"payload":%s}'
        await served.send("is_ca_certificate_installed", ask % (reply, '"V2G"'))
        assert await served.client.on("my/reply/1") == "true"
        await served.send("is_ca_certificate_installed", ask % (reply, '"MO"'))
        assert await served.client.on("my/reply/1", 2) == "false"
        await served.send("get_verify_location", ask % (reply, '"V2G"'))
        assert await served.client.on("my/reply/1", 3) == f"{served.certs}/ca/v2g/V2G_ROOT_CA.pem"
        await served.send("get_verify_location", ask % (reply, '"CSMS"'))
        assert await served.client.on("my/reply/1", 4) == ""
        asked = '{"certificate_type":"V2G","encoding":"PEM","include_ocsp":true,"more":"as EVerest lets it pass"}'
        await served.send("get_leaf_certificate_info", ask % (reply, asked))
        info = served.station.dispatch(
            "get_leaf_certificate_info", {"certificate_type": "V2G", "encoding": "PEM", "include_ocsp": True}
        )
        assert info["info"]["certificate_count"] == 3
        assert await served.client.on("my/reply/1", 5) == json.dumps(info, indent=4, sort_keys=True)
        assert len(served.client.all_on("my/reply/1")) == 5, "one answer each"

    serve(work, tmp_path, mosquitto)


def install(station: Station, made: Any) -> None:
    """A root, and a leaf that it vouches for."""
    ask = station.dispatch
    assert ask("install_ca_certificate", {"certificate": made["V2GRoot"].pem, "certificate_type": "V2G"}) == "Accepted"
    subject = {"country": "DE", "organization": "Operator", "common": "DE*ABC*E1", "use_tpm": False}
    csr = ask("generate_certificate_signing_request", {"certificate_type": "V2G", **subject})["csr"]
    chain = csms(made, "Sub2").answer(csr)
    assert ask("update_leaf_certificate", {"certificate_chain": chain, "certificate_type": "V2G"}) == "Accepted"


def test_answers_are_sent_exactly_once_and_not_retained(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async def work(served: Served) -> None:
        assert await served.ask("is_ca_certificate_installed", "V2G") is False
        (answer,) = (heard for heard in served.client.heard if "/reply/" in heard.topic)
        assert (answer.qos, answer.retain) == (2, False)

    serve(work, tmp_path, mosquitto)


# ---- all commands


def test_every_command_is_answered_as_the_station_answers_it(tmp_path: Path, mosquitto: Mosquitto) -> None:
    asked: set[str] = set()

    async def work(served: Served) -> None:
        made = standard()
        chain = await changes(served, made, asked)
        firmware = tmp_path / "firmware.bin"
        firmware.write_bytes(b"firmware")
        signed = {
            "file_path": str(firmware),
            "signing_certificate": made["SECC"].pem,
            "signature": sign_firmware(b"firmware", made["SECC"].key, natural_scheme(made["SECC"].key)),
        }
        leaf = {"certificate_type": "V2G", "encoding": "PEM", "include_ocsp": True}
        types = ["V2GRootCertificate", "V2GCertificateChain"]
        questions: list[tuple[str, Any, dict[str, Any]]] = [
            ("verify_certificate", checked := {"certificate_chain": chain, "certificate_types": ["V2G"]}, checked),
            ("get_installed_certificates", types, {"certificate_types": types}),
            ("get_v2g_ocsp_request_data", ..., {}),
            ("get_mo_ocsp_request_data", chain, {"certificate_chain": chain}),
            ("is_ca_certificate_installed", "V2G", {"certificate_type": "V2G"}),
            ("get_leaf_certificate_info", leaf, leaf),
            ("get_all_valid_certificates_info", leaf, leaf),
            ("get_verify_file", "V2G", {"certificate_type": "V2G"}),
            ("get_leaf_expiry_days_count", "V2G", {"certificate_type": "V2G"}),
            ("verify_file_signature", signed, signed),
        ]
        for command, payload, arguments in questions:
            asked.add(command)
            answer = await served.ask(command, payload)
            assert answer == served.station.dispatch(command, arguments)
            assert answer and answer != {"status": "NotFound"}
        asked.add("get_verify_location")
        location = await served.client.ask(f"{COMMANDS}/get_verify_location", "V2G")
        assert location == served.station.dispatch("get_verify_location", {"certificate_type": "V2G"})

    serve(work, tmp_path / "certs", mosquitto)
    assert asked == set(commands(REVISION))


async def changes(served: Served, made: World, asked: set[str]) -> str:
    """Each command that changes the store, done over MQTT. Returns the chain of the leaf."""

    async def ask(command: str, payload: Any) -> Any:
        asked.add(command)
        return await served.ask(command, payload)

    for name in ("V2GRoot", "Other"):
        root = {"certificate": {**made, **world("Other")}[name].pem, "certificate_type": "V2G"}
        assert await ask("install_ca_certificate", root) == "Accepted"
    subject = {"country": "DE", "organization": "Operator", "common": "DE*ABC*E1", "use_tpm": False}
    request = await ask("generate_certificate_signing_request", {"certificate_type": "V2G", **subject})
    assert request["status"] == "Accepted"
    chain = csms(made, "Sub2").answer(request["csr"])
    update = {"certificate_chain": chain, "certificate_type": "V2G"}
    assert await ask("update_leaf_certificate", update) == "Accepted"
    (*_, sub) = served.station.dispatch("get_v2g_ocsp_request_data", {})["ocsp_request_data_list"]
    response = b64encode(ocsp_answer(made, "Sub1")).decode()
    kept = {"certificate_hash_data": sub["certificate_hash_data"], "ocsp_response": response}
    assert await ask("update_ocsp_cache", kept) is None
    roots = served.station.dispatch("get_installed_certificates", {"certificate_types": ["V2GRootCertificate"]})
    data = [each["certificate_hash_data"] for each in roots["certificate_hash_data_chain"]]
    other = next(each for each in data if each["issuer_key_hash"] != sub["certificate_hash_data"]["issuer_key_hash"])
    assert await ask("delete_certificate", other) == "Accepted"
    assert {entry["actor"] for entry in served.station.audit_entries()} == {"mqtt:everest_api"}
    assert {entry["result"] for entry in served.station.audit_entries()} == {"done"}
    return chain


# ---- errors and garbage


def test_errors_are_objects_with_code_message_and_path(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async def work(served: Served) -> None:
        async def error(command: str, payload: Any = ..., **headers: Any) -> Any:
            return (await served.ask(command, payload, **headers))["error"]

        assert await error("get_leaf_expiry_days_count", "V2X") == {
            "code": "MalformedRequest",
            "message": 'payload: expected one of CSMS, V2G, MF, MO, got "V2X"',
            "path": "payload",
        }
        assert (await error("delete_certificate", {"hash_algorithm": "MD5"}))["path"] == "payload.hash_algorithm"
        assert (await error("verify_certificate", {"certificate_chain": "x"}))["path"] == "payload.certificate_types"
        assert (await error("install_ca_certificate"))["message"] == "payload: is required"
        assert (await error("no_such_command"))["path"] == "topic"
        assert (await error("clock/get", "V2X"))["path"] == "payload"
        assert (await error("get_verify_file", "V2G", replyErrors=1))["path"] == "headers.replyErrors"
        refused = {"certificate_hash_data": hash_data(), "ocsp_response": "no base64"}
        assert (await error("update_ocsp_cache", refused)).keys() == {"code", "message", "reason"}

    serve(work, tmp_path, mosquitto)


def hash_data() -> dict[str, str]:
    return {"hash_algorithm": "SHA256", "issuer_name_hash": "0" * 64, "issuer_key_hash": "0" * 64, "serial_number": "1"}


def test_the_three_commands_answer_errors_only_to_who_asks(
    tmp_path: Path, mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(served: Served) -> None:
        silent = {"headers": {"replyTo": f"{served.client.prefix}reply/silent"}, "payload": "V2X"}
        for command in ("is_ca_certificate_installed", "get_leaf_certificate_info", "get_verify_location"):
            await served.send(command, json.dumps(silent))
            assert "error" in await served.ask(command, "V2X", replyErrors=True)
        silent["headers"]["replyErrors"] = False  # type: ignore[index]
        await served.send("get_verify_file", json.dumps(silent))
        assert await served.ask("get_verify_file", "V2G") == ""
        assert served.client.all_on("reply/silent") == []

    serve(work, tmp_path, mosquitto)
    assert caplog.text.count("was dropped") == 4


GARBAGE: list[bytes] = [
    b"",
    b"\0\xff\xfe",
    b"{",
    b"[]",
    b"null",
    b'"V2G"',
    b'{"headers":[],"payload":"V2G"}',
    b'{"headers":{"replyTo":{}},"payload":"V2G"}',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"payload":"' + b"x" * 3_000_000 + b'"}',
]


def test_garbage_is_dropped_with_a_warning_and_nothing_stops(
    tmp_path: Path, mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(served: Served) -> None:
        for garbage in GARBAGE:
            await served.send("is_ca_certificate_installed", garbage)
        await served.client.publish("everest_api/discover", b"\xff")
        await served.send("communication_check", b"1")
        await served.send("is_ca_certificate_installed/x/y", b"x")
        assert await served.ask("is_ca_certificate_installed", "V2G") is False

    serve(work, tmp_path, mosquitto)
    warnings = [record for record in caplog.records if "was dropped" in record.message]
    assert len(warnings) == 10, "of more, only the number is told"
    assert all(len(record.message) < 300 for record in warnings)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_who_cannot_be_answered_is_not(tmp_path: Path, mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    topics = ["a/+", "a/#", "a\0", "x" * 65_536, "", "$SYS/x", "a\x01", "/" * 300, "a\ufffe", "a\ud800"]

    async def work(served: Served) -> None:
        root = world("Root")["Root"].pem
        for topic in topics:
            body = {"headers": {"replyTo": topic}, "payload": "V2G"}
            await served.send("is_ca_certificate_installed", json.dumps(body))
        before = len(served.client.heard)
        # Without a topic it is done in silence, with one that is none it is not.
        install = {"certificate": root, "certificate_type": "MO"}
        await served.send("install_ca_certificate", json.dumps({"headers": {"replyTo": "+"}, "payload": install}))
        assert await served.ask("is_ca_certificate_installed", "MO") is False
        await served.send("install_ca_certificate", json.dumps({"payload": install}))
        assert await served.ask("is_ca_certificate_installed", "MO") is True
        replies = [heard for heard in served.client.heard[before:] if "/m2e/" not in heard.topic]
        assert [heard.payload for heard in replies if "/e2m/" not in heard.topic] == ["false", "true"]

    serve(work, tmp_path, mosquitto)
    assert caplog.text.count("nothing can be published to it") == len(topics)  # "" is nobody; "+" is one more
    assert "no connection" not in caplog.text


def test_many_requests_at_once_are_each_answered_once(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async def work(served: Served) -> None:
        asked = [
            json.dumps({"headers": {"replyTo": f"{served.client.prefix}reply/{number}"}, "payload": "V2G"})
            for number in range(5 * MOST_AT_ONCE)
        ]
        command = ["mosquitto_pub", *served.client.at, "-t", served.api.topics.command("get_verify_file"), "-l"]
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
        await process.communicate("".join(f"{one}\n" for one in asked).encode())
        for number in range(len(asked)):
            assert await served.client.on(f"reply/{number}") == '""'
        assert len([heard for heard in served.client.heard if "/reply/" in heard.topic]) == len(asked)

    serve(work, tmp_path, mosquitto)


def test_large_requests_are_read_one_after_another(
    tmp_path: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their values would fill the memory."""
    most = counted(monkeypatch)

    async def work(served: Served) -> None:
        asked = [f"{'x' * LARGE}{number}" for number in range(10)]
        answers = await asyncio.gather(*(served.ask("get_verify_file", each) for each in asked))
        assert {answer["error"]["path"] for answer in answers} == {"payload"}
        assert most() == 1

    serve(work, tmp_path, mosquitto)


def test_requests_that_lay_at_the_broker_are_not_done(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async def work(served: Served) -> None:
        ask = {"headers": {"replyTo": f"{served.client.prefix}reply/retained"}, "payload": "V2G"}
        await served.send("is_ca_certificate_installed", json.dumps(ask), "-r")
        async with speaking(served.api, mosquitto):
            assert await served.ask("is_ca_certificate_installed", "V2G") is False
            assert served.client.all_on("reply/retained") == []
        await served.send("is_ca_certificate_installed", b"", "-r")

    serve(work, tmp_path, mosquitto, connected=False)


def test_a_fault_of_the_program_is_told_as_one(
    tmp_path: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(served: Served) -> None:
        async def fail(*_: Any, **__: Any) -> Any:
            raise ZeroDivisionError

        with monkeypatch.context() as patched:
            patched.setattr(served.service, "call", fail)
            told = await served.ask("get_verify_file", "V2G")
            assert told["error"]["code"] == "InternalError"
        assert await served.ask("get_verify_file", "V2G") == ""

    serve(work, tmp_path, mosquitto)
    assert "ZeroDivisionError" in caplog.text


# ---- variables and events


def test_updates_are_published_before_the_answer_and_can_be_asked_for(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async def work(served: Served) -> None:
        assert await served.ask("certificate_store_update/get") is None
        made, client = world("A", "B"), served.client
        for name in made:
            payload = {"certificate": made[name].pem, "certificate_type": "V2G"}
            assert await served.ask("install_ca_certificate", payload) == "Accepted"
            said = [h.topic.removeprefix(client.prefix) for h in client.heard if "/m2e/" not in h.topic]
            assert said[-2:] == [f"{VARIABLES}/certificate_store_update", f"reply/{next(client._numbers) - 1}"]
        update = {"operation": "Installed", "ca_certificate_type": "V2G"}
        assert json.loads(await client.on(f"{VARIABLES}/certificate_store_update", 2)) == update
        assert await served.ask("certificate_store_update/get") == update

    serve(work, tmp_path, mosquitto)


def test_every_kind_of_event_is_a_variable(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async def work(served: Served) -> None:
        for kind in EventKind:
            served.service.events.publish(kind, {"about": kind.value})
        for kind in EventKind:
            assert json.loads(await served.client.on(f"{VARIABLES}/{kind}")) == {"about": kind.value}
            assert await served.ask(f"{kind}/get") == {"about": kind.value}

    serve(work, tmp_path, mosquitto)


def test_the_latest_request_for_each_type_of_leaf_can_be_asked_for(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async def work(served: Served) -> None:
        for kind in ("V2G", "CSMS"):
            request = {"leaf_certificate_type": kind, "csr": f"of {kind}"}
            served.service.events.publish(EventKind.certificate_signing_request, request)
        assert (await served.ask("certificate_signing_request/get"))["csr"] == "of CSMS"
        assert (await served.ask("certificate_signing_request/get", "V2G"))["csr"] == "of V2G"
        assert await served.ask("certificate_signing_request/get", "MF") is None
        for edition in ("20", "2"):
            request = {"leaf_certificate_type": "V2G", "edition": edition, "csr": f"for {edition}"}
            served.service.events.publish(EventKind.certificate_signing_request, request)
        assert (await served.ask("certificate_signing_request/get", "V2G"))["csr"] == "for 2"
        for edition in ("20", "2"):
            wanted = {"leaf_certificate_type": "V2G", "edition": edition}
            assert (await served.ask("certificate_signing_request/get", wanted))["csr"] == f"for {edition}"

    serve(work, tmp_path, mosquitto)


def test_what_happened_without_a_connection_is_published_later(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async def work(served: Served) -> None:
        for number in range(3):
            served.service.events.publish(EventKind.renewal, {"number": number})
            async with speaking(served.api, mosquitto):
                await served.client.on(f"{VARIABLES}/renewal", number + 1)
        assert [json.loads(each)["number"] for each in served.client.all_on(f"{VARIABLES}/renewal")] == [0, 1, 2]

    serve(work, tmp_path, mosquitto, connected=False)


def test_an_event_that_json_cannot_say_stops_nothing(
    tmp_path: Path, mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(served: Served) -> None:
        served.service.events.publish(EventKind.clock, {"now": NOW})
        served.service.events.publish(EventKind.clock, {"now": 1})
        assert json.loads(await served.client.on(f"{VARIABLES}/clock")) == {"now": 1}

    serve(work, tmp_path, mosquitto)
    assert "the event 1 cannot be published" in caplog.text


# ---- discovery and signs of life


def test_discovery(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async def work(served: Served) -> None:
        assert await served.client.on("everest_api/ready_beacon") == "{}"
        found = (
            "{\n"
            '    "apis": [\n'
            "        {\n"
            '            "communication_monitoring": {\n'
            '                "communication_check_period_s": 5,\n'
            '                "heartbeat_period_ms": 1000\n'
            "            },\n"
            '            "module_id": "sec_api",\n'
            '            "type": "evse_security_consumer",\n'
            '            "version": 1\n'
            "        }\n"
            "    ]\n"
            "}"
        )
        assert await served.client.ask("everest_api/discover") == found
        assert await served.client.ask("everest_api/query-modules/evse_security_consumer") == found
        other = {"headers": {"replyTo": f"{served.client.prefix}reply/other"}}
        await served.client.publish("everest_api/query-modules/display_message", json.dumps(other))
        await served.client.ask("everest_api/discover")
        assert served.client.all_on("reply/other") == []

    serve(work, tmp_path, mosquitto, mqtt_heartbeat=1000, mqtt_communication_check=5)


def test_heartbeats_count_on_over_connections(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async def work(served: Served) -> None:
        async with speaking(served.api, mosquitto):
            await served.client.on(f"{VARIABLES}/heartbeat", 2)
        async with speaking(served.api, mosquitto):
            await served.client.on(f"{VARIABLES}/heartbeat", 4)
        beats = served.client.all_on(f"{VARIABLES}/heartbeat")
        assert beats == [str(number) for number in range(len(beats))]

    serve(work, tmp_path, mosquitto, connected=False, mqtt_heartbeat=10)


def test_the_communication_check_is_told_as_warnings(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async def work(served: Served) -> None:
        async def told(number: int) -> tuple[str, str]:
            warning = json.loads(await served.client.on(f"{VARIABLES}/warning", number))
            return warning["sub_type"], warning["state"]

        assert await told(1) == ("Initial communication check", "Active")
        await served.send("communication_check", "true")
        assert await told(2) == ("Initial communication check", "Cleared")
        assert await told(3) == ("Bridge to implementation connection lost", "Active")
        await served.send("communication_check", "false")
        assert await told(4) == ("Bridge to implementation connection lost", "Cleared")

    serve(work, tmp_path, mosquitto, mqtt_communication_check=1)


# ---- brokers, names, and what is documented


def test_a_broker_that_begins_again_is_served_again(tmp_path: Path) -> None:
    with broker(tmp_path / "broker") as running:

        async def work(served: Served) -> None:
            assert await served.ask("is_ca_certificate_installed", "V2G") is False
            await asyncio.to_thread(running.stop)
            root = world("V2GRoot")["V2GRoot"].pem
            arguments = {"certificate": root, "certificate_type": "V2G"}
            assert await served.service.call("install_ca_certificate", arguments, caller="test") == "Accepted"
            await asyncio.to_thread(running.start)
            async with foreign(running.address, served.client.prefix) as again:
                ask = {"headers": {"replyTo": f"{again.prefix}reply/again"}, "payload": "V2G"}
                while not again.all_on("reply/again"):
                    await again.publish(f"{COMMANDS}/is_ca_certificate_installed", json.dumps(ask))
                    await asyncio.sleep(0.01)
                assert again.all_on("reply/again")[0] == "true"

        serve(work, tmp_path / "certs", running)


@pytest.mark.parametrize(
    "names",
    [{"mqtt_module_id": ""}, {"mqtt_module_id": "a/b"}, {"mqtt_module_id": "+"}, {"mqtt_prefix": "a/#/"}],
)
def test_names_that_cannot_stand_in_topics_are_refused(tmp_path: Path, names: dict[str, str]) -> None:
    with Station.open(StationConfig.under(tmp_path)) as station:
        service = Service(station, ServiceConfig(**names))  # type: ignore[arg-type]
        with pytest.raises(InvalidConfiguration, match="cannot stand in a topic") as refused:
            Api(service)
        service.close()
    assert refused.value.key in names


def test_what_is_answered_and_published_is_what_is_documented(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    document = json.loads((pytestconfig.rootpath / "docs" / "reference" / "asyncapi.json").read_text())
    names = {"{prefix}": "", "{module_id}": "sec_api"}
    documented: dict[str, set[str]] = {"send": set(), "receive": set()}
    for operation in document["operations"].values():
        channel = document["channels"][operation["channel"]["$ref"].rpartition("/")[2]]
        if channel["address"] is not None:
            server = channel["servers"][0]["$ref"].rpartition("/")[2]
            topic = f"{document['servers'][server]['pathname']}/{channel['address']}"
            for variable, value in names.items():
                topic = topic.replace(variable, value)
            documented[operation["action"]].add(topic)
    with Station.open(StationConfig.under(tmp_path)) as station:
        service = Service(station, ServiceConfig(mqtt_module_id="sec_api"))
        answered = {*Api(service).answers, Topics("", "sec_api").communication_check}
        service.close()
    published = {f"{VARIABLES}/{name}" for name in [*EventKind, "heartbeat"]} | {"everest_api/ready_beacon"}
    assert documented == {"send": answered, "receive": published}
