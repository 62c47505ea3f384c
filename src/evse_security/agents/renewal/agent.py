"""The renewal agent: looks when something is due, changed or asked for, and does what the rules say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime, timedelta

from evse_security.agents.enrolment.choice import port_for
from evse_security.agents.enrolment.port import (
    Answer,
    EnrolmentPort,
    Later,
    Published,
    Refused,
    Request,
    Signed,
)
from evse_security.agents.renewal import rules
from evse_security.agents.renewal.memory import Memory
from evse_security.agents.renewal.record import Cause, Outcome, Record
from evse_security.agents.renewal.records import Records
from evse_security.agents.renewal.rules import HOLD, LEAP, LONGEST_HOLD, Policy, Step
from evse_security.agents.renewal.store import Store
from evse_security.agents.renewal.telling import PART, Telling
from evse_security.errors import EvseSecurityError
from evse_security.renewalfacts import RenewalFacts
from evse_security.service.events import Event, EventKind
from evse_security.service.renewals import RENEWED, RenewalState, RenewalStatus, Triggered
from evse_security.service.service import Service
from evse_security.service.state import Claim
from evse_security.vocabulary import LeafCertificateType

log = logging.getLogger(__name__)

LOOK = 60.0
"""Seconds after which the clock and the store are looked at in any case: the clock may be set meanwhile."""
_AWAITED = (EventKind.certificate_store_update, EventKind.clock, EventKind.ocsp)
"""Events after which something else may be due: a leaf came or went, the clock was set, a leaf is revoked."""
ROUNDS = 8
"""Steps that may follow each other at once: what was settled may make another one due."""


class RenewalAgent:
    """Renews the V2G and CSMS leaves of a station. A part of the service; its methods are for the loop's thread."""

    name = PART

    def __init__(self, service: Service, ports: Mapping[LeafCertificateType, EnrolmentPort], memory: Memory) -> None:
        """With a port for each kind that is renewed. Most callers want `of`."""
        self._service = service
        self._store = Store(service)
        self._ports = dict(ports)
        self._policies = {kind: Policy.of(service.config, kind) for kind in RENEWED}
        self._telling = Telling(service.events)
        self._records = Records(memory, self._telling.warn)
        self._claim = Claim(memory.place)
        self._stands_by = False
        self._triggers: dict[LeafCertificateType, str] = {}
        self._working: dict[LeafCertificateType, asyncio.Task[None]] = {}
        self._next: dict[LeafCertificateType, datetime | None] = {}
        self._held_until = 0.0
        self._wake = asyncio.Event()
        self._listening = ExitStack()

    @classmethod
    def of(cls, service: Service) -> RenewalAgent:
        """As the service's configuration says. Raises `InvalidConfiguration`."""
        config = service.config
        ports = {kind: port_for(kind, config, service.events, service.clock) for kind in RENEWED}
        chosen = {kind: port for kind, port in ports.items() if port is not None}
        return cls(service, chosen, Memory(config.state_directory))

    # ---- for others

    def trigger(self, kind: LeafCertificateType, *, caller: str) -> Triggered:
        """Renew now, whatever the time is: OCPP's TriggerMessage, a button. A request that waits is dropped (42-003).

        `caller` goes into the reasons: `ocpp`, `http:admin`. What comes of it is told by events.
        """
        if kind not in self._ports or self._stands_by:
            return Triggered.off
        self._triggers[kind] = caller[:100]
        self._wake.set()
        return Triggered.accepted

    def status(self) -> tuple[RenewalStatus, ...]:
        """How each kind stands."""
        now = self._service.clock()
        return tuple(self._telling.status(kind, self._records[kind], now) for kind in RENEWED)

    # ---- the loop

    async def run(self, ready: Callable[[], None]) -> None:
        """Look again and again, until cancelled. Of several services with one state directory, one does."""
        try:
            while not self._claim.take():  # at once: a thread could take it after this has ended
                self._stand_by()
                ready()
                await asyncio.sleep(LOOK)
            self._stands_by = False
            await self.start()
            ready()
            while True:
                self._wake.clear()
                pause = await self.look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
        finally:
            await self.stop()
            self._claim.release()

    def _stand_by(self) -> None:
        if not self._stands_by:
            self._telling.warn("another service with this state_directory renews; this one stands by")
        self._stands_by = True

    async def start(self) -> None:
        """Read what is remembered, and listen to what happens."""
        loop = asyncio.get_running_loop()
        await self._records.load()

        def changed(event: Event) -> None:
            if event.kind is EventKind.clock:
                loop.call_soon_threadsafe(self._clock_changed, event.data.get("step"))
            if event.kind in _AWAITED:
                loop.call_soon_threadsafe(self._wake.set)

        def refused(kind: LeafCertificateType, why: str) -> None:
            loop.call_soon_threadsafe(self._refused_elsewhere, kind, why)

        self._listening.callback(self._service.events.hear(changed))
        self._listening.callback(await self._store.hear_refusals(refused))

    async def stop(self) -> None:
        """End what is being done; it is taken up again after a restart."""
        self._listening.close()
        working = tuple(self._working.values())
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        self._working.clear()
        await self._records.settled()

    async def look(self) -> float:
        """Do what is to be done now. Returns after how many seconds to look again, unless something happens."""
        held = self._held_until - asyncio.get_running_loop().time()
        for kind in RENEWED:
            if held > 0 and kind not in self._triggers:
                continue
            try:
                await self._look_at(kind)
            except EvseSecurityError as problem:  # ServiceBusy: there is another look soon
                log.warning("renewal of the %s leaf: %s", kind, problem)
        now = self._service.clock()
        waits = [(each - now).total_seconds() for each in self._next.values() if each is not None]
        if held > 0:
            return min(LOOK, held)
        return max(0.1, min([LOOK, *waits]))

    async def settled(self) -> None:
        """Wait until nothing is being done, and look at what came of it."""
        while self._working:
            await asyncio.gather(*self._working.values(), return_exceptions=True)
            await self.look()

    async def _look_at(self, kind: LeafCertificateType) -> None:
        working = self._working.get(kind)
        if working is not None:
            if kind not in self._triggers:
                return
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            self._working.pop(kind, None)  # it may not have begun
        for _ in range(ROUNDS):
            if not await self._step(kind):
                break

    async def _step(self, kind: LeafCertificateType) -> bool:
        """One look and what follows from it. Whether another one is needed."""
        facts = await self._store.facts(kind, self._records[kind].csr)
        before, policy = self._records[kind], self._policies[kind]
        record = rules.settle(before, facts, policy)
        if kind in self._triggers:
            record = replace(record, trigger=self._triggers.pop(kind))
        expiring = rules.expiring(record, facts, policy)
        if expiring is not None:
            self._telling.expiring(kind, expiring, facts.now)
            record = replace(record, announced=expiring.fingerprint)
        renewed = record.finished != before.finished and before.cause is not Cause.none
        decision = rules.renewed(facts) if renewed else rules.decide(record, facts, policy)
        if decision.step is not Step.nothing:
            record = rules.begun(record, decision, facts)
        self._next[kind] = decision.at
        record = self._telling.renewal(kind, record, decision, self._service.clock())
        await self._records.put(kind, record)
        if decision.step is not Step.nothing:
            self._begin(kind, facts)
        return renewed

    # ---- an attempt

    def _begin(self, kind: LeafCertificateType, facts: RenewalFacts) -> None:
        async def work() -> None:
            try:
                await self._attempt(kind, facts)
            finally:
                self._working.pop(kind, None)
                self._wake.set()

        self._working[kind] = asyncio.create_task(work(), name=f"renewal of the {kind} leaf")

    async def _attempt(self, kind: LeafCertificateType, facts: RenewalFacts) -> None:
        """Make a request if there is none, bring it to the CA, install the answer."""
        answer: Answer | None
        try:
            answer = await self._asked(kind, facts)
            if isinstance(answer, Signed):
                answer = await self._store.install(kind, answer.chain)
        except EvseSecurityError as problem:
            answer = Later(str(problem))
        except Exception as problem:  # a port that fails must not end the renewal
            log.exception("the renewal of the %s leaf failed", kind)
            answer = Later(f"{type(problem).__name__} in this program")
        await self._records.put(kind, self._after(self._records[kind], answer))

    async def _asked(self, kind: LeafCertificateType, facts: RenewalFacts) -> Answer:
        record = self._records[kind]
        key = facts.key
        if record.csr is None:
            made = await self._store.request(kind, self._policies[kind].subject(rules.newest(facts)))
            if isinstance(made, Later):
                return made
            record = record.requested(made)
            await self._records.put(kind, record)
            key = (await self._store.facts(kind, made)).key
        leaf = await self._store.credentials(kind)
        password = await self._store.key_password()
        request = Request(kind, record.number, record.attempts, record.csr or "", key, leaf, password)
        return await self._ports[kind].enrol(request)

    def _after(self, record: Record, answer: Answer | None) -> Record:
        """What is remembered of an answer; None: its leaf was installed, as the next look sees."""
        match answer:
            case None | Signed():
                return record
            case Published():  # unless it was refused already
                return record.became(Outcome.asked) if record.outcome is Outcome.begun else record
            case Refused(reason):
                return record.became(Outcome.refused, reason)
            case Later(reason, seconds):
                until = None
                if seconds is not None:
                    until = self._service.clock() + min(timedelta(seconds=seconds), LONGEST_HOLD)
                return record.became(Outcome.failed, reason, until)

    def _clock_changed(self, step: float | None) -> None:
        """A clock that leaps ahead may soon be set back; one that goes back ends the waiting."""
        was_believed = all(one.state not in (RenewalState.clock, RenewalState.unknown) for one in self.status())
        if step is not None and step >= LEAP and was_believed and self._ports:
            self._held_until = asyncio.get_running_loop().time() + HOLD
            self._telling.warn(f"the clock leapt ahead by {step / LEAP:.0f} days: nothing is renewed for {HOLD:.0f} s")
        elif step is not None and step < 0:
            self._held_until = 0.0

    def _refused_elsewhere(self, kind: LeafCertificateType, why: str) -> None:
        """Somebody brought a certificate for a request that was published, and it was refused (A02.FR.20)."""
        if kind not in self._policies:
            return  # leaves of MF and MO are nobody's to renew
        record = self._records[kind]
        published = self._policies[kind].enrolment == "event" and record.csr is not None
        if published and record.outcome in (Outcome.begun, Outcome.asked):
            self._records.note(kind, record.became(Outcome.refused, why))
            self._wake.set()
