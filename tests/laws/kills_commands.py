"""The commands in which a process is killed, and what each changes in what must be there afterwards."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from random import Random
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from evse_security import Station
from evse_security.errors import CommandRefused
from evse_security.pki.keytoken import token_of_certificate, token_of_spki
from evse_security.vocabulary import (
    CaCertificateType,
    EncodingFormat,
    GetCertificateInfoStatus,
)
from tests.builders import NOW, ocsp_answer
from tests.laws import kills_stores as big
from tests.laws.stores import MO_CA, V2G, V2G_CA, deleted, request, updated

MOST_LEAVES, MOST_PENDING = big.LEAVES + 5, 6


@dataclass
class Expected:
    """What must be there: all that was acknowledged."""

    roots: dict[CaCertificateType, set[str]] = field(
        default_factory=lambda: {ca_type: set(holders) for ca_type, holders in big.installed().items()}
    )
    """Names of installed CAs by domain."""
    leaves: dict[str, str] = field(
        default_factory=lambda: {big.leaf(n)[0].fingerprint: big.leaf(n)[1] for n in range(big.LEAVES)}
    )
    """Chains of installed leaves by their fingerprints."""
    pending: dict[str, int] = field(default_factory=dict)
    """Requests that were handed out and not answered, with the minute in which they were made."""
    answer: int = -1
    """The number of the OCSP response that is kept, -1 for none."""
    minute: int = 0
    """The station's clock: minutes since the beginning."""

    def after(self, command: str, value: str, answer: str) -> Expected:
        """What must be there after a command with this answer."""
        other = deepcopy(self)
        COMMANDS[command].change(other, value, answer)
        return other


class Command(NamedTuple):
    """A command: what to give it (None: not now), how to give it, the answer that is due, and what changes."""

    pick: Callable[[Expected, Random], str | None]
    run: Callable[[Station, str], str]
    due: Callable[[Expected, str], str] = lambda _, __: "Accepted"
    change: Callable[[Expected, str, str], None] = lambda *_: None


# ---- CA certificates: a value is "domain:holder"

_SPARE = [f"{ca_type}:{ca_type} spare {n}" for ca_type in (V2G_CA, MO_CA) for n in range(big.SPARES)]
_BRANCHES = {"V2G:Branch": "V2G:V2G 0", "V2G:Tree": "", "V2G:TreeSub": "V2G:Tree", "V2G:TreeSubSub": "V2G:TreeSub"}
"""Who has to be there before whom."""


def _named(value: str) -> tuple[CaCertificateType, str]:
    domain, holder = value.split(":")
    return CaCertificateType(domain), holder


def _is_there(expected: Expected, value: str) -> bool:
    ca_type, holder = _named(value)
    return holder in expected.roots[ca_type]


def _pick_to_install(expected: Expected, random: Random) -> str | None:
    possible = [*_SPARE, *(one for one, above in _BRANCHES.items() if not above or _is_there(expected, above))]
    return random.choice(possible)


def _pick_to_delete(expected: Expected, random: Random) -> str | None:
    return random.choice(_SPARE)


def _pick_with_branches(expected: Expected, random: Random) -> str | None:
    possible = [one for one in _BRANCHES if _is_there(expected, one)]
    return random.choice(possible) if possible else None


def _install(station: Station, value: str) -> str:
    ca_type, holder = _named(value)
    return station.interface().install_ca_certificate(certificate=big.pki()[holder].pem, certificate_type=ca_type)


def _installed(expected: Expected, value: str, _: str) -> None:
    ca_type, holder = _named(value)
    expected.roots[ca_type].add(holder)


def _delete(station: Station, value: str) -> str:
    return deleted(station, big.hash_data(_named(value)[1]))


def _deleted(expected: Expected, value: str, _: str) -> None:
    ca_type, holder = _named(value)
    below = {one.removeprefix("V2G:") for one, above in _BRANCHES.items() if above == value and value in _BRANCHES}
    expected.roots[ca_type].discard(holder)
    for one in below:
        _deleted(expected, f"V2G:{one}", "")


def _found(expected: Expected, value: str) -> str:
    return "Accepted" if _is_there(expected, value) else "NotFound"


# ---- leaves: a value is a chain in PEM


def _request(station: Station, _: str) -> str:
    return request(station, V2G) or "refused"


def _requested(expected: Expected, _: str, csr: str) -> None:
    expected.pending[csr] = expected.minute


@cache
def token(csr: str) -> bytes:
    """The token of the key that a request is about."""
    loaded = x509.load_pem_x509_csr(csr.encode())
    return token_of_spki(loaded.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _pick_chain(expected: Expected, random: Random) -> str | None:
    if not expected.pending or len(expected.leaves) >= MOST_LEAVES:
        return None
    return big.signed(random.choice(sorted(expected.pending)), random.getrandbits(64))


def _updated(expected: Expected, chain: str, _: str) -> None:
    leaf = big.first(chain)
    expected.leaves[leaf.fingerprint] = chain
    expected.pending = {c: m for c, m in expected.pending.items() if token(c) != token_of_certificate(leaf)}


def _pick_leaf(expected: Expected, random: Random) -> str | None:
    return random.choice(sorted(expected.leaves.values())) if len(expected.leaves) > big.LEAVES - 3 else None


def _delete_leaf(station: Station, chain: str) -> str:
    return deleted(station, big.leaf_hash_data(big.first(chain)))


def _leaf_deleted(expected: Expected, chain: str, _: str) -> None:
    del expected.leaves[big.first(chain).fingerprint]


# ---- OCSP: a value is the number of the response, of which a higher one is later


def answered_at(number: int) -> datetime | None:
    """When a response was made."""
    return None if number < 0 else NOW - timedelta(days=30) + timedelta(minutes=number)


def _cache(station: Station, number: str) -> str:
    response = ocsp_answer(big.pki(), "SubCA2", this_update=answered_at(int(number)))
    try:
        station.interface().update_ocsp_cache(
            certificate_hash_data=big.hash_data("SubCA2"), ocsp_response=b64encode(response).decode()
        )
    except CommandRefused as refused:
        return str(refused)
    return "Accepted"


def _cached(expected: Expected, number: str, _: str) -> None:
    expected.answer = int(number)


# ---- what makes copies


def _ask_for_der(station: Station, _: str) -> str:
    answer = station.interface().get_leaf_certificate_info(
        certificate_type=V2G, encoding=EncodingFormat.DER, include_ocsp=True
    )
    return "Accepted" if answer.status is GetCertificateInfoStatus.Accepted else answer.status


def _ask_for_location(station: Station, _: str) -> str:
    return "Accepted" if station.interface().get_verify_location(certificate_type=V2G_CA) else "nothing"


def _ask_for_file(station: Station, _: str) -> str:
    return "Accepted" if station.interface().get_verify_file(certificate_type=V2G_CA) else "nothing"


def _sweep(station: Station, _: str) -> str:
    return "Accepted" if station.sweep().kept_because is None else "kept"


def _swept(expected: Expected, _: str, __: str) -> None:
    """Requests that nobody answered for an hour may be given up."""
    expected.pending = {csr: made for csr, made in expected.pending.items() if expected.minute - made < 60}


def _always(_: Expected, __: Random) -> str:
    return ""


COMMANDS = {
    "install a CA": Command(_pick_to_install, _install, change=_installed),
    "delete a root": Command(_pick_to_delete, _delete, _found, _deleted),
    "delete a CA with what it issued": Command(_pick_with_branches, _delete, _found, _deleted),
    "request a certificate": Command(
        lambda expected, _: "" if len(expected.pending) < MOST_PENDING else None,
        _request,
        lambda *_: "a request",
        _requested,
    ),
    "update a leaf": Command(_pick_chain, updated, change=_updated),
    "delete a leaf": Command(_pick_leaf, _delete_leaf, change=_leaf_deleted),
    "cache an OCSP response": Command(lambda expected, _: str(expected.answer + 1), _cache, change=_cached),
    "sweep": Command(_always, _sweep, change=_swept),
    "ask for DER copies": Command(_always, _ask_for_der),
    "ask for hash links": Command(_always, _ask_for_location),
    "ask for a file of roots": Command(_always, _ask_for_file),
}


def chosen(expected: Expected, random: Random) -> tuple[str, str]:
    """A command at random, and what to give it."""
    while True:
        name = random.choice(list(COMMANDS))
        value = COMMANDS[name].pick(expected, random)
        if value is not None:
            return name, value
