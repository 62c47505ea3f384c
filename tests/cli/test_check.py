"""`evse-security check`: a verdict on a chain, with the reason in words."""

import base64
from pathlib import Path

import pytest

from evse_security.cli.check import pem_of
from evse_security.lab.hierarchy import Edition, Pki, Variant, make_pki
from evse_security.lab.layouts import write_everest
from tests.builders import NOW
from tests.cli.conftest import Run


@pytest.fixture
def chain(certs: Path) -> Path:
    return certs / "client/cso/CPO_CERT_CHAIN.pem"


def test_a_valid_chain_is_said_from_leaf_to_root(run: Run, certs: Path, chain: Path) -> None:
    ran = run("--certs", certs, "check", chain, "--type", "V2G")
    assert (ran.code, ran.err) == (0, "")
    line = ran.out.removesuffix("\n")
    assert line.startswith("Valid: CN=DEEVSE000001, ")
    assert [part.partition(",")[0] for part in line.split(" <- ")[1:]] == [
        "CN=CPO Sub-CA 2",
        "CN=CPO Sub-CA 1",
        "CN=V2G Root CA",
    ]


def test_a_chain_that_is_refused_says_why_once(run: Run, certs: Path, chain: Path) -> None:
    ran = run("--certs", certs, "check", chain, "--type", "MO")
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.startswith("IssuerNotFound: no certificate of the issuer CN=V2G Root CA, ")
    assert ran.out.count("\n") == 1


def test_several_domains_may_do(run: Run, certs: Path, chain: Path) -> None:
    assert run("--certs", certs, "check", chain, "--type", "MO", "--type", "V2G").code == 0


def test_the_verdict_as_json(run: Run, certs: Path, chain: Path) -> None:
    valid = run("--certs", certs, "check", chain, "--type", "V2G", "--json").json
    assert valid["result"] == "Valid"
    assert len(valid["path"]) == 4
    assert "reason" not in valid
    refused = run("--certs", certs, "check", chain, "--type", "MO", "--json")
    assert refused.code == 1
    assert refused.json["result"] == "IssuerNotFound"
    assert refused.json["reason"]["code"] == "IssuerNotFound"
    assert refused.json["path"] == []


def test_a_certificate_in_der_will_do(run: Run, certs: Path, pki: Pki, tmp_path: Path) -> None:
    file = tmp_path / "leaf.der"
    file.write_bytes(base64.b64decode("".join(pki["SECC_LEAF"].pem.splitlines()[1:-1])))
    assert pem_of(str(file)) == pki["SECC_LEAF"].pem
    ran = run("--certs", certs, "check", file, "--type", "V2G")
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.startswith("IssuerNotFound: no certificate of the issuer CN=CPO Sub-CA 2, ")


def test_what_is_no_chain_is_refused(run: Run, certs: Path, tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"\xff\xfe\x00")
    ran = run("--certs", certs, "check", tmp_path / "noise", "--type", "V2G")
    assert (ran.code, ran.out, ran.err) == (2, "", f"evse-security: {tmp_path}/noise is neither PEM nor DER\n")
    (tmp_path / "empty").touch()
    ran = run("--certs", certs, "check", tmp_path / "empty", "--type", "V2G")
    assert (ran.code, ran.err) == (1, "")
    assert ran.out == "Unknown: no certificate in the certificate chain\n"


def test_the_purpose_must_be_said(run: Run, certs: Path, chain: Path) -> None:
    ran = run("--certs", certs, "check", chain)
    assert ran.code == 2
    assert "the following arguments are required: --type" in ran.err


def test_a_leaf_that_becomes_valid_later_says_when(run: Run, tmp_path: Path) -> None:
    later = make_pki(Edition.ISO15118_2, now=NOW, variant=Variant.FUTURE_LEAF)
    write_everest(later, tmp_path / "later")
    chain = tmp_path / "later/client/cso/CPO_CERT_CHAIN.pem"
    ran = run("--certs", tmp_path / "later", "check", chain, "--type", "V2G")
    begin = later["SECC_LEAF"].certificate.not_valid_before_utc
    assert ran.out.startswith(f"Valid (from {begin:%Y-%m-%d %H:%M:%SZ} on): CN=")
    as_json = run("--certs", tmp_path / "later", "check", chain, "--type", "V2G", "--json").json
    assert as_json["valid_from"] == f"{begin:%Y-%m-%dT%H:%M:%SZ}"
