"""What a station asks its CSMS on behalf of a car: whether its contract holds, and for a new one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from evse_security.adapters.ocpp import messages
from evse_security.adapters.ocpp.at_desk import AtDesk
from evse_security.adapters.ocpp.editions import Edition, Payload
from evse_security.adapters.ocpp.refusals import NotEnabled
from evse_security.adapters.ocpp.sending import NotDelivered, Send, asked

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
        """What Authorize says of a contract chain (PEM): its hash data, or the chain itself where that has none.

        Raises `NotEnabled` where PnCEnabled forbids the former, or CentralContractValidationAllowed the latter (C07).
        """
        self._must_be(self.policy.plug_and_charge, "PnCEnabled")
        found = await self._ask(
            lambda: self._desk.station.interface().get_mo_ocsp_request_data(certificate_chain=contract_chain)
        )
        members = messages.authorize_members(found.ocsp_request_data_list, self.edition)
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
        """The status of each certificate of a car's chain that can be asked about (2.1, M07); missing ones: Unknown.

        Raises as `authorize`.
        """
        found = await self._ask(
            lambda: self._desk.station.interface().get_mo_ocsp_request_data(certificate_chain=chain)
        )
        questions = found.ocsp_request_data_list
        payload = messages.chain_status(questions)
        if payload is None or self.edition is not Edition.V21:
            return ()
        name = "GetCertificateChainStatus"
        answer = await self._line(name)(name, payload)
        named = [one.certificate_hash_data for one in questions if one.certificate_hash_data and one.responder_url]
        return messages.chain_statuses(answer, named)
