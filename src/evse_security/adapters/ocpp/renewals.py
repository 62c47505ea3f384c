"""Signing requests to the CSMS and the chains that it answers with (A02, A03). Its methods wait for the store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from evse_security.adapters.ocpp import answers, leaves
from evse_security.adapters.ocpp.client_leaf import ClientLeaf
from evse_security.adapters.ocpp.editions import Payload
from evse_security.adapters.ocpp.leaps import Leaps
from evse_security.adapters.ocpp.memory import Memory
from evse_security.adapters.ocpp.messages import sign_certificate, text
from evse_security.adapters.ocpp.policy import CertificatePolicy
from evse_security.adapters.ocpp.refusals import ChainTooLarge, NotEnabled, NothingPending, Unsupported
from evse_security.adapters.ocpp.trial import Blame, ClientCertificate
from evse_security.adapters.ocpp.unserved import Unserved
from evse_security.adapters.ocpp.uses import SigningUse
from evse_security.agents.renewal import rules
from evse_security.agents.renewal.record import Cause, Outcome, Record
from evse_security.agents.renewal.rules import Step
from evse_security.clock import believable, system_clock
from evse_security.errors import EvseSecurityError, NotWritable, StoreFull
from evse_security.pki import pem
from evse_security.pki.certificate import Certificate
from evse_security.pki.enrolled import edition_of_request
from evse_security.pki.profile import Edition
from evse_security.renewalfacts import RenewalFacts
from evse_security.station import Station

log = logging.getLogger(__name__)

LONGEST_LOOK, UNTIL_BELIEVED = 3600.0, 60.0
"""Seconds after which is looked again, whatever happens; and while the clock is not believed: the CSMS may set it."""
_LONGEST_CHAIN = 100_000


class Outgoing(NamedTuple):
    """A SignCertificate to send."""

    use: SigningUse
    payload: Payload


class Looked(NamedTuple):
    """What is to be sent now, what could not be made, and in how many seconds to look again."""

    requests: tuple[Outgoing, ...]
    problems: tuple[str, ...]
    wait: float


class Renewals:
    """The requests of one station, one for each use at most."""

    def __init__(self, station: Station, policy: CertificatePolicy, memory: Memory) -> None:
        """With what is remembered of them."""
        self.station, self.policy, self.memory = station, policy, memory
        self._client = ClientLeaf(station, memory)
        self._unserved = Unserved()
        self.leaps = Leaps() if station.config.clock is system_clock else None
        """Of the machine's clock; whoever brings another one turns it as he likes."""
        self._take_over_from_before()
        for use, record in memory.records.items():
            self._keep_key(use, record)

    def put(self, use: SigningUse, record: Record) -> None:
        """Remember what goes on, and have the key of a request that waits kept for as long as its CA takes."""
        self.memory.put(use, record)
        self._keep_key(use, record)

    def _keep_key(self, use: SigningUse, record: Record) -> None:
        self.station.renewal.await_certificate(f"ocpp:{use}", record.csr)

    def _take_over_from_before(self) -> None:
        """A request of ISO 15118-20 that was remembered as one of the only kind of SECC leaf there was."""
        known = self.memory.records
        record = known.get(SigningUse.V2G)
        if record is None or record.csr is None or SigningUse.V2G20 not in self.policy.uses:
            return
        with suppress(ValueError):
            if edition_of_request(record.csr) is Edition.ISO15118_20 and SigningUse.V2G20 not in known:
                known[SigningUse.V2G20] = known.pop(SigningUse.V2G)

    # ---- asking

    def trouble(self, use: SigningUse) -> EvseSecurityError | None:
        """Why no leaf can be asked for; None where it can."""
        if not self.policy.asks_for(use):
            return NotEnabled("V2GCertificateInstallationEnabled")
        leaf = rules.newest(self._facts(use))
        common = self._policy(use).subject(leaf).common
        return None if common else Unsupported(f"a {use} leaf without a configured name (SeccId)")

    def trigger(self, use: SigningUse) -> None:
        """The CSMS wants a new request, even after a power cut: one that waits is dropped (Hubject HUB20 42-003)."""
        self.memory.put(use, replace(self.memory.renewal(use), trigger="the CSMS"))

    def look(self) -> Looked:
        """What is to be done now."""
        self._mend()
        self._unserved.look(self.station, self.policy)
        requests: list[Outgoing] = []
        problems: list[str] = []
        time = self.station.time()
        wait = LONGEST_LOOK if time.doubt is None else UNTIL_BELIEVED
        held = 0.0 if self.leaps is None else self.leaps.held(time)
        if held:
            log.info("the clock has leapt ahead: nothing is asked for by itself for %.0f s", held)
            wait = min(wait, held)
        for use in self.policy.uses:
            if held and not self.memory.renewal(use).trigger:
                continue
            record, decision = self._decided(use)
            if decision is None or decision.step is Step.nothing:
                self.put(use, record)
                if decision is not None and decision.at is not None:
                    wait = min(wait, (decision.at - self.station.time().now).total_seconds())
                continue
            before, record = self.memory.renewal(use).csr, self._with_request(use, record, problems)
            self.put(use, record)  # before it is sent: after a power cut its answer is still known
            if before is not None and record.csr not in (None, before) and self.memory.is_written:
                leaves.abandon(self.station, before)  # no power cut brings it back any more
            if record.csr is not None and record.outcome is Outcome.begun:
                requests.append(Outgoing(use, self._payload(use, record)))
            wait = min(wait, rules.pause(self._policy(use), record.attempts).total_seconds())
        return Looked(tuple(requests), tuple(problems), max(wait, 0.1))

    def _facts(self, use: SigningUse, csr: str | None = None) -> RenewalFacts:
        return leaves.facts(self.station, self.policy, use, csr)

    def _policy(self, use: SigningUse) -> rules.Policy:
        policy = self.policy
        return rules.Policy(
            enrolment="event" if policy.asks_for(use) else "off",
            days=policy.days,
            wait=policy.wait,
            repeats=policy.repeats,
            country=policy.country,
            organization=policy.organization,
            common=policy.common_name(use),
        )

    def _decided(self, use: SigningUse) -> tuple[Record, rules.Decision | None]:
        """What is remembered, brought up to date, and what to do; None: nothing, as nobody asked for it."""
        record, policy = self.memory.renewal(use), self._policy(use)
        facts = self._facts(use, record.csr)
        record = rules.settle(record, facts, policy)
        idle = record.cause is Cause.none and not record.trigger
        is_first = rules.newest(facts) is None and use not in self.policy.enrol
        if idle and (is_first or use in leaves.covered(self.station, self.policy)):
            return record, None
        if record.trigger and believable(facts.now):
            # A clock that leapt far ahead for a moment has dated a key: no right one is believed for years, and a CSMS
            # that was told Accepted would wait as long.
            facts = replace(facts, doubt=None)
        decision = rules.decide(record, facts, policy)
        is_pause = decision.step is Step.nothing and decision.at is not None
        if is_pause and record.outcome is Outcome.begun and record.csr is not None:
            # It was on its way when the connection went, or the power: that was no attempt.
            record, decision = (
                replace(record, attempts=max(record.attempts - 1, 0)),
                decision._replace(step=Step.repeat),
            )
        if decision.step is not Step.nothing:
            record = rules.begun(record, decision, facts)
        return record, decision

    def _with_request(self, use: SigningUse, record: Record, problems: list[str]) -> Record:
        if record.csr is not None:
            return record
        subject = self._policy(use).subject(rules.newest(self._facts(use)))
        try:
            csr = leaves.request(self.station, self.policy, use, subject)
        except EvseSecurityError as why:
            problems.append(str(why))
            return record.became(Outcome.failed, str(why))
        # A CSMS tells requests of several uses apart by their number, too.
        return replace(record, number=max(one.number for one in (record, *self.memory.records.values()))).requested(csr)

    def _payload(self, use: SigningUse, record: Record) -> Payload:
        named = self.policy.edition.has_request_ids  # hashRootCertificate is for renewals alone (A03)
        root = leaves.root(self.station, self.policy, use) if named else None
        return sign_certificate(record.csr or "", use, self.policy.edition, request_id=record.number, root=root)

    def asked(self, use: SigningUse, problem: str | None) -> None:
        """The CSMS took a request, or did not."""
        record = self.memory.renewal(use)
        if record.outcome is Outcome.begun:  # else its answer was quicker
            became = record.became(Outcome.asked) if problem is None else record.became(Outcome.failed, problem)
            self.put(use, became)

    def unsent(self, use: SigningUse) -> None:
        """A request did not reach the CSMS: that was no attempt."""
        record = self.memory.renewal(use)
        if record.outcome is Outcome.begun:
            attempts = max(record.attempts - 1, 0)
            self.put(use, replace(record, attempts=attempts).became(Outcome.failed, "the CSMS was not reached"))

    # ---- the answer

    def signed(self, payload: Mapping[str, Any]) -> SigningUse | None:
        """Install the chain of a CertificateSigned. Returns what it is for; None: it was installed before.

        1. It is not too large. 2. It is not the answer that came already. 3. It is for a request that waits, of this
        type and number. 4. It is for whom that asked. 5. Where it is to be used at once, it is valid. 6. The store
        takes it. Raises why not; then the request ends, and a trigger is waited for (A02.FR.07, .20).
        """
        given = text(payload, "certificateChain", _LONGEST_CHAIN)
        try:
            if len(given) > self.policy.max_chain_size:  # 1
                raise ChainTooLarge(len(given), self.policy.max_chain_size)
            chain = pem.chain(given, "the certificate chain")
        except EvseSecurityError as why:
            self._end(answers.addressed(payload, self.memory.records), why)
            raise
        leaf = chain[0]
        is_there = self._is_there(leaf.fingerprint)
        if is_there and leaf.fingerprint in self.memory.accepted.values():  # 2
            return None
        try:
            use = answers.pending(leaf, payload, self.memory.records, self.policy.uses)  # 3
        except NothingPending:
            if is_there:  # a power cut came between its installation and the answer
                return None
            raise
        try:
            answers.check(leaf, self.memory.renewal(use).csr or "", self.policy.takes_over, self.station.time())  # 4, 5
            self._install(use, given, leaf)  # 6
        except EvseSecurityError as why:
            self._end(use, why)
            raise
        return use

    def _is_there(self, fingerprint: str) -> bool:
        """Whether a leaf is installed wherever it belongs: what is Accepted must be."""
        uses = [use for use, one in self.memory.accepted.items() if one == fingerprint]
        places = [use.kinds for use in uses or (SigningUse.CSMS, SigningUse.V2G)]
        return any(
            all(self.station.renewal.leaf_info(kind, fingerprint) is not None for kind in kinds) for kinds in places
        )

    def _install(self, use: SigningUse, given: str, leaf: Certificate) -> None:
        running = self.memory.trial
        if use.is_client:
            self.memory.trial = self._client.trial_of(leaf)
        half = self.memory.installing
        if use is SigningUse.COMBINED:
            self.memory.installing = given
        if (self.memory.trial, self.memory.installing) != (running, half):
            self.memory.save()
        try:
            self.station.renewal.install_leaf(given, use.kinds)
        except EvseSecurityError:
            self.memory.trial, self.memory.installing = running, half
            self.memory.save()
            raise
        self._installed(use, leaf)

    def _installed(self, use: SigningUse, leaf: Certificate) -> None:
        self.memory.accepted[use] = leaf.fingerprint
        if use is SigningUse.COMBINED:
            self.memory.installing = ""
        self.memory.save()

    def _mend(self) -> None:
        """What a full disk did not take is written; a combined certificate of a power cut goes into both places."""
        self.memory.write_again()
        given = self.memory.installing
        if not given:
            return
        try:
            leaf = pem.chain(given, "the certificate chain")[0]
            self.station.renewal.install_leaf(given, SigningUse.COMBINED.kinds)
        except NotWritable as problem:
            log.warning("a combined certificate is not complete yet: %s", problem)
        except EvseSecurityError as why:
            self.memory.installing = ""
            if self.memory.trial is not None and self._client.info(self.memory.trial.new) is None:
                self.memory.trial = None
            self._end(SigningUse.COMBINED, why)
            self.memory.save()
        else:
            self._installed(SigningUse.COMBINED, leaf)

    def _end(self, use: SigningUse, why: EvseSecurityError) -> None:
        record = self.memory.renewal(use)
        # A full disk is no fault of the certificate: nobody would ask for another one when there is room.
        outcome = Outcome.failed if isinstance(why, NotWritable | StoreFull) else Outcome.refused
        if record.csr is not None:
            self.put(use, record.became(outcome, str(why)))

    # ---- the client certificate

    def client_certificate(self) -> ClientCertificate | None:
        """The certificate for the next connection; None where there is none."""
        self._mend()
        return self._client.certificate()

    def connected(self, fingerprint: str, under: str = "", tell: Callable[[], object] = bool) -> bool:
        """A connection came about with this certificate, `under` these CSMS roots: see `ClientLeaf`."""
        return self._client.connected(fingerprint, self.policy.takes_over, under, tell)

    def failed(self, fingerprint: str, under: str = "", blame: Blame = Blame.CERTAIN) -> None:
        """A connection with this certificate failed, `under` these CSMS roots."""
        self._client.failed(fingerprint, under, blame)
