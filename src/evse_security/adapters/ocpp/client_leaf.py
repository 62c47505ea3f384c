"""The client certificate that a station shows to its CSMS, and the trial of a renewed one (A02.FR.10, .28, .29).

Its methods wait for the disk.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from evse_security.adapters.ocpp import trial as trials
from evse_security.adapters.ocpp.editions import Takeover
from evse_security.adapters.ocpp.memory import Memory
from evse_security.adapters.ocpp.trial import Blame, ClientCertificate, Trial
from evse_security.adapters.ocpp.uses import SigningUse
from evse_security.errors import EvseSecurityError
from evse_security.pki.certificate import Certificate
from evse_security.renewalfacts import LeafFacts, LeafUse
from evse_security.station import Station
from evse_security.vocabulary import CertificateInfo, LeafCertificateType

_CSMS = LeafCertificateType.CSMS


class ClientLeaf:
    """Which of the CSMS leaves of one station is shown next, and what connections say of them."""

    def __init__(self, station: Station, memory: Memory) -> None:
        """With what is remembered of a trial."""
        self._station, self._memory = station, memory
        self._failed_beside = ""
        """Fingerprint of the leaf beside those on trial that was tried since they failed."""

    def trial_of(self, leaf: Certificate) -> Trial | None:
        """What to fall back to from a leaf, to be remembered before it is there: a power cut may come at any time."""
        running, before = self._memory.trial, self._station.renewal.facts(_CSMS).leaf
        if before is None or before.fingerprint == leaf.fingerprint:
            return running
        # Of a trial that is not over the old one is the one that has proven itself.
        has_old = running is not None and self.info(running.old) is not None
        old = running.old if running is not None and has_old else before.fingerprint
        return Trial(leaf.fingerprint, old, leaf.not_before)

    def certificate(self) -> ClientCertificate | None:
        """The certificate for the next connection; None where there is none."""
        trial, leaf = self._memory.trial, self._station.renewal.facts(_CSMS).leaf
        found = ((one, self.info(one)) for one in self._order(trial, leaf))
        return next((ClientCertificate(one, info) for one, info in found if info is not None), None)

    def _order(self, trial: Trial | None, leaf: LeafFacts | None) -> tuple[str, ...]:
        """The leaves to connect with, the first that is there.

        Of those on trial none may be of use any more: then one that others brought beside them is tried in between, and
        where the renewed one is not there (a power cut before it was, somebody took it out) there is no trial.
        """
        others = () if leaf is None else (leaf.fingerprint,)
        if trial is None:
            return others
        if self.info(trial.new) is None:
            return (*others, trial.old)
        time = self._station.time()
        tried = (trial.use(time.at_least or time.now), trial.old, trial.new)
        is_beside = leaf is not None and leaf.use is LeafUse.in_use and leaf.fingerprint not in tried
        is_next = is_beside and trial.old_failed and self._failed_beside not in others
        return (*others, *tried) if is_next else (*tried, *others)

    def info(self, fingerprint: str) -> CertificateInfo | None:
        """The files of one leaf; None where it cannot be shown."""
        return self._station.renewal.leaf_info(_CSMS, fingerprint)

    def connected(self, fingerprint: str, takeover: Takeover, under: str, tell: Callable[[], object]) -> bool:
        """A connection came about with this certificate, `under` these CSMS roots.

        Whether a renewed one was discarded over it; `tell` has the CSMS told before that is remembered as done.
        """
        trial = self._memory.trial
        if trial is None:
            return False
        verdict = trials.connected(trial, fingerprint, takeover, under)
        accepted = self._memory.accepted
        is_combined = verdict.renewed_one and accepted.get(SigningUse.COMBINED) == verdict.discard
        for kind in reversed(SigningUse.COMBINED.kinds) if is_combined else (_CSMS,):
            if verdict.discard:
                with suppress(EvseSecurityError):  # the store has told why; one too many does no harm
                    self._station.renewal.discard_leaf(kind, verdict.discard)
        if verdict.renewed_one:
            tell()
            self._memory.accepted = {use: one for use, one in accepted.items() if one != verdict.discard}
        if verdict.trial != trial:
            self._memory.trial = verdict.trial
            self._memory.save()
        return verdict.renewed_one

    def failed(self, fingerprint: str, under: str, blame: Blame) -> None:
        """A connection with this certificate failed, `under` these CSMS roots."""
        trial = self._memory.trial
        self._failed_beside = fingerprint if trial is not None and fingerprint not in (trial.new, trial.old) else ""
        after = None if trial is None else trials.failed(trial, fingerprint, under, blame)
        if after != trial:
            self._memory.trial = after
            self._memory.save()
