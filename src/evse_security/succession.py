"""One certificate takes over from another: looking at a leaf that is not the newest, and taking the one before out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from evse_security.clock import Moment
from evse_security.core import Core, told
from evse_security.errors import MustStay, Refusal
from evse_security.leaves import Leaves
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import certificate_id
from evse_security.pki.path import Policy, TrustStore, VerifiedChain
from evse_security.store.changes import Decision
from evse_security.store.rules import select
from evse_security.store.rules.delete import discard
from evse_security.store.rules.retire import retire, trust_without
from evse_security.store.rules.revoked import NONE
from evse_security.store.snapshot import Leaf, Snapshot
from evse_security.vocabulary import (
    CaCertificateType,
    CertificateHashData,
    CertificateInfo,
    EncodingFormat,
    LeafCertificateType,
)


def leaf_info(core: Core, leaves: Leaves, kind: LeafCertificateType, fingerprint: str) -> CertificateInfo | None:
    """The files of one leaf with a key; None where there is no such, or its files cannot be made."""
    snapshot, moment = core.look()
    leaf = _leaf(snapshot, kind, fingerprint)
    if leaf is None or leaf.key is None or not leaf.servable:
        return None
    try:
        return leaves.info(snapshot, leaf, EncodingFormat.PEM, moment, with_ocsp=False)
    except Refusal as refusal:
        told("leaf_info", refusal)
        return None


def _leaf(snapshot: Snapshot, kind: LeafCertificateType, fingerprint: str) -> Leaf | None:
    return next((one for one in snapshot.leaves[kind].leaves if one.certificate.fingerprint == fingerprint), None)


def discard_leaf(core: Core, kind: LeafCertificateType, fingerprint: str) -> None:
    """Take one leaf out with its key. Raises the refusal."""

    def decide(snapshot: Snapshot, _: Moment) -> Decision:
        leaf = _leaf(snapshot, kind, fingerprint)
        if leaf is not None:
            deed.given.append(leaf.certificate)
        return discard(snapshot, snapshot.leaves[kind], fingerprint)

    with core.deed("discard_leaf", kind) as deed:
        core.change(decide, deed)


def retire_root(core: Core, leaves: Leaves, fingerprint: str, needed: str) -> None:
    """Take one CSMS root out, and nothing that it issued. `needed`: fingerprint of a leaf that must stay usable.

    One that is not there is out. Raises the refusal: while that leaf leads to no other root, it stays.
    """

    def decide(snapshot: Snapshot, moment: Moment) -> Decision:
        store = snapshot.cas[CaCertificateType.CSMS]
        old = next((one for one in store.certificates if one.fingerprint == fingerprint), None)
        if old is None:
            return Decision()
        deed.given.append(old)
        leaf = _leaf(snapshot, LeafCertificateType.CSMS, needed)
        if leaf is not None:
            attempts = tuple(leaves.attempts(snapshot.leaves[LeafCertificateType.CSMS], moment))
            if _verifies(leaf, store.trust, attempts) and not _verifies(leaf, trust_without(store, old), attempts):
                raise MustStay(old.name, f"{leaf.certificate.name}, which is in use, leads to no other root")
        return retire(snapshot, store, old)

    with core.deed("retire_root", CaCertificateType.CSMS) as deed:
        core.change(decide, deed)


def _verifies(leaf: Leaf, trust: TrustStore, attempts: Iterable[tuple[Policy, datetime]]) -> bool:
    return any(select.flaw(leaf, trust, policy, now) is None for policy, now in attempts)


def root_of_leaf(core: Core, leaves: Leaves, kind: LeafCertificateType, fingerprint: str) -> CertificateHashData | None:
    """The root that a leaf leads to, or led to when it was valid: whoever renews it asks the same PKI again."""
    snapshot, moment = core.look()
    leaf = _leaf(snapshot, kind, fingerprint)
    if leaf is None:
        return None
    store = snapshot.leaves[kind]
    trust, then = snapshot.cas[store.kind.ca_type].trust, _within(leaf.certificate, moment.now)
    for policy, now in (*leaves.attempts(store, moment), (Policy((kind,), core.profile), then)):
        found = select.verified(leaf, trust, policy, now, NONE)
        if isinstance(found, VerifiedChain):
            return certificate_id(found.anchor, found.anchor).hash_data
    return None


def _within(certificate: Certificate, now: datetime) -> datetime:
    """The moment of a certificate's validity that is nearest to now."""
    return min(max(now, certificate.not_before), certificate.not_after)
