"""A station with a service, a renewal agent and a clock that is turned by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from evse_security import Station, StationConfig
from evse_security.agents.enrolment.port import Answer, EnrolmentPort, Published, Request
from evse_security.agents.renewal.agent import RenewalAgent
from evse_security.agents.renewal.memory import Memory
from evse_security.service.config import ServiceConfig
from evse_security.service.events import EventKind
from evse_security.service.renewals import RenewalStatus, Renewed
from evse_security.service.service import Service
from evse_security.vocabulary import LeafCertificateType
from tests.builders import DAY, NOW, World, csms, world
from tests.service.declared import check

V2G, CSMS = LeafCertificateType.V2G, LeafCertificateType.CSMS
NAMED: dict[str, Any] = {"csr_organization": "Operator", "csr_common_name_v2g": "SECC1"}


@dataclass
class Answers:
    """A port that answers as it is told, the last answer for ever, and remembers what it was asked."""

    answers: Sequence[Answer | Callable[[Request], Answer]] = (Published(),)
    asked: list[Request] = field(default_factory=list)

    async def enrol(self, request: Request) -> Answer:
        answer = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append(request)
        return answer(request) if callable(answer) else answer


@dataclass
class Stage:
    """What a test has to do with."""

    service: Service
    agent: RenewalAgent
    now: list[datetime]
    pki: World

    async def at(self, moment: datetime) -> None:
        """It is this time: let the agent look, and end what it begins."""
        self.now[0] = moment
        await self.agent.look()
        await self.agent.settled()

    async def call(self, command: str, **arguments: Any) -> Any:
        return await self.service.call(command, arguments, caller="test")

    async def answer(self, csr: str, **changes: Any) -> str:
        """The CA's chain for a request, from now for 90 days, installed as an OCPP module does it."""
        chain = csms(self.pki, "SubCA").answer(
            csr, **{"not_before": self.now[0], "not_after": self.now[0] + 90 * DAY} | changes
        )
        return str(await self.call("update_leaf_certificate", certificate_chain=chain, certificate_type="V2G"))

    async def install_leaf(self, days: int = 90, **changes: Any) -> None:
        """A V2G leaf from now on, installed by hand."""
        arguments = {"certificate_type": "V2G", "country": "DE", "organization": "Operator", "common": "SECC1"}
        made = await self.call("generate_certificate_signing_request", **arguments, use_tpm=False)
        assert await self.answer(made["csr"], not_after=self.now[0] + days * DAY, **changes) == "Accepted"

    def status(self, leaf: Renewed = Renewed.V2G) -> RenewalStatus:
        return next(each for each in self.agent.status() if each.leaf is leaf)

    def heard(self, kind: EventKind, leaf: str = "V2G") -> list[Mapping[str, Any]]:
        events = self.service.events.recent()
        return [
            event.data for event in events if event.kind is kind and event.data.get("leaf_certificate_type") == leaf
        ]

    def states(self) -> list[str]:
        return [data["state"] for data in self.heard(EventKind.renewal)]

    def requests(self) -> list[str]:
        return [data["csr"] for data in self.heard(EventKind.certificate_signing_request)]


def staged(
    directory: Path,
    work: Callable[[Stage], Awaitable[None]],
    *,
    port: EnrolmentPort | None = None,
    now: datetime = NOW,
    station: Mapping[str, Any] | None = None,
    pki: World | None = None,
    **config: Any,
) -> None:
    """Let a test work on a station below a directory, whose V2G root is installed."""
    known = pki or world("V2GRoot > SubCA > SECC")
    clock = [now]

    async def run() -> None:
        chosen = StationConfig.under(directory / "certs", clock=lambda: clock[0], **(station or {}))
        with Station.open(chosen) as opened:
            service = Service(opened, ServiceConfig(**{"state_directory": directory / "state"} | config))
            service.events.hear(check)
            built = RenewalAgent.of(service)
            if port is not None:
                built = RenewalAgent(service, dict.fromkeys(Renewed, port), Memory(directory / "state"))
            stage = Stage(service, built, clock, known)
            try:
                root = {"certificate": known["V2GRoot"].pem, "certificate_type": "V2G"}
                assert await service.call("install_ca_certificate", root, caller="test") == "Accepted"
                await built.start()
                await work(stage)
            finally:
                await built.stop()
                service.close()

    asyncio.run(run())
