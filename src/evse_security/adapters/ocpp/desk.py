"""What a CSMS asks of a station's certificates, answered from the store. Its methods wait for the disk.

`Certificates` keeps a thread for them; who has no event loop may use them as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from evse_security.actor import acting_for
from evse_security.adapters.ocpp import messages, plug_and_charge, words
from evse_security.adapters.ocpp.editions import Edition, Payload
from evse_security.adapters.ocpp.events import SecurityEvent, Waiting, queued
from evse_security.adapters.ocpp.firmware import of_certificate
from evse_security.adapters.ocpp.memory import Memory
from evse_security.adapters.ocpp.policy import WRITABLE, CertificatePolicy
from evse_security.adapters.ocpp.profiles import ProfileRefused, refused_profile
from evse_security.adapters.ocpp.refusals import RootOnTrial, Unsupported, tech_info, with_reason
from evse_security.adapters.ocpp.renewals import Renewals
from evse_security.adapters.ocpp.trust import CsmsTrust
from evse_security.adapters.ocpp.uses import TRIGGERS, SigningUse
from evse_security.additions import AddedCaType, CaTypeWithOem
from evse_security.errors import EvseSecurityError, InvalidConfiguration, MalformedRequest, Revoked
from evse_security.interface import WITH_OEM, r2026_04_oem
from evse_security.service.ours import warn_of_others
from evse_security.station import Refused, Station
from evse_security.vocabulary import (
    CaCertificateType,
    CertificateType,
    DeleteCertificateResult,
    InstallCertificateResult,
    LeafCertificateType,
)

log = logging.getLogger(__name__)

ACTOR = "ocpp:csms"
"""Who is behind these changes, in the audit log."""
_LONGEST_CERTIFICATE = 10_000
_REFUSED = {"DeleteCertificate": "Failed", "GetInstalledCertificateIds": "NotFound"}
"""What is answered to a message that cannot be read, where it is not Rejected."""


class Then(NamedTuple):
    """What follows once an answer has been sent, and not before."""

    sign: SigningUse | None = None
    """A new signing request."""
    renewed: SigningUse | None = None
    """A leaf was installed: the CSMS connection is made anew, or responders are asked."""


class Answer(NamedTuple):
    """The answer to one message, and what follows it."""

    payload: Payload
    then: Then = Then()


class Desk:
    """The certificates of one station, towards its CSMS."""

    def __init__(self, station: Station, policy: CertificatePolicy, directory: Path | None = None) -> None:
        """With what is remembered in `directory` (None: nothing outlives a restart)."""
        self.station = station
        if directory is not None:
            warn_of_others("what is remembered for the CSMS", directory)
        self.memory = Memory(directory)
        self.renewals = Renewals(station, self._settled(policy), self.memory)
        self.trust = CsmsTrust(station, self.memory)
        self._answers: Mapping[str, Callable[[Mapping[str, Any]], Answer | None]] = {
            "InstallCertificate": self._install,
            "DeleteCertificate": self._delete,
            "GetInstalledCertificateIds": self._list,
            "CertificateSigned": self._signed,
            "TriggerMessage": self._trigger,
            "ExtendedTriggerMessage": self._trigger,
            "DataTransfer": self._transfer,
            "UpdateFirmware": self._firmware,
            "SignedUpdateFirmware": self._firmware,
        }
        self._is_transfer = False

    def _settled(self, policy: CertificatePolicy) -> CertificatePolicy:
        """The policy with what the CSMS has set since."""
        for name in sorted(WRITABLE & self.memory.settings.keys()):  # whether it may go down comes first
            try:
                settled = policy.changed(name, self.memory.settings[name])
                if settled.security_profile >= policy.security_profile or policy.allows_downgrade:
                    policy = settled  # else the program has gone up since, and does not go down again (A05)
            except InvalidConfiguration as problem:
                log.warning("a setting of the CSMS is not used any more: %s", problem)
        return policy

    @property
    def edition(self) -> Edition:
        """The edition that is spoken."""
        return self.renewals.policy.edition

    def answer(self, action: str, payload: Mapping[str, Any]) -> Answer | None:
        """Answer one message; None where it is not about certificates, and the station's own program answers.

        What no schema would let through is refused.
        """
        with acting_for(ACTOR):
            try:
                return self._answers[action](payload)
            except MalformedRequest as problem:
                return Answer(with_reason(_REFUSED.get(action, "Rejected"), problem, self.edition))

    @property
    def _roots(self) -> r2026_04_oem.Interface:
        """The commands that know OEM roots; whether they are spoken of is the edition's."""
        return self.station.interface(WITH_OEM)

    @property
    def actions(self) -> frozenset[str]:
        """The messages that concern certificates in this edition."""
        only_16 = {"ExtendedTriggerMessage", "SignedUpdateFirmware", "DataTransfer"}
        others = {"TriggerMessage"} if self.edition is Edition.V16 else only_16
        return frozenset(self._answers) - (others | {"UpdateFirmware"} if self.edition is Edition.V16 else others)

    @property
    def _form(self) -> Edition:
        """The edition of the payloads: inside DataTransfer they are those of 2.0.1."""
        return Edition.V201 if self._is_transfer else self.edition

    def happened(self, event: SecurityEvent, info: str = "") -> None:
        """Queue a security event for the CSMS."""
        now = self.station.time().now
        waiting = queued(self.memory.waiting, Waiting.of(event, self.edition, info, now))
        if waiting[-1].dropped is not None and waiting[-1].dropped.number == 1:
            log.warning("there is no room for more security events; those that are dropped are counted for the CSMS")
        self.memory.queue(waiting)

    def refused_profile(
        self, current: int, wanted: int, *, has_password: bool = True, may_go_down: bool = False
    ) -> ProfileRefused | None:
        """Why the station must not change to a security profile, by what is installed; None where it may (A05)."""
        installed = self.station.chains(LeafCertificateType.CSMS)
        has_root, has_leaf = bool(installed.roots), bool(installed.chains)
        return refused_profile(
            current, wanted, has_root=has_root, has_leaf=has_leaf, has_password=has_password, may_go_down=may_go_down
        )

    # ---- certificates (M03–M05)

    def _install(self, payload: Mapping[str, Any]) -> Answer:
        certificate = messages.text(payload, "certificate", _LONGEST_CERTIFICATE)
        roots = words.PNC_ROOTS if self._is_transfer else words.ROOTS[self.edition]
        kind = roots.get(str(payload.get("certificateType")))
        if kind is None or (kind is AddedCaType.OEM and self.station.config.oem_ca_bundle is None):
            why = Unsupported(f"a {payload.get('certificateType')!s:.50}")
            return Answer(with_reason("Rejected", why, self._form))
        if kind is CaCertificateType.CSMS:
            return self._install_csms_root(certificate)
        return Answer(messages.installed(*self._installed(certificate, kind), self._form))

    def _installed(
        self, certificate: str, kind: CaTypeWithOem
    ) -> tuple[InstallCertificateResult, EvseSecurityError | None]:
        return self._heard(lambda: self._roots.install_ca_certificate(certificate=certificate, certificate_type=kind))

    def _install_csms_root(self, certificate: str) -> Answer:
        """Install the root that the CSMS will be under, with the one before as fallback (M05.FR.09–.12)."""
        try:
            before = self.trust.begin(certificate)
        except RootOnTrial as why:
            return Answer(with_reason("Rejected", why, self._form))
        result, refusal = self._installed(certificate, CaCertificateType.CSMS)
        if result is not InstallCertificateResult.Accepted:
            self.trust.restore(before)
            self.happened(SecurityEvent.INVALID_CSMS_CERTIFICATE, tech_info(refusal))
        return Answer(messages.installed(result, refusal, self._form))

    def _delete(self, payload: Mapping[str, Any]) -> Answer:
        wanted = messages.hash_data(payload)
        if self.trust.must_stay(wanted):
            return Answer(with_reason("Failed", Unsupported("being without a CSMS root (M04.FR.03)"), self._form))
        result, refusal = self._heard(lambda: self.station.interface().delete_certificate(certificate_hash_data=wanted))
        return Answer(messages.deleted(DeleteCertificateResult(result), refusal, self._form))

    def _list(self, payload: Mapping[str, Any]) -> Answer:
        known = words.PNC_LISTED if self._is_transfer else words.LISTED[self.edition]
        asked = messages.types(payload, known)
        found = self._roots.get_installed_certificates(certificate_types=asked) if asked else None
        chains = () if found is None else found.certificate_hash_data_chain
        if CertificateType.CSMSRootCertificate in asked:
            chains = self.trust.listed(chains)
        return Answer(messages.listed(chains, self._form))

    def _heard(self, ask: Callable[[], Any]) -> tuple[Any, EvseSecurityError | None]:
        """An answer of the store, and why it refused if it did: the reason that `check` prints."""
        refused: list[Refused] = []
        stop = self.station.hear_refusals(refused.append)
        try:
            result = ask()
        finally:
            stop()
        return result, refused[-1].why if refused else None

    # ---- leaves (A02, A03)

    def _signed(self, payload: Mapping[str, Any]) -> Answer:
        try:
            use = self.renewals.signed(payload)
        except MalformedRequest:
            raise
        except EvseSecurityError as why:
            self.happened(SecurityEvent.INVALID_STATION_CERTIFICATE, tech_info(why))
            return Answer(with_reason("Rejected", why, self._form))
        return Answer({"status": "Accepted"}, Then(renewed=use))

    def _trigger(self, payload: Mapping[str, Any]) -> Answer | None:
        wanted = str(payload.get("requestedMessage"))
        use = TRIGGERS.get(wanted)
        if use is None:
            return None
        if use not in self.renewals.policy.uses:
            return Answer(with_reason("NotImplemented", Unsupported(wanted), self._form))
        trouble = self.renewals.trouble(use)
        if trouble is not None:
            return Answer(with_reason("Rejected", trouble, self._form))
        return Answer({"status": "Accepted"}, Then(sign=use))

    # ---- Plug & Charge in 1.6

    def _transfer(self, payload: Mapping[str, Any]) -> Answer | None:
        if not plug_and_charge.is_ours(payload) or not self.renewals.policy.speaks_plug_and_charge:
            return None
        action = str(payload.get("messageId"))
        if action not in plug_and_charge.FROM_CSMS:
            return Answer({"status": "UnknownMessageId"})
        self._is_transfer = True
        try:
            answer = self._answers[action](plug_and_charge.unwrapped(payload))
        except MalformedRequest as problem:
            log.warning("the CSMS sent a %s that cannot be read: %s", action, problem)
            return Answer({"status": "Rejected"})
        finally:
            self._is_transfer = False
        if answer is None:
            return Answer({"status": "Rejected"})
        return Answer(plug_and_charge.answered(answer.payload), answer.then)

    # ---- firmware (L01)

    def _firmware(self, payload: Mapping[str, Any]) -> Answer | None:
        """Refuse a signing certificate that does not lead to a manufacturer's root; None: the update may begin."""
        firmware = messages.members(payload, "firmware")
        certificate = firmware.get("signingCertificate")
        if certificate is None and "signature" not in firmware and self.edition is not Edition.V16:
            return None  # 2.x has unsigned updates; whether to take one is the station's policy
        flaw = of_certificate(self.station, firmware)
        if flaw is None:
            return None
        self.happened(flaw.event, flaw.info)
        status = "RevokedCertificate" if isinstance(flaw.reason, Revoked) else "InvalidCertificate"
        return Answer(with_reason(status, flaw.reason, self.edition))
