"""Commands on a store whose disk is recorded, one after the other, and what was true of the store between them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import NamedTuple

from evse_security import Station
from evse_security.additions import CA_TYPES
from evse_security.errors import CommandRefused, NotWritable
from evse_security.interface import WITH_OEM
from evse_security.store.snapshot import Snapshot
from evse_security.vocabulary import (
    CertificateHashData,
    CertificateType,
    DeleteCertificateResult,
    EncodingFormat,
    GetCertificateInfoStatus,
    InstallCertificateResult,
    LeafCertificateType,
)
from tests.builders import DAY, NOW, csms
from tests.laws import stores
from tests.laws.powercut_model import Tape
from tests.laws.powercut_record import Peculiarity, Recorder
from tests.laws.steps import Killed, Step
from tests.laws.stores import CSMS, V2G, Command, Facts, Prepared, facts, pki


@dataclass(frozen=True)
class Seen(Prepared):
    """A store as a station sees it."""

    seen: Snapshot | None = None

    def snapshot(self) -> Snapshot:
        return self.seen or super().snapshot()


class Known(NamedTuple):
    """What is true of a store."""

    facts: Facts
    keys: frozenset[bytes]
    """Key pairs that certificates may come for, or have come for."""
    offered: frozenset[LeafCertificateType]
    """Kinds of leaf of which a TLS server gets one."""


def known(store: Prepared, station: Station | None = None) -> Known:
    """Look at a store, as a process does that has just started or with the eyes of a station."""
    station = station or store.station()
    snapshot = station._core.look()[0]
    return Known(
        facts(Seen(store.root, store.overrides, seen=snapshot)),
        frozenset(key.token for one in snapshot.leaves.values() for key in one.keys if key.token is not None),
        frozenset(kind for kind in (V2G, CSMS) if is_offered(station, kind)),
    )


def is_offered(station: Station, kind: LeafCertificateType) -> bool:
    answer = station.interface().get_leaf_certificate_info(
        certificate_type=kind, encoding=EncodingFormat.PEM, include_ocsp=False
    )
    return answer.status is GetCertificateInfoStatus.Accepted


class Episode(NamedTuple):
    """A command, the events while it ran, and what was true before and after it."""

    name: str
    run: Command
    begin: int
    end: int
    before: Known
    after: Known
    acknowledged: bool
    failed: bool
    """A step failed."""
    killed: bool
    """The process was killed: what it did is seen, and may yet be lost."""


@dataclass
class Context:
    """What later commands need to know of earlier ones."""

    random: Random
    chains: list[tuple[LeafCertificateType, str]] = field(default_factory=list)
    """Answers to requests that were not installed yet."""
    requests: list[tuple[LeafCertificateType, str]] = field(default_factory=list)


KILLED = 0
"""Instead of an error: the process is killed before that step."""


class Failure(NamedTuple):
    """Which step of a command fails, counted from 0 among those of a name or among all, and with which error."""

    number: int
    error: int
    name: str = ""


class Life:
    """A store in use, whose disk is recorded. There is no audit log, which is not forced to the disk by default."""

    def __init__(self, store: Prepared, random: Random, peculiarity: Peculiarity = Peculiarity.NONE) -> None:
        self.store = store = replace(store, overrides={**store.overrides, "audit_log": None})
        self.peculiarity = peculiarity
        self.episodes: list[Episode] = []
        self.context = Context(random, [(V2G, store.chain)] if store.chain else [])
        self.kept_keys: frozenset[bytes] = frozenset()
        """Keys that were deleted though a step failed: it may be that which forces the deletion."""
        self._failing: Failure | None = None
        self._begun = self._fired = 0
        self.files = Recorder(store.root, self._fails, peculiarity)
        self._known = known(store)

    @property
    def tape(self) -> Tape:
        return self.files.tape

    def _fails(self, step: Step) -> OSError | None:
        if self._failing is None:
            return None
        alike = [one for one in self.files.steps[self._begun :] if self._failing.name in ("", one.name)]
        if len(alike) != self._failing.number + 1 or alike[-1] != step:
            return None
        self._fired += 1
        if self._failing.error == KILLED:
            raise Killed
        return OSError(self._failing.error, os.strerror(self._failing.error), str(step.path))

    def live(self, name: str, failure: Failure | None = None) -> Episode:
        """Give a command, of which a step may fail."""
        return self.give(name, OPERATIONS[name](self.context), failure)

    def give(self, name: str, run: Command, failure: Failure | None = None) -> Episode:
        begin = self.files.look()
        self._failing, self._begun, self._fired = failure, len(self.files.steps), 0
        killed = acknowledged = False
        try:
            acknowledged = attempted(run, self.store.station(self.files), self.store)
        except Killed:
            killed = True
        failed = self._fired > 0
        end = self.files.look()
        after = known(self.store)
        self.files.look()  # what was made for the look
        self.episodes.append(Episode(name, run, begin, end, self._known, after, acknowledged, failed, killed))
        if failed:
            self.kept_keys |= self._known.keys
        self._known = after
        for kind, csr in self.context.requests:
            self.context.chains.append((kind, answered(kind, csr, self.context.random)))
        self.context.requests.clear()
        return self.episodes[-1]


def attempted(run: Command, station: Station, store: Prepared) -> bool:
    """Whether a command was acknowledged. Nothing but a refusal in words may come out of it."""
    try:
        return run(station, store)
    except (CommandRefused, NotWritable):
        return False


# ---- commands, made from what happened before


Operation = Callable[[Context], Command]


def answered(kind: LeafCertificateType, csr: str, random: Random) -> str:
    """What a CSMS answers to a request: one day, or many."""
    not_after = NOW + DAY * random.randint(1, 90)
    if kind is CSMS:
        return csms(pki(), "CSMSRoot").answer(csr, not_after=not_after) + pki().pem("CSMSRoot")
    return csms(pki(), "SubCA2").answer(csr, not_after=not_after) + pki().pem("SubCA2", "SubCA1")


def requesting(kind: LeafCertificateType) -> Operation:
    def operation(context: Context) -> Command:
        def run(station: Station, _: Prepared) -> bool:
            csr = stores.request(station, kind)
            if csr is not None:
                context.requests.append((kind, csr))
            return csr is not None

        return run

    return operation


def updating(context: Context) -> Command:
    """Install a leaf for one of the requests, or one that was installed already."""
    if not context.chains:
        return lambda *_: False
    kind, chain = context.random.choice(context.chains)
    return lambda station, _: stores.updated(station, chain, kind) is InstallCertificateResult.Accepted


def deleting_a_leaf(context: Context) -> Command:
    """Delete one of the SECC leaves; the same again when it is repeated."""
    share, chosen = context.random.random(), list[CertificateHashData]()

    def run(station: Station, _: Prepared) -> bool:
        if not chosen:
            listed = station.interface().get_installed_certificates(
                certificate_types=(CertificateType.V2GCertificateChain,)
            )
            entries = listed.certificate_hash_data_chain
            chosen.extend(entry.certificate_hash_data for entry in entries[int(share * len(entries)) :][:1])
        return bool(chosen) and stores.deleted(station, chosen[0]) is DeleteCertificateResult.Accepted

    return run


def caching(holder: str) -> Operation:
    def operation(context: Context) -> Command:
        return stores.caching(holder, this_update=NOW - timedelta(minutes=context.random.randint(0, 600)))

    return operation


def looking_for_roots(station: Station, _: Prepared) -> bool:
    interface = station.interface(WITH_OEM)
    for kind in CA_TYPES:
        interface.get_verify_file(certificate_type=kind)
        interface.get_verify_location(certificate_type=kind)
    return True


def fixed(run: Command) -> Operation:
    return lambda _: run


OPERATIONS: dict[str, Operation] = {
    **{
        f"install {holder} for {kind}": fixed(stores.installing(holder, kind))
        for holder, kind in (
            ("NewRoot", stores.V2G_CA),
            ("NewRoot", stores.MO_CA),
            ("NewRoot", stores.MF_CA),
            ("MORoot", stores.MO_CA),
            ("V2GRoot", stores.V2G_CA),
            ("SubCA1", stores.V2G_CA),
            ("CSMSRoot", stores.CSMS_CA),
            ("NewRoot", stores.OEM_CA),
        )
    },
    **{
        f"delete {holder}": fixed(stores.deleting(holder))
        for holder in ("V2GRoot", "MORoot", "NewRoot", "Other", "SubCA1", "SubCA2", "DerRoot")
    },
    "delete a leaf": deleting_a_leaf,
    "request for V2G": requesting(V2G),
    "request for CSMS": requesting(CSMS),
    "update": updating,
    "update again": updating,
    "cache for SubCA1": caching("SubCA1"),
    "cache for SubCA2": caching("SubCA2"),
    "sweep": fixed(stores.sweeping),
    "ask for DER": fixed(stores.asking_for_der),
    "ask for roots": fixed(looking_for_roots),
}
