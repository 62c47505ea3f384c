"""Why certificates are used or not: the one source of reasons, for the trees, for `explain` and for `doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from evse_security.clock import Moment
from evse_security.errors import ChainRefused, EvseSecurityError
from evse_security.pki.certificate import Certificate
from evse_security.pki.demands import check_end_entity, why_not_ca
from evse_security.pki.forest import Forest
from evse_security.pki.path import Policy, may_be_valid
from evse_security.pki.profile import Edition, ProfileName, serves
from evse_security.store.kinds import LEAF_KINDS
from evse_security.store.rules.revoked import NONE, Revocations
from evse_security.store.rules.select import chosen, flaw
from evse_security.store.rules.times import attempts
from evse_security.store.snapshot import CaStore, Leaf, LeafStore, Snapshot
from evse_security.vocabulary import CaCertificateType


class Role(StrEnum):
    """What a certificate is in its tree."""

    ROOT = "root"
    SUB_CA = "sub-CA"
    LEAF = "leaf"


class Validity(StrEnum):
    """How the clock stands to a certificate."""

    VALID = "valid"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"


def role_of(certificate: Certificate) -> Role:
    """What a certificate says to be."""
    if certificate.self_issued:
        return Role.ROOT
    constraints = certificate.basic_constraints
    return Role.SUB_CA if constraints is not None and constraints.ca else Role.LEAF


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a stable code for programs, and words. Of what refused a chain the code is that of the refusal."""

    code: str
    text: str

    @classmethod
    def of(cls, refusal: EvseSecurityError) -> Reason:
        """What a refusal says."""
        return cls(refusal.code, str(refusal))


@dataclass(frozen=True, slots=True)
class Use:
    """Whether a certificate is used, and why: of a leaf whether it is the one in use, of a CA whether it is trusted."""

    used: bool
    reason: Reason


_UNTIMELY = {Validity.EXPIRED: "Expired", Validity.NOT_YET_VALID: "NotYetValid"}
"""The codes of certificates out of their validity: those of the refusals."""

IN_USE = Reason("InUse", "in use: the newest that is valid and has its key")
TRUSTED = Reason("TrustedRoot", "trusted as a root")
BUILDS_CHAINS = Reason("BuildsChains", "used to build chains")


class Domain:
    """One trust domain: its CA store, the leaves whose roots it holds, and why each of their certificates is used."""

    def __init__(
        self,
        snapshot: Snapshot,
        store: CaStore,
        moment: Moment,
        newest_by: str,
        profile: ProfileName,
        said: Revocations = NONE,
    ) -> None:
        self.snapshot, self.store, self.moment, self.newest_by, self.said = snapshot, store, moment, newest_by, said
        kind = next((kind for kind in LEAF_KINDS.values() if kind.ca_type is store.ca_type), None)
        self.leaf_store: LeafStore | None = snapshot.leaves[kind.leaf_type] if kind is not None else None
        self.leaf_types = (kind.leaf_type,) if kind is not None else ()
        self.leaves = {leaf.certificate: leaf for leaf in self.leaf_store.leaves} if self.leaf_store else {}
        self.chosen: Leaf | None = None
        for attempt in attempts(Policy(self.leaf_types, profile), moment):
            self.policy, self.now = attempt
            if self.leaf_store is not None:
                self.chosen = chosen(self.leaf_store, store.trust, newest_by, *attempt, said)
            if self.chosen is not None or store.valid_roots(self.now):
                break
        below = self.leaf_store.certificates if self.leaf_store else ()
        self.forest = Forest((*store.certificates, *below))

    @cached_property
    def beside(self) -> Leaf | None:
        """The newest SECC leaf of the other edition of ISO 15118 than the one in use: its cars are shown that."""
        if self.leaf_store is None or self.chosen is None or self.store.ca_type is not CaCertificateType.V2G:
            return None
        other = next(one for one in Edition if not serves(self.chosen.certificate, one))
        return chosen(self.leaf_store, self.store.trust, self.newest_by, self.policy, self.now, self.said, other)

    @cached_property
    def files(self) -> dict[Certificate, tuple[Path, ...]]:
        """Where each certificate lies, in the order of files."""
        found: dict[Certificate, list[Path]] = {}
        for file in (*self.store.files, *(self.leaf_store.files if self.leaf_store else ())):
            for certificate in dict.fromkeys(file.certificates):
                found.setdefault(certificate, []).append(file.path)
        return {certificate: tuple(paths) for certificate, paths in found.items()}

    def role(self, certificate: Certificate) -> Role:
        """What a certificate is; leaves are those that lie as such in a leaf directory."""
        return Role.LEAF if certificate in self.leaves else role_of(certificate)

    def validity(self, certificate: Certificate) -> Validity:
        """How the clock stands to a certificate; one that is not believed calls none too new."""
        if certificate.expired(self.now):
            return Validity.EXPIRED
        return Validity.VALID if may_be_valid(certificate, self.policy, self.now) else Validity.NOT_YET_VALID

    def use(self, certificate: Certificate) -> Use:
        """Whether a certificate of the domain is used, and why."""
        leaf = self.leaves.get(certificate)
        return self.ca_use(certificate) if leaf is None else self.leaf_use(leaf)

    def ca_use(self, certificate: Certificate) -> Use:
        """Whether a CA certificate is trusted, and why."""
        validity, issuer = self.validity(certificate), self.forest.issuer_of(certificate)
        problem = why_not_ca(certificate)
        if problem is not None:
            return _no("NotACa", f"not trusted: {problem}")
        if certificate.self_issued and not certificate.self_signed and issuer is None:
            return _no("BadSignature", "not trusted: its own key does not confirm its signature")
        if certificate.self_signed and certificate not in self.store.certificates:
            return _no("NotInCaStore", "not trusted: it lies in a leaf directory, not in the CA store")
        if validity is not Validity.VALID:
            return _no(_UNTIMELY[validity], f"not trusted: {validity}")
        if certificate in self.store.anchors:
            return _yes(TRUSTED)
        if certificate in self.led:
            return _yes(BUILDS_CHAINS)
        if issuer is None:
            return _no("IssuerNotFound", "not used: its issuer is not installed")
        return _no("NoTrustAnchor", "not used: leads to no trusted root")

    @cached_property
    def led(self) -> frozenset[Certificate]:
        """The CAs whose line of issuers reaches an anchor, all of it valid now."""
        found = {c for c in self.store.anchors if may_be_valid(c, self.policy, self.now)}
        waiting = list(found)
        while waiting:
            issued = self.forest.issued_by(waiting.pop())
            fresh = {c for c in issued if why_not_ca(c) is None and may_be_valid(c, self.policy, self.now)} - found
            found |= fresh
            waiting += fresh
        return frozenset(found)

    def leaf_use(self, leaf: Leaf) -> Use:
        """Whether a leaf is the one in use, or that which cars of the other edition are shown, and why."""
        if self.chosen is not None and leaf.certificate == self.chosen.certificate:
            problem = self.flaw(leaf)
            if problem is None:
                return _yes(IN_USE)
            text = f"in use for want of a better one, but peers will refuse it: {problem}"
            return _yes(Reason(problem.code, text))
        if self.beside is not None and leaf.certificate == self.beside.certificate and self.flaw(leaf) is None:
            newer = self.chosen.file.path.name if self.chosen is not None else ""
            return _yes(Reason("InUse", f"in use for cars of its edition of ISO 15118; the one in {newer} is newer"))
        return self._why_not(leaf)

    def _why_not(self, leaf: Leaf) -> Use:
        """Why a leaf is not in use: 1. it is no leaf, 2. no key, 3. time, 4. no file, 5. its chain, 6. a newer one."""
        validity = self.validity(leaf.certificate)
        try:
            check_end_entity(leaf.certificate, self.leaf_types)  # 1
        except ChainRefused as refusal:
            return _no(refusal.code, f"not used: {refusal}")
        if leaf.key is None:
            return _no("KeyNotFound", "not used: no private key fits")  # 2
        if validity is not Validity.VALID:
            return _no(_UNTIMELY[validity], f"not used: {validity}")  # 3
        if not leaf.servable:
            return _no("Damaged", "not used: no file of it is without a bad block")  # 4
        problem = self.flaw(leaf)
        if problem is not None:
            return _no(problem.code, f"not used: {problem}")  # 5
        newer = "" if self.chosen is None else self.chosen.file.path.name
        return _no("NotNewest", f"not used: another leaf is newer, the one in {newer}")  # 6

    def flaw(self, leaf: Leaf) -> ChainRefused | None:
        """Why the chain of a leaf does not verify now, or who of it is revoked; None where all is well."""
        return flaw(leaf, self.store.trust, self.policy, self.now, self.said)


def _no(code: str, text: str) -> Use:
    return Use(used=False, reason=Reason(code, text))


def _yes(reason: Reason) -> Use:
    return Use(used=True, reason=reason)
