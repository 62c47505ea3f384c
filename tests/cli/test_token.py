"""`evse-security token`: what it prints, keeps and refuses."""

from pathlib import Path

from evse_security.cli.token import SCOPES
from evse_security.http.scopes import Scope
from evse_security.http.tokens import TokenFile, digest
from tests.cli.conftest import Run


def test_a_token_is_made_listed_and_revoked(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "new" / "tokens.json"
    where = ("--http-tokens", path)
    made = run(*where, "token", "add", "workshop", "--scope", "install", "--days", "90")
    assert made.code == 0
    token = made.out.strip()
    assert token.startswith("evse_")
    [kept] = TokenFile(path).tokens()
    assert (kept.name, kept.scope, kept.sha256) == ("workshop", Scope.install, digest(token))
    assert kept.expires is not None
    assert (kept.expires - kept.created).days == 90
    listed = run(*where, "token", "list")
    assert listed.out.startswith("workshop: install, made ")
    assert token not in listed.out
    assert run(*where, "token", "revoke", "workshop").code == 0
    assert run(*where, "token", "list").out == ""
    again = run(*where, "token", "revoke", "workshop")
    assert (again.code, again.err) == (1, "evse-security: there is no token workshop\n")


def test_what_cannot_be_done_is_said(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    assert "no file of tokens is configured" in run("token", "list").err
    assert run("token", "list").code == 2
    missing = run("--http-tokens", path, "token", "list")
    assert (missing.code, "No such file" in missing.err) == (2, True)
    assert run("--http-tokens", path, "token", "add", "a b", "--scope", "read").code == 2
    assert run("--http-tokens", path, "token", "add", "a").code == 2
    assert run("--http-tokens", path, "token", "add", "a", "--scope", "root").code == 2
    assert run("--http-tokens", path, "token", "add", "a", "--scope", "read", "--days", "0").code == 2
    assert not path.exists()


def test_the_file_is_the_configurations(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "evse.toml"
    config.write_text('http_tokens = "tokens.json"\n')
    assert run("--config", config, "token", "add", "a", "--scope", "read").code == 0
    assert (tmp_path / "tokens.json").exists()


def test_the_words_are_those_of_the_scopes() -> None:
    assert tuple(Scope) == SCOPES
