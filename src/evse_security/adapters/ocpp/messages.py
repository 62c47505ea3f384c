"""The messages as functions from and to payloads, without a store: what they ask, and how answers are said.

Payloads are those of the wire. What arrives was checked by a schema, if whoever calls has one; what these functions
need of it they check once more, as OCPP 1.6 hides messages in DataTransfer that no schema sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evse_security.adapters.ocpp.editions import Edition, Payload
from evse_security.adapters.ocpp.refusals import with_reason
from evse_security.adapters.ocpp.uses import SIGNED_AS, SigningUse
from evse_security.adapters.ocpp.words import INSTALLED, LISTED_AS
from evse_security.additions import AnyCertificateType, CertificateHashDataChainWithOem
from evse_security.errors import EvseSecurityError, MalformedRequest
from evse_security.vocabulary import (
    CertificateHashData,
    DeleteCertificateResult,
    HashAlgorithm,
    InstallCertificateResult,
    OCSPRequestData,
)

MOST_CHILDREN = 4
"""childCertificateHashData of one chain."""
MOST_QUESTIONS = 4
"""iso15118CertificateHashData of one Authorize, certificateStatusRequests of one GetCertificateChainStatus."""
MOST_EMAIDS = 8
_LONGEST_RESPONDER = {Edition.V21: 2000}
_LONGEST_HASH, _LONGEST_SERIAL = 128, 40


# ---- reading


def text(payload: Mapping[str, Any], name: str, longest: int) -> str:
    """A member that must be there. Raises `MalformedRequest`."""
    found = payload.get(name)
    if not isinstance(found, str) or len(found) > longest:
        raise MalformedRequest(name, f"must be a text of at most {longest} characters")
    return found


def members(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A member that is an object. Raises `MalformedRequest`."""
    found = payload.get(name)
    if not isinstance(found, Mapping):
        raise MalformedRequest(name, "must be an object")
    return found


def hash_data(payload: Mapping[str, Any]) -> CertificateHashData:
    """The certificate that a `certificateHashData` names. Raises `MalformedRequest`."""
    found = members(payload, "certificateHashData")
    algorithm = found.get("hashAlgorithm")
    if not isinstance(algorithm, str) or algorithm not in list(HashAlgorithm):
        raise MalformedRequest("certificateHashData.hashAlgorithm", f"must be one of {', '.join(HashAlgorithm)}")
    return CertificateHashData(
        hash_algorithm=HashAlgorithm(algorithm),
        issuer_name_hash=text(found, "issuerNameHash", _LONGEST_HASH),
        issuer_key_hash=text(found, "issuerKeyHash", _LONGEST_HASH),
        serial_number=text(found, "serialNumber", _LONGEST_SERIAL),
    )


def types(payload: Mapping[str, Any], known: Mapping[str, AnyCertificateType]) -> tuple[AnyCertificateType, ...]:
    """The types that GetInstalledCertificateIds asks for: one (1.6), some, or all where none is named.

    Types that a station does not have are nothing that is installed.
    """
    asked = payload.get("certificateType")
    names = known if asked is None else [asked] if isinstance(asked, str) else asked
    if not isinstance(names, Iterable):
        raise MalformedRequest("certificateType", "must be a list")
    return tuple(known[name] for name in names if isinstance(name, str) and name in known)


# ---- answers


def installed(result: InstallCertificateResult, why: EvseSecurityError | None, edition: Edition) -> Payload:
    """InstallCertificate's answer."""
    return with_reason(INSTALLED[result], why, edition)


def deleted(result: DeleteCertificateResult, why: EvseSecurityError | None, edition: Edition) -> Payload:
    """DeleteCertificate's answer; OCPP has our words."""
    return with_reason(result.value, why, edition)


def written(data: CertificateHashData) -> Payload:
    """A certificate's identity on the wire."""
    return {
        "hashAlgorithm": data.hash_algorithm.value,
        "issuerNameHash": data.issuer_name_hash,
        "issuerKeyHash": data.issuer_key_hash,
        "serialNumber": data.serial_number,
    }


def listed(chains: Sequence[CertificateHashDataChainWithOem], edition: Edition) -> Payload:
    """GetInstalledCertificateIds' answer: 1.6 has identities alone, 2.x types and sub-CAs (M03.FR.05) as well."""
    if not chains:
        return {"status": "NotFound"}
    if edition is Edition.V16:
        return {"status": "Accepted", "certificateHashData": [written(one.certificate_hash_data) for one in chains]}
    return {"status": "Accepted", "certificateHashDataChain": [_chain(one) for one in chains]}


def _chain(chain: CertificateHashDataChainWithOem) -> Payload:
    found: Payload = {
        "certificateType": LISTED_AS[chain.certificate_type],
        "certificateHashData": written(chain.certificate_hash_data),
    }
    children = (chain.child_certificate_hash_data or ())[:MOST_CHILDREN]
    if children:
        found["childCertificateHashData"] = [written(one) for one in children]
    return found


# ---- what the station asks


def sign_certificate(
    csr: str, use: SigningUse, edition: Edition, *, request_id: int, root: CertificateHashData | None
) -> Payload:
    """SignCertificate. 1.6 knows one type; 2.1 has a number, and the root of the leaf to renew (A02.FR.24, A03).

    Without a type the certificate is for the CSMS and for cars.
    """
    payload: Payload = {"csr": csr}
    if edition is Edition.V16:
        return payload
    if use is not SigningUse.COMBINED:
        payload["certificateType"] = SIGNED_AS[use]
    if edition.has_request_ids:
        payload["requestId"] = request_id
        if root is not None:
            payload["hashRootCertificate"] = written(root)
    return payload


def certificate_status(question: OCSPRequestData, edition: Edition) -> Payload | None:
    """GetCertificateStatus about one certificate (M06); None where it names no responder, or too long a one."""
    asked = ocsp_request(question, edition)
    return None if asked is None else {"ocspRequestData": asked}


def ocsp_request(question: OCSPRequestData, edition: Edition) -> Payload | None:
    """OCSPRequestDataType: the identity and its responder, without which OCPP has no question."""
    data, responder = question.certificate_hash_data, question.responder_url
    if data is None or not responder or len(responder) > _LONGEST_RESPONDER.get(edition, 512):
        return None
    return {**written(data), "responderURL": responder}


def authorize_members(questions: Sequence[OCSPRequestData], edition: Edition) -> Payload:
    """Authorize's `iso15118CertificateHashData` for a contract chain (C07); empty where it cannot be said.

    Then the caller sends the chain itself, as `certificate`. Part of a chain would be taken for all of it.
    """
    found = [ocsp_request(one, edition) for one in questions]
    if not found or len(found) > MOST_QUESTIONS or None in found:
        return {}
    return {"iso15118CertificateHashData": found}


def chain_status(questions: Sequence[OCSPRequestData]) -> Payload | None:
    """GetCertificateChainStatus about a chain of a car (2.1, M07); None where there is nothing that can be asked."""
    asked = [
        {"certificateHashData": written(one.certificate_hash_data), "source": "OCSP", "urls": [one.responder_url]}
        for one in questions
        if one.certificate_hash_data is not None and one.responder_url
    ]
    return {"certificateStatusRequests": asked} if asked and len(asked) <= MOST_QUESTIONS else None


def chain_statuses(answer: Mapping[str, Any], asked: Sequence[CertificateHashData]) -> tuple[str, ...]:
    """The status of each certificate that was asked about, in that order; of one that is missing it is Unknown."""
    said: dict[tuple[str, ...], str] = {}
    for one in answer.get("certificateStatus") or ():
        said[identity(hash_data(one))] = str(one.get("status"))
    return tuple(said.get(identity(one), "Unknown") for one in asked)


def identity(data: CertificateHashData) -> tuple[str, ...]:
    """What identities are compared by: without case (they are hexadecimal)."""
    return tuple(value.lower() for value in written(data).values())


def ev_certificate(
    exi: str,
    schema: str,
    action: str,
    edition: Edition,
    *,
    maximum: int | None = None,
    emaids: Sequence[str] = (),
) -> Payload:
    """Get15118EVCertificate: the car's request, passed on as it is (M01, M02)."""
    payload: Payload = {"iso15118SchemaVersion": schema, "action": action, "exiRequest": exi}
    if edition is Edition.V21 and maximum is not None:
        payload["maximumContractCertificateChains"] = maximum
    if edition is Edition.V21 and emaids:
        payload["prioritizedEMAIDs"] = list(emaids[:MOST_EMAIDS])
    return payload
