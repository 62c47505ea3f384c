"""What the renewal of leaves asks of the store and has done there, under its own name in the audit log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evse_security.actor import current_actor
from evse_security.agents.enrolment.port import Credentials, Later, Refused
from evse_security.agents.renewal.rules import Subject
from evse_security.errors import EvseSecurityError
from evse_security.pki.profile import EDITION_OF_KEY_TYPE
from evse_security.renewalfacts import RenewalFacts
from evse_security.service.service import Service
from evse_security.station import Refused as RefusedChange
from evse_security.station import Station
from evse_security.vocabulary import LeafCertificateType

CALLER = "renewal"
_OURS = frozenset({"NotWritable", "StoreFull"})
"""Reasons of a refusal that are not the certificate's fault."""


class Store:
    """The store, as renewals see it."""

    def __init__(self, service: Service) -> None:
        """By the service, so that others see and count what is done."""
        self._service = service
        self._why: dict[str, EvseSecurityError] = {}
        """Why our own last commands were refused."""

    async def facts(self, kind: LeafCertificateType, csr: str | None) -> RenewalFacts:
        """What there is, and what became of a request, whose key is kept until another one takes its place.

        Of SECC leaves of both editions of ISO 15118 it is those that have the keys that this station makes.
        """

        def look(station: Station) -> RenewalFacts:
            station.renewal.await_certificate(kind, csr)
            edition = EDITION_OF_KEY_TYPE.get(station.config.csr_key_type) if kind is LeafCertificateType.V2G else None
            own = station.renewal.facts(kind, csr, edition)
            return own if own.leaf or own.successor else station.renewal.facts(kind, csr)

        return await self._service.ask(look, caller=CALLER)

    async def hear_refusals(self, hear: Callable[[LeafCertificateType, str], object]) -> Callable[[], None]:
        """Tell somebody of leaves that others brought and that were refused. Returns how to stop that."""

        def heard(refused: RefusedChange) -> None:
            if current_actor() == CALLER:
                self._why[refused.command] = refused.why
            elif refused.why.code in _OURS:
                return  # whoever brought it is asked again, as after no answer
            elif refused.command == "update_leaf_certificate" and refused.about in list(LeafCertificateType):
                hear(LeafCertificateType(refused.about), str(refused.why))

        return await self._service.ask(lambda station: station.hear_refusals(heard), caller=CALLER)

    async def request(self, kind: LeafCertificateType, subject: Subject) -> str | Later:
        """Make a key and a signing request (PEM)."""
        command = "generate_certificate_signing_request"
        arguments = {"certificate_type": kind.value, **subject._asdict(), "use_tpm": False}
        self._why.pop(command, None)
        answer = await self._service.call(command, arguments, caller=CALLER)
        if answer["status"] != "Accepted":
            return Later(f"no signing request could be made: {self._why.get(command, answer['status'])}")
        return str(answer["csr"])

    async def install(self, kind: LeafCertificateType, chain: str) -> Later | Refused | None:
        """Install a new leaf; None: done. The one before stays where it is."""
        command = "update_leaf_certificate"
        arguments = {"certificate_chain": chain, "certificate_type": kind.value}
        self._why.pop(command, None)
        result = await self._service.call(command, arguments, caller=CALLER)
        if result == "Accepted":
            return None
        why = self._why.get(command)
        if why is None or why.code in _OURS:
            return Later(f"the new leaf could not be installed: {why or result}")
        return Refused(f"what the CA sent is of no use: {why}")

    async def credentials(self, kind: LeafCertificateType) -> Credentials | None:
        """The leaf in use, with its key and password."""
        arguments = {"certificate_type": kind.value, "encoding": "PEM", "include_ocsp": False}
        answer = await self._service.call("get_leaf_certificate_info", arguments, caller=CALLER)
        info = answer.get("info")
        path = None if info is None else info.get("certificate") or info.get("certificate_single")
        if path is None:
            return None
        return Credentials(Path(path), Path(info["key"]), info.get("password"))

    async def key_password(self) -> str | None:
        """The password of new keys."""
        return await self._service.ask(lambda station: station.config.private_key_password, caller=CALLER)
