"""Signing requests to the CSMS and the chains that it answers with (A02, A03). Its methods wait for the store."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from evse_security.adapters.ocpp import trial as trials
from evse_security.adapters.ocpp.editions import Payload, Takeover
from evse_security.adapters.ocpp.memory import Memory
from evse_security.adapters.ocpp.messages import sign_certificate, text
from evse_security.adapters.ocpp.policy import CertificatePolicy
from evse_security.adapters.ocpp.refusals import (
    ChainTooLarge,
    InvalidCommonName,
    NotEnabled,
    NothingPending,
    Unsupported,
)
from evse_security.adapters.ocpp.trial import ClientCertificate, Trial
from evse_security.adapters.ocpp.words import SIGNED
from evse_security.agents.renewal import rules
from evse_security.agents.renewal.record import Cause, Outcome, Record
from evse_security.agents.renewal.rules import Step
from evse_security.clock import SKEW
from evse_security.errors import EvseSecurityError, NotYetValid
from evse_security.pki import pem
from evse_security.pki.certificate import Certificate
from evse_security.pki.enrolled import asked_otherwise, token_of_request
from evse_security.pki.keytoken import token_of_certificate
from evse_security.station import Refused, Station
from evse_security.vocabulary import (
    CertificateInfo,
    InstallCertificateResult,
    LeafCertificateType,
)

log = logging.getLogger(__name__)

KINDS = (LeafCertificateType.CSMS, LeafCertificateType.V2G)
LONGEST_LOOK = 3600.0
"""Seconds after which is looked again, whatever happens."""
_LONGEST_CHAIN = 100_000
_KEYS_OF_20 = ("secp521r1", "ed448")


class Outgoing(NamedTuple):
    """A SignCertificate to send."""

    kind: LeafCertificateType
    payload: Payload


class Looked(NamedTuple):
    """What is to be sent now, what could not be made, and in how many seconds to look again."""

    requests: tuple[Outgoing, ...]
    problems: tuple[str, ...]
    wait: float


class Renewals:
    """The requests of one station, one for each kind of leaf at most."""

    def __init__(self, station: Station, policy: CertificatePolicy, memory: Memory) -> None:
        """With what is remembered of them."""
        self.station, self.policy, self.memory = station, policy, memory
        self._triggers: set[LeafCertificateType] = set()

    # ---- asking

    def trouble(self, kind: LeafCertificateType) -> EvseSecurityError | None:
        """Why no leaf of a kind can be asked for; None where it can."""
        if not self.policy.asks_for(kind):
            return NotEnabled("V2GCertificateInstallationEnabled")
        leaf = rules.newest(self.station.renewal_facts(kind))
        common = self._policy(kind).subject(leaf).common
        return None if common else Unsupported(f"a {kind} leaf without a configured name (SeccId)")

    def trigger(self, kind: LeafCertificateType) -> None:
        """The CSMS wants a new request: one that waits is dropped (Hubject HUB20 42-003)."""
        self._triggers.add(kind)

    def look(self) -> Looked:
        """What is to be done now."""
        requests: list[Outgoing] = []
        problems: list[str] = []
        wait = LONGEST_LOOK
        for kind in KINDS:
            record, decision = self._decided(kind)
            if decision is None or decision.step is Step.nothing:
                self.memory.put(kind, record)
                if decision is not None and decision.at is not None:
                    wait = min(wait, (decision.at - self.station.time().now).total_seconds())
                continue
            record = self._with_request(kind, record, problems)
            self.memory.put(kind, record)  # before it is sent: after a power cut its answer is still known
            if record.csr is not None and record.outcome is Outcome.begun:
                requests.append(Outgoing(kind, self._payload(kind, record)))
            wait = min(wait, rules.pause(self._policy(kind), record.attempts).total_seconds())
        return Looked(tuple(requests), tuple(problems), max(wait, 0.1))

    def _policy(self, kind: LeafCertificateType) -> rules.Policy:
        policy = self.policy
        return rules.Policy(
            enrolment="event" if policy.asks_for(kind) else "off",
            days=policy.days,
            wait=policy.wait,
            repeats=policy.repeats,
            country=policy.country,
            organization=policy.organization,
            common=policy.common_name(kind),
        )

    def _decided(self, kind: LeafCertificateType) -> tuple[Record, rules.Decision | None]:
        """What is remembered, brought up to date, and what to do; None: nothing, as nobody asked for a first leaf."""
        record, policy = self.memory.renewal(kind), self._policy(kind)
        facts = self.station.renewal_facts(kind, record.csr)
        record = rules.settle(record, facts, policy)
        if kind in self._triggers:
            self._triggers.discard(kind)
            record = replace(record, trigger="the CSMS")
        idle = record.cause is Cause.none and not record.trigger
        if idle and rules.newest(facts) is None and kind not in self.policy.enrol:
            return record, None
        decision = rules.decide(record, facts, policy)
        if decision.step is not Step.nothing:
            record = rules.begun(record, decision, facts)
        return record, decision

    def _with_request(self, kind: LeafCertificateType, record: Record, problems: list[str]) -> Record:
        if record.csr is not None:
            return record
        subject = self._policy(kind).subject(rules.newest(self.station.renewal_facts(kind)))
        refused: list[Refused] = []
        stop = self.station.hear_refusals(refused.append)
        try:
            made = self.station.interface().generate_certificate_signing_request(
                certificate_type=kind,
                country=subject.country,
                organization=subject.organization,
                common=subject.common,
                use_tpm=False,
            )
        finally:
            stop()
        if made.csr is None:
            why = str(refused[-1].why) if refused else made.status.value
            problems.append(why)
            return record.became(Outcome.failed, why)
        return record.requested(made.csr)

    def _payload(self, kind: LeafCertificateType, record: Record) -> Payload:
        is_v2g = kind is LeafCertificateType.V2G
        renews = is_v2g and self.policy.edition.has_request_ids  # hashRootCertificate is for renewals alone (A03)
        return sign_certificate(
            record.csr or "",
            kind,
            self.policy.edition,
            is_20=self.station.config.csr_key_type in _KEYS_OF_20,
            request_id=record.number,
            root=self.station.root_of_leaf(kind) if renews else None,
        )

    def asked(self, kind: LeafCertificateType, problem: str | None) -> None:
        """The CSMS took a request, or did not."""
        record = self.memory.renewal(kind)
        if record.outcome is Outcome.begun:  # else its answer was quicker
            became = record.became(Outcome.asked) if problem is None else record.became(Outcome.failed, problem)
            self.memory.put(kind, became)

    def unsent(self, kind: LeafCertificateType) -> None:
        """A request did not reach the CSMS: that was no attempt."""
        record = self.memory.renewal(kind)
        if record.outcome is Outcome.begun:
            attempts = max(record.attempts - 1, 0)
            self.memory.put(kind, replace(record, attempts=attempts).became(Outcome.failed, "the CSMS was not reached"))

    # ---- the answer

    def signed(self, payload: Mapping[str, Any]) -> LeafCertificateType | None:
        """Install the chain of a CertificateSigned. Returns the kind of leaf; None: it was installed before.

        1. It is not too large. 2. It is not the answer that came already. 3. It is for a request that waits, of this
        type and number. 4. It is for whom that asked. 5. Where it is to be used at once, it is valid. 6. The store
        takes it. Raises why not; then the request ends, and a trigger is waited for (A02.FR.07, .20).
        """
        given = text(payload, "certificateChain", _LONGEST_CHAIN)
        meant = SIGNED.get(str(payload.get("certificateType", "")))
        try:
            if len(given) > self.policy.max_chain_size:  # 1
                raise ChainTooLarge(len(given), self.policy.max_chain_size)
            chain = pem.chain(given, "the certificate chain")
        except EvseSecurityError as why:
            self._end(meant or LeafCertificateType.CSMS, why)
            raise
        leaf = chain[0]
        if leaf.fingerprint in self.memory.accepted.values():  # 2
            return None
        kind = self._pending(leaf, payload, meant)  # 3
        try:
            self._check(kind, leaf)  # 4, 5
            self._install(kind, given, leaf)  # 6
        except EvseSecurityError as why:
            self._end(kind, why)
            raise
        return kind

    def _pending(
        self, leaf: Certificate, payload: Mapping[str, Any], meant: LeafCertificateType | None
    ) -> LeafCertificateType:
        token, number = token_of_certificate(leaf), payload.get("requestId")
        for kind in KINDS:
            record = self.memory.renewal(kind)
            if record.csr is None or token_of_request(record.csr) != token:
                continue
            if meant not in (None, kind):
                raise NothingPending(f"{leaf.name} as {meant}")
            if number not in (None, record.number):
                raise NothingPending(f"{leaf.name} with the requestId {number!r:.20}")
            return kind
        raise NothingPending(leaf.name)

    def _check(self, kind: LeafCertificateType, leaf: Certificate) -> None:
        csr = self.memory.renewal(kind).csr or ""
        other = asked_otherwise(csr, leaf)
        if other is not None:
            attribute, found, wanted = other
            raise InvalidCommonName(attribute, leaf.name, found, wanted)
        now = self.station.time().now
        if self.policy.takes_over is Takeover.at_once and leaf.not_yet_valid(now, SKEW):
            raise NotYetValid(leaf.name, f"{leaf.not_before:%Y-%m-%d %H:%M:%SZ}", f"{now:%Y-%m-%d %H:%M:%SZ}")

    def _install(self, kind: LeafCertificateType, given: str, leaf: Certificate) -> None:
        before = self.station.renewal_facts(kind).leaf
        refused: list[Refused] = []
        running = self.memory.trial
        self._begin_trial(kind, leaf, None if before is None else before.fingerprint)
        stop = self.station.hear_refusals(refused.append)
        try:
            result = self.station.interface().update_leaf_certificate(certificate_chain=given, certificate_type=kind)
        finally:
            stop()
        if result is not InstallCertificateResult.Accepted:
            self.memory.trial = running
            self.memory.save()
            raise refused[-1].why if refused else Unsupported(result.value)
        self.memory.accepted[kind] = leaf.fingerprint
        self.memory.save()

    def _begin_trial(self, kind: LeafCertificateType, leaf: Certificate, before: str | None) -> None:
        """Remember what to fall back to, before the new one is there: a power cut may come at any time."""
        if kind is LeafCertificateType.CSMS and before is not None and before != leaf.fingerprint:
            running = self.memory.trial
            # Of a trial that is not over the old one is the one that has proven itself.
            old = running.old if running is not None and self._info(running.old) is not None else before
            self.memory.trial = Trial(leaf.fingerprint, old, leaf.not_before)
            self.memory.save()

    def _end(self, kind: LeafCertificateType, why: EvseSecurityError) -> None:
        record = self.memory.renewal(kind)
        if record.csr is not None:
            self.memory.put(kind, record.became(Outcome.refused, str(why)))

    # ---- the client certificate

    def client_certificate(self) -> ClientCertificate | None:
        """The certificate for the next connection; None where there is none."""
        trial = self.memory.trial
        if trial is not None:
            first = trial.use(self.station.time().now)
            for fingerprint in (first, trial.old, trial.new):
                info = self._info(fingerprint)
                if info is not None:
                    return ClientCertificate(fingerprint, info)
        leaf = self.station.renewal_facts(LeafCertificateType.CSMS).leaf
        info = None if leaf is None else self._info(leaf.fingerprint)
        return None if leaf is None or info is None else ClientCertificate(leaf.fingerprint, info)

    def _info(self, fingerprint: str) -> CertificateInfo | None:
        return self.station.leaf_info(LeafCertificateType.CSMS, fingerprint)

    def connected(self, fingerprint: str) -> bool:
        """A connection came about with this certificate. Whether a renewed one was discarded over it."""
        trial = self.memory.trial
        if trial is None:
            return False
        verdict = trials.connected(trial, fingerprint, self.policy.takes_over)
        if verdict.discard:
            with suppress(EvseSecurityError):  # the store has told why; one too many does no harm
                self.station.discard_leaf(LeafCertificateType.CSMS, verdict.discard)
        if verdict.renewed_one:
            self.memory.accepted.pop(LeafCertificateType.CSMS, None)
        if verdict.trial != trial:
            self.memory.trial = verdict.trial
            self.memory.save()
        return verdict.renewed_one

    def failed(self, fingerprint: str) -> None:
        """A connection with this certificate failed."""
        trial = self.memory.trial
        after = None if trial is None else trials.failed(trial, fingerprint)
        if after != trial:
            self.memory.trial = after
            self.memory.save()
