"""What is to be known to renew a leaf: the one in use, the one that follows it, the request that waits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from evse_security.clock import Moment
from evse_security.core import Core
from evse_security.leaves import Leaves
from evse_security.pki import names
from evse_security.pki.certificate import Certificate
from evse_security.pki.enrolled import token_of_request
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.path import LeafStart, Policy, TrustStore
from evse_security.pki.profile import Edition, leaf_key_of, serves
from evse_security.store.kinds import LeafKind
from evse_security.store.leafstore import may_act
from evse_security.store.rules import select
from evse_security.store.snapshot import KeyFile, Leaf, LeafStore
from evse_security.vocabulary import LeafCertificateType

_COUNTRY, _ORGANIZATION = "2.5.4.6", "2.5.4.10"


class RequestState(StrEnum):
    """What became of a signing request."""

    none = "none"
    """There is none."""
    waits = "waits"
    """Its key is there, and no certificate for it."""
    aging = "aging"
    """The same, but the key may soon be swept as one that nobody answers."""
    answered = "answered"
    """A leaf for its key is installed."""
    lost = "lost"
    """Its key is gone: no answer can be used any more."""


class LeafUse(StrEnum):
    """What a leaf is good for."""

    in_use = "in use"
    later = "later"
    """It begins later."""
    expired = "expired"
    unusable = "unusable"
    """Its time has come, but it is not offered to anybody: it is revoked."""


@dataclass(frozen=True, slots=True)
class LeafFacts:
    """One leaf: whose it is, and when."""

    use: LeafUse
    name: str
    serial: str
    fingerprint: str
    country: str
    organization: str
    common: str
    not_before: datetime
    not_after: datetime
    key_type: str | None = None
    """The kind of its key (`csr_key_type`), if leaves of an edition of ISO 15118 have such."""


@dataclass(frozen=True, slots=True)
class RenewalFacts:
    """What the store holds of one kind of leaf, and the time."""

    now: datetime
    doubt: str | None
    """Why the clock is not believed."""
    leaf: LeafFacts | None
    """The leaf in use; where none is, the one of those before that lasts longest."""
    successor: LeafFacts | None
    """An installed leaf that begins later."""
    request: RequestState
    key: Path | None
    """The key file of the request."""


def renewal_facts(
    core: Core, leaves: Leaves, kind: LeafCertificateType, csr: str | None, edition: Edition | None
) -> RenewalFacts:
    """Look at one kind of leaf, or those of it of one edition, and what became of a signing request (PEM)."""
    snapshot, moment = core.look()
    store = snapshot.leaves[kind]
    alike = [one for one in store.leaves if serves(one.certificate, edition)]
    leaf, use = leaves.chosen(snapshot, store, moment, edition), LeafUse.in_use
    if leaf is None:
        before = _own((one for one in alike if not one.certificate.not_yet_valid(moment.now)), store.kind)
        leaf = max(before, key=lambda one: one.certificate.not_after, default=None)
        use = LeafUse.expired if leaf is not None and leaf.certificate.expired(moment.now) else LeafUse.unusable
    request, key = _request(store, csr)
    if key is not None and moment.now - key.modified > core.limits.csr_lifetime / 2:
        request = RequestState.aging
    trust, policy = snapshot.cas[store.kind.ca_type].trust, Policy((kind,), core.profile, LeafStart.NOW_OR_LATER)
    later = _own((one for one in alike if one.certificate.not_yet_valid(moment.now)), store.kind)
    successor = _successor(later, trust, policy, moment)
    return RenewalFacts(
        now=moment.now,
        doubt=moment.doubt,
        leaf=_facts(leaf, use),
        successor=_facts(successor, LeafUse.later),
        request=request,
        key=None if key is None else key.path,
    )


def _own(leaves: Iterable[Leaf], kind: LeafKind) -> Iterator[Leaf]:
    """Those of them that a TLS stack could use, were it their time."""
    for one in leaves:
        if one.key is not None and one.servable and may_act(one.certificate, kind):
            yield one


def _successor(later: Iterable[Leaf], trust: TrustStore, policy: Policy, moment: Moment) -> Leaf | None:
    """Of the leaves that begin later the one that lasts longest, if its chain verifies."""
    verified = (one for one in later if select.flaw(one, trust, policy, moment.now) is None)
    return max(verified, key=lambda one: one.certificate.not_after, default=None)


def _request(store: LeafStore, csr: str | None) -> tuple[RequestState, KeyFile | None]:
    if csr is None:
        return RequestState.none, None
    try:
        token = token_of_request(csr)
    except ValueError:
        return RequestState.lost, None
    if any(token_of_certificate(one.certificate) == token and one.key is not None for one in store.leaves):
        return RequestState.answered, None
    key = next((one for one in store.keys if one.token == token), None)
    return (RequestState.waits, key) if key is not None else (RequestState.lost, None)


def _facts(leaf: Leaf | None, use: LeafUse) -> LeafFacts | None:
    if leaf is None:
        return None
    certificate = leaf.certificate
    said, key = _said(certificate), leaf_key_of(certificate)
    return LeafFacts(
        use=use,
        name=certificate.name,
        serial=certificate.serial_text,
        fingerprint=certificate.fingerprint,
        country=said.get(_COUNTRY, ""),
        organization=said.get(_ORGANIZATION, ""),
        common=said.get(names.COMMON_NAME, ""),
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        key_type=None if key is None else key.key_type,
    )


def _said(certificate: Certificate) -> dict[str, str]:
    """The attributes of the subject by their type; of several the last, which is the most specific (RFC 4519)."""
    try:
        return {one.oid: one.text for rdn in names.attributes(certificate.subject) for one in rdn}
    except ValueError:
        return {}
