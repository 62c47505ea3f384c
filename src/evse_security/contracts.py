"""Whether a car's contract is to be believed: its chain, and what OCSP says of each certificate of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from evse_security.core import Core, told
from evse_security.errors import OcspOtherCertificate, OcspRefused, Refusal, Revoked, WrongUsage
from evse_security.outcomes import answers
from evse_security.pki import names, ocsp, pem
from evse_security.pki.certificate import Certificate
from evse_security.pki.ocsp import OcspAnswer, OcspStatus
from evse_security.pki.path import Policy
from evse_security.store.kinds import TRUST
from evse_security.store.rules.cache import offered
from evse_security.store.rules.report import contract_questions
from evse_security.store.rules.revoked import revoked_since
from evse_security.store.rules.times import verified
from evse_security.store.scan import read
from evse_security.store.snapshot import Snapshot
from evse_security.vocabulary import CertificateValidationResult, LeafCertificateType, OCSPRequestData

MAX_RESPONSES = 16
"""Responses that are looked at: a chain has three certificates, and a car brings one for each."""
_OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
_OTHER_ROLES = ("CPO", "CSO", "CPS", "OEM")
"""How the domain components end of SECCs, provisioning services and cars."""
_TYPES = (LeafCertificateType.MO, LeafCertificateType.V2G)
"""Contracts lead to a root of their mobility operator, or to a V2G root."""


@dataclass(frozen=True, slots=True)
class ContractStatus:
    """What OCSP says of one certificate of a contract's chain."""

    name: str
    serial: str
    status: str
    """`good`, `revoked`, or `unknown` where no response is there that is to be believed."""
    problem: str | None
    """Why a response about it is not believed."""


@dataclass(frozen=True, slots=True)
class ContractReport:
    """Whether a contract is valid, and all that a CSMS wants to know of it."""

    result: CertificateValidationResult
    reason: Refusal | None
    emaid: str
    """The common name of the leaf; empty where there is none that can be read."""
    path: tuple[str, ...]
    """Names from the leaf to the root; empty where it is not valid."""
    statuses: tuple[ContractStatus, ...]
    """Leaf first, without the root; empty where the chain is not valid."""
    ocsp_request_data: tuple[OCSPRequestData, ...]
    """OCPP's hash data of each certificate that names a responder."""

    @property
    def is_valid(self) -> bool:
        """Whether the chain leads to an installed root, and nobody of it is known to be revoked."""
        return self.result is CertificateValidationResult.Valid

    @property
    def all_good(self) -> bool:
        """Whether it is valid and a current response calls each certificate good."""
        return self.is_valid and all(one.status == OcspStatus.good for one in self.statuses)


def check_contract(core: Core, certificate_chain: str, responses: Sequence[bytes]) -> ContractReport:
    """Verify a contract chain (PEM, leaf first), given OCSP responses (DER) that came with it or for it."""
    snapshot, moment = core.look()
    received: tuple[Certificate, ...] = ()
    statuses: tuple[ContractStatus, ...] = ()
    path: tuple[str, ...] = ()
    refused: Refusal | None = None
    try:
        received = pem.chain(certificate_chain, "the contract certificate chain")
        trust = snapshot.trust(TRUST[one] for one in _TYPES)
        chain = verified(received[0], received[1:], trust, Policy(_TYPES, core.profile), moment)
        _check_role(chain.leaf)
        asking = _Asking(snapshot, responses[:MAX_RESPONSES], moment.now)
        statuses = tuple(asking.status(*pair) for pair in pairwise(chain.path))
        if asking.revoked is not None:
            raise asking.revoked
        path = tuple(one.name for one in chain.path)
    except Refusal as refusal:
        told("check_contract", refusal)
        refused = refusal
    return ContractReport(
        result=CertificateValidationResult.Valid if refused is None else answers(refused).validation,
        reason=refused,
        emaid=names.last(received[0].subject, names.COMMON_NAME) if received else "",
        path=path,
        statuses=statuses,
        ocsp_request_data=tuple(contract_questions(snapshot, received)) if received else (),
    )


def _check_role(leaf: Certificate) -> None:
    """Refuse what says itself that it is no contract: under a V2G root are SECCs, too, and their keys are in the field.

    Contracts have DC=MO or none (ISO 15118-2 Annex F), and nobody but OCSP responders signs responses. Raises
    `WrongUsage`.
    """
    if leaf.extended_key_usage == frozenset({_OCSP_SIGNING}):
        raise WrongUsage(leaf.name, "it is an OCSP responder's, and no contract")
    if names.has(leaf.subject, names.DOMAIN_COMPONENT, lambda text: text.upper().endswith(_OTHER_ROLES)):
        raise WrongUsage(leaf.name, "its DC is of another role, and no contract's")


class _Asking:
    """What is known of the certificates of one chain."""

    def __init__(self, snapshot: Snapshot, given: Sequence[bytes], now: datetime) -> None:
        self._snapshot, self._given, self._now = snapshot, given, now
        self.revoked: Revoked | None = None
        """The first that is revoked."""

    def status(self, certificate: Certificate, issuer: Certificate) -> ContractStatus:
        """The newest answer that is to be believed; a revocation holds whatever comes beside it."""
        believed: list[OcspAnswer] = []
        problem: str | None = None
        for encoded in self._responses(certificate):
            try:
                believed.append(ocsp.believe(encoded, certificate, issuer, self._now))
            except OcspOtherCertificate:
                continue
            except (OcspRefused, OverflowError) as refusal:  # the latter at the ends of the calendar
                problem = str(refusal)
        since = revoked_since(certificate, issuer, self._snapshot.revocations)
        newest = max(believed, key=lambda one: (one.this_update, one.status is OcspStatus.revoked), default=None)
        if since is None and newest is not None and newest.status is OcspStatus.revoked:
            since = "an unknown day" if newest.revoked_at is None else f"{newest.revoked_at:%Y-%m-%d}"
        if since is not None:
            self.revoked = self.revoked or Revoked(certificate.name, since)
        known = OcspStatus.unknown if newest is None else newest.status
        status = OcspStatus.revoked if since is not None else known
        return ContractStatus(certificate.name, certificate.serial_text, status, problem if newest is None else None)

    def _responses(self, certificate: Certificate) -> Iterator[bytes]:
        yield from self._given
        entry = offered(self._snapshot, certificate, Path(), self._now)
        if entry is not None:
            try:
                yield read(entry.response_path, ocsp.MAX_RESPONSE_BYTES)
            except (OSError, ValueError):
                return
