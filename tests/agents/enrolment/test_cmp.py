"""Enrolment by CMP against OpenSSL's own server (`openssl cmp -port`), which sends the certificate that it is given."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from evse_security.agents.enrolment.cmp import CmpPort, CmpServer
from evse_security.agents.enrolment.port import Answer, Later, Refused, Signed
from evse_security.errors import InvalidConfiguration
from evse_security.lab.authority import LEAF, name
from evse_security.pki import pem
from tests.agents.enrolment.asking import enrol, in_use, needs_openssl, pki, request
from tests.agents.enrolment.cmp_server import VALID, Mock
from tests.agents.enrolment.servers import silent_server, tls_front
from tests.builders import key, signing_request, world

pytestmark = needs_openssl


@pytest.fixture
def mock(tmp_path: Path) -> Mock:
    made = pki()
    ra = world("V2GRoot > RA", V2GRoot=VALID, RA=VALID)
    assert ra["V2GRoot"].key is made["V2GRoot"].key
    made.entities["RA"] = made["V2GRoot"].issue(key("RA"), replace(LEAF, **VALID, subject=ra["RA"].certificate.subject))
    return Mock(tmp_path, made)


def names(answer: Answer) -> list[str]:
    assert isinstance(answer, Signed), answer
    return [one.name.partition(",")[0] for one in pem.chain(answer.chain, "the answer")]


def test_the_first_leaf_by_a_shared_secret(mock: Mock) -> None:
    asked = request()
    with mock.up([*mock.secret(), *mock.leaf(asked)]) as url:
        answer = mock.ask(url, asked)
    assert names(answer) == ["CN=SECC1", "CN=SubCA"]


@pytest.mark.parametrize("password", [None, "pass word"])
def test_a_leaf_is_updated_with_the_keys_of_both(mock: Mock, tmp_path: Path, password: str | None) -> None:
    """OpenSSL's server takes only updates to a certificate of the old serial number."""
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    pem_of_key = key("new").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()
    new = mock.file("new.key", pem_of_key)
    asked = request(leaf=in_use(mock.pki, tmp_path, password), key=new, key_password=password)
    serial = mock.pki["SECC"].certificate.serial_number
    with mock.up([*mock.signing(), *mock.leaf(asked, serial)]) as url:
        answer = mock.ask(url, asked, by_secret=False)
    assert names(answer)[:3] == ["CN=SECC1", "CN=RA", "CN=SubCA"]


def test_that_is_an_update_to_the_server(mock: Mock, tmp_path: Path) -> None:
    new = mock.file("new.key", mock.pki["SECC"].issue(key("new"), LEAF).key_pem())
    asked = request(leaf=in_use(mock.pki, tmp_path), key=new)
    with mock.up([*mock.signing(), *mock.leaf(asked)]) as url:
        answer = mock.ask(url, asked, by_secret=False)
    assert isinstance(answer, Refused)
    assert "wrong certid" in answer.reason


def test_another_subject_is_asked_for_with_the_leaf_in_use(mock: Mock, tmp_path: Path) -> None:
    csr = signing_request(key("new"), name(CN="SECC2", O="Operator"))
    asked = request(leaf=in_use(mock.pki, tmp_path), csr=csr)
    with mock.up([*mock.signing(), *mock.leaf(asked)]) as url:
        answer = mock.ask(url, asked, by_secret=False)
    assert names(answer)[:3] == ["CN=SECC2", "CN=RA", "CN=SubCA"]


def test_over_tls_the_server_must_prove_its_name(mock: Mock, tmp_path: Path) -> None:
    asked = request()
    with mock.up([*mock.secret(), *mock.leaf(asked)]) as url, tls_front(tmp_path, urlsplit(url).port or 0) as front:
        port, ca = front
        server = CmpServer.at(f"https://localhost:{port}/pkix/", ca, "station", tmp_path / "secret", "")
        assert names(enrol(CmpPort(server, 20), asked)) == ["CN=SECC1", "CN=SubCA"]
        for host, trusted in (("127.0.0.1", ca), ("localhost", mock.file("other.pem", mock.pki["V2GRoot"].pem))):
            stranger = CmpServer.at(f"https://{host}:{port}/pkix/", trusted, "station", tmp_path / "secret", "")
            answer = enrol(CmpPort(stranger, 4), asked)
            assert isinstance(answer, Later)
            assert "certificate verify failed" in answer.reason, answer.reason


def test_a_rejection_is_told_in_the_server_s_words(mock: Mock) -> None:
    asked = request()
    options = [
        *mock.secret(),
        *mock.leaf(asked),
        "-pkistatus",
        "2",
        "-failure",
        "2",
        "-statusstring",
        "no such station",
    ]
    with mock.up(options) as url:
        answer = mock.ask(url, asked)
    assert isinstance(answer, Refused)
    assert "localhost: " in answer.reason
    assert "no such station" in answer.reason


def test_a_server_that_is_out_of_order_is_asked_again(mock: Mock) -> None:
    asked = request()
    with mock.up([*mock.secret(), *mock.leaf(asked), "-pkistatus", "2", "-failure", "25"]) as url:
        answer = mock.ask(url, asked)
    assert isinstance(answer, Later)
    assert "systemFailure" in answer.reason


def test_a_server_that_takes_its_time_is_polled(mock: Mock) -> None:
    asked = request()
    with mock.up([*mock.secret(), *mock.leaf(asked), "-poll_count", "1", "-check_after", "1"]) as url:
        assert names(mock.ask(url, asked)) == ["CN=SECC1", "CN=SubCA"]


def test_a_certificate_for_another_key_is_refused(mock: Mock) -> None:
    with mock.up([*mock.secret(), *mock.leaf(request("other"))]) as url:
        answer = mock.ask(url, request())
    assert isinstance(answer, Refused)
    assert "does not match our enrollment key" in answer.reason


def test_a_wrong_secret(mock: Mock) -> None:
    asked = request()
    with mock.up([*mock.secret(), *mock.leaf(asked)]) as url:
        mock.file("secret", "other")
        answer = mock.ask(url, asked)
    assert isinstance(answer, Later)
    assert "other" not in answer.reason


def test_a_server_that_somebody_else_signs_for_is_not_believed(mock: Mock, tmp_path: Path) -> None:
    asked = request(
        leaf=in_use(mock.pki, tmp_path), key=mock.file("new.key", mock.pki["SECC"].issue(key("new"), LEAF).key_pem())
    )
    other = world("Other > RA2", Other=VALID, RA2=VALID)
    options = [*mock.signing(), *mock.leaf(asked)]
    mock.file("ra.pem", other["RA2"].pem)
    mock.file("ra.key", other["RA2"].key_pem())
    with mock.up(options) as url:
        assert isinstance(mock.ask(url, asked, by_secret=False), Later)


def test_a_server_that_never_answers(mock: Mock) -> None:
    mock.secret()
    with silent_server() as port:
        answer = mock.ask(f"http://localhost:{port}", request(), seconds=1)
    assert isinstance(answer, Later)


def test_no_first_leaf_without_a_secret(mock: Mock) -> None:
    answer = mock.ask("http://localhost:1", request(), by_secret=False)
    assert answer == Refused("cmp needs a shared secret for the first leaf: no leaf is in use to sign with")


def test_no_secret_is_on_the_command_line_or_left_behind(
    mock: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    program = mock.file("openssl", f'#!/bin/sh\nprintf "%s " "$@" > {tmp_path}/seen\nenv >> {tmp_path}/seen\nexit 1\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    mock.secret()
    leaf = in_use(mock.pki, tmp_path, "pass word")
    for by_secret in (True, False):
        asked = request(leaf=leaf, key=leaf.key, key_password="pass word")
        assert isinstance(mock.ask("http://localhost:1", asked, by_secret=by_secret), Later)
        seen = (tmp_path / "seen").read_text()
        assert "cmp -config" in seen
        assert "s3cret" not in seen
        assert "pass word" not in seen
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("url", "ca", "reference", "secret", "why"),
    [
        ("ftp://ca", "/ca", "a", "/s", "must begin with http:// or https://"),
        ("http://ca", None, "", None, "must know whom to trust"),
        ("http://ca", "/ca", "", "/s", "needs the reference"),
    ],
)
def test_what_is_no_cmp_server(url: str, ca: str | None, reference: str, secret: str | None, why: str) -> None:
    with pytest.raises(InvalidConfiguration, match=why):
        CmpServer.at(url, Path(ca) if ca else None, reference, Path(secret) if secret else None, "")
