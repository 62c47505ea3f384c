"""Installing a CA certificate."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from evse_security.additions import roots_update
from evse_security.clock import SKEW
from evse_security.errors import (
    BadSignature,
    Expired,
    IssuerNotFound,
    NotACa,
    NotSignedByPredecessor,
    NotWritable,
    NotYetValid,
    PathTooLong,
    StoreFull,
)
from evse_security.pki.certificate import Certificate
from evse_security.pki.demands import COLLIDING, check_digest, check_key, why_not_ca
from evse_security.pki.forest import lineage
from evse_security.pki.hashdata import certificate_id
from evse_security.store.changes import Change, Decision, Edit, Write
from evse_security.store.kinds import DOMAINS
from evse_security.store.limits import Limits
from evse_security.store.rules.delete import without
from evse_security.store.snapshot import CaStore, Snapshot, StoreForm, may_sign
from evse_security.vocabulary import CertificateStoreUpdateOperation


def install(
    snapshot: Snapshot,
    certificate: Certificate,
    store: CaStore,
    limits: Limits,
    now: datetime,
    token: str,
    *,
    at_least: datetime | None = None,
) -> Decision:
    """Decide on a new CA certificate of one domain. An installed one is accepted without a change.

    1. It is a CA that may sign, with a key strong enough. 2. Its signature is its own, or that of a certificate in the
    same store. 3. It is valid (300 s of skew forgiven; while the clock is not
    believed, that it was not over `at_least` then). 4. It succeeds the installed CSMS root where that is demanded
    (M05.FR.09). 5. There is room. Raises the refusal.
    """
    problem = why_not_ca(certificate)  # 1
    if problem is not None:
        raise NotACa(certificate.name, problem)
    check_key(certificate)
    if not store.trust.is_anchor(certificate):  # one that is needs nobody who signed it
        _check_signature(certificate, store)  # 2
    if at_least is None or certificate.expired(at_least, SKEW):
        _check_time(certificate, now)  # 3
    if certificate in store.certificates:
        return Decision()
    outdated = _outdated(certificate, store) if store.additional_anchors else ()  # 4
    maximum = limits.max_ca_certificates
    if maximum is not None and snapshot.ca_count() + 1 - len(outdated) > maximum:  # 5
        raise StoreFull("certificate_store_max_length", maximum)
    update = roots_update(CertificateStoreUpdateOperation.Installed, store.ca_type)
    removed = without(snapshot, store, outdated, added=(certificate,))
    issuer = store.forest.issuer_of(certificate)
    concerned = () if issuer is None else (certificate_id(certificate, issuer),)
    return Decision(_replaced(_added(certificate, store, token), removed), (update,), concerned=concerned)


def _check_signature(certificate: Certificate, store: CaStore) -> None:
    if certificate.self_signed:
        return
    possible = store.forest.possible_issuers(certificate)
    signers = [issuer for issuer in possible if certificate.signed_by(issuer)]
    if any(may_sign(signer) for signer in signers):
        return
    if signers:
        raise NotACa(signers[0].name, why_not_ca(signers[0]) or "")
    if possible or certificate.self_issued:
        raise BadSignature(certificate.name, certificate.issuer_name)
    raise IssuerNotFound(certificate.name, certificate.issuer_name)


def _check_time(certificate: Certificate, now: datetime) -> None:
    if certificate.expired(now, SKEW):
        raise Expired(certificate.name, f"{certificate.not_after:%Y-%m-%d %H:%M:%SZ}", f"{now:%Y-%m-%d %H:%M:%SZ}")
    if certificate.not_yet_valid(now, SKEW):
        raise NotYetValid(certificate.name, f"{certificate.not_before:%Y-%m-%d %H:%M:%SZ}", f"{now:%Y-%m-%d %H:%M:%SZ}")


def _outdated(certificate: Certificate, store: CaStore) -> tuple[Certificate, ...]:
    """Demand that the installed CSMS root signed the new one; of those before it, none is kept (M05.FR.10, .13).

    From then on the new one is trusted by itself, and nobody looks at its signature or at its predecessors any more: so
    no digest that can collide, and no CA above it that allows no CA below (RFC 5280 §4.2.1.9).
    """
    signers = {store.forest.issuer_of(c) for c in store.anchors if not c.self_signed}
    if not store.anchors:
        return ()
    current = [c for c in store.anchors if c not in signers] or store.anchors  # those that signed each other
    signer = next((c for c in current if certificate.issuer_key == c.subject_key and certificate.signed_by(c)), None)
    if signer is None:
        raise NotSignedByPredecessor(certificate.name, current[0].name)
    check_digest(certificate, COLLIDING)
    for below, ancestor in enumerate((signer, *lineage(signer, store.forest)), start=1):
        allowed = ancestor.basic_constraints.path_length if ancestor.basic_constraints is not None else None
        if allowed is not None and allowed < below:
            raise PathTooLong(ancestor.name)
    return tuple(c for c in store.certificates if c != signer)


def _added(certificate: Certificate, store: CaStore, token: str) -> Write | Edit:
    """Append to a bundle, or add a file to a directory; nothing that is there is rewritten."""
    if store.form is StoreForm.UNREADABLE:
        raise NotWritable(str(store.path), "what is there cannot be looked at")
    content = certificate.pem.encode()
    prefix = DOMAINS[store.ca_type].file_prefix
    if store.form is StoreForm.DIRECTORY:
        return Write(store.path / f"{prefix}{token}.pem", content)
    if store.form is StoreForm.FILE and any(file.in_der for file in store.files):
        return Write(store.path, "".join(c.pem for c in store.certificates).encode() + content)
    if store.form is StoreForm.FILE:
        return Edit(store.path, append=content)
    return Write(_new_bundle(store.path, prefix, token), content)


def _replaced(added: Write | Edit, removed: list[Change]) -> tuple[Change, ...]:
    """The new certificate first; in a bundle, old ones go in the same step."""
    rest = [change for change in removed if change.path != added.path]
    cut = [change for change in removed if isinstance(change, Edit) and change.path == added.path]
    if isinstance(added, Edit) and cut:
        added = replace(added, cut=cut[0].cut, of=cut[0].of)
    return (added, *rest)


def _new_bundle(path: Path, prefix: str, token: str) -> Path:
    """A path that does not exist becomes a file if it has an extension, and a directory if not."""
    return path if path.suffix else path / f"{prefix}{token}.pem"
