"""What the handlers of OCPP cost a message, beside handlers of a user that have the same answer at hand."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Bound, Row, Target, in_turns, paired
from benchmarks.plan import Plan
from benchmarks.stores import Stores, config_under
from evse_security import Station
from evse_security.adapters.ocpp import CertificatePolicy, Certificates, Edition
from evse_security.adapters.ocpp.handlers import CertificateHandlers201, message
from evse_security.lab.hierarchy import Pki

READING, WRITING = "OCPP: messages that change nothing", "OCPP: messages that change something"
PROCESSOR = f"{READING}, processor time"
TARGET = Target(Bound.ABOVE_FLOOR, 0.001)
LEAVES, ROOTS = 20, 10
FLOOR = "a handler that has the same answer at hand"
_VARIABLES = ("OrganizationName", "MaxCertificateChainSize", "CertSigningWaitMinimum", "CertificateEntries")


class Line:
    """A connection on which what is sent is kept until the next message."""

    sent = ""

    async def send(self, text: str) -> None:
        """As a websocket's."""
        self.sent = text


@dataclass
class Case:
    """A message of a CSMS, and the status of its answer."""

    what: str
    action: str
    payload: Mapping[str, Any]
    answered: str


def rows(plan: Plan, stores: Stores) -> Iterator[Row]:
    """Each message through `route_message` of `ocpp`, which checks both ways by schemas, in turns with the floor."""
    if importlib.util.find_spec("ocpp") is None:
        print("no package ocpp here: not measured")
        return
    for talkative in ("ocpp", "evse_security"):
        logging.getLogger(talkative).setLevel(logging.CRITICAL)
    with (
        stores.store(LEAVES, ROOTS) as certs,
        stores.scratch() as state,
        asyncio.Runner() as runner,
        _certificates(certs, state, runner) as certificates,
    ):
        for case in reading(stores.pki):
            yield _row(plan, runner, certificates, case, group=READING, target=TARGET)
        for case in reading(stores.pki):
            yield _row(plan, runner, certificates, case, group=PROCESSOR, target=TARGET, clock=time.process_time)
        for case in writing(stores.pki):
            yield _row(plan, runner, certificates, case, group=WRITING)


@contextmanager
def _certificates(certs: Path, state: Path, runner: asyncio.Runner) -> Iterator[Certificates]:
    policy = CertificatePolicy(edition=Edition.V201, organization="Operator", serial_number="CS1")

    async def made(station: Station) -> Certificates:
        return Certificates(station, policy=policy, directory=state / "state")

    with Station.open(config_under(certs)) as station:
        certificates = runner.run(made(station))
        try:
            yield certificates
        finally:
            certificates.close()


def reading(pki: Pki) -> tuple[Case, ...]:
    """What a CSMS asks, and what is refused without a trace."""
    root = {"hashAlgorithm": "SHA256", "issuerNameHash": "0" * 64, "issuerKeyHash": "0" * 64, "serialNumber": "1"}
    asked = [{"component": {"name": "SecurityCtrlr"}, "variable": {"name": one}} for one in _VARIABLES]
    leaf = pki["SECC_LEAF"].pem
    return (
        Case("GetInstalledCertificateIds, all", "GetInstalledCertificateIds", {}, "Accepted"),
        Case(
            "GetInstalledCertificateIds, CSMS roots",
            "GetInstalledCertificateIds",
            {"certificateType": ["CSMSRootCertificate"]},
            "Accepted",
        ),
        Case(f"GetVariables, {len(asked)} of them", "GetVariables", {"getVariableData": asked}, ""),
        Case("TriggerMessage, accepted", "TriggerMessage", {"requestedMessage": "SignV2GCertificate"}, "Accepted"),
        Case(
            "TriggerMessage, refused",
            "TriggerMessage",
            {"requestedMessage": "SignCombinedCertificate"},
            "NotImplemented",
        ),
        Case("DeleteCertificate, not found", "DeleteCertificate", {"certificateHashData": root}, "NotFound"),
        Case(
            "InstallCertificate, refused",
            "InstallCertificate",
            {"certificateType": "V2GRootCertificate", "certificate": leaf},
            "Rejected",
        ),
    )


def writing(pki: Pki) -> tuple[Case, ...]:
    """What is installed or set, and what is refused with a security event that is written down."""
    chain = pki["SECC_LEAF"].pem + pki["SECC_LEAF"].chain_pem()
    wait = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "CertSigningWaitMinimum"}}
    return (
        Case("CertificateSigned, unreadable", "CertificateSigned", {"certificateChain": ""}, "Rejected"),
        Case("CertificateSigned, nothing waits for it", "CertificateSigned", {"certificateChain": chain}, "Rejected"),
        Case("SetVariables", "SetVariables", {"setVariableData": [{**wait, "attributeValue": "60"}]}, ""),
        Case(
            "InstallCertificate, again",
            "InstallCertificate",
            {"certificateType": "V2GRootCertificate", "certificate": pki["V2G_ROOT_CA"].pem},
            "Accepted",
        ),
    )


def _row(
    plan: Plan,
    runner: asyncio.Runner,
    certificates: Certificates,
    case: Case,
    *,
    group: str,
    target: Target | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Row:
    text = json.dumps([2, "1", case.action, case.payload])
    line = Line()
    ours = _station(line, certificates)
    runner.run(ours.route_message(text))
    kind, _, answer = json.loads(line.sent)
    assert kind == 3 and answer.get("status", "") == case.answered, line.sent
    floor = _ready_made(case.action, answer)
    taken = in_turns(
        {
            "ours": lambda: runner.run(ours.route_message(text)),
            "floor": lambda: runner.run(floor.route_message(text)),
        },
        seconds=plan.seconds,
        clock=clock,
    )
    names = {"group": group, "what": case.what, "size": f"{LEAVES} leaves, {ROOTS} roots", "floor_is": FLOOR}
    return paired(taken["ours"], taken["floor"], target=target, **names)


def _station(line: Line, certificates: Certificates) -> Any:
    """A station of a user, whose device model asks ours."""
    v201: Any = importlib.import_module("ocpp.v201")
    on: Any = importlib.import_module("ocpp.routing").on

    class Mine(CertificateHandlers201, v201.ChargePoint):  # type: ignore[misc, name-defined, unused-ignore]
        @on("GetVariables")  # type: ignore[untyped-decorator, unused-ignore]
        async def on_get(self, get_variable_data: Any, **_: Any) -> Any:
            found = await self.certificates.device_model.get_variables(get_variable_data)
            return message("GetVariables", {"getVariableResult": found})

        @on("SetVariables")  # type: ignore[untyped-decorator, unused-ignore]
        async def on_set(self, set_variable_data: Any, **_: Any) -> Any:
            found = await self.certificates.device_model.set_variables(set_variable_data)
            return message("SetVariables", {"setVariableResult": found})

    return Mine("CS1", line, certificates=certificates)


def _ready_made(action: str, answer: Mapping[str, Any]) -> Any:
    """A station whose handler has nothing to do."""
    floor = importlib.import_module("ocpp.v201").ChargePoint("CS1", Line())
    ready = message(action, answer)
    floor.route_map[action] = {"_on_action": lambda **_: ready, "_skip_schema_validation": False}
    return floor
