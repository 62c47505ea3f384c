"""The renewal agent: looks when something is due, changed or asked for, and does what the rules say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime

from evse_security.agents.enrolment.choice import port_for
from evse_security.agents.enrolment.port import Answer, EnrolmentPort, Later, Request, Signed
from evse_security.agents.renewal import answers, rules
from evse_security.agents.renewal.memory import Memory
from evse_security.agents.renewal.record import Cause, Outcome, Record
from evse_security.agents.renewal.records import Records
from evse_security.agents.renewal.rules import HOLD, LEAP, Policy, Step
from evse_security.agents.renewal.store import Found, Store
from evse_security.agents.renewal.telling import PART, Telling
from evse_security.errors import EvseSecurityError
from evse_security.pki.certificate import Certificate
from evse_security.service.events import Event, EventKind
from evse_security.service.renewals import RenewalState, RenewalStatus, Renewed, Triggered
from evse_security.service.service import Service
from evse_security.service.state import Claim
from evse_security.visible import printable
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

    def __init__(self, service: Service, ports: Mapping[Renewed, EnrolmentPort], memory: Memory) -> None:
        """With a port for each leaf that is renewed. Most callers want `of`."""
        self._service = service
        self._store = Store(service)
        self._ports = dict(ports)
        self._policies = {leaf: Policy.of(service.config, leaf.kind) for leaf in Renewed}
        self._telling = Telling(service.events)
        self._records = Records(memory, self._telling.warn)
        self._claim = Claim(memory.place)
        self._stands_by = False
        self._remembers = False
        self._shown = {Renewed.V2G, Renewed.CSMS}
        """The leaves that there are or are to be, as far as is known."""
        self._working: dict[Renewed, asyncio.Task[None]] = {}
        self._next: dict[Renewed, datetime | None] = {}
        self._held_until = 0.0
        self._wake = asyncio.Event()
        self._listening = ExitStack()

    @classmethod
    def of(cls, service: Service) -> RenewalAgent:
        """As the service's configuration says. Raises `InvalidConfiguration`."""
        config = service.config
        ports = {leaf: port_for(leaf, config, service.events, service.clock) for leaf in Renewed}
        chosen = {leaf: port for leaf, port in ports.items() if port is not None}
        return cls(service, chosen, Memory(config.state_directory))

    # ---- for others

    async def trigger(self, kind: LeafCertificateType, *, caller: str, edition: str = "") -> Triggered:
        """Renew now, whatever the time is: OCPP's TriggerMessage, a button. A request that waits is dropped (42-003).

        `caller` goes into the reasons: `ocpp`, `http:admin`. What comes of it is told by events. `edition`: `2` or
        `20`, also for a first leaf of that edition; without it all leaves of the kind that there are.
        """
        if self._stands_by or not any(leaf.kind is kind and edition in ("", leaf.edition) for leaf in self._ports):
            return Triggered.off
        if not self._remembers:
            return Triggered.unsaved
        try:
            await self._records.trigger(await self._store.meant(kind, edition), caller[:100])
        except (EvseSecurityError, OSError) as problem:  # an EvseSecurityError is ServiceBusy
            log.warning("%s asks for a new %s leaf, and is refused: %s", printable(caller[:100]), kind, problem)
            return Triggered.unsaved
        self._wake.set()
        return Triggered.accepted

    def status(self) -> tuple[RenewalStatus, ...]:
        """How each leaf stands that there is or is to be."""
        now = self._service.clock()
        return tuple(self._telling.status(leaf, self._records[leaf], now) for leaf in Renewed if leaf in self._shown)

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
        self._remembers = True

        def changed(event: Event) -> None:
            if event.kind is EventKind.clock:
                loop.call_soon_threadsafe(self._clock_changed, event.data.get("step"))
            if event.kind in _AWAITED:
                loop.call_soon_threadsafe(self._wake.set)

        def refused(kind: LeafCertificateType, why: str, given: Certificate | None) -> None:
            loop.call_soon_threadsafe(self._refused_elsewhere, kind, why, given)

        self._listening.callback(self._service.events.hear(changed))
        self._listening.callback(await self._store.hear_refusals(refused))

    async def stop(self) -> None:
        """End what is being done; it is taken up again after a restart."""
        self._remembers = False
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
        for leaf in Renewed:
            if held > 0 and not self._records[leaf].trigger:
                continue
            try:
                await self._look_at(leaf)
            except EvseSecurityError as problem:  # ServiceBusy: there is another look soon
                log.warning("renewal of the %s: %s", leaf.words, problem)
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

    async def _look_at(self, leaf: Renewed) -> None:
        working = self._working.get(leaf)
        if working is not None:
            if not self._records[leaf].trigger:
                return
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            self._working.pop(leaf, None)  # it may not have begun
        for _ in range(ROUNDS):
            if not await self._step(leaf):
                break

    async def _step(self, leaf: Renewed) -> bool:
        """One look and what follows from it. Whether another one is needed."""
        found = await self._store.found(leaf, self._records[leaf].csr)
        facts, before, policy = found.facts, self._records[leaf], self._policies[leaf]
        if not found.is_wanted and before.cause is not Cause.trigger and not before.trigger:
            await self._leave(leaf, before)
            return False
        self._shown.add(leaf)
        record = rules.settle(before, facts, policy)
        expiring = rules.expiring(record, facts, policy)
        if expiring is not None:
            self._telling.expiring(leaf, expiring, facts.now)
            record = replace(record, announced=expiring.fingerprint)
        renewed = record.finished != before.finished and before.cause is not Cause.none
        decision = rules.renewed(facts) if renewed else rules.decide(record, facts, policy)
        if decision.step is not Step.nothing:
            record = rules.begun(record, decision, facts)
        self._next[leaf] = decision.at
        record = self._telling.renewal(leaf, record, decision, self._service.clock(), found.key_type)
        await self._records.put(leaf, record)
        if decision.step is not Step.nothing:
            self._begin(leaf, found)
        return renewed

    async def _leave(self, leaf: Renewed, record: Record) -> None:
        """There is no such leaf, and nobody wants one: what was under way ends."""
        record = record.idle()
        self._next[leaf] = None
        if leaf in self._shown:
            self._shown.discard(leaf)
            record = self._telling.renewal(leaf, record, rules.left(), self._service.clock())
        await self._records.put(leaf, record)

    # ---- an attempt

    def _begin(self, leaf: Renewed, found: Found) -> None:
        async def work() -> None:
            try:
                await self._attempt(leaf, found)
            finally:
                self._working.pop(leaf, None)
                self._wake.set()

        self._working[leaf] = asyncio.create_task(work(), name=f"renewal of the {leaf.words}")

    async def _attempt(self, leaf: Renewed, found: Found) -> None:
        """Make a request if there is none, bring it to the CA, install the answer."""
        answer: Answer | None
        try:
            answer = await self._asked(leaf, found)
            if isinstance(answer, Signed):
                answer = await self._store.install(leaf.kind, answer.chain)
        except EvseSecurityError as problem:
            answer = Later(str(problem))
        except Exception as problem:  # a port that fails must not end the renewal
            log.exception("the renewal of the %s failed", leaf.words)
            answer = Later(f"{type(problem).__name__} in this program")
        await self._records.put(leaf, answers.after(self._records[leaf], answer, self._service.clock()))

    async def _asked(self, leaf: Renewed, found: Found) -> Answer:
        record, facts = self._records[leaf], found.facts
        key = facts.key
        if record.csr is None:
            made = await self._store.request(leaf, self._policies[leaf].subject(rules.newest(facts)), found.key_type)
            if isinstance(made, Later):
                return made
            record = self._records[leaf].requested(made)  # somebody may have triggered meanwhile
            await self._records.put(leaf, record)
            key = (await self._store.found(leaf, made)).facts.key
        credentials = await self._store.credentials(leaf.kind, facts.leaf)
        password = await self._store.key_password()
        request = Request(leaf, record.number, record.attempts, record.csr or "", key, credentials, password)
        return await self._ports[leaf].enrol(request)

    def _clock_changed(self, step: float | None) -> None:
        """A clock that leaps ahead may soon be set back; one that goes back ends the waiting."""
        was_believed = all(one.state not in (RenewalState.clock, RenewalState.unknown) for one in self.status())
        if step is not None and step >= LEAP and was_believed and self._ports:
            self._held_until = asyncio.get_running_loop().time() + HOLD
            self._telling.warn(f"the clock leapt ahead by {step / LEAP:.0f} days: nothing is renewed for {HOLD:.0f} s")
        elif step is not None and step < 0:
            self._held_until = 0.0

    def _refused_elsewhere(self, kind: LeafCertificateType, why: str, given: Certificate | None) -> None:
        """Somebody brought a certificate for a request that was published, and it was refused (A02.FR.20)."""
        policies = {leaf: self._policies[leaf] for leaf in Renewed if leaf.kind is kind}
        published = {leaf: self._records[leaf] for leaf, policy in policies.items() if policy.enrolment == "event"}
        for leaf in answers.answered(published, given):
            self._records.note(leaf, published[leaf].became(Outcome.refused, why))
            self._wake.set()
