"""Why each certificate of a trust domain is or is not used, with every path of each chain that was tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from evse_security.additions import AnyCaType
from evse_security.clock import Moment
from evse_security.pki.candidates import Tried, candidates
from evse_security.pki.certificate import Certificate
from evse_security.pki.profile import ProfileName
from evse_security.store.contents import Problem
from evse_security.store.reasons import Domain, Reason, Role
from evse_security.store.rules.revoked import NONE, Revocations
from evse_security.store.snapshot import CaStore, Leaf, Snapshot, StoreForm

VERIFIED = Reason("Valid", "valid: every signature, time and rule holds")


@dataclass(frozen=True, slots=True)
class PathTried:
    """One way from a leaf up, as names; the last is the anchor, unless the search ended before one."""

    names: tuple[str, ...]
    taken: bool
    """Whether it is the one that a verification takes: the first that is valid."""
    reason: Reason


@dataclass(frozen=True, slots=True)
class LeafExplained:
    """A leaf: whether it is in use, by which rule, and the paths that were tried."""

    name: str
    serial: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    files: tuple[Path, ...]
    private_key: Path | None
    closed_keys: int
    """Where it has none: how many keys there cannot be opened, one of which may be its own."""
    used: bool
    reason: Reason
    rule: str | None
    """What decided between it and the leaf in use, where both can be used."""
    paths: tuple[PathTried, ...]


@dataclass(frozen=True, slots=True)
class AuthorityExplained:
    """A CA certificate: whether it is trusted, and why."""

    role: Role
    name: str
    serial: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    files: tuple[Path, ...]
    used: bool
    reason: Reason


@dataclass(frozen=True, slots=True)
class Explanation:
    """A trust domain, the certificate in use first."""

    domain: AnyCaType
    path: Path
    newest_by: str
    clock: str | None
    """Why the clock is not believed."""
    leaves: tuple[LeafExplained, ...]
    authorities: tuple[AuthorityExplained, ...]
    unread: tuple[Problem, ...]
    """Files and directories of the domain that could not be read, in full or at all: what they hold is not told."""


def explain(
    snapshot: Snapshot,
    store: CaStore,
    moment: Moment,
    newest_by: str,
    profile: ProfileName = ProfileName.LENIENT,
    said: Revocations = NONE,
    *,
    only: str | None = None,
) -> Explanation:
    """Explain one domain; `only` what has this fingerprint, where one is given."""
    domain = Domain(snapshot, store, moment, newest_by, profile, said)
    asked = [c for c in domain.forest.certificates if only is None or c.fingerprint == only]
    explained = [_leaf(domain, leaf) for c, leaf in domain.leaves.items() if only is None or c.fingerprint == only]
    cas = [c for c in asked if c not in domain.leaves]
    return Explanation(
        domain=store.ca_type,
        path=store.path,
        newest_by=newest_by,
        clock=moment.doubt,
        leaves=tuple(sorted(explained, key=lambda one: (not one.used, -one.not_after.timestamp()))),
        authorities=tuple(_authority(domain, certificate) for certificate in cas),
        unread=() if only is not None else _unread(domain),
    )


def _unread(domain: Domain) -> tuple[Problem, ...]:
    bundle, leaves = domain.store.path, domain.leaf_store
    places = (bundle,) if leaves is None else (bundle, leaves.directory, leaves.key_directory)
    near = [each for each in domain.snapshot.problems if any(each.path.is_relative_to(place) for place in places)]
    if domain.store.form is StoreForm.UNREADABLE and not any(each.path == bundle for each in near):
        near.insert(0, Problem(bundle, "the bundle cannot be looked at"))
    return tuple(dict.fromkeys(near))


def _leaf(domain: Domain, leaf: Leaf) -> LeafExplained:
    certificate, use = leaf.certificate, domain.leaf_use(leaf)
    tried = candidates(
        certificate,
        intermediates=leaf.chain.certificates[1:] if leaf.chain else (),
        trust=domain.store.trust,
        policy=domain.policy,
        now=domain.now,
    )
    return LeafExplained(
        name=certificate.name,
        serial=certificate.serial_text,
        fingerprint=certificate.fingerprint,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        files=tuple(file.path for file in leaf.copies),
        private_key=None if leaf.key is None else leaf.key.path,
        closed_keys=_closed_keys(domain) if leaf.key is None else 0,
        used=use.used,
        reason=use.reason,
        rule=_rule(domain, leaf, use.reason),
        paths=tuple(paths_tried(tried, certificate)),
    )


def _closed_keys(domain: Domain) -> int:
    keys = () if domain.leaf_store is None else domain.leaf_store.keys
    return sum(key.token is None for key in keys)


def paths_tried(tried: Tried, leaf: Certificate) -> Iterator[PathTried]:
    """The paths of a search, from this leaf up."""
    if tried.leaf is not None:
        yield PathTried((leaf.name,), False, Reason.of(tried.leaf))
    for one in tried.candidates:
        reason = VERIFIED if one.refusal is None else Reason.of(one.refusal)
        yield PathTried(tuple(c.name for c in one.path), one is tried.taken, reason)
    for refusal in dict.fromkeys(Reason.of(dead) for dead in tried.dead_ends):
        yield PathTried((leaf.name,), False, refusal)


def _rule(domain: Domain, leaf: Leaf, reason: Reason) -> str | None:
    """What made one of two usable leaves the newer one."""
    if domain.chosen is None or reason.code != "NotNewest":
        return None
    return f"{_older(domain.chosen, leaf, domain.newest_by)} (newest_by = {domain.newest_by})"


_QUESTIONS: dict[str, tuple[str, Callable[[Leaf], datetime | None]]] = {
    "not_after": ("is valid until", lambda leaf: leaf.certificate.not_after),
    "not_before": ("is valid from", lambda leaf: leaf.certificate.not_before),
    "key": ("has a key of", lambda leaf: leaf.key.modified if leaf.key is not None else None),
}


def _older(chosen: Leaf, other: Leaf, newest_by: str) -> str:
    """By what the chosen leaf is newer: the first of the questions that tells them apart."""
    first, second = ("not_after", "not_before") if newest_by == "not_after" else ("not_before", "not_after")
    for name in (first, second, "key"):
        said, of = _QUESTIONS[name]
        one, two = of(chosen), of(other)
        if one is not None and two is not None and one != two:
            return f"the one in use {said} {one:%Y-%m-%d %H:%M:%SZ}, this one {two:%Y-%m-%d %H:%M:%SZ}"
    return "both are equally new: the one in use comes first in the directory"


def _authority(domain: Domain, certificate: Certificate) -> AuthorityExplained:
    use = domain.ca_use(certificate)
    return AuthorityExplained(
        role=domain.role(certificate),
        name=certificate.name,
        serial=certificate.serial_text,
        fingerprint=certificate.fingerprint,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        files=domain.files.get(certificate, ()),
        used=use.used,
        reason=use.reason,
    )
