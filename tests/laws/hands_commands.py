"""The commands of many hands on one store."""

from __future__ import annotations

import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import cache
from random import Random
from typing import NamedTuple

from evse_security import Station
from evse_security.errors import CommandRefused
from evse_security.pki import pem
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import certificate_id
from evse_security.pki.keytoken import token_of_certificate
from evse_security.store.overview import Node
from evse_security.vocabulary import (
    CaCertificateType,
    CertificateHashData,
    CertificateStoreUpdate,
    CertificateType,
    CertificateValidationResult,
    EncodingFormat,
)
from tests.builders import DAY, NOW, World, csms, ocsp_answer, world
from tests.laws.stores import MF_CA, MO_CA, V2G, V2G_CA, deleted, request, updated

ROOTS = {V2G_CA: 6, MO_CA: 4, MF_CA: 1}
"""Roots that come and go, by domain."""
LISTED = {
    V2G_CA: CertificateType.V2GRootCertificate,
    MO_CA: CertificateType.MORootCertificate,
    MF_CA: CertificateType.MFRootCertificate,
}
FIRST = 1 << 100
"""The lowest serial number of a leaf. A leaf is known by its number, and one with a higher number is newer."""


@cache
def pki() -> World:
    """Home signs the station's leaves and stays; of the others each is on its own, with a car below."""
    others = (f"{ca_type} {n} > Car {ca_type} {n}" for ca_type, count in ROOTS.items() for n in range(count))
    return world("Home > Sub >", *others)


@cache
def hash_data(holder: str) -> CertificateHashData:
    entity = pki()[holder]
    return certificate_id(Certificate(entity.der), Certificate((entity.issuer or entity).der)).hash_data


@cache
def _holders() -> dict[str, str]:
    return {f"{entity.certificate.serial_number:x}": holder for holder, entity in pki().items()}


class Leaf(NamedTuple):
    """A leaf that a request was answered with."""

    number: int
    chain: str
    key: str
    """The path of its key."""


def answered(station: Station, number: int) -> Leaf:
    """Make a request and have it answered. The key must be seen at once: the request was handed out."""
    csr = request(station, V2G)
    assert csr is not None
    end = NOW + 30 * DAY + timedelta(minutes=number)
    chain = csms(pki(), "Sub").answer(csr, serial_number=FIRST + number, not_after=end)
    token = token_of_certificate(pem.chain(chain, "the chain")[0])
    [path] = (key.path for key in station._core.look()[0].leaves[V2G].keys if key.token == token)
    return Leaf(number, chain, str(path))


@cache
def leaf_hash_data(leaf: Leaf) -> CertificateHashData:
    return certificate_id(pem.chain(leaf.chain, "the chain")[0], Certificate(pki()["Sub"].der)).hash_data


# ---- giving commands


class Record(NamedTuple):
    """A command as its caller saw it."""

    began: int
    ended: int
    what: str
    value: Hashable
    answer: Hashable
    told: int
    """How many announcements there were of it, before its answer."""
    by: str


class Announcements:
    """Counts what a station announces, by the thread that made the change."""

    def __init__(self, station: Station) -> None:
        """Listen from now on."""
        self.by_thread: Counter[int] = Counter()
        station.subscribe(self._hear)

    def _hear(self, _: CertificateStoreUpdate) -> None:
        self.by_thread[threading.get_ident()] += 1


class Hand:
    """Somebody who gives commands at random to a station, one after the other."""

    def __init__(
        self, station: Station, told: Announcements, leaves: Iterable[Leaf], random: Random, name: str
    ) -> None:
        """`leaves` are those of which everybody knows."""
        self.station, self.told, self.random, self.name = station, told, random, name
        self.leaves = list(leaves)
        self.records: list[Record] = []
        self.own = 0

    def act(self) -> None:
        """Give one command, and write down what happened."""
        command = self.random.choice(COMMANDS)
        value = command.pick(self)
        thread = threading.get_ident()
        before, began = self.told.by_thread[thread], time.monotonic_ns()
        answer = command.run(self.station, value)
        ended = time.monotonic_ns()
        told = self.told.by_thread[thread] - before
        if isinstance(answer, Leaf):
            self.leaves.append(answer)
        known = value.number if isinstance(value, Leaf) else value
        self.records.append(Record(began, ended, command.what, known, answer, told, self.name))


class Command(NamedTuple):
    """A command: its name in a history, what to give it, and how."""

    what: str
    pick: Callable[[Hand], Hashable]
    run: Callable[..., Hashable]


def _root(hand: Hand) -> tuple[CaCertificateType, str]:
    ca_type = hand.random.choice(list(ROOTS))
    return ca_type, f"{ca_type} {hand.random.randrange(ROOTS[ca_type])}"


def _install(station: Station, root: tuple[CaCertificateType, str]) -> str:
    return station.interface().install_ca_certificate(certificate=pki()[root[1]].pem, certificate_type=root[0])


def _verify(station: Station, root: tuple[CaCertificateType, str]) -> bool:
    answer = station.interface().verify_certificate(
        certificate_chain=pki()[f"Car {root[1]}"].pem, certificate_types=(V2G,)
    )
    return answer is CertificateValidationResult.Valid


def _roots_of(station: Station, ca_type: CaCertificateType) -> frozenset[str]:
    found = station.interface().get_installed_certificates(certificate_types=(LISTED[ca_type],))
    serials = (entry.certificate_hash_data.serial_number for entry in found.certificate_hash_data_chain)
    return frozenset(_holders()[serial] for serial in serials) - {"Home"}


def _leaves_of(station: Station, _: object) -> frozenset[int]:
    found = station.interface().get_installed_certificates(certificate_types=(CertificateType.V2GCertificateChain,))
    return frozenset(_number(entry.certificate_hash_data.serial_number) for entry in found.certificate_hash_data_chain)


def _number(serial: str) -> int:
    return int(serial, 16) - FIRST


def _newest(station: Station, _: object) -> int | None:
    found = station.interface().get_leaf_certificate_info(
        certificate_type=V2G, encoding=EncodingFormat.PEM, include_ocsp=True
    )
    return None if found.info is None or not found.info.ocsp else _number(found.info.ocsp[0].hash.serial_number)


def _newest_of_all(station: Station, _: object) -> int | None:
    found = station.interface().get_all_valid_certificates_info(
        certificate_type=V2G, encoding=EncodingFormat.PEM, include_ocsp=True
    )
    return None if not found.info or not found.info[0].ocsp else _number(found.info[0].ocsp[0].hash.serial_number)


def _request(station: Station, number: int) -> Leaf:
    return answered(station, number)


def _own_number(hand: Hand) -> int:
    hand.own += 1
    return int(hand.name) * 1000 + hand.own


def minute(number: int) -> datetime:
    """When an OCSP response of this number was made."""
    return NOW - 30 * DAY + timedelta(minutes=number)


def cached(station: Station, number: int) -> str:
    """Give the station an OCSP response about its sub-CA."""
    response = b64encode(ocsp_answer(pki(), "Sub", this_update=minute(number))).decode()
    try:
        station.interface().update_ocsp_cache(certificate_hash_data=hash_data("Sub"), ocsp_response=response)
    except CommandRefused:
        return "refused"
    return "Accepted"


class Everything(NamedTuple):
    """What an overview says."""

    roots: tuple[tuple[CaCertificateType, frozenset[str]], ...]
    leaves: frozenset[int]
    response: int | None
    waiting: frozenset[str]


def everything(station: Station, _: object = None) -> Everything:
    """Ask for the overview."""
    found = station.overview()
    nodes = {domain.domain: list(_nodes(domain.trees)) for domain in found.domains}
    roots = tuple(
        (ca_type, frozenset(_holders()[node.serial] for node in nodes[ca_type] if node.role == "root") - {"Home"})
        for ca_type in ROOTS
    )
    leaves = frozenset(_number(node.serial) for node in nodes[V2G_CA] if node.private_key is not None)
    [response] = (node.ocsp for node in nodes[V2G_CA] if _holders().get(node.serial) == "Sub")
    number = None if response is None else (response.this_update - minute(0)) // timedelta(minutes=1)
    return Everything(roots, leaves, number, frozenset(map(str, found.pending_keys)))


def _nodes(trees: Iterable[Node]) -> Iterator[Node]:
    for node in trees:
        yield node
        yield from _nodes(node.children)


def _some_leaf(hand: Hand) -> Leaf:
    return hand.random.choice(hand.leaves)


COMMANDS = [
    Command("install", _root, _install),
    Command("install", _root, _install),
    Command("delete", _root, lambda station, root: deleted(station, hash_data(root[1]))),
    Command("roots", lambda hand: hand.random.choice(list(ROOTS)), _roots_of),
    Command(
        "has",
        lambda _: MF_CA,
        lambda station, ca_type: station.interface().is_ca_certificate_installed(certificate_type=ca_type),
    ),
    Command("verify", lambda hand: (V2G_CA, f"V2G {hand.random.randrange(ROOTS[V2G_CA])}"), _verify),
    Command("request", _own_number, _request),
    Command("update", _some_leaf, lambda station, leaf: updated(station, leaf.chain)),
    Command("update", _some_leaf, lambda station, leaf: updated(station, leaf.chain)),
    Command("delete leaf", _some_leaf, lambda station, leaf: deleted(station, leaf_hash_data(leaf))),
    Command("leaves", lambda _: None, _leaves_of),
    Command("newest", lambda _: None, _newest),
    Command("newest", lambda _: None, _newest_of_all),
    Command("cache", lambda hand: len(hand.records) * 10 + hand.random.randrange(30), cached),
    Command("everything", lambda _: None, everything),
    Command("sweep", lambda _: None, lambda station, _: str(station.sweep())),
]
