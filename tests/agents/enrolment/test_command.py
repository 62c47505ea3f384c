"""Enrolment by a program: real programs, which sign, refuse, fail, never end, never stop, and leave children behind."""

import asyncio
import time
from pathlib import Path

import pytest

from evse_security.agents.enrolment.command import CommandPort
from evse_security.agents.enrolment.port import MOST_BYTES, Later, Refused, Signed
from evse_security.agents.enrolment.process import ProgramFailed, run
from evse_security.pki import pem
from tests.agents.enrolment.asking import enrol, needs_openssl, pki, request
from tests.builders import key


def script(directory: Path, body: str) -> tuple[str, ...]:
    path = directory / "enrol.sh"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return (str(path), str(directory))


@needs_openssl
def test_a_shell_script_signs_with_openssl(tmp_path: Path) -> None:
    made = pki()
    (tmp_path / "ca.pem").write_text(made["SubCA"].pem)
    (tmp_path / "ca.key").write_text(made["SubCA"].key_pem())
    body = 'openssl x509 -req -days 90 -CA "$1/ca.pem" -CAkey "$1/ca.key" -set_serial 77 2>/dev/null && cat "$1/ca.pem"'
    answer = enrol(CommandPort(script(tmp_path, body)))
    assert isinstance(answer, Signed)
    leaf, issuer = pem.chain(answer.chain, "the answer")
    assert (leaf.serial, issuer.pem) == (77, made["SubCA"].pem)
    assert leaf.public_key() == key("new").public_key()


def test_it_gets_its_arguments_the_request_and_nothing_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVSE_SECURITY_PRIVATE_KEY_PASSWORD", "secret")
    asked = request()
    answer = enrol(CommandPort((*script(tmp_path, 'cat; echo "$2"; env; pwd'), "$HOME; `id`")), asked)
    assert isinstance(answer, Signed)
    assert answer.chain.startswith(asked.csr + "$HOME; `id`\n")
    assert "LEAF_CERTIFICATE_TYPE=V2G" in answer.chain
    assert "secret" not in answer.chain
    assert answer.chain.endswith("\n/\n")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("echo 'not known here' >&2; exit 77", "ended with 77: not known here"),
        ("exit 1", "ended with 1: "),
        ("printf 'a\\033[31mb\\n' >&2; exit 75", "ended with 75: a [31mb"),
        ("kill -9 $$", "ended with -9: "),
    ],
)
def test_what_it_says_is_told(tmp_path: Path, body: str, expected: str) -> None:
    answer = enrol(CommandPort(script(tmp_path, body)))
    assert isinstance(answer, Refused if "77" in expected else Later)
    assert answer.reason == f"{tmp_path}/enrol.sh {expected}"


def test_a_program_that_is_not_there() -> None:
    assert enrol(CommandPort(("/nowhere/enrol",))) == Later("/nowhere/enrol cannot be run: No such file or directory")


def test_a_program_that_never_stops_talking_is_ended(tmp_path: Path) -> None:
    answer = enrol(CommandPort(script(tmp_path, "exec cat /dev/zero")))
    assert answer == Later(f"more than {MOST_BYTES} bytes came from the program")


def gone(process: int) -> bool:
    """Whether a process has ended (or waits only for whoever inherited it)."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("trap", ["", "trap '' TERM; "])
def test_a_program_that_never_ends_is_ended_with_its_children(tmp_path: Path, trap: str) -> None:
    body = f'{trap}sleep 1000 & echo $! > "$1/child"; echo $$ > "$1/self"; while true; do sleep 0.05; done'
    answer = enrol(CommandPort(script(tmp_path, body), seconds=1.5))
    assert answer == Later(f"{tmp_path}/enrol.sh did not end within 1.5 s")
    assert gone(int((tmp_path / "child").read_text()))
    assert gone(int((tmp_path / "self").read_text()))


def test_children_that_it_leaves_behind_hold_nothing_up(tmp_path: Path) -> None:
    answer = enrol(CommandPort(script(tmp_path, 'sleep 1000 & echo $! > "$1/child"; echo chain')))
    assert answer == Signed("chain\n")
    assert gone(int((tmp_path / "child").read_text()))


def test_whoever_stops_waiting_ends_the_program(tmp_path: Path) -> None:
    async def cancelled() -> None:
        command = script(tmp_path, 'echo $$ > "$1/pid"; sleep 1000')
        task = asyncio.create_task(CommandPort(command).enrol(request()))
        while not task.done() and not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert gone(int((tmp_path / "pid").read_text()))


def test_whoever_stops_waiting_before_it_has_begun_ends_it_too(tmp_path: Path) -> None:
    async def cancelled() -> None:
        command = script(tmp_path, 'sleep 1000 & echo $! > "$1/child"; echo $$ > "$1/self"; wait')
        task = asyncio.create_task(CommandPort(command).enrol(request()))
        await asyncio.sleep(0)
        time.sleep(0.2)  # the program begins meanwhile, and asyncio does not know it yet
        task.cancel()
        async with asyncio.timeout(10):
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancelled())
    for name in ("child", "self"):
        number = (tmp_path / name).read_text() if (tmp_path / name).exists() else ""
        assert not number or gone(int(number))


def test_a_program_need_not_read(tmp_path: Path) -> None:
    ended = asyncio.run(run(["/bin/true"], b"x" * 1_000_000, seconds=10))
    assert (ended.code, ended.output) == (0, b"")


def test_what_is_no_command() -> None:
    with pytest.raises(ProgramFailed, match="not a command"):
        asyncio.run(run(["/bin/true", "a\0b"], seconds=10))


def test_the_group_is_asked_before_it_is_ended(tmp_path: Path) -> None:
    body = "trap 'echo asked > \"$1/told\"; exit 0' TERM; while true; do sleep 0.05; done"
    enrol(CommandPort(script(tmp_path, body), seconds=1.5))
    assert (tmp_path / "told").read_text() == "asked\n"
