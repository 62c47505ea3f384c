"""A directory hashed for OpenSSL: what it finds there, and what of others stays."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from evse_security.lab.authority import name
from evse_security.pki.certificate import Certificate
from evse_security.store.changes import Link, Remove
from evse_security.store.reading import read_certificates
from evse_security.store.rehash import copies, every_one_is_found, links, name_of
from evse_security.store.snapshot import CertificateFile
from tests.builders import NOW, world

SAME = {"subject": name(CN="Same", O="Test")}
W = world("A > LeafA", "B > LeafB", "C > LeafC", "Other > Leaf", A=SAME, B=SAME, C=SAME)
"""A, B and C are roots of one subject with different keys."""


def subject_hash(holder: str) -> str:
    return f"{Certificate(W[holder].der).subject_hash:08x}"


SAME_HASH, OTHER_HASH = subject_hash("A"), subject_hash("Other")


def files(directory: Path) -> list[CertificateFile]:
    """The certificate files of a directory, as the store reads them."""
    return [
        read_certificates(str(path), path.read_bytes())
        for path in sorted(directory.iterdir())
        if path.suffix in (".pem", ".der") and path.is_file()
    ]


def rehash(directory: Path) -> None:
    """Do what is planned, in its order."""
    for copy in copies(directory, files(directory)):
        copy.path.parent.mkdir(exist_ok=True)
        copy.path.write_bytes(copy.content)
    for change in links(directory, files(directory)):
        change.path.unlink(missing_ok=True)
        if isinstance(change, Link):
            change.path.symlink_to(change.leads_to)
        else:
            assert isinstance(change, Remove)
    assert links(directory, files(directory)) == []


def found(directory: Path) -> dict[str, str]:
    return {path.name: os.readlink(path) for path in sorted(directory.iterdir()) if path.is_symlink()}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "roots").mkdir()
    return tmp_path / "roots"


def write(directory: Path, **texts: str) -> None:
    for stem, text in texts.items():
        (directory / f"{stem}.pem").write_text(text)


def verifies(directory: Path, leaf: str, tmp_path: Path) -> bool:
    """Whether openssl verifies a leaf with the roots that it finds in that directory."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl program")
    path = tmp_path / f"{leaf}.pem"
    path.write_text(W[leaf].pem)
    time = str(int(NOW.timestamp()))
    arguments = [program, "verify", "-attime", time, "-no-CAfile", "-no-CAstore", "-CApath", str(directory), str(path)]
    return subprocess.run(arguments, capture_output=True, check=False).returncode == 0


def test_roots_of_one_subject_are_numbered_without_a_gap(directory: Path, tmp_path: Path) -> None:
    write(directory, a=W["A"].pem, b=W["B"].pem, c=W["C"].pem, other=W["Other"].pem)
    assert not verifies(directory, "LeafB", tmp_path)
    rehash(directory)
    assert found(directory) == {
        f"{SAME_HASH}.0": "a.pem",
        f"{SAME_HASH}.1": "b.pem",
        f"{SAME_HASH}.2": "c.pem",
        f"{OTHER_HASH}.0": "other.pem",
    }
    assert all(verifies(directory, leaf, tmp_path) for leaf in ("LeafA", "LeafB", "LeafC", "Leaf"))


def test_fault_58_a_file_of_several_roots_is_found_under_each(directory: Path, tmp_path: Path) -> None:
    write(directory, all=W.pem("A", "Other", "B"))
    rehash(directory)
    assert found(directory) == {f"{SAME_HASH}.0": "all.pem", f"{OTHER_HASH}.0": "all.pem"}
    assert all(verifies(directory, leaf, tmp_path) for leaf in ("LeafA", "LeafB", "Leaf"))
    assert not verifies(directory, "LeafC", tmp_path)


def test_roots_in_der_and_beside_bad_blocks_are_found_through_a_copy(directory: Path, tmp_path: Path) -> None:
    (directory / "a.der").write_bytes(W["A"].der)
    write(directory, b=W["B"].pem + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + W["Other"].pem)
    rehash(directory)
    assert set(found(directory).values()) == {"bundle/a.der.pem", "bundle/b.pem.pem"}
    assert all(verifies(directory, leaf, tmp_path) for leaf in ("LeafA", "LeafB", "Leaf"))


@pytest.mark.parametrize("gone", ["a", "b", "c"])
def test_what_is_gone_is_not_found_any_more_and_what_stays_is(gone: str, directory: Path, tmp_path: Path) -> None:
    write(directory, a=W["A"].pem, b=W["B"].pem, c=W["C"].pem)
    rehash(directory)
    (directory / f"{gone}.pem").unlink()
    planned = links(directory, files(directory))
    kinds = [type(change) for change in planned]
    assert kinds == sorted(kinds, key=[Link, Remove].index)
    rehash(directory)
    assert list(found(directory)) == [f"{SAME_HASH}.0", f"{SAME_HASH}.1"]
    for stem, leaf in {"a": "LeafA", "b": "LeafB", "c": "LeafC"}.items():
        assert verifies(directory, leaf, tmp_path) is (stem != gone)


def test_a_copy_whose_file_is_gone_is_not_found_any_more(directory: Path, tmp_path: Path) -> None:
    (directory / "a.der").write_bytes(W["A"].der)
    rehash(directory)
    (directory / "a.der").unlink()
    assert verifies(directory, "LeafA", tmp_path)
    rehash(directory)
    assert not verifies(directory, "LeafA", tmp_path)


def test_a_file_that_holds_another_root_now_is_led_to_under_its_hash(directory: Path, tmp_path: Path) -> None:
    write(directory, a=W["A"].pem)
    rehash(directory)
    write(directory, a=W["Other"].pem)
    rehash(directory)
    assert found(directory) == {f"{OTHER_HASH}.0": "a.pem"}
    assert verifies(directory, "Leaf", tmp_path)


def test_the_work_of_others_stays(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.pem").write_text(W["C"].pem)
    theirs = {
        f"{SAME_HASH}.0": str(tmp_path / "elsewhere.pem"),
        "01234567.0": "../elsewhere.pem",
        f"{SAME_HASH}.r0": "list.crl",
        "89abcdef.3": "notes.txt",
        "link.txt": "nowhere",
    }
    (directory / "notes.txt").write_text("")
    for link, target in theirs.items():
        (directory / link).symlink_to(target)
    (directory / f"{OTHER_HASH}.0").write_text("a file of somebody")
    write(directory, a=W["A"].pem, other=W["Other"].pem)
    rehash(directory)
    assert found(directory) == theirs | {f"{SAME_HASH}.1": "a.pem", f"{OTHER_HASH}.1": "other.pem"}
    assert (directory / f"{OTHER_HASH}.0").read_text() == "a file of somebody"
    assert all(verifies(directory, leaf, tmp_path) for leaf in ("LeafA", "LeafC"))


def test_links_beyond_a_gap_are_moved_and_doubles_removed(directory: Path, tmp_path: Path) -> None:
    write(directory, a=W["A"].pem, b=W["B"].pem)
    for number, target in {1: "b.pem", 2: "b.pem", 4: "a.pem"}.items():
        (directory / f"{SAME_HASH}.{number}").symlink_to(target)
    assert not verifies(directory, "LeafA", tmp_path)
    rehash(directory)
    assert found(directory) == {f"{SAME_HASH}.0": "a.pem", f"{SAME_HASH}.1": "b.pem"}


HASHERS = [program for program in (("openssl", "rehash"), ("c_rehash",)) if shutil.which(program[0])]


@pytest.mark.parametrize("program", HASHERS, ids=" ".join)
def test_what_openssl_itself_hashed_needs_no_change(program: tuple[str, ...], directory: Path) -> None:
    """Its order is its own, and of two copies of a root it links one."""
    write(directory, c=W["C"].pem, a=W["A"].pem, copy_of_a=W["A"].pem, other=W["Other"].pem)
    subprocess.run([*program, str(directory)], check=True, capture_output=True)
    assert len(found(directory)) == (6 if program[0] == "c_rehash" else 3)  # which knows an old hash as well
    assert links(directory, files(directory)) == []


def test_openssl_hashes_ours_to_the_same(directory: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl program")
    write(directory, a=W["A"].pem, b=W["B"].pem, other=W["Other"].pem)
    rehash(directory)
    ours = found(directory)
    subprocess.run(["openssl", "rehash", str(directory)], check=True, capture_output=True)
    assert set(found(directory)) == set(ours)
    assert sorted(found(directory).values()) == sorted(ours.values())


def test_tidying_up_is_told_from_what_is_missing(directory: Path) -> None:
    write(directory, a=W["A"].pem)
    assert not every_one_is_found(links(directory, files(directory)))
    rehash(directory)
    (directory / f"{SAME_HASH}.1").symlink_to("gone.pem")
    planned = links(directory, files(directory))
    assert planned == [Remove(directory / f"{SAME_HASH}.1")]
    assert every_one_is_found(planned)


def test_names_of_links() -> None:
    text = read_certificates("/ca/a.pem", W["A"].pem.encode())
    binary = read_certificates("/ca/a.pem", W["A"].der)
    assert (name_of(text), name_of(binary)) == ("a.pem", "bundle/a.pem.pem")
