"""Leaves that nobody asks for, though somebody may count on it: each is told of once, with what to do."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from evse_security.adapters.ocpp.policy import CertificatePolicy
from evse_security.adapters.ocpp.uses import SigningUse
from evse_security.agents.renewal import rules
from evse_security.cars import EDITIONS
from evse_security.pki.profile import EDITION_OF_KEY_TYPE, Edition
from evse_security.renewalfacts import LeafFacts
from evse_security.station import Station
from evse_security.visible import printable
from evse_security.vocabulary import LeafCertificateType

log = logging.getLogger(__name__)

V2G = LeafCertificateType.V2G


class Unserved:
    """Warns of what it has not warned of yet."""

    def __init__(self) -> None:
        """Nothing was told."""
        self._told: frozenset[str] = frozenset()

    def look(self, station: Station, policy: CertificatePolicy) -> None:
        """Look at what is installed, and warn."""
        found = tuple(map(printable, unserved(station, policy)))
        for text in found:
            if text not in self._told:
                log.warning("%s", text)
        self._told = frozenset(found)


def unserved(station: Station, policy: CertificatePolicy) -> Iterator[str]:
    """1. Wanted by `enrol` and not possible. 2. Of an edition without a request of its own. 3. Of another SeccId."""
    by_edition = {edition: _leaf(station, edition) for edition in Edition}
    yield from _not_enrolled(policy, by_edition)  # 1
    second = by_edition[_second(station)]
    if all(by_edition.values()) and second is not None and not policy.edition.has_v2g20:  # 2
        yield (
            f"OCPP {policy.edition} has requests for one SECC leaf: {second.name}, which is for cars of "
            f"{EDITIONS[_second(station)]} and expires on {second.not_after:%Y-%m-%d}, is not renewed by it; renew it "
            "by evse-security serve (renewal_v2g) or by hand"
        )
    others = set(policy.secc_ids.values()) - {policy.secc_id}
    installed = {one.common_name for one in station.chains(V2G).chains} if others else set()
    for name in sorted(installed & others):  # 3
        yield f"the SECC leaf of {name} is not renewed by OCPP, which asks for that of secc_id alone: renew it by hand"


def _not_enrolled(policy: CertificatePolicy, by_edition: dict[Edition, LeafFacts | None]) -> Iterator[str]:
    there = {SigningUse.V2G: any(by_edition.values()), SigningUse.V2G20: by_edition[Edition.ISO15118_20] is not None}
    if policy.edition.has_v2g20:
        there[SigningUse.V2G] = by_edition[Edition.ISO15118_2] is not None
    for use in sorted(set(policy.enrol) & {use for use in there if not there[use]}):
        if not policy.asks_for(SigningUse(use)):
            yield f"enrol names {use}, and no such leaf is asked for: secc_installation or plug_and_charge is off"
        elif not policy.secc_id:
            yield f"enrol names {use}, and no such leaf is asked for: set the name for it, secc_id (SeccId)"


def _leaf(station: Station, edition: Edition) -> LeafFacts | None:
    return rules.newest(station.renewal.facts(V2G, None, edition))


def _second(station: Station) -> Edition:
    """The edition for which `csr_key_type` makes no keys."""
    is_20 = EDITION_OF_KEY_TYPE.get(station.config.csr_key_type) is Edition.ISO15118_20
    return Edition.ISO15118_2 if is_20 else Edition.ISO15118_20
