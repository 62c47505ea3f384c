"""Disks that are full, broken or read-only at any step: the interface's answer, nothing changed, and all well after."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from evse_security import Station
from evse_security.errors import CommandRefused, NotWritable
from evse_security.store.files import Files
from evse_security.store.layout import BUNDLE_DIRECTORY, TEMPORARY_SUFFIX
from evse_security.store.lock import LOCK_FILE
from evse_security.vocabulary import (
    CertificateType,
    DeleteCertificateResult,
    EncodingFormat,
    GetCertificateInfoStatus,
    GetCertificateSignRequestStatus,
    InstallCertificateResult,
    LeafCertificateType,
)
from tests.builders import DAY, NOW, ocsp_answer
from tests.laws import children, stores
from tests.laws.cases import LAWS, Cases, each_command
from tests.laws.conftest import Mount
from tests.laws.steps import FailingAt, MountedByItself, Step, Watched
from tests.laws.stores import MO_CA, V2G, V2G_CA, Command, Prepared, facts, file_store, hash_data, pki, tree

ERRORS = (errno.EIO, errno.EROFS, errno.EACCES, errno.EMFILE)
NOBODY = 65534


def attempted(run: Command, station: Station, store: Prepared) -> bool:
    """Whether a command was acknowledged. Nothing but a refusal in words may come out of it."""
    try:
        return run(station, store)
    except (CommandRefused, NotWritable):
        return False


def files_of(root: Path) -> dict[str, bytes | str]:
    """What is in all files and links; directories that were made may stay."""
    return {name: content for name, content in tree(root).items() if not str(content).startswith("directory")}


def without_new_copies(files: dict[str, bytes | str], before: dict[str, bytes | str]) -> dict[str, bytes | str]:
    """Copies for consumers may be there though the links to them could not be made, and locks of new directories."""
    may_be = (name for name in files if Path(name).parent.name == BUNDLE_DIRECTORY or Path(name).name == LOCK_FILE)
    new = set(may_be) - before.keys()
    return {name: content for name, content in files.items() if name not in new}


# ---- an error at any step


@each_command
def test_an_error_at_any_step_changes_nothing_unless_acknowledged(name: str, cases: Cases, tmp_path: Path) -> None:
    case = cases(name)
    before, refused = files_of(case.before.root), 0
    for step in case.steps:
        for error in (errno.ENOSPC, ERRORS[step.number % len(ERRORS)]):
            store = case.before.copied_to(tmp_path / f"{step.number}-{error}")
            files = FailingAt(step.number, error)
            station = store.station(files)
            if attempted(case.run, station, store):
                assert facts(store)[:4] == case.facts_after[:4]
            else:
                assert without_new_copies(files_of(store.root), before) == before
                refused += 1
            files.mend()
            assert attempted(case.run, station, store) or facts(store)[:3] == case.facts_after[:3]
            assert facts(store)[:4] == case.facts_after[:4]
    assert refused


@each_command
def test_a_disk_that_fails_for_good_leaves_a_lawful_store(name: str, cases: Cases, tmp_path: Path) -> None:
    case = cases(name)
    for step in case.steps:
        store = case.before.copied_to(tmp_path / str(step.number))
        attempted(case.run, store.station(FailingAt(step.number, errno.EIO, for_good=True)), store)
        for law in LAWS:
            law(case, facts(store))


def test_a_key_whose_deletion_cannot_be_forced_is_as_it_was(tmp_path: Path) -> None:
    """It was let go before the directory is forced, and is made anew."""
    rehearsed = file_store(tmp_path / "rehearsed")
    files = Watched()
    assert delete_leaf(rehearsed.station(files), rehearsed) is DeleteCertificateResult.Accepted
    forced = next(step.number for step in files.steps if step.name == "remove") + 1
    assert files.steps[forced].name == "sync_directory"
    store = file_store(tmp_path / "store")

    def keys() -> dict[Path, tuple[bytes, int, float]]:
        found = {path: path.lstat() for path in store.root.rglob("*") if path.suffix in (".key", TEMPORARY_SUFFIX)}
        return {path: (path.read_bytes(), seen.st_mode, round(seen.st_mtime, 3)) for path, seen in found.items()}

    before = keys()
    assert before
    assert delete_leaf(store.station(FailingAt(forced, errno.EIO)), store) is DeleteCertificateResult.Failed
    assert keys() == before


# ---- the answers


def install(station: Station, _: Prepared) -> object:
    return station.interface().install_ca_certificate(certificate=pki()["NewRoot"].pem, certificate_type=V2G_CA)


def delete(station: Station, _: Prepared) -> object:
    return stores.deleted(station, hash_data("Other"))


def delete_leaf(station: Station, store: Prepared) -> object:
    assert store.leaf is not None
    return stores.deleted(station, store.leaf)


def update(station: Station, store: Prepared) -> object:
    return stores.updated(station, store.chain)


def request(station: Station, _: Prepared) -> object:
    answer = station.interface().generate_certificate_signing_request(
        certificate_type=V2G, country="DE", organization="Test", common="SECC", use_tpm=False
    )
    return answer.status


def request_of_2023(station: Station, _: Prepared) -> object:
    arguments = {"certificate_type": "V2G", "country": "DE", "organization": "Test", "common": "SECC"}
    try:
        return station.dispatch("generate_certificate_signing_request", arguments, revision="2023-10")
    except CommandRefused as refused:
        return type(refused.reason)


def cache(station: Station, _: Prepared) -> object:
    text = b64encode(ocsp_answer(pki(), "SubCA1")).decode()
    try:
        station.interface().update_ocsp_cache(certificate_hash_data=hash_data("SubCA1"), ocsp_response=text)
    except CommandRefused as refused:
        return type(refused.reason)
    return None


def ask_for_der(station: Station, _: Prepared) -> object:
    answer = station.interface().get_leaf_certificate_info(
        certificate_type=V2G, encoding=EncodingFormat.DER, include_ocsp=False
    )
    return answer.status


ANSWERS: dict[str, tuple[Callable[[Station, Prepared], object], object]] = {
    "install": (install, InstallCertificateResult.WriteError),
    "delete a root": (delete, DeleteCertificateResult.Failed),
    "delete a leaf": (delete_leaf, DeleteCertificateResult.Failed),
    "update": (update, InstallCertificateResult.WriteError),
    "request": (request, GetCertificateSignRequestStatus.KeyGenError),
    "request of 2023": (request_of_2023, NotWritable),
    "cache": (cache, NotWritable),
    "DER copies": (ask_for_der, GetCertificateInfoStatus.Rejected),
}

each_answer = pytest.mark.parametrize("name", ANSWERS)


@pytest.fixture(scope="module")
def service(memory: Path) -> Prepared:
    """A store in service that tests copy; its DER copies are not made yet."""
    return stores.without_copies(memory / "in-service")


@pytest.mark.parametrize("error", [errno.ENOSPC, *ERRORS], ids=errno.errorcode.get)
@each_answer
def test_the_answer_to_a_disk_that_takes_nothing(name: str, error: int, service: Prepared, tmp_path: Path) -> None:
    run, expected = ANSWERS[name]
    store = service.copied_to(tmp_path / "store")
    before = tree(store.root)
    assert run(store.station(FailingAt(0, error, for_good=True)), store) == expected
    assert tree(store.root) == before


# ---- real disks


def full_disk(mount: Mount, service: Prepared, tmp_path: Path, *, pages_left: int) -> tuple[Prepared, Path]:
    """The store on a small file system of its own that is full but for so many pages, and the file that fills it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=512k", "tmpfs", disk)
    store = service.copied_to(disk / "store")
    filler = disk / "filler"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    filler.write_bytes(bytes(free - pages_left * 4096))
    return store, filler


@pytest.mark.parametrize("pages_left", [0, 1])
@each_answer
def test_the_answer_to_a_full_disk(name: str, pages_left: int, mount: Mount, service: Prepared, tmp_path: Path) -> None:
    run, expected = ANSWERS[name]
    store, filler = full_disk(mount, service, tmp_path, pages_left=pages_left)
    before = files_of(store.root)
    station = store.station()
    needs = {"delete a leaf": 0, "update": 2, "cache": 2, "DER copies": 3}.get(name, 1)
    if needs > pages_left:
        assert run(station, store) == expected
        assert files_of(store.root) == before
        filler.unlink()
    assert run(station, store) != expected
    assert facts(store).problems == ()


def test_fault_12_and_13_a_full_disk_takes_no_root_and_no_leaf_away(
    mount: Mount, service: Prepared, tmp_path: Path
) -> None:
    store, _ = full_disk(mount, service, tmp_path, pages_left=0)
    station = store.station()
    assert update(station, store) is InstallCertificateResult.WriteError
    assert install(station, store) is InstallCertificateResult.WriteError
    assert delete(station, store) is DeleteCertificateResult.Failed
    assert facts(store) == facts(service)
    assert all(path.stat().st_size for path in store.root.rglob("*") if path.is_file() and path.name != LOCK_FILE)


def test_fault_15_no_request_without_its_key_on_the_disk(mount: Mount, service: Prepared, tmp_path: Path) -> None:
    store, _ = full_disk(mount, service, tmp_path, pages_left=0)
    keys = sorted(store.root.rglob("*.key"))
    assert request(store.station(), store) is GetCertificateSignRequestStatus.KeyGenError
    assert sorted(store.root.rglob("*.key")) == keys


def test_a_leaf_can_be_deleted_on_a_full_disk(mount: Mount, service: Prepared, tmp_path: Path) -> None:
    store, _ = full_disk(mount, service, tmp_path, pages_left=0)
    assert delete_leaf(store.station(), store) is DeleteCertificateResult.Accepted
    assert not [leaf for leaf in facts(store).leaves if leaf[0] == "V2G"]


@each_answer
def test_the_answer_to_a_read_only_disk(name: str, mount: Mount, service: Prepared, tmp_path: Path) -> None:
    run, expected = ANSWERS[name]
    store = service.copied_to(tmp_path / "store")
    mount("--bind", store.root, store.root)
    mount("-o", "remount,bind,ro", store.root)
    before = tree(store.root)
    assert run(store.station(), store) == expected
    assert tree(store.root) == before
    assert facts(store) == facts(service)


def test_what_is_there_is_acknowledged_on_a_read_only_disk(mount: Mount, service: Prepared, tmp_path: Path) -> None:
    store = service.copied_to(tmp_path / "store")
    mount("--bind", store.root, store.root)
    mount("-o", "remount,bind,ro", store.root)
    assert stores.installing("V2GRoot")(store.station(), store)


def test_oem_roots_on_a_read_only_disk_stay_and_hinder_nobody(mount: Mount, tmp_path: Path) -> None:
    store = stores.oem_store(tmp_path / "store")
    directory = store.root / "ca/oem"
    mount("--bind", directory, directory)
    mount("-o", "remount,bind,ro", directory)
    before, station = tree(directory), store.station()
    assert not stores.installing("MORoot", stores.OEM_CA)(station, store)
    assert not stores.deleting("V2GRoot")(station, store)  # it lies there, too: all or nothing
    assert not stores.deleting("NewRoot")(station, store)
    assert stores.installing("NewRoot")(station, store)
    assert tree(directory) == before


@children.forks
@each_answer
def test_the_answer_to_a_user_who_may_not_write(name: str, service: Prepared, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    run, expected = ANSWERS[name]
    store = service.copied_to(tmp_path / "store")
    for path in (tmp_path.parent, tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    before = tree(store.root)

    def as_nobody() -> None:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        assert run(store.station(), store) == expected

    assert children.run(as_nobody) == 0
    assert tree(store.root) == before


# ---- a bundle that is mounted by itself


def mounted_bundle(mount: Mount, store: Prepared, tmp_path: Path) -> Path:
    bundle, volume = store.config().mo_ca_bundle, tmp_path / "volume.pem"
    shutil.copy(bundle, volume)
    mount("--bind", volume, bundle)
    return bundle


def test_fault_14_a_bundle_mounted_by_itself_is_added_to(mount: Mount, service: Prepared, tmp_path: Path) -> None:
    store = service.copied_to(tmp_path / "store")
    bundle = mounted_bundle(mount, store, tmp_path)
    before, names = bundle.read_bytes(), set(tree(store.root))
    assert stores.installing("NewRoot", MO_CA)(store.station(), store)
    assert bundle.read_bytes() == before + pki()["NewRoot"].pem.encode()
    assert (tmp_path / "volume.pem").read_bytes() == bundle.read_bytes()
    assert set(tree(store.root)) == names


def test_fault_14_nothing_is_deleted_from_a_bundle_mounted_by_itself(
    mount: Mount, service: Prepared, tmp_path: Path
) -> None:
    store = service.copied_to(tmp_path / "store")
    mounted_bundle(mount, store, tmp_path)
    before = tree(store.root)
    assert stores.deleted(store.station(), hash_data("MORoot")) is DeleteCertificateResult.Failed
    assert tree(store.root) == before


def test_a_mounted_bundle_without_a_last_line_end_is_added_to_in_a_new_line(service: Prepared, tmp_path: Path) -> None:
    store = service.copied_to(tmp_path / "store")
    bundle = store.config().mo_ca_bundle
    bundle.write_bytes(b"# no line end")
    assert stores.installing("NewRoot", MO_CA)(store.station(MountedByItself(bundle)), store)
    assert bundle.read_bytes() == b"# no line end\n" + pki()["NewRoot"].pem.encode()


def test_a_mounted_bundle_on_a_broken_disk_is_as_it_was(service: Prepared, tmp_path: Path) -> None:
    store = service.copied_to(tmp_path / "store")
    bundle = store.config().mo_ca_bundle
    files = MountedByItself(bundle)
    files.before = fail_to("append", errno.EIO)
    before = tree(store.root)
    assert not stores.installing("NewRoot", MO_CA)(store.station(files), store)
    assert stores.deleted(store.station(files), hash_data("MORoot")) is DeleteCertificateResult.Failed
    assert tree(store.root) == before


def fail_to(name: str, error: int) -> Callable[[Step], None]:
    def before(step: Step) -> None:
        if step.name == name:
            raise OSError(error, os.strerror(error))

    return before


def test_what_cannot_be_appended_whole_is_taken_back(mount: Mount, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=4k", "tmpfs", disk)
    (disk / "bundle.pem").write_bytes(b"old")
    with pytest.raises(OSError, match="No space left"):
        Files().append(disk / "bundle.pem", bytes(10_000))
    assert (disk / "bundle.pem").read_bytes() == b"old"


# ---- links, modes, owners


def test_fault_20_a_linked_bundle_stays_a_link_and_keeps_mode_and_owner(tmp_path: Path) -> None:
    store = stores.linked_store(tmp_path / "store")
    bundle, real = store.config().v2g_ca_bundle, store.root / "elsewhere" / "roots.pem"
    real.chmod(0o640)
    owner = (NOBODY, NOBODY) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(real, *owner)
    station = store.station()
    for run in (stores.installing("NewRoot"), stores.deleting("NewRoot")):
        assert run(station, store)
        found = real.stat()
        assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o640, *owner)
        assert os.readlink(bundle) == "../../elsewhere/roots.pem"


def test_a_file_system_without_hard_links_will_do(service: Prepared, tmp_path: Path) -> None:
    store = service.copied_to(tmp_path / "store")
    files = Watched()
    files.before = fail_to("keep", errno.EPERM)
    assert stores.installing("NewRoot")(store.station(files), store)


# ---- things that vanish, and things that are no files


def test_directories_that_vanish_are_made_again(service: Prepared, tmp_path: Path) -> None:
    store = service.copied_to(tmp_path / "store")
    station = store.station()
    assert stores.leaf_files(station)
    shutil.rmtree(store.root)
    assert stores.leaf_files(station) is None
    assert stores.installing("V2GRoot")(station, store)
    assert request(station, store) is GetCertificateSignRequestStatus.Accepted
    assert (store.root / "client" / "cso").stat().st_mode & 0o777 == 0o700


def test_a_refusal_makes_no_directories(tmp_path: Path) -> None:
    store = Prepared(tmp_path / "store")
    station = store.station()
    assert delete(station, store) is DeleteCertificateResult.NotFound
    assert not stores.installing("SubCA1")(station, store)
    assert stores.sweeping(station, store)
    assert not store.root.exists()


@pytest.mark.parametrize("kind", ["fifo", "directory", "device", "nothing"])
def test_fault_06_and_61_what_is_no_file_has_no_signature_and_holds_nobody_up(
    kind: str, service: Prepared, tmp_path: Path
) -> None:
    path = tmp_path / "firmware"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    for nothing in (b"", bytes(100)):
        signature = b64encode(pki()["SECC"].key.sign(nothing, ec.ECDSA(hashes.SHA256()))).decode()  # type: ignore[call-arg, arg-type]
        assert (
            not service.station()
            .interface()
            .verify_file_signature(file_path=str(path), signing_certificate=pki()["SECC"].pem, signature=signature)
        )


def make_odd_things(directory: Path, suffix: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    os.mkfifo(directory / f"fifo{suffix}")
    (directory / f"directory{suffix}").mkdir()
    (directory / f"dangling{suffix}").symlink_to("nowhere")
    (directory / f"loop{suffix}").symlink_to(f"loop{suffix}")
    (directory / f"device{suffix}").symlink_to("/dev/zero")
    (directory / f"line\nend{suffix}").write_text("nothing")
    (directory / os.fsdecode(b"\xff\xfe" + suffix.encode())).write_text("nothing")
    with (directory / f"huge{suffix}").open("wb") as file:
        file.truncate(1 << 32)
    (directory / f"far{suffix}").write_text("nothing")
    os.utime(directory / f"far{suffix}", (1e12, 1e12))


def test_fault_04_and_05_odd_things_in_the_directories_stop_nothing(tmp_path: Path) -> None:
    store = stores.directory_store(tmp_path / "store")
    expected = facts(store)
    make_odd_things(store.root / "ca" / "v2g", ".pem")
    for directory in ("cso", "csms"):
        make_odd_things(store.root / "client" / directory, ".pem")
    make_odd_things(store.root / "client" / "keys", ".key")
    make_odd_things(store.root / "client" / "cso" / "ocsp", ".der")
    make_odd_things(store.root / "client" / "cso" / "der", ".leaf.der")
    found = facts(store)
    assert found[:5] == expected[:5]
    assert {name for problem in found.problems for name in ODD_NAMES if problem.startswith(name)} == set(ODD_NAMES)
    station = store.station(max_store_bytes=1 << 50)  # the huge files are sparse
    for read in READING.values():
        read(station)
    for run in (stores.installing("NewRoot"), stores.updating, stores.requesting, stores.sweeping):
        assert run(station, store)
    assert stores.deleting("NewRoot")(station, store)
    assert stores.deleting_the_leaf(station, store)


ODD_NAMES = ("fifo.pem", "dangling.pem", "loop.pem", "device.pem", "huge.pem", "fifo.key", "huge.key")


@pytest.mark.parametrize("kind", ["fifo", "loop", "device", "directory of a file", "huge"])
def test_a_bundle_that_is_no_file_is_refused_in_words(kind: str, tmp_path: Path) -> None:
    store = Prepared(tmp_path / "store", {"max_store_bytes": 1 << 50})
    bundle = store.config().mo_ca_bundle
    bundle.parent.mkdir(parents=True)
    if kind == "fifo":
        os.mkfifo(bundle)
    elif kind == "huge":
        with bundle.open("wb") as file:
            file.truncate(1 << 32)
    else:
        target = {"loop": bundle.name, "device": "/dev/zero", "directory of a file": "file/bundle.pem"}[kind]
        bundle.symlink_to(target)
        (bundle.parent / "file").write_text("")
    before = {path.name: path.lstat() for path in bundle.parent.iterdir()}
    assert not stores.installing("MORoot", MO_CA)(store.station(), store)
    found = {path.name: path.lstat() for path in bundle.parent.iterdir() if path.name != LOCK_FILE}
    assert found == before
    assert stores.installing("V2GRoot")(store.station(), store)


# ---- reading


READING: dict[str, Callable[[Station], object]] = {
    "get_installed_certificates": lambda s: s.interface().get_installed_certificates(
        certificate_types=tuple(CertificateType)
    ),
    "get_leaf_certificate_info": lambda s: [
        s.interface().get_leaf_certificate_info(certificate_type=kind, encoding=EncodingFormat.PEM, include_ocsp=True)
        for kind in LeafCertificateType
    ],
    "get_all_valid_certificates_info": lambda s: s.interface().get_all_valid_certificates_info(
        certificate_type=V2G, encoding=EncodingFormat.PEM, include_ocsp=True
    ),
    "get_key_pair": lambda s: s.dispatch(
        "get_key_pair", {"certificate_type": "V2G", "encoding": "PEM"}, revision="2023-10"
    ),
    "get_v2g_ocsp_request_data": lambda s: s.interface().get_v2g_ocsp_request_data(),
    "get_mo_ocsp_request_data": lambda s: s.interface().get_mo_ocsp_request_data(certificate_chain=pki()["MORoot"].pem),
    "is_ca_certificate_installed": lambda s: s.interface().is_ca_certificate_installed(certificate_type=V2G_CA),
    "get_verify_file": lambda s: s.interface().get_verify_file(certificate_type=MO_CA),
    "get_verify_location": lambda s: s.interface().get_verify_location(certificate_type=MO_CA),
    "get_leaf_expiry_days_count": lambda s: s.interface().get_leaf_expiry_days_count(certificate_type=V2G),
    "verify_certificate": lambda s: s.interface().verify_certificate(
        certificate_chain=pki()["SECC"].pem, certificate_types=(V2G,)
    ),
    "verify_file_signature": lambda s: s.interface().verify_file_signature(
        file_path=str(s.config.mo_ca_bundle), signing_certificate=pki()["SECC"].pem, signature="AAAA"
    ),
    "overview": lambda s: s.overview(),
    "sweep, dry": lambda s: s.sweep(dry_run=True),
}


def new(directory: Path) -> Path:
    directory.mkdir()
    return directory


STORES: dict[str, Callable[[Path], Prepared]] = {
    "full": file_store,
    "directories": stores.directory_store,
    "missing": Prepared,
    "empty": lambda root: Prepared(new(root)),
}


def marks(root: Path) -> dict[str, tuple[int, ...]]:
    """What shows that something was written, made or removed."""
    found = {str(path): path.lstat() for path in (root, *root.rglob("*")) if path.exists()}
    return {name: (s.st_ino, s.st_mode, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in found.items()}


@pytest.mark.parametrize("command", READING)
@pytest.mark.parametrize("kind", STORES)
def test_fault_26_reading_makes_and_changes_nothing(kind: str, command: str, tmp_path: Path) -> None:
    store = STORES[kind](tmp_path / "store")
    before = marks(tmp_path)
    READING[command](store.station())
    assert marks(tmp_path) == before


def test_a_refused_command_makes_no_lock_file(tmp_path: Path) -> None:
    store = Prepared(tmp_path / "store")
    for name in ("ca/v2g", "ca/mo", "ca/csms", "ca/mf", "client/cso", "client/csms"):
        (store.root / name).mkdir(parents=True)
    before = marks(tmp_path)
    for run in (stores.deleting("V2GRoot"), stores.updating, stores.installing("SECC")):
        assert not run(store.station(), store)
    assert stores.sweeping(store.station(), store)
    assert marks(tmp_path) == before
    assert stores.installing("V2GRoot")(store.station(), store)
    assert len(list(tmp_path.rglob(LOCK_FILE))) == 6
    assert all(path.name != LOCK_FILE for path in store.snapshot().names)


@pytest.mark.parametrize("kind", STORES)
def test_asking_for_der_makes_nothing_but_copies(kind: str, tmp_path: Path) -> None:
    store = STORES[kind](tmp_path / "store")
    before = set(tree(tmp_path))
    ask_for_der(store.station(), store)
    made = {Path(name) for name in set(tree(tmp_path)) - before}
    assert {path.parent.name for path in made if path.name != LOCK_FILE} <= {"der"}


@children.forks
@pytest.mark.parametrize("free", range(9))
def test_a_directory_that_cannot_be_listed_is_not_an_empty_one(free: int, tmp_path: Path) -> None:
    """With few descriptors left there are enough for the lock, and none to list what needs the keys."""
    store = stores.directory_store(tmp_path / "store")
    before = facts(store)

    def starved() -> None:
        station = store.station(now=NOW + 30 * DAY)
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + free, lowest + free))
        for read in READING.values():
            read(station)
        for run in (stores.sweeping, stores.requesting, stores.updating):
            attempted(run, station, store)

    assert children.run(starved) == 0
    found = facts(store)
    assert found.leaves >= before.leaves
    assert found.roots == before.roots
