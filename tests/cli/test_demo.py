"""`evse-security demo`: the life of a charging station, on a real directory and by the real clock."""

import fcntl
import io
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from datetime import timedelta
from pathlib import Path

import pytest

from evse_security.cli.voice import Unusable
from evse_security.clock import system_clock
from evse_security.demo.home import UNFINISHED, home
from evse_security.demo.play import RENEWED_IN_VIEW, play
from evse_security.interface import REVISIONS
from evse_security.pki import pem
from evse_security.serve.command import commands
from tests.builders import NOW, YEAR
from tests.cli.conftest import Run

ROOTS = [f"certs/ca/{domain.lower()}/{domain}_ROOT_CA.pem" for domain in ("V2G", "MO", "CSMS", "MF")]
PROGRAM = [sys.executable, "-m", "evse_security", "demo"]


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def names(directory: Path, pattern: str) -> set[str]:
    return {path.name for path in directory.glob(pattern)}


def steps(out: str, mark: str) -> list[str]:
    return [line for line in out.splitlines() if line.startswith(f"  {mark} ")]


@pytest.fixture
def played(run: Run, tmp_path: Path) -> Path:
    """The directory of a run that went well."""
    assert run("demo", "--directory", tmp_path / "station").code == 0
    return tmp_path / "station"


# ---- one run after the other


def test_the_first_run_gives_every_expected_answer(run: Run, tmp_path: Path) -> None:
    ran = run("demo", "--directory", tmp_path / "station")
    assert (ran.code, ran.err, steps(ran.out, "✗")) == (0, "", [])
    lines = ran.out.splitlines()
    assert lines[0] == f"The life of a charging station begins in a new directory: {tmp_path}/station"
    assert f"All {len(steps(ran.out, '✓'))} steps gave the expected answer" in lines


def test_every_command_of_both_revisions_has_a_step(run: Run, tmp_path: Path) -> None:
    ran = run("demo", "--directory", tmp_path)
    called = {line.split()[1] for line in steps(ran.out, "✓")}
    assert {name for revision in REVISIONS for name in commands(revision)} - called == set()
    assert "  13 of 13 commands of 2023-10, 16 of 16 commands of 2026-04; " in ran.out


def test_what_is_installed_is_told_as_a_tree(run: Run, tmp_path: Path) -> None:
    tree = run("demo", "--directory", tmp_path).out.partition("What is installed\n")[2].splitlines()
    assert [line.split()[0] for line in tree if line.startswith("  ") and "_ROOT_CA.pem" in line] == [
        "V2G",
        "MO",
        "CSMS",
        "MF",
    ]
    [root, sub_ca1, sub_ca2, leaf] = tree[1:5]
    assert root.startswith("  └─ root CN=V2G Root CA: valid until ")
    assert sub_ca1.startswith("     └─ sub-CA CN=CPO Sub-CA 1: valid until ")
    assert sub_ca2.startswith("        └─ sub-CA CN=CPO Sub-CA 2: valid until ")
    assert leaf.startswith("           └─ leaf CN=DEDMOE000001: serial ")
    assert all("EC 256, OCSP good until " in line for line in (sub_ca1, sub_ca2, leaf))
    assert leaf.endswith("; in use: the newest that is valid and has its key")


def test_a_second_run_goes_on(run: Run, played: Path) -> None:
    before = contents(played)
    ran = run("demo", "--directory", played)
    after = contents(played)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"The life of a charging station goes on: {played}\n")
    assert ran.out.count("Accepted: installed already, no second copy") == 4
    kept = [name for name in before if name.startswith("pki/") and name != "pki/tls_server.pem"]
    assert {name: after[name] for name in [*kept, *ROOTS]} == {name: before[name] for name in [*kept, *ROOTS]}
    assert [len(pem.blocks(after[name])) for name in ROOTS] == [1, 1, 1, 1]


def test_leaves_are_renewed_with_new_keys(run: Run, played: Path) -> None:
    secc, csms = played / "certs/client/cso", played / "certs/client/csms"
    before = {directory: names(directory, "*.pem") | names(directory, "*.key") for directory in (secc, csms)}
    assert run("demo", "--directory", played).code == 0
    after = {directory: names(directory, "*.pem") | names(directory, "*.key") for directory in (secc, csms)}
    assert len(before[secc]) == len(after[secc]) == 3
    assert before[secc] & after[secc] == set(), "the SECC leaf of the first run is deleted with its key"
    assert before[csms] < after[csms], "CSMS leaves are never deleted"
    assert len(after[csms]) == 6


def test_leaves_renewed_long_ago_are_counted_and_not_shown(run: Run, played: Path) -> None:
    for _ in range(RENEWED_IN_VIEW + 1):
        ran = run("demo", "--directory", played)
    tree = ran.out.partition("What is installed\n")[2]
    assert tree.count("not used: another leaf is newer, the one in ") == RENEWED_IN_VIEW
    assert "CN=CSMS Sub-CA (earlier leaves not shown: 1):" in tree


def test_without_a_directory_it_plays_in_station(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path / "nobody")}
    done = subprocess.run(PROGRAM, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert names(tmp_path, "*") == {"station"}
    assert names(tmp_path / "station", "*") == {"certs", "pki", "firmware"}


# ---- what is told


def test_nothing_secret_is_told(run: Run, tmp_path: Path) -> None:
    assert "-----BEGIN" not in run("demo", "--directory", tmp_path).out


@pytest.mark.parametrize(("encoding", "mark"), [("ascii", "+"), ("latin-1", "+"), ("utf-8", "✓")])
def test_marks_and_branches_are_those_that_the_terminal_can_show(tmp_path: Path, encoding: str, mark: str) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with redirect_stdout(terminal), home(tmp_path, system_clock()) as place:
        assert play(place, tmp_path) == 0
    terminal.seek(0)
    lines = terminal.read().splitlines()
    assert sum(line.startswith(f"  {mark} ") for line in lines) > 40


# ---- when something is wrong


def test_a_step_without_its_expected_answer_makes_it_fail_and_go_on(run: Run, played: Path) -> None:
    bundle = played / ROOTS[3]
    shutil.rmtree(bundle.parent)
    bundle.parent.write_text("not a directory")
    ran = run("demo", "--directory", played)
    assert (ran.code, ran.err) == (1, "")
    failed = steps(ran.out, "✗")
    assert failed[0].split(maxsplit=3)[1:3] == ["install_ca_certificate", "MF"]
    reason = f"NotWritable: {bundle} could not be written: Not a directory"
    assert failed[0].endswith(f"expected Accepted, got WriteError; install_ca_certificate refused: {reason}")
    done = len(steps(ran.out, "✓"))
    assert f"\n{len(failed)} of {len(failed) + done} steps did not give the expected answer\n" in ran.out
    assert ran.out.count("charging can begin") == 1, "what does not need the MF root is done all the same"


def test_what_needs_the_failed_step_fails_with_it(run: Run, played: Path) -> None:
    """A directory in which nothing can be made: no key, so no request, no chain, no connection."""
    shutil.rmtree(played / "certs/client")
    (played / "certs/client").symlink_to("/proc")
    ran = run("demo", "--directory", played)
    assert (ran.code, ran.err) == (1, "")
    assert any(
        line.endswith("expected Accepted, got nothing, because there is no V2G chain") for line in ran.out.splitlines()
    )
    assert sum(line.startswith("  ✗ (car)") for line in ran.out.splitlines()) == 2


def test_a_run_that_was_killed_anywhere_can_be_gone_on_with(run: Run, tmp_path: Path) -> None:
    for lines in (1, 7, 15, 19, 24, 41, 53, 60):
        with subprocess.Popen(
            [*PROGRAM, "--directory", str(tmp_path)],
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            assert process.stdout is not None
            told = [process.stdout.readline().decode() for _ in range(lines)]
            process.kill()
        assert steps("".join(told), "✗") == []
    ran = run("demo", "--directory", tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert [len(pem.blocks((tmp_path / name).read_bytes())) for name in ROOTS] == [1, 1, 1, 1]


def test_a_pki_that_was_not_made_to_its_end_is_made_again(run: Run, tmp_path: Path) -> None:
    (tmp_path / UNFINISHED).mkdir()
    (tmp_path / UNFINISHED / "V2G_ROOT_CA.key").write_text("half of a k")
    assert run("demo", "--directory", tmp_path).code == 0
    assert names(tmp_path, ".*") == set()


# ---- directories that it does not take


def refused(run: Run, directory: Path, problem: str) -> None:
    before = contents(directory)
    ran = run("demo", "--directory", directory)
    assert (ran.code, ran.out, ran.err) == (2, "", f"evse-security: {problem}\n")
    assert contents(directory) == before


def test_a_directory_that_no_demo_made_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "certs/ca/v2g").mkdir(parents=True)
    refused(run, tmp_path, f"{tmp_path} holds something that no demo made: take another --directory")


def test_a_directory_in_use_is_refused(run: Run, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        refused(run, tmp_path, f"{tmp_path} is in use by another demo")
    finally:
        os.close(descriptor)


def test_a_place_that_cannot_be_written_is_told_by_its_path(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(run, tmp_path / "file" / "station", f"{tmp_path}/file/station cannot be used: Not a directory")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("pki.json", "[", "JSONDecodeError"),
        ("pki.json", "{}", "ValueError"),
        ("CPO_SUB_CA2.pem", "", "ValueError"),
        ("CPO_SUB_CA2.key", None, "FileNotFoundError"),
    ],
)
def test_a_pki_that_lost_something_is_refused(run: Run, played: Path, name: str, content: str | None, why: str) -> None:
    (played / "pki" / name).unlink()
    if content is not None:
        (played / "pki" / name).write_text(content)
    advice = "take another --directory, or remove this one"
    refused(run, played, f"{played}/pki is no whole PKI of an earlier run ({why}): {advice}")


def test_a_pki_is_used_as_long_as_all_of_its_cas_are_valid(tmp_path: Path) -> None:
    with home(tmp_path, NOW) as first:
        assert first.is_new
    with home(tmp_path, NOW + 2 * YEAR - timedelta(days=2)) as second:
        assert (second.is_new, list(second.pki)) == (False, list(first.pki))
    with (
        pytest.raises(Unusable, match=r"/pki is a PKI from 2029-12-31 to 2031-12-31, today is not: "),
        home(tmp_path, NOW + 2 * YEAR),
    ):
        pass
