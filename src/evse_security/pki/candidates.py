"""Every path that a verification tries, each with its verdict: for explaining, where `verify` answers with the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from evse_security.errors import ChainRefused, NoTrustAnchor, SearchExhausted
from evse_security.pki.certificate import Certificate
from evse_security.pki.path import MAX_CANDIDATES, Policy, TrustStore, _check_leaf, _judge, _Search


@dataclass(frozen=True, slots=True)
class Candidate:
    """A path from a leaf to an anchor, and why it is not valid (None: it is)."""

    path: tuple[Certificate, ...]
    refusal: ChainRefused | None


@dataclass(frozen=True, slots=True)
class Tried:
    """What a search came upon, in its order."""

    leaf: ChainRefused | None
    """Why the leaf itself is refused, before any path is looked for: `verify` then looks for none."""
    candidates: tuple[Candidate, ...]
    """Paths that reach an anchor. `verify` takes the first that is valid."""
    dead_ends: tuple[ChainRefused, ...]
    """Where the search could not go on."""

    @property
    def taken(self) -> Candidate | None:
        """The path that `verify` takes."""
        return next((one for one in self.candidates if one.refusal is None), None) if self.leaf is None else None


def candidates(
    leaf: Certificate, *, intermediates: Sequence[Certificate], trust: TrustStore, policy: Policy, now: datetime
) -> Tried:
    """Try all paths from a leaf to an anchor, also those behind the first valid one, within the budget of `verify`."""
    refused: ChainRefused | None = None
    try:
        _check_leaf(leaf, policy, now)
    except ChainRefused as refusal:
        refused = refusal
    if not trust.has_anchors:
        return Tried(refused, (), (NoTrustAnchor(" or ".join(policy.leaf_types)),))
    found: list[Candidate] = []
    looking = _Search(intermediates, trust, now)
    for path in looking.paths((leaf,)):
        if len(found) == MAX_CANDIDATES:
            looking.dead_ends.append(SearchExhausted(MAX_CANDIDATES, "candidate paths"))
            break
        found.append(Candidate(path, _verdict(path, policy, now)))
    return Tried(refused, tuple(found), tuple(looking.dead_ends))


def _verdict(path: tuple[Certificate, ...], policy: Policy, now: datetime) -> ChainRefused | None:
    try:
        _judge(path, policy, now)
    except ChainRefused as refusal:
        return refusal
    return None
