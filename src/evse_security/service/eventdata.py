"""The data of events, kind by kind: what is published is made of these, and described by them.

Members are JSON as it is written; what may be missing is `NotRequired`, what may be null says None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

from evse_security.additions import AnyCaType, OemStoreUpdate
from evse_security.service.events import EventKind
from evse_security.service.renewals import Named, RenewalState
from evse_security.vocabulary import CertificateStoreUpdate, OCSPRequestDataList


class Expiring(TypedDict):
    """A certificate that expires soon, or has"""

    certificate: str
    serial: str
    fingerprint: str
    not_after: str
    days: int
    path: NotRequired[str | None]
    text: str


class ExpiringLeaf(Expiring, Named):
    """A leaf that expires soon, or has"""


class ExpiringCa(Expiring):
    """A CA certificate that expires soon, or has"""

    ca_certificate_type: AnyCaType


class SigningRequest(Named):
    """A signing request for whoever knows a CA"""

    csr: str
    number: int
    attempt: int


class RenewalNews(Named):
    """How the renewal of one leaf stands now"""

    state: RenewalState
    since: str | None
    next_attempt: str | None
    attempts: int
    number: int
    reason: str


class OcspFailure(TypedDict):
    """Why one responder gave no answer of use"""

    responder: str
    reason: str
    text: str


class OcspNews(TypedDict):
    """What is new about the OCSP responses, mostly of one certificate"""

    state: Literal["cached", "revoked", "failed", "waiting"]
    certificate: NotRequired[str]
    serial: NotRequired[str]
    fingerprint: NotRequired[str]
    leaf: NotRequired[bool]
    status: NotRequired[str]
    this_update: NotRequired[str]
    next_update: NotRequired[str | None]
    withdrawn: NotRequired[bool]
    failures: NotRequired[list[OcspFailure]]
    text: NotRequired[str]


class ClockNews(TypedDict):
    """What is new about the clock; `step` is in seconds"""

    state: Literal["set", "unset"]
    step: float | None
    text: str


class SweptFile(TypedDict):
    """A file that was removed"""

    path: str
    reason: str


class Swept(TypedDict):
    """How many files were removed, and the first of them"""

    files: int
    removed: list[SweptFile]


class Problem(TypedDict):
    """Something that somebody should look at, and which part of the service says so"""

    text: str
    part: NotRequired[str]


class CommunicationFault(TypedDict):
    """A client of the API that is not there, or is again, in EVerest's words"""

    part: str
    text: str
    code: str
    sub_type: str
    severity: str
    state: Literal["Active", "Cleared"]


DATA: Mapping[EventKind, Any] = {
    EventKind.certificate_store_update: CertificateStoreUpdate,
    EventKind.oem_store_update: OemStoreUpdate,
    EventKind.leaf_certificate_expiring: ExpiringLeaf,
    EventKind.certificate_signing_request: SigningRequest,
    EventKind.renewal: RenewalNews,
    EventKind.ocsp_request_data: OCSPRequestDataList,
    EventKind.ocsp: OcspNews,
    EventKind.clock: ClockNews,
    EventKind.swept: Swept,
    EventKind.warning: Problem | ExpiringCa | CommunicationFault,
}
"""The type of each kind's data; that of records of the interface is their JSON."""
