"""What must be true of a store in which a process was killed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from evse_security.additions import AnyCaType
from evse_security.pki.certificate import Certificate
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.pem import chain
from evse_security.store.snapshot import Leaf, Snapshot
from tests.laws import kills_stores as big
from tests.laws.kills_commands import Expected, answered_at, token
from tests.laws.stores import V2G


class Lost(AssertionError):
    """Something that was acknowledged is not there, or something is there that must not be."""


def demand(what: str, *, missing: object = (), strange: object = ()) -> None:
    """Raise `Lost` where anything is missing or strange."""
    if missing or strange:
        raise Lost(f"{what}: missing {missing}, strange {strange}")


def judged(before: Expected, after: Expected, snapshot: Snapshot) -> Expected:
    """Demand that a store is lawful between these two; what is there. Raises `Lost`."""
    demand("files", strange=[str(problem) for problem in snapshot.problems])
    found, low, high = set(cas(snapshot)), set(_names(before)), set(_names(after))
    demand("CAs", missing=(low & high) - found, strange=found - (low | high))
    chains = {**before.leaves, **after.leaves}
    there = leaves(snapshot)
    demand("leaves", missing=before.leaves.keys() & after.leaves.keys() - there.keys())
    demand("leaves", strange=there.keys() - chains.keys())
    for fingerprint, leaf in there.items():
        _demand_whole(leaf, chains[fingerprint])
    answer = _newest_answer(snapshot)
    demand("OCSP responses", strange={answer} - {answered_at(before.answer), answered_at(after.answer)})
    used = {token_of_certificate(leaf.certificate) for leaf in there.values()}
    waiting = before.pending.keys() & after.pending.keys()
    real = Expected(
        {ca_type: {holder for domain, holder in found if domain == ca_type} for ca_type in before.roots},
        {fingerprint: chains[fingerprint] for fingerprint in there},
        {csr: made for csr, made in before.pending.items() if csr in waiting or _has_key(snapshot, csr)},
        after.answer if answer == answered_at(after.answer) else before.answer,
        before.minute,
    )
    real.pending = {csr: made for csr, made in real.pending.items() if token(csr) not in used}
    demand_keys(real, snapshot)
    return real


def cas(snapshot: Snapshot) -> Iterator[tuple[AnyCaType, str]]:
    """Who is installed, by domain."""
    for ca_type, store in snapshot.cas.items():
        for certificate in store.certificates:
            yield ca_type, big.holders().get(certificate.fingerprint, certificate.name)


def _names(expected: Expected) -> Iterator[tuple[AnyCaType, str]]:
    return ((ca_type, holder) for ca_type, holders in expected.roots.items() for holder in holders)


def leaves(snapshot: Snapshot) -> dict[str, Leaf]:
    """The SECC leaves by fingerprint."""
    return {leaf.certificate.fingerprint: leaf for leaf in snapshot.leaves[V2G].leaves}


def _demand_whole(leaf: Leaf, text: str) -> None:
    """A leaf has its key, and the file that is offered has its sub-CAs."""
    where = f"leaf {leaf.certificate.serial_text}"
    demand(where, missing=() if leaf.key is not None else "its key")
    demand(where, missing=() if leaf.servable else "a sound file")
    demand(where, missing=set(_chain(text)) - set(leaf.file.certificates))


@lru_cache(4096)
def _chain(text: str) -> tuple[Certificate, ...]:
    return chain(text, "a chain")


def _has_key(snapshot: Snapshot, csr: str) -> bool:
    return token(csr) in {key.token for key in snapshot.leaves[V2G].keys}


def demand_keys(expected: Expected, snapshot: Snapshot) -> None:
    """The keys of requests that are in the air are there, and those of all leaves."""
    demand("keys of requests", missing=[made for csr, made in expected.pending.items() if not _has_key(snapshot, csr)])
    keyless = [leaf.certificate.serial_text for leaf in leaves(snapshot).values() if leaf.key is None]
    demand("keys of leaves", missing=keyless)


def _newest_answer(snapshot: Snapshot) -> object:
    entries = snapshot.ocsp_by_id.get(big.identity("SubCA2"), [])
    return max((entry.answer.this_update for entry in entries if entry.answer is not None), default=None)
