"""Which signing request a CertificateSigned answers, and whether it is what was asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from evse_security.adapters.ocpp.editions import Takeover
from evse_security.adapters.ocpp.refusals import InvalidCommonName, NothingPending
from evse_security.adapters.ocpp.uses import SIGNED, SigningUse
from evse_security.agents.renewal.record import Record
from evse_security.clock import SKEW, Moment
from evse_security.errors import NotYetValid
from evse_security.pki.certificate import Certificate
from evse_security.pki.enrolled import asked_otherwise, token_of_request
from evse_security.pki.keytoken import token_of_certificate

Records = Mapping[SigningUse, Record]


def addressed(payload: Mapping[str, Any], records: Records) -> SigningUse:
    """Which request an answer that cannot be read is for: by its number, by its type, or as it has none."""
    waiting = {use: record for use, record in records.items() if record.csr is not None}
    number, meant = payload.get("requestId"), _meant(payload)
    numbered = (use for use, record in waiting.items() if number == record.number)
    untyped = SigningUse.COMBINED if SigningUse.COMBINED in waiting else SigningUse.CSMS
    return next(numbered, meant or untyped)


def pending(leaf: Certificate, payload: Mapping[str, Any], records: Records, uses: Iterable[SigningUse]) -> SigningUse:
    """Which request waits for a leaf: the one with its key, of this type and number. Raises `NothingPending`."""
    token, number, meant = token_of_certificate(leaf), payload.get("requestId"), _meant(payload)
    for use in uses:
        record = records.get(use)
        if record is None or record.csr is None or not _asks_for(record.csr, token):
            continue
        if meant not in (None, use):
            raise NothingPending(f"{leaf.name} as {payload['certificateType']}")
        if number not in (None, record.number):
            raise NothingPending(f"{leaf.name} with the requestId {number!r:.20}")
        return use
    raise NothingPending(leaf.name)


def _asks_for(csr: str, token: bytes) -> bool:
    try:
        return token_of_request(csr) == token
    except ValueError:  # what is remembered was altered; the next look finds it lost
        return False


def _meant(payload: Mapping[str, Any]) -> SigningUse | None:
    return SIGNED.get(str(payload.get("certificateType", "")))


def check(leaf: Certificate, csr: str, takeover: Takeover, time: Moment) -> None:
    """That a leaf is for whom its request (PEM) asked, and valid where it is to be used at once. Raises why not.

    A clock that is not believed tells nothing of that.
    """
    other = asked_otherwise(csr, leaf)
    if other is not None:
        attribute, found, wanted = other
        raise InvalidCommonName(attribute, leaf.name, found, wanted)
    if takeover is Takeover.at_once and time.doubt is None and leaf.not_yet_valid(time.now, SKEW):
        raise NotYetValid(leaf.name, f"{leaf.not_before:%Y-%m-%d %H:%M:%SZ}", f"{time.now:%Y-%m-%d %H:%M:%SZ}")
