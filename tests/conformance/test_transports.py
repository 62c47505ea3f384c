"""One story, told over Python, the command line, HTTP, EVerest's API and EVerest's own protocol: the same answers."""

from __future__ import annotations

import asyncio
import io
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evse_security import Station, StationConfig
from evse_security.cli import main
from evse_security.everest.protocol import EverestProtocol
from evse_security.everest.surroundings import Surroundings
from evse_security.everest.wire import Generation
from evse_security.mqtt.api import Api
from evse_security.mqtt.broker import Broker
from evse_security.mqtt.client import MqttPart
from evse_security.serve.command import commands
from evse_security.service.config import ServiceConfig
from evse_security.service.service import Service
from tests.builders import NOW, csms, ocsp_answer, world
from tests.conformance.kit import NEW, OLD, RANDOM, standard
from tests.everest.manager import Manager
from tests.http.kit import loopback, serving
from tests.mqtt.broker import Mosquitto
from tests.mqtt.conftest import mosquitto
from tests.mqtt.foreign import foreign

__all__ = ["mosquitto"]

Ask = Callable[[str, Any], Awaitable[Any]]
Told = list[tuple[str, Any]]
MADE = standard()
OTHER = world("MORoot > MOSub > Contract")
SUBJECT = {"country": "DE", "organization": "Operator", "common": "DE*ABC*E1"}


def story(revision: str) -> Generator[tuple[str, Any], Any, None]:
    """A station's life: every command of a revision that needs no file of its own, with good and bad arguments."""
    root, impostor = MADE["V2GRoot"].pem, OTHER["Contract"].chain_pem()
    verify = {"certificate_type": "V2G"} if revision == OLD else {"certificate_types": ["V2G"]}
    names = commands(revision).keys()
    yield "is_ca_certificate_installed", {"certificate_type": "V2G"}
    yield "install_ca_certificate", {"certificate": root, "certificate_type": "V2G"}
    yield "install_ca_certificate", {"certificate": "nothing", "certificate_type": "MO"}
    yield "is_ca_certificate_installed", {"certificate_type": "V2G"}
    subject = SUBJECT if revision == OLD else {**SUBJECT, "use_tpm": False}
    csr = yield "generate_certificate_signing_request", {"certificate_type": "V2G", **subject}
    chain = csms(MADE, "Sub2").answer(csr if isinstance(csr, str) else csr["csr"], serial_number=0x1234)
    yield "verify_certificate", {"certificate_chain": chain, **verify}
    yield "verify_certificate", {"certificate_chain": impostor, **verify}
    yield "update_leaf_certificate", {"certificate_chain": impostor, "certificate_type": "V2G"}
    yield "update_leaf_certificate", {"certificate_chain": chain, "certificate_type": "V2G"}
    yield "get_leaf_expiry_days_count", {"certificate_type": "V2G"}
    kinds = {"certificate_types": ["V2GRootCertificate", "V2GCertificateChain"]}
    installed = yield "get_installed_certificates", kinds
    for command in ("get_verify_file", "get_verify_location"):
        if command in names:
            yield command, {"certificate_type": "V2G"}
            yield command, {"certificate_type": "MF"}
    question = "get_v2g_ocsp_request_data" if "get_v2g_ocsp_request_data" in names else "get_ocsp_request_data"
    asked = yield question, {}
    if "get_mo_ocsp_request_data" in names:
        yield "get_mo_ocsp_request_data", {"certificate_chain": impostor}
    hash_data = asked["ocsp_request_data_list"][0]["certificate_hash_data"]
    response = b64encode(ocsp_answer(MADE, "Sub2")).decode()
    yield "update_ocsp_cache", {"certificate_hash_data": hash_data, "ocsp_response": response}
    for command in ("get_key_pair", "get_leaf_certificate_info", "get_all_valid_certificates_info"):
        if command in names:
            wanted = {each.name for each in commands(revision)[command].arguments}
            given = {"certificate_type": "V2G", "encoding": "PEM", "include_ocsp": True}
            yield command, {name: value for name, value in given.items() if name in wanted}
    signed = {"signing_certificate": MADE["SECC"].pem, "signature": "AAAA"}
    yield "verify_file_signature", {"file_path": "/nowhere", **signed}
    for hash_data in (chain["certificate_hash_data"] for chain in installed["certificate_hash_data_chain"]):
        yield "delete_certificate", {"certificate_hash_data": hash_data}
        yield "delete_certificate", {"certificate_hash_data": hash_data}
    yield "get_installed_certificates", kinds


async def told(revision: str, certs: Path, ask: Ask) -> Told:
    """What is answered to the story, but for where the store is, names by chance and keys just made."""
    telling, answers = story(revision), Told()
    command, arguments = next(telling)
    while True:
        answer = await ask(command, arguments)
        text = re.sub(RANDOM, "RANDOM", json.dumps(answer).replace(str(certs), "CERTS"))
        text = re.sub(r"-----BEGIN CERTIFICATE REQUEST-----[^-]*-----END CERTIFICATE REQUEST-----", "CSR", text)
        answers.append((command, json.loads(text)))
        try:
            command, arguments = telling.send(answer)
        except StopIteration:
            return answers


def config(certs: Path) -> StationConfig:
    return StationConfig.under(certs, clock=lambda: NOW)


@contextmanager
def at_the_time_of_the_tests(given: StationConfig) -> Iterator[Station]:
    with Station.open(replace(given, clock=lambda: NOW)) as station:
        yield station


@asynccontextmanager
async def service(certs: Path, **keys: Any) -> AsyncIterator[Service]:
    with Station.open(config(certs)) as station:
        opened = Service(station, ServiceConfig(http_listen=(), **keys))
        try:
            yield opened
        finally:
            opened.close()


@asynccontextmanager
async def running(part: MqttPart) -> AsyncIterator[None]:
    task = asyncio.create_task(part.run(lambda: None))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# ---- the transports


async def over_python(revision: str, certs: Path, _: Mosquitto) -> Told:
    async def ask(command: str, arguments: Any) -> Any:
        return station.dispatch(command, arguments, revision=revision)

    with Station.open(config(certs)) as station:
        return await told(revision, certs, ask)


async def over_the_command_line(revision: str, certs: Path, _: Mosquitto) -> Told:
    async def ask(command: str, arguments: Any) -> Any:
        printed = io.StringIO()
        call = ["--certs", str(certs), "call", "--revision", revision, command, "--json", json.dumps(arguments)]
        with redirect_stdout(printed):
            main(call, environment={}, opener=at_the_time_of_the_tests)
        return json.loads(printed.getvalue())

    return await told(revision, certs, ask)


async def over_http(revision: str, certs: Path, _: Mosquitto) -> Told:
    async with serving(certs, loopback()) as listening, listening.client() as client:

        async def ask(command: str, arguments: Any) -> Any:
            response = await client.post(f"/api/{revision}/{command}", json=arguments)
            assert response.status_code == 200
            return response.json()

        return await told(revision, certs, ask)


async def over_the_api(revision: str, certs: Path, mosquitto: Mosquitto) -> Told:
    prefix = f"story/{certs.name}/"
    keys = {"mqtt_prefix": prefix, "mqtt_module_id": "sec_api", "mqtt_heartbeat": 0, "mqtt_communication_check": 0}
    async with service(certs, **keys) as opened, foreign(mosquitto.address, prefix) as client:
        api = Api(opened)

        async def ask(command: str, arguments: Any) -> Any:
            payload = next(iter(arguments.values()), ...) if len(arguments) < 2 else arguments
            topic = f"everest_api/1/evse_security_consumer/sec_api/m2e/{command}"
            answer = await client.ask(topic, payload, replyErrors=True)
            return answer if command == "get_verify_location" else json.loads(answer)  # raw there, as EVerest's

        async with asyncio.timeout(60), running(MqttPart("mqtt", Broker(mosquitto.address), api.speak)):
            await client.on("everest_api/ready_beacon")
            return await told(revision, certs, ask)


async def over_everest(revision: str, certs: Path, mosquitto: Mosquitto) -> Told:
    prefix = f"everest/{certs.name}/"
    async with service(certs) as opened, Manager(mosquitto.address, prefix, Generation.C, {}) as manager:

        async def begin(_: Any) -> Service:
            return opened

        async def ask(command: str, arguments: Any) -> Any:
            return (await manager.call(command, arguments))["retval"]

        protocol = EverestProtocol(Surroundings("evse_security", certs, mosquitto.address, prefix), begin)
        async with asyncio.timeout(60), running(MqttPart("everest", Broker(mosquitto.address), protocol.speak)):
            await manager.ready()
            return await told(revision, certs, ask)


OTHERS = [
    (OLD, over_the_command_line),
    (OLD, over_http),
    (NEW, over_the_command_line),
    (NEW, over_http),
    (NEW, over_the_api),
    (NEW, over_everest),
]


@pytest.mark.parametrize(("revision", "transport"), OTHERS)
def test_the_answers_are_the_same(
    tmp_path: Path, mosquitto: Mosquitto, revision: str, transport: Callable[[str, Path, Mosquitto], Awaitable[Told]]
) -> None:
    async def both() -> tuple[Told, Told]:
        return await over_python(revision, tmp_path / "a", mosquitto), await transport(
            revision, tmp_path / "b", mosquitto
        )

    expected, answers = asyncio.run(both())
    assert answers == expected


@pytest.mark.parametrize("revision", [OLD, NEW])
def test_the_story_has_every_command(tmp_path: Path, mosquitto: Mosquitto, revision: str) -> None:
    answers = asyncio.run(over_python(revision, tmp_path, mosquitto))
    assert {command for command, _ in answers} == commands(revision).keys()
    assert [answer for command, answer in answers if command == "delete_certificate"].count("Accepted") == 2
