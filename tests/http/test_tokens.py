"""The file of tokens, sessions, and attempts."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from evse_security.errors import InvalidConfiguration
from evse_security.http.scopes import Scope
from evse_security.http.sessions import LASTS, MINUTE, MOST_FAILURES, MOST_PEERS, MOST_SESSIONS, Attempts, Sessions
from evse_security.http.tokens import LONGEST_FILE, TokenFile, digest, known
from tests.builders import NOW, at


def test_tokens_are_kept_as_digests_in_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "tokens.json"
    file = TokenFile(path)
    token = file.add("workshop", Scope.install, NOW, NOW + timedelta(days=1))
    assert token.startswith("evse_")
    assert len(token) > 40
    assert token not in path.read_text()
    assert token.removeprefix("evse_") not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(path.parent) == ["tokens.json"]
    [kept] = TokenFile(path).tokens()
    assert (kept.name, kept.scope, kept.created, kept.expires) == (
        "workshop", Scope.install, NOW, NOW + timedelta(days=1),
    )  # fmt: skip
    assert known([kept], digest(token), NOW) == kept
    assert known([kept], digest(token + "x"), NOW) is None


def test_a_token_expires_and_is_not_believed_without_a_clock(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "tokens.json")
    token = file.add("short", Scope.read, NOW, NOW + timedelta(days=1))
    always = file.add("always", Scope.read, NOW, None)
    tokens = file.tokens()
    for moment, valid in ((NOW, True), (NOW + timedelta(days=1), False), (at("1970-01-01"), False)):
        assert (known(tokens, digest(token), moment) is not None) is valid
        assert known(tokens, digest(always), moment) is not None


def test_names_are_given_once_and_revoked_tokens_are_gone(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    file = TokenFile(path)
    file.add("one", Scope.read, NOW, None)
    with pytest.raises(InvalidConfiguration, match="one already"):
        TokenFile(path).add("one", Scope.admin, NOW, None)
    for name in ("", "a b", "ä", "x" * 65, "a\n"):
        with pytest.raises(InvalidConfiguration, match="a name has"):
            file.add(name, Scope.read, NOW, None)
    assert len(file.tokens()) == 1
    assert TokenFile(path).revoke("one")
    assert file.tokens() == ()  # seen, though another wrote it
    assert not file.revoke("one")


def test_there_is_an_end_to_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evse_security.http.tokens.MOST_TOKENS", 3)
    file = TokenFile(tmp_path / "tokens.json")
    for number in range(3):
        file.add(f"n{number}", Scope.read, NOW, None)
    with pytest.raises(InvalidConfiguration, match="revoke some"):
        file.add("more", Scope.read, NOW, None)
    assert len(TokenFile(tmp_path / "tokens.json").tokens()) == 3


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"format": "other", "tokens": []}',
        b'{"format": "evse-security tokens 1", "tokens": [{}]}',
        b'{"format": "evse-security tokens 1", "tokens": 1}',
        b" " * (LONGEST_FILE + 1),
    ],
)  # fmt: skip
def test_a_damaged_file_gives_no_tokens_and_is_not_overwritten(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokens.json"
    path.write_bytes(content)
    path.chmod(0o600)
    file = TokenFile(path)
    with pytest.raises(InvalidConfiguration, match="http_tokens"):
        file.tokens()
    with pytest.raises(InvalidConfiguration, match="http_tokens"):
        file.add("one", Scope.read, NOW, None)
    assert path.read_bytes() == content


def test_a_file_that_others_may_read_or_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    file = TokenFile(path)
    file.add("one", Scope.read, NOW, None)
    path.chmod(0o640)
    with pytest.raises(InvalidConfiguration, match=r"mode 0640.*chmod 600"):
        file.tokens()
    path.unlink()
    with pytest.raises(InvalidConfiguration, match="cannot be used"):
        file.tokens()


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "tokens.json"
    os.mkfifo(pipe, 0o600)
    asking = ThreadPoolExecutor(1).submit(TokenFile(pipe).tokens)
    try:
        with pytest.raises(InvalidConfiguration, match="is not a file"):
            asking.result(5)
    finally:
        with suppress(OSError):  # whoever waits still
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))


def test_no_digest_is_half_written_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tokens.json"
    TokenFile(path).add("one", Scope.read, NOW, None)
    before = json.loads(path.read_text())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(InvalidConfiguration, match="No space left"):
            TokenFile(path).add("two", Scope.read, NOW, None)
    assert json.loads(path.read_text()) == before
    assert os.listdir(tmp_path) == ["tokens.json"]


def test_a_token_is_on_the_disk_before_it_is_told(tmp_path: Path, forced: list[str]) -> None:
    file = TokenFile(tmp_path / "service" / "tokens.json")
    file.add("one", Scope.read, NOW, None)
    directory = str(tmp_path / "service")
    assert [forced[0], Path(forced[1]).parent, *forced[2:]] == [str(tmp_path), Path(directory), directory]
    forced.clear()
    file.revoke("one")
    assert forced[1:] == [directory]


def test_sessions_end() -> None:
    sessions = Sessions()
    begun = sessions.begin("digest", 100.0)
    assert sessions.token(begun, 100.0 + LASTS - 1) == "digest"
    assert sessions.token(begun, 100.0 + LASTS) is None
    assert sessions.token("other", 100.0) is None
    assert begun not in repr(sessions)
    sessions.end(begun)
    assert sessions.token(begun, 100.0) is None
    first = sessions.begin("digest", 0.0)
    for _ in range(MOST_SESSIONS):
        sessions.begin("digest", 0.0)
    assert sessions.token(first, 0.0) is None


def test_who_fails_too_often_waits() -> None:
    attempts = Attempts()
    for number in range(MOST_FAILURES):
        assert attempts.wait("192.0.2.1", float(number)) == 0
        attempts.failed("192.0.2.1", float(number))
    assert attempts.wait("192.0.2.1", 10.0) == MINUTE - 10 + 1
    assert attempts.wait("192.0.2.2", 10.0) == 0
    assert attempts.wait("192.0.2.1", MINUTE) == 0
    attempts.failed("192.0.2.1", MINUTE)
    assert attempts.wait("192.0.2.1", MINUTE) == 0  # counted anew


def test_addresses_of_one_ipv6_network_are_one_and_there_is_an_end_to_them() -> None:
    attempts = Attempts()
    for number in range(MOST_FAILURES):
        attempts.failed(f"2001:db8::{number:x}", 0.0)
    assert attempts.wait("2001:db8::ffff", 1.0) > 0
    assert attempts.wait("2001:db8:0:1::1", 1.0) == 0
    for number in range(MOST_PEERS):
        attempts.failed(f"10.0.{number >> 8}.{number & 255}", 0.0)
    assert attempts.wait("2001:db8::1", 1.0) == 0
