"""What the renewal of leaves asks of the store and has done there, under its own name in the audit log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from evse_security.actor import current_actor
from evse_security.agents.enrolment.port import Credentials, Later, Refused
from evse_security.agents.renewal.rules import Subject, newest
from evse_security.errors import EvseSecurityError
from evse_security.pki.certificate import Certificate
from evse_security.pki.profile import EDITION_OF_KEY_TYPE, LEAF_KEYS, Edition
from evse_security.renewalfacts import LeafFacts, LeafUse, RenewalFacts
from evse_security.service.renewals import Renewed
from evse_security.service.service import Service
from evse_security.station import Refused as RefusedChange
from evse_security.station import Station
from evse_security.vocabulary import LeafCertificateType

CALLER = "renewal"
_OURS = frozenset({"NotWritable", "StoreFull"})
"""Reasons of a refusal that are not the certificate's fault."""
_EDITIONS: Mapping[Renewed, Edition] = {Renewed.V2G: Edition.ISO15118_2, Renewed.V2G20: Edition.ISO15118_20}

Hear = Callable[[LeafCertificateType, str, Certificate | None], object]
"""Is told of a leaf that was refused: its type, why, and the leaf if it could be read."""


class Found(NamedTuple):
    """What there is to know to renew a leaf."""

    facts: RenewalFacts
    is_wanted: bool
    """Whether it is renewed by itself: it is there, or it is the first leaf that this station is to have."""
    key_type: str | None
    """The kind of key to make; None: that of the configuration."""


class Store:
    """The store, as renewals see it."""

    def __init__(self, service: Service) -> None:
        """By the service, so that others see and count what is done."""
        self._service = service

    async def found(self, leaf: Renewed, csr: str | None) -> Found:
        """What there is, and what became of a request, whose key is kept until another one takes its place."""

        def look(station: Station) -> Found:
            station.renewal.await_certificate(leaf, csr)
            facts = station.renewal.facts(leaf.kind, csr, _EDITIONS.get(leaf))
            configured = station.config.csr_key_type
            now = newest(facts)
            is_first = now is None and leaf is _made(leaf.kind, configured) and not _installed(station, leaf.kind)
            return Found(facts, now is not None or is_first, key_type(leaf, now, configured))

        return await self._service.ask(look, caller=CALLER)

    async def meant(self, kind: LeafCertificateType, edition: str) -> Sequence[Renewed]:
        """The leaves that are to be renewed when somebody says so: of that edition, or else all that there are.

        Where there is none, it is the one for which this station makes keys.
        """
        if edition:
            return [one for one in Renewed if one.kind is kind and one.edition == edition]

        def look(station: Station) -> Sequence[Renewed]:
            return _installed(station, kind) or [_made(kind, station.config.csr_key_type)]

        return await self._service.ask(look, caller=CALLER)

    async def hear_refusals(self, hear: Hear) -> Callable[[], None]:
        """Tell somebody of leaves that others brought and that were refused. Returns how to stop that."""

        def heard(refused: RefusedChange) -> None:
            if current_actor() == CALLER or refused.why.code in _OURS:
                return  # after the latter whoever brought it is asked again, as after no answer
            if refused.command == "update_leaf_certificate" and refused.about in list(LeafCertificateType):
                hear(LeafCertificateType(refused.about), str(refused.why), next(iter(refused.given), None))

        return await self._service.ask(lambda station: station.hear_refusals(heard), caller=CALLER)

    async def request(self, leaf: Renewed, subject: Subject, key_type: str | None) -> str | Later:
        """Make a key and a signing request (PEM)."""

        def make(station: Station) -> str:
            return station.renewal.signing_request([leaf.kind], **subject._asdict(), key_type=key_type)

        try:
            return await self._service.ask(make, caller=CALLER)
        except EvseSecurityError as why:
            return Later(f"no signing request could be made: {why}")

    async def install(self, kind: LeafCertificateType, chain: str) -> Later | Refused | None:
        """Install a new leaf; None: done. The one before stays where it is."""
        arguments = {"certificate_chain": chain, "certificate_type": kind.value}
        refusals: list[RefusedChange] = []
        result = await self._service.call("update_leaf_certificate", arguments, caller=CALLER, hear=refusals.append)
        if result == "Accepted":
            return None
        why = refusals[-1].why if refusals else None
        if why is None or why.code in _OURS:
            return Later(f"the new leaf could not be installed: {why or result}")
        return Refused(f"what the CA sent is of no use: {why}")

    async def credentials(self, kind: LeafCertificateType, leaf: LeafFacts | None) -> Credentials | None:
        """A leaf with its key and password, if it is in use."""
        if leaf is None or leaf.use is not LeafUse.in_use:
            return None
        info = await self._service.ask(lambda station: station.renewal.leaf_info(kind, leaf.fingerprint), caller=CALLER)
        path = None if info is None else info.certificate or info.certificate_single
        if info is None or path is None:
            return None
        return Credentials(Path(path), Path(info.key), info.password)

    async def key_password(self) -> str | None:
        """The password of new keys."""
        return await self._service.ask(lambda station: station.config.private_key_password, caller=CALLER)


def key_type(leaf: Renewed, now: LeafFacts | None, configured: str) -> str | None:
    """The kind of key of a new leaf; None: as configured. Pure.

    A leaf of the edition for which no keys are configured gets one as it has, if it may have that.
    """
    if leaf is _made(leaf.kind, configured):
        return None
    kinds = [one.key_type for one in LEAF_KEYS if one.edition is _EDITIONS[leaf]]
    return now.key_type if now is not None and now.key_type in kinds else kinds[0]


def _made(kind: LeafCertificateType, configured: str) -> Renewed:
    """The leaf of a kind for which `csr_key_type` makes keys: those of no edition are shown to cars of ISO 15118-2."""
    if kind is LeafCertificateType.CSMS:
        return Renewed.CSMS
    return Renewed.V2G20 if EDITION_OF_KEY_TYPE.get(configured) is Edition.ISO15118_20 else Renewed.V2G


def _installed(station: Station, kind: LeafCertificateType) -> list[Renewed]:
    of_kind = [one for one in Renewed if one.kind is kind]
    return [one for one in of_kind if newest(station.renewal.facts(kind, None, _EDITIONS.get(one))) is not None]
