"""What the store holds for each use of a signing request, and which key that has. These functions wait for the store.

A combined certificate is one leaf with one key that lies in both leaf directories, each with its own copy.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from evse_security.adapters.ocpp.policy import CertificatePolicy
from evse_security.adapters.ocpp.uses import SigningUse
from evse_security.agents.renewal import rules
from evse_security.agents.renewal.rules import Subject
from evse_security.errors import EvseSecurityError
from evse_security.pki.profile import EDITION_OF_KEY_TYPE, Edition
from evse_security.renewalfacts import RenewalFacts, RequestState
from evse_security.station import Station
from evse_security.vocabulary import CertificateHashData, LeafCertificateType

log = logging.getLogger(__name__)

_OF_2, _OF_20 = "secp256r1", "secp521r1"
_NEVER = datetime.max.replace(tzinfo=UTC)
_WORST_FIRST = (
    RequestState.lost,
    RequestState.waits,
    RequestState.none,
    RequestState.answered,
)


def key_type(station: Station, policy: CertificatePolicy, use: SigningUse) -> str | None:
    """The kind of key of a use; None: as configured (`csr_key_type`)."""
    configured = station.config.csr_key_type
    is_20 = EDITION_OF_KEY_TYPE.get(configured) is Edition.ISO15118_20
    if use is SigningUse.V2G20:
        return policy.v2g20_key_type or (configured if is_20 else _OF_20)
    if not is_20 or not policy.edition.has_v2g20:
        return None
    return {SigningUse.V2G: _OF_2, SigningUse.COMBINED: configured}.get(use)


def edition(station: Station, policy: CertificatePolicy, use: SigningUse) -> Edition | None:
    """The edition of ISO 15118 of the SECC leaf of a use; None: whichever, where OCPP does not tell them apart."""
    if not policy.edition.has_v2g20:
        return None
    key = key_type(station, policy, use) or station.config.csr_key_type
    return EDITION_OF_KEY_TYPE.get(key, Edition.ISO15118_2)


def facts(station: Station, policy: CertificatePolicy, use: SigningUse, csr: str | None = None) -> RenewalFacts:
    """What is to be known to renew the leaf of a use, and what became of its signing request (PEM).

    Of a combined one: what holds of that leaf of the two which ends first.
    """
    found = [_facts(station, policy, use, kind, csr) for kind in use.kinds]
    first = min(found, key=_end)
    return replace(first, request=min((one.request for one in found), key=_WORST_FIRST.index))


def _facts(
    station: Station, policy: CertificatePolicy, use: SigningUse, kind: LeafCertificateType, csr: str | None
) -> RenewalFacts:
    if kind is not LeafCertificateType.V2G:
        found = station.renewal.facts(kind, csr)
    else:
        found = _of_secc(station, csr, edition(station, policy, use))
    is_kept = found.request is RequestState.aging  # no sweep takes its key (`Renewal.await_certificate`)
    return replace(found, request=RequestState.waits) if is_kept else found


def _of_secc(station: Station, csr: str | None, of: Edition | None) -> RenewalFacts:
    """Of the SECC leaf of an edition; None: of that with the keys that this station makes, or for want of it any."""
    made = EDITION_OF_KEY_TYPE.get(station.config.csr_key_type, Edition.ISO15118_2)
    found = station.renewal.facts(LeafCertificateType.V2G, csr, of or made)
    if of is None and rules.newest(found) is None:
        return station.renewal.facts(LeafCertificateType.V2G, csr)
    return found


def _end(found: RenewalFacts) -> datetime:
    leaf = rules.newest(found)
    return _NEVER if leaf is None else leaf.not_after


def request(station: Station, policy: CertificatePolicy, use: SigningUse, subject: Subject) -> str:
    """A signing request (PEM) with a new key. Raises the refusal."""
    return station.renewal.signing_request(
        use.kinds,
        country=subject.country,
        organization=subject.organization,
        common=subject.common,
        key_type=key_type(station, policy, use),
    )


def abandon(station: Station, csr: str) -> None:
    """Take out the key of a signing request (PEM) that another one replaced; where that fails a sweep will."""
    try:
        station.renewal.abandon_request(csr)
    except (EvseSecurityError, OSError) as why:
        log.warning("the key of a request that was replaced is left to the sweep: %s", why)


def root(station: Station, policy: CertificatePolicy, use: SigningUse) -> CertificateHashData | None:
    """The root of the SECC leaf to renew; None where there is none: a first one is no renewal (A03)."""
    if not use.is_secc:
        return None
    leaf = rules.newest(_facts(station, policy, use, LeafCertificateType.V2G, None))
    return None if leaf is None else station.renewal.root_of_leaf(LeafCertificateType.V2G, leaf.fingerprint)


def covered(station: Station, policy: CertificatePolicy) -> Sequence[SigningUse]:
    """The uses that a combined certificate serves as well: they are asked for by themselves only at a trigger."""
    if SigningUse.COMBINED not in policy.uses:
        return ()
    secc = SigningUse.V2G20 if edition(station, policy, SigningUse.COMBINED) is Edition.ISO15118_20 else SigningUse.V2G
    return (SigningUse.CSMS, secc)
