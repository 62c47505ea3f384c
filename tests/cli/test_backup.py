"""`evse-security backup` and `restore`: one file, whole or not there, verified before anything is touched."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from tests.builders import world
from tests.cli.conftest import Run


@pytest.fixture
def saved(run: Run, certs: Path, tmp_path: Path) -> Path:
    assert run("--certs", certs, "backup", tmp_path / "backup.tar", "--unencrypted").code == 0
    return tmp_path / "backup.tar"


def files(directory: Path) -> dict[str, bytes]:
    """Those of the store."""
    found = (path for path in directory.rglob("*") if path.suffix in (".pem", ".key"))
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


def test_a_backup_says_what_is_in_it_and_warns_of_plain_keys(run: Run, certs: Path, tmp_path: Path) -> None:
    ran = run("--certs", certs, "backup", tmp_path / "backup.tar", "--unencrypted")
    assert ran.code == 0
    assert ran.out.startswith(f"{tmp_path}/backup.tar: {len(files(certs))} files, ")
    assert "private keys that anybody who reads it can use" in ran.err
    again = run("--certs", certs, "backup", tmp_path / "backup.tar", "--unencrypted")
    assert (again.code, again.out) == (1, "")
    assert "there is such a file already" in again.err


def test_keys_in_plain_must_be_asked_for(run: Run, certs: Path, tmp_path: Path) -> None:
    ran = run("--certs", certs, "backup", tmp_path / "backup.tar")
    assert (ran.code, ran.out) == (2, "")
    assert "--passphrase-file --unencrypted is required" in ran.err
    assert not (tmp_path / "backup.tar").exists()


def test_restoring_says_what_was_changed(run: Run, certs: Path, saved: Path) -> None:
    before = files(certs)
    bundle = certs / "ca/mo/MO_ROOT_CA.pem"
    bundle.unlink()
    would = run("--certs", certs, "restore", saved, "--dry-run")
    assert (would.code, would.out, would.err) == (0, f"would be added: {bundle}\n", "")
    assert not bundle.exists()
    ran = run("--certs", certs, "restore", saved)
    assert (ran.code, ran.out) == (0, f"added: {bundle}\n")
    assert ran.err == f"evse-security: what was there before is in {saved}.before-20300101T000000Z\n"
    assert files(certs) == before
    again = run("--certs", certs, "restore", saved)
    assert (again.code, again.out) == (0, "nothing to change: all is as it was on 2030-01-01T00:00:00Z\n")


def test_the_backup_of_another_station_is_warned_of(run: Run, certs: Path, saved: Path, tmp_path: Path) -> None:
    """It is not refused: a station may have got a new name."""
    assert run("--certs", tmp_path / "new", "restore", saved, "--dry-run").err == ""  # nothing is installed
    for path in (certs / "client").rglob("*.pem"):
        path.unlink()
    (certs / "client/cso/another.pem").write_text(world("Root > Another")["Another"].pem)
    warning = "evse-security: is this the right backup? Of its leaves none has the name of one that is installed: "
    for options in (["--dry-run"], []):
        told = run("--certs", certs, "restore", saved, "--json", *options)
        assert (told.code, told.err) == (0, "")
        assert told.json["strange_names"]["installed"] == ["CN=Another, O=Test"]
        ran = run("--certs", certs, "restore", saved, "--dry-run")
        assert (ran.code, warning in ran.err) == (0, bool(options))
    assert told.json["strange_names"]["in_backup"]
    assert told.json["kept"] == f"{saved}.before-20300101T000000Z"
    assert {"what": "added", "path": f"{certs}/client/cso/SECC_LEAF.pem"} in told.json["changes"]


def test_exactly(run: Run, certs: Path, saved: Path, tmp_path: Path) -> None:
    before = files(certs)
    shutil.copy(certs / "ca/mo/MO_ROOT_CA.pem", certs / "client/cso/extra.pem")
    kept = tmp_path / "kept"
    ran = run("--certs", certs, "restore", saved, "--exact", "--keep", kept)
    assert (ran.code, ran.out) == (0, f"removed: {certs}/client/cso/extra.pem\n")
    assert kept.exists()
    assert files(certs) == before


def test_to_another_machine(run: Run, certs: Path, saved: Path, tmp_path: Path) -> None:
    assert run("--certs", tmp_path / "new", "restore", saved).code == 0
    assert files(tmp_path / "new") == files(certs)


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 2048])
def test_what_is_no_backup_is_said(run: Run, certs: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad").write_bytes(content)
    ran = run("--certs", certs, "restore", tmp_path / "bad")
    assert (ran.code, ran.out) == (1, "")
    assert f"{tmp_path}/bad: " in ran.err


def test_with_a_passphrase(run: Run, certs: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyrage")
    (tmp_path / "passphrase").write_text("correct horse\n")
    (tmp_path / "other").write_text("wrong\n")
    (tmp_path / "nothing").write_text("\n")
    path = tmp_path / "backup.age"
    ran = run("--certs", certs, "backup", path, "--passphrase-file", tmp_path / "passphrase")
    assert (ran.code, ran.err) == (0, "")
    wrong = run("--certs", certs, "restore", path, "--passphrase-file", tmp_path / "other")
    assert (wrong.code, wrong.out) == (1, "")
    assert "the passphrase is wrong" in wrong.err
    assert run("--certs", certs, "restore", path, "--passphrase-file", tmp_path / "nothing").code == 2
    assert run("--certs", tmp_path / "new", "restore", path, "--passphrase-file", tmp_path / "passphrase").code == 0
    assert files(tmp_path / "new") == files(certs)


def test_the_memory_in_which_passwords_are_is_shielded(certs: Path, tmp_path: Path) -> None:
    """No core dump is made of it."""
    backing_up = ["--certs", str(certs), "backup", str(tmp_path / "backup.age"), "--passphrase-file", "-"]
    program = [sys.executable, "-m", "evse_security", *backing_up]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        until, shielded = time.monotonic() + 30, False
        while not shielded and time.monotonic() < until:
            limits = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
            shielded = any(line.split()[:6] == ["Max", "core", "file", "size", "0", "0"] for line in limits)
            time.sleep(0.05)
        assert process.poll() is None
        process.kill()
        assert shielded


def typing(program: list[str | Path], passphrase: str) -> bytes:
    """What a program prints that asks for a passphrase on its terminal."""
    import pty

    out, into = os.pipe()
    child, terminal = pty.fork()
    if child == 0:
        os.dup2(into, 1)
        os.execvp(program[0], [str(part) for part in program])  # noqa: S606
    os.close(into)
    os.read(terminal, 100)  # the question
    os.write(terminal, f"{passphrase}\n".encode())
    with os.fdopen(out, "rb") as file:
        printed = file.read()
    os.waitpid(child, 0)
    os.close(terminal)
    return printed


@pytest.mark.skipif(shutil.which("age") is None or sys.platform != "linux", reason="age is not installed")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_program_age_opens_it(run: Run, certs: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyrage")
    (tmp_path / "passphrase").write_text("correct horse\n")
    path = tmp_path / "backup.age"
    assert run("--certs", certs, "backup", path, "--passphrase-file", tmp_path / "passphrase").code == 0
    with tarfile.open(fileobj=io.BytesIO(typing(["age", "-d", path], "correct horse"))) as found:
        names = found.getnames()
    assert names[0] == "manifest.json"
    assert len(names) == 1 + len(files(certs))


def test_help_of_both(run: Run) -> None:
    for name in ("backup", "restore"):
        assert run(name, "--help").code == 0
    assert subprocess.run([sys.executable, "-c", "import evse_security.cli.backup"], check=False).returncode == 0
