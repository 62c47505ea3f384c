"""The CSMS roots that a station trusts, and how one takes over from another (M05). Its methods wait for the store."""

from __future__ import annotations

import hashlib
import logging
import ssl
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from evse_security.adapters.ocpp import root_trial
from evse_security.adapters.ocpp.memory import Memory
from evse_security.adapters.ocpp.messages import identity
from evse_security.adapters.ocpp.refusals import RootOnTrial
from evse_security.adapters.ocpp.root_trial import Failure, RootMemory, RootTrial, TrustedRoots
from evse_security.additions import CertificateHashDataChainWithOem
from evse_security.errors import EvseSecurityError, MustStay, Refusal
from evse_security.pki import pem
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import certificate_id
from evse_security.station import Station
from evse_security.vocabulary import (
    CaCertificateType,
    CertificateHashData,
    CertificateType,
    LeafCertificateType,
)

log = logging.getLogger(__name__)

_ROOT = CertificateType.CSMSRootCertificate


class CsmsTrust:
    """The CSMS roots of one station. Without AdditionalRootCertificateCheck all that are installed are trusted."""

    def __init__(self, station: Station, memory: Memory) -> None:
        """With what is remembered of a trial."""
        self._station, self._memory = station, memory
        self._kept_for: str | None = None
        """The client certificate for which the old root stays: no need to ask again with each connection."""

    def roots(self) -> TrustedRoots:
        """The roots for the next attempt to connect: where two are on trial, one of them."""
        valid, trial = self._valid(), self._running()
        if trial is not None and trial.proven:
            return _trusted({one: der for one, der in valid.items() if one != trial.old})
        if trial is None or valid.keys() != {trial.new, trial.old}:
            return _trusted(valid)
        return _trusted({trial.use: valid[trial.use]}, on_trial=trial.use == trial.new)

    def _valid(self) -> dict[str, bytes]:
        found = self._station.chains(LeafCertificateType.CSMS).roots
        return {hashlib.sha256(one).hexdigest(): one for one in found}

    def _installed(self) -> frozenset[str]:
        return frozenset(self._station.inventory().cas[CaCertificateType.CSMS])

    def _running(self) -> RootTrial | None:
        """The trial of two roots that are both there: one may have been cut off before, or deleted since."""
        trial = self._memory.roots.trial
        if trial is None or not self._station.config.additional_root_certificate_check:
            return None
        return trial if {trial.new, trial.old} <= self._installed() else None

    # ---- a new one

    def begin(self, certificate: str) -> RootMemory:
        """Remember the fallback, before a new root (PEM) is installed: a power cut may come at any time.

        Returns what was remembered before, for `restore`. Raises `RootOnTrial` for a third root: two are kept at most
        (M05.FR.09), and of those on trial none is dispensable.
        """
        before = self._memory.roots
        try:
            new = pem.single(certificate, "the certificate")
        except Refusal:
            return before  # the store says what is wrong with it
        installed = self._installed()
        if not self._station.config.additional_root_certificate_check or new.fingerprint in installed:
            return before
        roots = [Certificate(der) for der in self._valid().values()]
        running = self._running()
        if running is not None:
            names = {one.fingerprint: one.name for one in roots}
            raise RootOnTrial(new.name, *(names.get(one, one[:16]) for one in (running.new, running.old)))
        old = next((one for one in roots if new.signed_by(one)), None)
        if old is not None:
            named = {**before.kept(installed).named, new.fingerprint: certificate_id(new, old).hash_data}
            self._memory.remember_roots(RootMemory(RootTrial(new.fingerprint, old.fingerprint), named))
        return before

    def restore(self, before: RootMemory) -> None:
        """The new root was not installed."""
        self._memory.remember_roots(before)

    # ---- what became of an attempt

    def connected(self, roots: TrustedRoots, leaf: str) -> None:
        """A connection came about under these roots, with a client certificate or none (empty).

        Under the new one alone: the old one goes (M05.FR.13), unless that client certificate leads to no other.
        """
        trial = self._running()
        if trial is None or len(roots.fingerprints) != 1:
            return
        self._remember(root_trial.connected(trial, roots.key))
        if roots.key == trial.new and self._kept_for != leaf:
            self._retire(trial.old, leaf)

    def _retire(self, old: str, leaf: str) -> None:
        try:
            self._station.renewal.retire_root(old, needed=leaf)
        except EvseSecurityError as why:
            self._kept_for = leaf if isinstance(why, MustStay) else None
            log.warning("the CSMS root before stays, and is not trusted any more: %s", why)

    def failed(self, roots: TrustedRoots, failure: Failure, tell: Callable[[], object] = bool) -> tuple[bool, bool]:
        """A connection failed under these roots. Whether the fallback is next, and whether the CSMS is to be told.

        `tell` has it told before that is remembered as done.
        """
        trial = self._running()
        if trial is None or trial.proven or len(roots.fingerprints) != 1:
            return False, False
        after = root_trial.failed(trial, roots.key, failure)
        tells = failure is Failure.UNVERIFIED and roots.key == trial.new and not trial.told
        if tells:
            tell()
        self._remember(replace(after, told=after.told or tells))
        return after.use == trial.old != roots.key, tells

    def _remember(self, trial: RootTrial) -> None:
        self._memory.remember_roots(replace(self._memory.roots, trial=trial))

    # ---- how they are named

    def listed(self, chains: Sequence[CertificateHashDataChainWithOem]) -> tuple[CertificateHashDataChainWithOem, ...]:
        """What is installed, with roots that another one signed as the roots that they are (M03)."""
        named = {identity(data): data for data in self._named().values()}
        if not named:
            return tuple(chains)
        found = [one for one in chains if identity(one.certificate_hash_data) not in named]
        return (*(_without(one, named) for one in found), *(_entry(data) for data in named.values()))

    def _named(self) -> dict[str, CertificateHashData]:
        if not self._station.config.additional_root_certificate_check:
            return {}
        return dict(self._memory.roots.kept(self._installed()).named)

    # ---- what must stay (M04)

    def must_stay(self, wanted: CertificateHashData) -> bool:
        """Whether nobody may delete what this names, in whatever words the store would know it by.

        It is a root that the CSMS has proven to be under, or without it there would be none to trust (M04.FR.03): then
        the station could not be reached any more, and any root would be taken for the first.
        """
        named = self._station.identified(wanted)
        trial = self._running()
        waiting = trial.new if trial is not None and not trial.proven else ""
        kept = {one: data for one, data in self._named().items() if one != waiting}
        if kept.keys() & named or identity(wanted) in map(identity, kept.values()):
            return True
        roots = self._valid().keys() or self._listed_roots()
        return bool(roots) and roots <= named

    def _listed_roots(self) -> frozenset[str]:
        found = self._station.interface().get_installed_certificates(certificate_types=(_ROOT,))
        return frozenset().union(
            *(self._station.identified(one.certificate_hash_data) for one in found.certificate_hash_data_chain)
        )


def _trusted(roots: dict[str, bytes], *, on_trial: bool = False) -> TrustedRoots:
    return TrustedRoots(tuple(roots), "".join(map(ssl.DER_cert_to_PEM_cert, roots.values())), on_trial)


def _entry(data: CertificateHashData) -> CertificateHashDataChainWithOem:
    return CertificateHashDataChainWithOem(
        certificate_type=_ROOT, certificate_hash_data=data, child_certificate_hash_data=None
    )


def _without(
    chain: CertificateHashDataChainWithOem, named: Collection[tuple[str, ...]]
) -> CertificateHashDataChainWithOem:
    """A chain whose sub-CAs hold none of these."""
    children = tuple(one for one in chain.child_certificate_hash_data or () if identity(one) not in named)
    return replace(chain, child_certificate_hash_data=children or None)
