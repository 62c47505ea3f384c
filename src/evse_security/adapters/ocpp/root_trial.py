"""Which of two CSMS roots a station trusts, until the CSMS has proven to be under the new one (M05.FR.12–.14).

Pure, beside `trial`. With AdditionalRootCertificateCheck a trial begins when a root is installed that the one before
signed. At each attempt to connect one root alone is trusted, so what becomes of it is known of that root and no other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any, NamedTuple

from evse_security.adapters.ocpp import messages
from evse_security.vocabulary import CertificateHashData, HashAlgorithm

MOST_NAMED = 8
_LONGEST = 128


class TrustedRoots(NamedTuple):
    """The CSMS roots to trust at one attempt to connect, and no others."""

    fingerprints: tuple[str, ...]
    pem: str
    on_trial: bool = False
    """Whether this is a new root, and the one before it is the fallback."""

    @property
    def key(self) -> str:
        """What names them: the fingerprint of one, or a digest of several."""
        if len(self.fingerprints) == 1:
            return self.fingerprints[0]
        return hashlib.sha256(",".join(self.fingerprints).encode()).hexdigest()


class Failure(Enum):
    """What a connection that failed says of the roots."""

    UNVERIFIED = auto()
    """The certificate of the CSMS does not verify under them."""
    UNREACHED = auto()
    """Nothing, and nothing of the client certificate either: nobody was there to be shown it."""
    OTHER = auto()
    """Nothing: it was the network, or the CSMS."""
    UNKNOWN = auto()
    """Nobody said why it failed."""


@dataclass(frozen=True, slots=True)
class RootTrial:
    """A new root and the one before it, by fingerprint."""

    new: str
    old: str
    old_next: bool = False
    """Whether the CSMS did not verify under the new one at the last attempt: then it is the old one's turn."""
    told: bool = False
    """Whether the CSMS has been told so."""
    proven: bool = False
    """Whether a connection came about under the new one: the old one is not trusted any more."""

    @property
    def use(self) -> str:
        """The root of the next attempt."""
        return self.old if self.old_next and not self.proven else self.new


def connected(trial: RootTrial, root: str) -> RootTrial:
    """A connection came about under one root. Under the old one says nothing: the CSMS may change over later."""
    return replace(trial, old_next=False, proven=trial.proven or root == trial.new)


def failed(trial: RootTrial, root: str, failure: Failure) -> RootTrial:
    """A connection failed under one root: where that may be the root's fault, it is the other one's turn.

    Nothing else is concluded, whatever the reason was.
    """
    if failure in (Failure.OTHER, Failure.UNREACHED) or root not in (trial.new, trial.old):
        return trial
    return replace(trial, old_next=root == trial.new)


@dataclass(frozen=True, slots=True)
class RootMemory:
    """What is remembered of CSMS roots."""

    trial: RootTrial | None = None
    named: Mapping[str, CertificateHashData] = field(default_factory=dict)
    """The identities of roots that another one signed, by fingerprint: without that one nobody could work them out."""

    def kept(self, installed: frozenset[str]) -> RootMemory:
        """Without what concerns roots that are gone."""
        return replace(self, named={one: data for one, data in self.named.items() if one in installed})


def to_json(memory: RootMemory) -> dict[str, Any]:
    """As it is written down."""
    trial = memory.trial
    return {
        "trial": None if trial is None else {name: getattr(trial, name) for name in RootTrial.__slots__},
        "named": {fingerprint: messages.written(data) for fingerprint, data in memory.named.items()},
    }


def from_json(written: Mapping[str, Any]) -> RootMemory:
    """As it was written down. Raises ValueError."""
    named = written.get("named") or {}
    if not isinstance(named, Mapping) or len(named) > MOST_NAMED:
        raise ValueError("the names of roots are no object")
    return RootMemory(_trial(written.get("trial")), {_text(one): _identity(data) for one, data in named.items()})


def _trial(written: object) -> RootTrial | None:
    if written is None:
        return None
    found = _members(written)
    flags = {name: found.get(name) is True for name in ("old_next", "told", "proven")}
    return RootTrial(_text(found.get("new")), _text(found.get("old")), **flags)


def _identity(written: object) -> CertificateHashData:
    found = _members(written)
    return CertificateHashData(
        hash_algorithm=HashAlgorithm(_text(found.get("hashAlgorithm"))),
        issuer_name_hash=_text(found.get("issuerNameHash")),
        issuer_key_hash=_text(found.get("issuerKeyHash")),
        serial_number=_text(found.get("serialNumber")),
    )


def _members(written: object) -> Mapping[str, Any]:
    if not isinstance(written, Mapping):
        raise ValueError("a trial or a name of a root is no object")
    return written


def _text(written: object) -> str:
    if not isinstance(written, str) or len(written) > _LONGEST:
        raise ValueError("a trial or a name of a root lacks a text")
    return written
