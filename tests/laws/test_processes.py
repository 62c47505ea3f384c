"""Several processes and threads on one directory: nothing is lost, nothing is stale, and readers never wait."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

import pytest

from evse_security import Station
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import certificate_id
from evse_security.vocabulary import (
    CertificateHashData,
    CertificateType,
    DeleteCertificateResult,
    InstallCertificateResult,
)
from tests.builders import DAY, NOW, World, world
from tests.laws import children, stores
from tests.laws.steps import Step, Watched
from tests.laws.stores import MO_CA, V2G, V2G_CA, Prepared, facts, hash_data, pki

ROOTS = 24
WAIT = 60
"""Seconds until a test that hangs is given up."""


@cache
def many() -> World:
    """Enough roots for everybody."""
    return world(*(f"Root{n} >" for n in range(ROOTS)))


def install(station: Station, n: int) -> None:
    answer = station.interface().install_ca_certificate(certificate=many()[f"Root{n}"].pem, certificate_type=V2G_CA)
    assert answer is InstallCertificateResult.Accepted


def identity(n: int) -> CertificateHashData:
    root = Certificate(many()[f"Root{n}"].der)
    return certificate_id(root, root).hash_data


def delete(station: Station, n: int) -> None:
    assert stores.deleted(station, identity(n)) is DeleteCertificateResult.Accepted


def is_listed(station: Station, n: int) -> bool:
    found = station.interface().get_installed_certificates(certificate_types=(CertificateType.V2GRootCertificate,))
    return identity(n) in [entry.certificate_hash_data for entry in found.certificate_hash_data_chain]


def installed(store: Prepared) -> set[str]:
    return {fingerprint for domain, fingerprint in facts(store).roots if domain == "V2G"}


def fingerprints(numbers: range) -> set[str]:
    return {Certificate(many()[f"Root{n}"].der).fingerprint for n in numbers}


BUNDLES: dict[str, dict[str, str]] = {"file": {}, "directory": {"v2g_ca_bundle": "ca/v2g"}}
each_bundle = pytest.mark.parametrize("bundle", BUNDLES)


def all_at_once(*works: Callable[[], object]) -> None:
    """Have children do these at the same time: none begins before all are there."""
    waiting, gate = os.pipe()

    def begin(work: Callable[[], object]) -> None:
        os.close(gate)
        os.read(waiting, 1)
        work()

    started = [children.start(partial(begin, work)) for work in works]
    os.close(waiting)
    os.close(gate)
    assert [children.wait(child) for child in started] == [0] * len(works)


@children.forks
@each_bundle
def test_fault_19_processes_lose_nothing_to_each_other(bundle: str, tmp_path: Path) -> None:
    store = Prepared(tmp_path / "store", BUNDLES[bundle])
    for n in range(ROOTS // 3):
        install(store.station(), n)

    def installer(numbers: range) -> None:
        for n in numbers:
            install(store.station(), n)

    def deleter() -> None:
        station = store.station()
        for n in range(ROOTS // 3):
            delete(station, n)

    def requester() -> None:
        station = store.station()
        for _ in range(8):
            assert stores.requesting(station, store)

    halves = range(ROOTS // 3, 2 * ROOTS // 3), range(2 * ROOTS // 3, ROOTS)
    all_at_once(partial(installer, halves[0]), partial(installer, halves[1]), deleter, requester)
    assert installed(store) == fingerprints(range(ROOTS // 3, ROOTS))
    assert facts(store).waiting == 8
    assert facts(store).problems == ()


@children.forks
@pytest.mark.parametrize("is_new", [True, False], ids=["a new store", "one in service"])
def test_of_processes_that_install_the_first_oem_root_none_loses_its_own(tmp_path: Path, *, is_new: bool) -> None:
    """Its directory is made by whoever comes first, and with it the lock that the others hold from then on."""
    holders = ("NewRoot", "MORoot", "V2GRoot", "DerRoot")
    assert all(stores.pki()[holder].pem for holder in holders)
    for number in range(5):
        store = Prepared(tmp_path / str(number))
        if not is_new:
            assert stores.installing("CSMSRoot", stores.CSMS_CA)(store.station(), store)

        def installer(holder: str, store: Prepared = store) -> None:
            assert stores.installing(holder, stores.OEM_CA)(store.station(), store)

        all_at_once(*(partial(installer, holder) for holder in holders))
        found = {fingerprint for domain, fingerprint in facts(store).roots if domain == "OEM"}
        assert found == {Certificate(stores.pki()[holder].der).fingerprint for holder in holders}


@children.forks
@each_bundle
def test_what_one_process_acknowledged_the_other_sees_at_once(bundle: str, tmp_path: Path) -> None:
    store = Prepared(tmp_path / "store", BUNDLES[bundle])
    station = store.station()
    assert len(many()) == ROOTS  # made before the fork, so that both know the same
    done, done_end = os.pipe()
    seen_end, seen = os.pipe()

    def writer() -> None:
        mine = store.station()
        for n in range(ROOTS):
            install(mine, n)
            os.write(done_end, b"i")
            os.read(seen_end, 1)
            if n % 2:
                delete(mine, n)
                os.write(done_end, b"d")
                os.read(seen_end, 1)

    child = children.start(writer)
    os.close(done_end)
    os.close(seen_end)
    for n in range(ROOTS):
        assert os.read(done, 1) == b"i"
        assert is_listed(station, n)
        os.write(seen, b".")
        if n % 2:
            assert os.read(done, 1) == b"d"
            assert not is_listed(station, n)
            os.write(seen, b".")
    assert children.wait(child) == 0
    os.close(done)
    os.close(seen)


@children.forks
def test_a_leaf_that_another_process_installed_is_offered_at_once(tmp_path: Path) -> None:
    store = stores.file_store(tmp_path / "store")
    station = store.station()
    before = stores.leaf_files(station)

    def renewer() -> None:
        mine = store.station()
        chain = stores.signed(mine, V2G, "SubCA2", "SubCA1", not_after=NOW + 90 * DAY)
        assert stores.updated(mine, chain) is InstallCertificateResult.Accepted

    assert children.run(renewer) == 0
    after = stores.leaf_files(station)
    assert before and after and not set(before) & set(after)
    assert stores.deleted(station, hash_data("SubCA2")) is DeleteCertificateResult.Accepted
    assert children.run(lambda: None if stores.leaf_files(store.station()) is None else os.abort()) == 0


@each_bundle
def test_threads_lose_nothing_to_each_other(bundle: str, tmp_path: Path) -> None:
    store = Prepared(tmp_path / "store", BUNDLES[bundle])
    stations = [store.station(), store.station()]
    assert len(many()) == ROOTS  # made before the threads, so that all know the same
    with ThreadPoolExecutor(6) as pool:
        jobs: list[Future[object]] = [pool.submit(install, stations[n % 2], n) for n in range(ROOTS)]
        jobs += [pool.submit(stores.requesting, stations[n % 2], store) for n in range(6)]
        reads = [pool.submit(is_listed, stations[n % 2], n) for n in range(ROOTS)]
        for job in jobs:
            job.result(WAIT)
        for read in reads:
            read.result(WAIT)
    assert installed(store) == fingerprints(range(ROOTS))
    assert facts(store).waiting == 6


def test_what_a_thread_acknowledged_the_others_see(tmp_path: Path) -> None:
    store = Prepared(tmp_path / "store")
    station = store.station()
    assert len(many()) == ROOTS  # made before the threads, so that all know the same

    def install_and_look(n: int) -> bool:
        install(station, n)
        return is_listed(station, n)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(install_and_look, range(ROOTS), timeout=WAIT))


class Paused(Watched):
    """Stops before the first step of a kind until it is told to go on."""

    def __init__(self, name: str) -> None:
        super().__init__(self.pause)
        self.name, self.reached, self.go_on = name, threading.Event(), threading.Event()

    def pause(self, step: Step) -> None:
        if step.name == self.name and not self.reached.is_set():
            self.reached.set()
            assert self.go_on.wait(WAIT)


@pytest.mark.parametrize("name", ["write_new", "replace", "sync_directory"])
def test_readers_do_not_wait_for_a_writer_in_the_middle(name: str, tmp_path: Path) -> None:
    store = stores.file_store(tmp_path / "store")
    files = Paused(name)
    writer, other = store.station(files), store.station()
    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(stores.installing("NewRoot", MO_CA), writer, store)
        assert files.reached.wait(WAIT)
        try:
            for station in (writer, other):  # answered while the writer holds the lock, or this never ends
                reading = pool.submit(stores.leaf_files, station)
                assert reading.result(WAIT)
                assert pool.submit(station.overview).result(WAIT).domains
            assert not writing.done()
        finally:
            files.go_on.set()
        assert writing.result(WAIT)


@children.forks
def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    store = stores.file_store(tmp_path / "store")
    reading, writing = os.pipe()

    def hold(_: Step) -> None:
        os.write(writing, b".")
        signal.pause()

    child = children.start(lambda: stores.installing("NewRoot")(store.station(Watched(hold)), store))
    assert os.read(reading, 1)
    os.kill(child, signal.SIGKILL)
    assert children.wait(child) == -signal.SIGKILL
    assert stores.installing("NewRoot")(store.station(), store)
    assert Certificate(pki()["NewRoot"].der).fingerprint in installed(store)
    os.close(reading)
    os.close(writing)


def test_a_subscriber_may_use_the_station(tmp_path: Path) -> None:
    store = Prepared(tmp_path / "store")
    station = store.station()
    told: list[bool] = []
    station.subscribe(lambda _: told.append(is_listed(station, 0)))
    install(station, 0)
    assert told == [True]


def test_who_reads_waits_but_briefly_for_another_process_and_does_without_copies(tmp_path: Path) -> None:
    store = stores.without_copies(tmp_path / "store")
    station = store.station()
    asked: list[float] = []

    class Busy:
        def held(self, _: object, patience: float, *__: object) -> object:
            asked.append(patience)
            raise TimeoutError(110, "another process is holding the lock on it", "/certs/ca/lock")

    station._core._disk._writer = Busy()  # type: ignore[assignment]
    assert not stores.asking_for_der(station, store)
    bundle = store.config().v2g_ca_bundle
    bundle.write_bytes(bundle.read_bytes() + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert stores.asking_for_the_file(station, store)
    assert stores.leaf_files(station)
    assert len(asked) == 2
    assert max(asked) <= 1


def test_who_reads_waits_but_briefly_for_another_thread(tmp_path: Path) -> None:
    store = stores.without_copies(tmp_path / "store")
    station = store.station()
    answers: list[bool] = []

    def ask(_: object) -> None:
        """Have another thread ask while this one changes the store, and wait for it."""
        asking = threading.Thread(target=lambda: answers.append(stores.asking_for_der(station, store)), daemon=True)
        asking.start()
        asking.join(WAIT)
        answers.append(asking.is_alive())

    station.subscribe(ask)
    assert stores.installing("NewRoot")(station, store)
    assert answers == [False, False]
    assert stores.asking_for_der(station, store)
