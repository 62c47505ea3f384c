"""What is measured in a process of its own, since it must be new: `python -m benchmarks.children NAME ARGUMENT …`.

Each function is given the arguments and prints one line of JSON.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.measure import once


def cold_open(small: str, large: str, kept: str, first: str) -> Mapping[str, float]:
    """Open the large store and time the first answers, and bare reading and parsing of its files.

    Everything is imported and has run once, on the small store, so that no time is the interpreter's.
    """
    from benchmarks.reading import commands_of
    from benchmarks.stores import config_under
    from evse_security import Station
    from evse_security.lab.layouts import load

    pki = load(Path(kept))

    def first_key_pair(directory: str) -> None:
        with Station.open(config_under(Path(directory))) as station:
            commands_of(station, pki).steady["get_key_pair"]()

    def everything(directory: str) -> None:
        with Station.open(config_under(Path(directory))) as station:
            for call in commands_of(station, pki).that_write_nothing():
                call()

    calls: dict[str, Callable[[str], object]] = {
        "key pair": first_key_pair,
        "everything": everything,
        "floor": bare_reading,
    }
    for call in calls.values():
        call(small)
    gc.collect()
    taken = {}
    for name in sorted(calls, key=lambda name: (name == "floor") != (first == "floor")):
        taken[name] = once(lambda call=calls[name]: call(large))  # type: ignore[misc]  # bound at once
        gc.collect()
    return taken


def bare_reading(directory: str) -> int:
    """Read every file of a store and parse it with `cryptography`; how many there were."""
    held: list[object] = []
    for folder, _, names in os.walk(directory):
        for name in names:
            held.append(parsed(os.path.join(folder, name)))
    return len(held)


def parsed(path: str) -> object:
    """What one file holds, as `cryptography` reads it."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    with open(path, "rb", buffering=0) as file:
        content = file.read()
    if path.endswith(".key"):
        return load_pem_private_key(content, None)
    return x509.load_pem_x509_certificates(content)


def rename(*_: str) -> Mapping[str, float]:
    """Be another process that changes a store: rename what each line of input says (JSON), and say when it is done."""
    for line in sys.stdin:
        for source, target in json.loads(line):
            os.replace(source, target)
        print("done", flush=True)
    return {}


def memory(directory: str, kept: str) -> Mapping[str, float]:
    """Resident bytes of a process that has a store open and has answered every reading command."""
    from benchmarks.reading import commands_of
    from benchmarks.stores import config_under
    from evse_security import Station
    from evse_security.lab.layouts import load

    station = Station.open(config_under(Path(directory)))
    for call in commands_of(station, load(Path(kept))).that_write_nothing():
        call()
    gc.collect()
    return {"bytes": resident()}


def idle_memory(directory: str, chain: str) -> Mapping[str, float]:
    """Resident bytes of the library alone: a store open, a key pair found, a chain verified."""
    from datetime import UTC, datetime

    from evse_security import CertificateValidationResult, EncodingFormat, LeafCertificateType, Station, StationConfig

    v2g: Final = LeafCertificateType.V2G
    station = Station.open(StationConfig.under(directory, clock=lambda: datetime(2030, 1, 1, tzinfo=UTC)))
    station.interface("2023-10").get_key_pair(certificate_type=v2g, encoding=EncodingFormat.PEM)
    text = Path(chain).read_text()
    verified = station.interface().verify_certificate(certificate_chain=text, certificate_types=(v2g,))
    assert verified is CertificateValidationResult.Valid
    gc.collect()
    return {"bytes": resident()}


def imported_memory() -> Mapping[str, float]:
    """Resident bytes of a process that has imported what the library is built on, and does nothing."""
    for module in ("cryptography.x509", "OpenSSL.crypto"):
        importlib.import_module(module)
    return {"bytes": resident()}


def bare_memory(directory: str) -> Mapping[str, float]:
    """Resident bytes of a process that holds each leaf of a store as `cryptography` parses it, and nothing else."""
    held = [parsed(str(path)) for path in Path(directory).rglob("SECC_LEAF_*.pem")]
    gc.collect()
    return {"bytes": resident(), "count": len(held)}


def signature_memory(path: str, certificate: str, signature: str) -> Mapping[str, float]:
    """The most resident bytes of a process that verified the signature of a file."""
    from evse_security import Station, StationConfig

    interface = Station.open(StationConfig.under("/nonexistent")).interface()
    text = Path(certificate).read_text()
    assert interface.verify_file_signature(file_path=path, signing_certificate=text, signature=signature)
    return {"bytes": resident("VmHWM")}


def mqtt_echo(port: str, topic: str) -> None:
    """Send back on `TOPIC/reply` what comes on a topic, through the library that our module uses, too."""
    import asyncio

    import aiomqtt

    nodelay = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)

    async def echo() -> None:
        async with aiomqtt.Client("127.0.0.1", int(port), socket_options=nodelay) as client:
            await client.subscribe(topic, 2)
            async for message in client.messages:
                await client.publish(f"{topic}/reply", message.payload, 2)

    asyncio.run(echo())


def mqtt_module(port: str, prefix: str, directory: str) -> None:
    """Be EVerest's module for a store, at the stations' time."""
    import asyncio

    from benchmarks.stores import config_under
    from evse_security import Station
    from evse_security.everest.protocol import EverestProtocol
    from evse_security.everest.surroundings import Surroundings
    from evse_security.everest.wire import Generation
    from evse_security.mqtt.broker import Broker, BrokerAddress
    from evse_security.mqtt.client import MqttPart
    from evse_security.service.config import ServiceConfig
    from evse_security.service.service import Service

    broker = BrokerAddress.parse(f"mqtt://127.0.0.1:{port}")
    surroundings = Surroundings("evse_security", Path(directory), broker, prefix, Generation.C)

    async def begin(_: Mapping[str, object]) -> Service:
        return Service(Station.open(config_under(Path(directory))), ServiceConfig())

    asyncio.run(MqttPart("everest", Broker(broker), EverestProtocol(surroundings, begin).speak).run(lambda: None))


def resident(which: str = "VmRSS") -> int:
    """Resident bytes of this process as Linux counts them: now, or at most (`VmHWM`)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(which):
            return int(line.split()[1]) * 1024
    raise LookupError(which)


if __name__ == "__main__":
    if answer := globals()[sys.argv[1]](*sys.argv[2:]):
        print(json.dumps(answer))
