"""The file or directory that consumers verify others with, as openssl reads it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import certificate_id
from evse_security.store.files import Files
from evse_security.vocabulary import CaCertificateType, InstallCertificateResult
from tests.builders import DAY, NOW, YEAR, world
from tests.laws.steps import FailingAt
from tests.laws.stores import Prepared, deleted

V2G = CaCertificateType.V2G
W = world(
    "A > LeafA",
    "B > LeafB",
    "Old > LeafOld",
    Old={"not_after": NOW - DAY},
    LeafOld={"not_before": NOW - YEAR},
)
BAD = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


class Bench:
    """A station with a V2G bundle, asked for what to verify with."""

    def __init__(self, store: Prepared, files: Files | None = None) -> None:
        self.store, self.station = store, store.station(files)
        self.bundle = store.config().v2g_ca_bundle

    def write(self, text: str | bytes, file: str = "") -> None:
        path = self.bundle / file if file else self.bundle
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    @property
    def file(self) -> str:
        return self.station.interface().get_verify_file(certificate_type=V2G)

    @property
    def location(self) -> str:
        return self.station.interface().get_verify_location(certificate_type=V2G)

    def delete(self, holder: str) -> None:
        root = Certificate(W[holder].der)
        assert deleted(self.station, certificate_id(root, root).hash_data) == "Accepted"


@pytest.fixture
def in_a_file(tmp_path: Path) -> Bench:
    return Bench(Prepared(tmp_path / "store"))


def in_directory(tmp_path: Path, files: Files | None = None, **overrides: Any) -> Bench:
    return Bench(Prepared(tmp_path / "store", {"v2g_ca_bundle": "ca/v2g", **overrides}), files)


def verifies(option: str, path: str, leaf: str, tmp_path: Path) -> bool:
    """Whether openssl verifies a leaf with nothing but that path as -CAfile or -CApath."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl program")
    (tmp_path / "leaf.pem").write_text(W[leaf].pem)
    nothing_else = [other for other in ("-no-CAfile", "-no-CApath") if not other.endswith(option)]
    time = str(int(NOW.timestamp()))
    done = subprocess.run(
        ["openssl", "verify", "-attime", time, *nothing_else, option, path, str(tmp_path / "leaf.pem")],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def test_a_bundle_is_both_file_and_location(in_a_file: Bench) -> None:
    in_a_file.write(W.pem("A", "B"))
    assert in_a_file.file == in_a_file.location == str(in_a_file.bundle)


@pytest.mark.parametrize("text", [None, "", "# nothing\n", W["Old"].pem, W["LeafA"].pem])
def test_fault_57_nothing_is_offered_without_a_valid_root(text: str | None, in_a_file: Bench, tmp_path: Path) -> None:
    if text is not None:
        in_a_file.write(text)
    assert in_a_file.file == in_a_file.location == ""
    directory = in_directory(tmp_path / "directory")
    if text is not None:
        directory.write(text, "x.pem")
    assert directory.file == directory.location == ""


def test_while_the_clock_is_not_believed_all_roots_are_offered(tmp_path: Path) -> None:
    store = Prepared(tmp_path)
    bench = Bench(store)
    bench.write(W["Old"].pem)
    asleep = store.station(now=NOW - 60 * YEAR)
    assert asleep.interface().get_verify_file(certificate_type=V2G) == str(bench.bundle)


@pytest.mark.parametrize(
    "text", [W["A"].pem + BAD + W["B"].pem, BAD + W["B"].pem + W["A"].pem], ids=["within", "first"]
)
def test_a_bundle_that_openssl_refuses_is_offered_as_a_copy_without_the_bad_block(
    text: str, in_a_file: Bench, tmp_path: Path
) -> None:
    in_a_file.write(text)
    assert not verifies("-CAfile", str(in_a_file.bundle), "LeafA", tmp_path)
    assert in_a_file.file == in_a_file.location != str(in_a_file.bundle)
    assert verifies("-CAfile", in_a_file.file, "LeafA", tmp_path)
    assert verifies("-CAfile", in_a_file.file, "LeafB", tmp_path)
    assert in_a_file.bundle.read_text() == text
    copy = in_a_file.file
    in_a_file.delete("A")
    assert not verifies("-CAfile", copy, "LeafA", tmp_path)
    assert verifies("-CAfile", copy, "LeafB", tmp_path)


def test_a_bad_bundle_is_offered_itself_where_no_copy_can_be_made(tmp_path: Path) -> None:
    bench = Bench(Prepared(tmp_path), FailingAt(0, 30, for_good=True))
    bench.write(W["A"].pem + BAD)
    assert bench.file == str(bench.bundle)


def test_a_bundle_in_der_is_offered_in_text(in_a_file: Bench, tmp_path: Path) -> None:
    in_a_file.write(W["A"].der)
    assert verifies("-CAfile", in_a_file.file, "LeafA", tmp_path)


def test_the_one_file_of_a_directory_that_holds_all_is_offered(tmp_path: Path) -> None:
    bench = in_directory(tmp_path)
    bench.write(W.pem("A", "B"), "all.pem")
    bench.write(W["Old"].pem, "old.pem")
    before = sorted(bench.store.root.rglob("*"))
    assert bench.file == str(bench.bundle / "all.pem")
    assert sorted(bench.store.root.rglob("*")) == before


def test_fault_57_all_roots_of_a_directory_are_in_the_file(tmp_path: Path) -> None:
    bench = in_directory(tmp_path)
    bench.write(W["A"].pem, "a.pem")
    bench.write(W["B"].der, "b.der")
    for leaf in ("LeafA", "LeafB"):
        assert verifies("-CAfile", bench.file, leaf, tmp_path)
        assert verifies("-CApath", bench.location, leaf, tmp_path)
    written = os.stat(bench.file)
    assert os.stat(bench.file) == written
    bench.delete("B")
    for option, path in (("-CAfile", bench.file), ("-CApath", bench.location)):
        assert verifies(option, path, "LeafA", tmp_path)
        assert not verifies(option, path, "LeafB", tmp_path)


def test_what_was_offered_before_trusts_no_deleted_root(tmp_path: Path) -> None:
    """Consumers keep the path: nothing of a deleted root may be found behind it, before anybody asks again."""
    bench = in_directory(tmp_path)
    bench.write(W["A"].der, "a.der")
    bench.write(W["B"].pem + BAD + W["A"].pem, "b.pem")
    bench.write(W["B"].pem, "b2.pem")
    file, location = bench.file, bench.location
    assert verifies("-CAfile", file, "LeafA", tmp_path)
    assert verifies("-CApath", location, "LeafA", tmp_path)
    bench.delete("A")
    assert not verifies("-CAfile", file, "LeafA", tmp_path)
    assert not verifies("-CApath", location, "LeafA", tmp_path)
    assert verifies("-CAfile", file, "LeafB", tmp_path)
    bench.file, bench.location  # noqa: B018  # asked for again
    assert verifies("-CApath", location, "LeafB", tmp_path)


def test_a_new_root_is_found_when_asked_for_again(tmp_path: Path) -> None:
    bench = in_directory(tmp_path)
    bench.write(W["A"].pem, "a.pem")
    assert bench.location
    answer = bench.station.interface().install_ca_certificate(certificate=W["B"].pem, certificate_type=V2G)
    assert answer is InstallCertificateResult.Accepted
    assert verifies("-CApath", bench.location, "LeafB", tmp_path)
    assert verifies("-CAfile", bench.file, "LeafB", tmp_path)


def hashed(tmp_path: Path) -> Bench:
    """A directory that is hashed already, on a disk that takes nothing more."""
    bench = in_directory(tmp_path)
    bench.write(W["A"].pem, "a.pem")
    assert bench.location
    return Bench(bench.store, FailingAt(0, 30, for_good=True))


def test_fault_58_a_directory_that_is_hashed_needs_no_writing(tmp_path: Path) -> None:
    bench = hashed(tmp_path)
    assert bench.location == str(bench.bundle)
    assert bench.file == str(bench.bundle / "a.pem")


def test_fault_58_links_that_cannot_be_tidied_up_do_no_harm(tmp_path: Path) -> None:
    bench = hashed(tmp_path)
    [link] = [path for path in bench.bundle.iterdir() if path.is_symlink()]
    link.with_suffix(".1").symlink_to("gone.pem")
    assert bench.location == str(bench.bundle)


def test_a_directory_that_cannot_be_hashed_is_not_offered(tmp_path: Path) -> None:
    bench = hashed(tmp_path)
    bench.write(W["B"].pem, "b.pem")
    assert bench.location == bench.file == ""


HIDING = W["A"].pem + "#" * 254 + W["B"].pem


def test_a_root_that_only_others_would_find_is_not_handed_out(in_a_file: Bench, tmp_path: Path) -> None:
    in_a_file.write(HIDING)
    for path in (in_a_file.file, in_a_file.location):
        assert path != str(in_a_file.bundle)
        assert verifies("-CAfile", path, "LeafA", tmp_path)
        assert not verifies("-CAfile", path, "LeafB", tmp_path)
    assert in_a_file.bundle.read_text() == HIDING


def test_a_bundle_that_may_hide_a_root_is_not_offered_where_no_copy_can_be_made(tmp_path: Path) -> None:
    bench = Bench(Prepared(tmp_path), FailingAt(0, 30, for_good=True))
    bench.write(HIDING)
    assert bench.file == bench.location == ""


def test_files_put_together_without_a_newline_are_offered_as_openssl_reads_them(
    in_a_file: Bench, tmp_path: Path
) -> None:
    in_a_file.write(W["A"].pem.rstrip() + W["B"].pem)
    for leaf in ("LeafA", "LeafB"):
        assert verifies("-CAfile", in_a_file.file, leaf, tmp_path)


def test_a_link_to_a_file_that_is_no_longer_fit_leads_to_its_copy(tmp_path: Path) -> None:
    """OpenSSL would read the file itself, and with it a root that nobody here sees."""
    bench = in_directory(tmp_path)
    bench.write(W["A"].pem, "a.pem")
    assert bench.location
    bench.write(HIDING, "a.pem")
    assert verifies("-CApath", bench.location, "LeafA", tmp_path)
    assert {os.readlink(path) for path in bench.bundle.iterdir() if path.is_symlink()} == {"bundle/a.pem.pem"}
