"""What a station asks its CSMS on behalf of a car: whether its contract holds, and for a new one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from evse_security.adapters.ocpp import messages
from evse_security.adapters.ocpp.at_desk import AtDesk
from evse_security.adapters.ocpp.editions import Edition, Payload
from evse_security.adapters.ocpp.refusals import NotEnabled
from evse_security.adapters.ocpp.sending import NotDelivered, Send, asked
from evse_security.errors import BadText, MalformedRequest
from evse_security.pki import pem
from evse_security.vocabulary import OCSPRequestData

MOST_CONTRACTS = 16
"""Answers to one request of a car, however many more the CSMS promises."""


class CarMessages(AtDesk):
    """That part of `Certificates`."""

    _send: Send | None = None

    async def _asked(self, action: str, payload: Payload) -> Mapping[str, Any]:
        return await asked(self._line(action), self.edition, action, payload, plug_and_charge_only=True)

    def _line(self, action: str) -> Send:
        if self._send is None:
            raise NotDelivered(action, "there is no connection to the CSMS")
        return self._send

    async def authorize_members(self, contract_chain: str) -> Payload:
        """What Authorize says of a contract chain (PEM): its hash data where this station believes it, else the chain.

        By hash data a CSMS learns whether anything is revoked, and nothing of who signed it; and a responder that is
        named there may be anybody's. Also the chain goes where not all of it names one. Raises `MalformedRequest` for
        what is no chain, and `NotEnabled` where PnCEnabled forbids the former, or CentralContractValidationAllowed the
        latter (C07).
        """
        self._must_be(self.policy.plug_and_charge, "PnCEnabled")
        report = await self._ask(lambda: self._desk.station.check_contract(contract_chain))
        if isinstance(report.reason, BadText):
            raise MalformedRequest("contract_chain", str(report.reason))
        questions = report.ocsp_request_data
        has_all = report.is_valid and len(questions) == len(report.statuses)
        members = messages.authorize_members(questions, self.edition) if has_all else {}
        self._must_be(bool(members) or self.policy.central_validation, "CentralContractValidationAllowed")
        return members or {"certificate": contract_chain}

    def _must_be(self, enabled: bool, variable: str) -> None:  # noqa: FBT001  # that is what it asks
        if not enabled:
            raise NotEnabled(variable)

    async def authorize(self, id_token: Mapping[str, Any], contract_chain: str) -> Mapping[str, Any]:
        """Authorize a contract certificate (C07).

        Raises `NotDelivered`, `Declined`, `MalformedRequest` and `NotEnabled`.
        """
        payload = {"idToken": dict(id_token), **await self.authorize_members(contract_chain)}
        return await self._asked("Authorize", payload)

    async def is_valid_offline(self, contract_chain: str) -> bool:
        """Whether a contract (PEM) holds without the CSMS: ContractValidationOffline, and the store knows its root.

        Whether its holder may charge is then for your list or cache to say (C07).
        """
        if not (self.policy.plug_and_charge and self.policy.offline_validation):
            return False
        return await self._ask(lambda: self._desk.station.check_contract(contract_chain).is_valid)

    async def ev_certificates(
        self,
        exi: str,
        *,
        schema: str,
        action: str = "Install",
        maximum: int | None = None,
        emaids: Sequence[str] = (),
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Pass a car's request on and hand over every answer, as long as contracts remain (M01.FR.06, .07).

        Raises as `authorize`.
        """
        name = "Get15118EVCertificate"
        self._must_be(self.policy.contract_installation, "ContractCertificateInstallationEnabled")
        self._must_be(self.policy.speaks_plug_and_charge, "ISO15118PnCEnabled")
        payload = messages.ev_certificate(exi, schema, action, self.edition, maximum=maximum, emaids=emaids)
        for _ in range(MOST_CONTRACTS):
            answer = await self._asked(name, payload)
            yield answer
            remaining = answer.get("remainingContracts")
            if answer.get("status") != "Accepted" or not isinstance(remaining, int) or remaining <= 0:
                return

    async def chain_statuses(self, chain: str) -> tuple[str, ...]:
        """The status of each certificate of a car's chain (PEM), leaf first (2.1, M07); where there is none: Unknown.

        Those that cannot be asked about, as they name no responder or the edition has no such message, come last:
        `all(...)` of what is returned says no of a chain that says nothing of itself. Raises as `authorize`.
        """
        questions, unasked = await self._ask(lambda: self._questions_of(chain))
        payload = messages.chain_status(questions)
        named = [one.certificate_hash_data for one in questions if one.certificate_hash_data and one.responder_url]
        if payload is None or self.edition is not Edition.V21:
            return ("Unknown",) * (len(named) + unasked)
        name = "GetCertificateChainStatus"
        answer = await self._line(name)(name, payload)
        return (*messages.chain_statuses(answer, named), *("Unknown",) * unasked)

    def _questions_of(self, chain: str) -> tuple[tuple[OCSPRequestData, ...], int]:
        """What to ask about a chain, and how many of its certificates below a root that leaves out."""
        found = self._desk.station.interface().get_mo_ocsp_request_data(certificate_chain=chain)
        data = [one.certificate_hash_data for one in found.ocsp_request_data_list if one.responder_url]
        asked = {int(one.serial_number, 16) for one in data if one is not None}
        below = (one for one in pem.chain(chain, "the chain") if not one.self_signed)
        return found.ocsp_request_data_list, sum(one.serial not in asked for one in below)
