"""Passwords and private keys show nowhere: logs, exceptions, tracebacks with locals, reprs, the process list."""

from __future__ import annotations

import errno
import io
import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import evse_security
from evse_security import Station
from evse_security.errors import EvseSecurityError
from evse_security.keys.files import public_key_of
from evse_security.store.changes import Change, Write
from evse_security.vocabulary import CertificateType, EncodingFormat, LeafCertificateType
from tests.laws import stores
from tests.laws.steps import Step, Watched
from tests.laws.stores import V2G, Prepared, pki

PASSWORD = "planted-pa55word"
REVISIONS = ("2023-10", "2026-04")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A store in service with keys in plain, and one whose keys are under a password."""
    return stores.file_store(tmp_path_factory.mktemp("secrets") / "plain")


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    root = tmp_path_factory.mktemp("secrets") / "locked"
    return stores.in_service(Prepared(root, {"private_key_password": PASSWORD}))


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    text, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.removeHandler(handler)
    root.setLevel(level)


def secrets_of(store: Prepared) -> list[bytes]:
    """What must not show: the password, and pieces of every key file, as text and as DER."""
    contents = [path.read_bytes() for path in store.root.rglob("*") if path.is_file()]
    return [PASSWORD.encode(), *(piece for content in contents for piece in pieces(content))]


def pieces(content: bytes) -> list[bytes]:
    if b"PRIVATE KEY-----" in content:
        return content.split(b"\n")[1:-2]
    return [content[-40:]] if public_key_of(content, PASSWORD).token is not None else []


class Failing(Watched):
    """Fails at steps of one kind, and notes the keys that were to be written."""

    def __init__(self, name: str) -> None:
        super().__init__(self.fail)
        self.name = name
        self.keys: list[bytes] = []

    def fail(self, step: Step) -> None:
        if step.name == self.name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def write_new(self, path: Path, content: bytes, mode: int, owner: tuple[int, int] | None, time: float) -> None:
        self.keys += pieces(content)
        super().write_new(path, content, mode, owner, time)

    def write_copy(self, path: Path, content: bytes, mode: int, owner: tuple[int, int] | None, time: float) -> None:
        self.keys += pieces(content)
        super().write_copy(path, content, mode, owner, time)


CALLS: tuple[tuple[str, dict[str, object]], ...] = (
    (
        "generate_certificate_signing_request",
        {"certificate_type": "V2G", "country": "DE", "organization": "Test", "common": "SECC", "use_tpm": False},
    ),
    ("generate_certificate_signing_request", {"certificate_type": "V2G", "country": 1}),
    ("get_leaf_certificate_info", {"certificate_type": "V2G", "encoding": "DER", "include_ocsp": True}),
    ("get_all_valid_certificates_info", {"certificate_type": "V2G", "encoding": "DER", "include_ocsp": True}),
    ("get_key_pair", {"certificate_type": "V2G", "encoding": "DER"}),
    ("get_installed_certificates", {"certificate_types": [str(kind) for kind in CertificateType]}),
    ("update_ocsp_cache", {"certificate_hash_data": {}, "ocsp_response": "AAAA"}),
)


def use(station: Station, store: Prepared) -> list[BaseException]:
    """Give commands of all kinds, those that cannot be answered too; what they raised."""
    raised: list[BaseException] = []
    for revision in REVISIONS:
        for command, arguments in CALLS:
            given = {k: v for k, v in arguments.items() if (revision, k) not in {("2023-10", "use_tpm")}}
            try:
                station.dispatch(command, given, revision=revision)
            except EvseSecurityError as error:
                raised.append(error)
    for run in (stores.updating, stores.deleting_the_leaf, stores.sweeping):
        try:
            run(station, store)
        except EvseSecurityError as error:
            raised.append(error)
    return raised


def shown(errors: list[BaseException]) -> str:
    """All that a program can print of exceptions, the variables of every frame of ours included."""
    found = []
    for error in errors:
        assert error.__traceback__ is not None
        frames, library = error.__traceback__.tb_next, Path(evse_security.__file__).parent
        while frames is not None and library not in Path(frames.tb_frame.f_code.co_filename).parents:
            frames = frames.tb_next
        own = error.with_traceback(frames or error.__traceback__.tb_next)  # without the frames of the test
        found += [str(error), repr(error)]
        found += traceback.TracebackException.from_exception(own, capture_locals=True).format()
    return "".join(found)


@pytest.mark.parametrize("kind", ["template", "locked"])
@pytest.mark.parametrize("failing", ["nothing", "write_new", "write_copy", "replace", "sync_directory"])
def test_no_secret_in_logs_exceptions_and_tracebacks(
    kind: str, failing: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    store: Prepared = request.getfixturevalue(kind).copied_to(tmp_path / "store")

    secrets, files = secrets_of(store), Failing(failing)
    with everything_logged() as log:
        raised = use(store.station(files), store)
        text = log.getvalue() + shown(raised)
    assert len(raised) >= 3
    assert files.keys
    assert not [secret for secret in (*secrets, *files.keys) if appears(secret, text)]


def appears(secret: bytes, text: str) -> bool:
    """Whether it shows as text, as Python writes bytes, or in hexadecimal."""
    return any(form in text for form in (secret.decode("latin-1"), repr(secret)[2:-1], secret.hex()))


def test_what_must_not_show_is_recognised(template: Prepared) -> None:
    """The test above would see a secret: a frame that has one shows it."""
    secrets = secrets_of(template)
    assert len(secrets) > 5

    def leak(content: bytes) -> None:
        raise ValueError(len(content))

    for secret in secrets:
        try:
            leak(secret)
        except ValueError as error:
            assert appears(secret, shown([error]))


def test_no_secret_in_reprs(locked: Prepared) -> None:
    station = locked.station()
    snapshot = locked.snapshot()
    change: Change = Write(Path("key"), PASSWORD.encode())
    things = [station, station.config, snapshot, change, snapshot.leaves[V2G], *snapshot.leaves[V2G].keys]
    assert PASSWORD in (station.config.private_key_password or "")
    assert not [secret for secret in secrets_of(locked) for thing in things if appears(secret, repr(thing))]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc")
def test_no_secret_in_the_process_list(locked: Prepared, tmp_path: Path) -> None:
    store = locked.copied_to(tmp_path / "store")
    use(store.station(), store)
    for name in ("cmdline", "environ", "comm"):
        text = Path(f"/proc/self/{name}").read_bytes()
        assert not [secret for secret in secrets_of(store) if secret in text]


# ---- names


def test_trust_does_not_depend_on_file_names(tmp_path: Path) -> None:
    """Names as an adversary might choose them change neither who is trusted nor which leaf is used."""
    store = stores.directory_store(tmp_path / "store")

    def answers() -> object:
        station = store.station()
        leaf = station.interface().get_leaf_certificate_info(
            certificate_type=V2G, encoding=EncodingFormat.PEM, include_ocsp=False
        )
        assert leaf.info is not None and leaf.info.certificate is not None
        return (
            Path(leaf.info.certificate).read_bytes(),
            station.check(pki().pem("SECC", "SubCA2", "SubCA1"), (V2G,)).path,
            station.check(pki().pem("SECC", "SubCA2", "SubCA1"), (LeafCertificateType.MO,)).result,
            listed(station),
        )

    before = answers()
    for number, path in enumerate(sorted((store.root / "ca" / "v2g").glob("*.pem"))):
        path.rename(path.with_name(f"{9 - number}_MO_ROOT_CSMS_TRUSTED.pem"))
    for number, path in enumerate(sorted((store.root / "client" / "cso").glob("*.pem"))):
        path.rename(path.with_name(f"{9 - number}_expired_untrusted.pem"))
    for number, path in enumerate(sorted((store.root / "client" / "keys").glob("*.key"))):
        path.rename(path.with_name(f"{9 - number}_other.key"))
    assert answers() == before


def listed(station: Station) -> list[tuple[str, str, str]]:
    """Who is installed as what, in no order."""
    found = station.interface().get_installed_certificates(certificate_types=tuple(CertificateType))
    return sorted(
        (chain.certificate_type, chain.certificate_hash_data.serial_number, below.serial_number if below else "")
        for chain in found.certificate_hash_data_chain
        for below in (None, *(chain.child_certificate_hash_data or ()))
    )
