"""The program as a whole: help, subcommands, exit codes, and what its start costs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evse_security import EvseSecurityError, Station, StationConfig, __version__
from evse_security.cli import SUBCOMMANDS, main
from evse_security.errors import StoreFull
from tests.cli.conftest import Run

HEAVY = ("cryptography", "OpenSSL", "asyncio", "evse_security.vocabulary", "evse_security.config", "ssl", "tomllib")
"""What help must not wait for."""


def program(*argv: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "evse_security", *argv],
        input=stdin,
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
        timeout=60,
    )


def imported(*argv: str) -> set[str]:
    """The modules that are loaded once the program has run."""
    script = "import sys; from evse_security.cli import main; main(sys.argv[1:]); print('|'.join(sys.modules), end='')"
    ran = subprocess.run([sys.executable, "-c", script, *argv], capture_output=True, text=True, check=True, timeout=60)
    return set(ran.stdout.splitlines()[-1].split("|"))


@pytest.mark.parametrize("argv", [["--help"], ["--version"], []])
def test_help_imports_nothing_heavy(argv: list[str]) -> None:
    assert not imported(*argv) & set(HEAVY)


@pytest.mark.parametrize(
    "argv", [["call", "--list"], ["call", "get_key_pair", "--help"], ["config", "--help"], ["--certs", "/x", "config"]]
)
def test_help_of_subcommands_does_without_openssl(argv: list[str]) -> None:
    assert not imported(*argv) & {"cryptography", "OpenSSL", "asyncio", "ssl"}


def test_help_lists_every_subcommand(run: Run) -> None:
    ran = run("--help")
    assert (ran.code, ran.err) == (0, "")
    for name, subcommand in SUBCOMMANDS.items():
        assert f"  {name:{max(map(len, SUBCOMMANDS))}}  {subcommand.summary}\n" in ran.out


def test_the_version(run: Run) -> None:
    assert run("--version").out == f"evse-security {__version__}\n"


USAGE = [
    ([], "the following arguments are required: SUBCOMMAND"),
    (["nope"], "invalid choice: 'nope'"),
    (["--nope", "show"], "unrecognized arguments: --nope"),
    (["--cert=/x", "show"], "unrecognized arguments: --cert=/x"),
    (["show", "--cert", "/x"], "unrecognized arguments: --cert /x"),
    (["--csr-key-type", "rsa1024", "show"], "argument --csr-key-type: invalid choice: 'rsa1024'"),
]


@pytest.mark.parametrize(("argv", "problem"), USAGE, ids=[" ".join(each[0]) or "nothing" for each in USAGE])
def test_what_is_not_usage_exits_with_2(run: Run, argv: list[str], problem: str) -> None:
    ran = run(*argv)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("usage: evse-security")
    assert problem in ran.err


def test_any_key_of_the_configuration_may_stand_before_the_subcommand(run: Run) -> None:
    ran = run("--keep-newest", "3", "--certs", "/x", "config", "--json", "--csr-lifetime", "9")
    assert (ran.json["keep_newest"]["value"], ran.json["csr_lifetime"]["value"]) == (3, 9)


def test_subcommands_without_a_station_take_no_configuration(run: Run) -> None:
    ran = run("--certs", "/x", "pki")
    assert ran.code == 2
    assert ran.err.endswith("evse-security: error: pki takes no configuration of a station\n")


def test_a_subcommand_that_was_left_out_is_said() -> None:
    # None in sys.modules is how Python itself says that a module is not to be found.
    script = (
        "import sys; from evse_security.cli import main; sys.modules['evse_security.cli.pki'] = None; main(['pki'])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60)
    assert (ran.stdout, ran.stderr) == (b"", b"evse-security: pki is not part of this installation\n")


def raising(problem: BaseException) -> int:
    def opener(config: StationConfig) -> Station:
        raise problem

    return main(["--certs", "/x", "show"], environment={}, opener=opener)


def test_refusals_exit_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    refusal: EvseSecurityError = StoreFull("max_store_entries", 7)
    assert raising(refusal) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "evse-security: the store is full: max_store_entries = 7"


def test_an_interrupt_exits_with_130() -> None:
    assert raising(KeyboardInterrupt()) == 130


def test_a_fault_of_ours_leaves_a_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        raising(ZeroDivisionError())


# ---- as a process


def test_text_is_read_from_stdin(tmp_path: Path) -> None:
    arguments = b'{"certificate_type": "V2G"}'
    ran = program("--certs", str(tmp_path), "call", "get_leaf_expiry_days_count", "--json", "-", stdin=arguments)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"0\n", b"")
    ran = program("--certs", str(tmp_path), "check", "-", "--type", "V2G", stdin=b"-----BEGIN NOTHING-----")
    assert (ran.returncode, ran.stderr) == (1, b"")


def test_the_environment_configures(tmp_path: Path) -> None:
    ran = program("show", EVSE_SECURITY_CERTS=str(tmp_path))
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert f"V2G  {tmp_path}/ca/v2g/V2G_ROOT_CA.pem".encode() in ran.stdout


def test_a_locale_without_our_letters_is_no_reason_to_fail(certs: Path) -> None:
    ran = program("--certs", str(certs), "show", PYTHONIOENCODING="ascii")
    assert ran.returncode == 0
    assert b"`- root " in ran.stdout


@pytest.mark.parametrize("argv", [["call", "--list"], ["everest", "manifest"], ["serve", "--systemd-unit"]])
def test_a_reader_that_has_seen_enough_is_not_bothered(argv: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run(
        [sys.executable, "-m", "evse_security", *argv],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    os.close(write)
    assert (ran.returncode, ran.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("argv", [["--certs", "/x", "config"], ["--certs", "/", "show", "--json"]])
def test_an_answer_that_cannot_be_written_is_said_once(argv: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "evse_security", *argv], stdout=full, stderr=-1, check=False, timeout=60
        )
    assert ran.stderr == b"evse-security: the answer cannot be written: No space left on device\n"
    assert ran.returncode == 74


@pytest.mark.parametrize(("encoding", "branch"), [("ascii", b"`- root"), ("utf-8", "└─ root".encode())])
def test_branches_are_those_that_the_terminal_can_show(certs: Path, encoding: str, branch: bytes) -> None:
    ran = program("--certs", str(certs), "show", PYTHONIOENCODING=encoding)
    assert branch in ran.stdout
    assert b"\\u25" not in ran.stdout
