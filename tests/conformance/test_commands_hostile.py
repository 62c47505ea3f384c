"""Whatever callers send: an answer in the interface's words or a documented refusal, and nothing on the disk."""

from __future__ import annotations

from base64 import b64encode
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from evse_security import CertificateHashData, CommandRefused, MalformedRequest
from evse_security.lab.authority import name
from evse_security.serve.command import Command, commands
from tests.builders import DAY, NOW, ocsp_answer, world
from tests.conformance.kit import NEW, OLD, WAYS, Bench, Revision, Way, as_json, bench, record, standard, tree
from tests.hostile.home import is_of

W = standard()
PEM = world("Nobody > Sub > Somebody").pem("Somebody", "Sub")
"""Text to cut and mangle; whole, it would still be refused."""
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"

JUNK = st.one_of(
    st.text(st.characters(), max_size=60),  # lone surrogates, NUL and all
    st.sampled_from(["", "\0", "\ud800", "\udcff", "a\0b", "\n", "%s%n{}{0}", "../" * 20]),
    st.sampled_from(["-----BEGIN", "é" * 300, "\x1b[2J"]),
    st.builds(lambda at, what: PEM[:at] + what + PEM[at:], st.integers(0, len(PEM)), st.text(max_size=8)),
    st.builds(lambda start, size: PEM[start : start + size], st.integers(0, len(PEM)), st.integers(0, len(PEM))),
    st.builds(lambda body: f"{BEGIN}\n{body}\n{END}", st.text("AMIBCDw/+=\n", max_size=80)),
)
HEX = st.one_of(JUNK, st.text("0123456789abcdefABCDEF-", max_size=41))


def arguments(command: Command) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments of the right types, their strings arbitrary, as JSON has them."""
    return st.fixed_dictionaries({argument.name: _values(argument.hint) for argument in command.arguments})


def _values(hint: Any) -> st.SearchStrategy[Any]:
    origin = get_origin(hint)
    if hint is CertificateHashData:
        hashes = dict.fromkeys(("issuer_name_hash", "issuer_key_hash", "serial_number"), HEX)
        return st.fixed_dictionaries({"hash_algorithm": st.sampled_from(["SHA256", "SHA384", "SHA512"]), **hashes})
    if origin is tuple:
        return st.lists(_values(get_args(hint)[0]), max_size=3)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from([str(member) for member in hint])
    if get_args(hint):
        return st.sampled_from([str(member) for member in get_args(hint)])
    return st.booleans() if hint is bool else JUNK


@pytest.fixture(scope="module")
def b(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """One for all examples: nothing may change, so nothing needs to be made anew."""
    b = bench(tmp_path_factory.mktemp("hostile"))
    b.put("ca/v2g/V2G_ROOT_CA.pem", W["V2GRoot"].pem)
    b.put("client/cso/a.pem", W.pem("SECC", "Sub2", "Sub1"))
    b.put("client/cso/a.key", W["SECC"].key_pem())
    b.info("V2G", "DER")
    return b


MADE = frozenset({"generate_certificate_signing_request"})
"""Commands that have every right to write for arbitrary text."""


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize(
    ("revision", "called"), [(revision, name) for revision in (OLD, NEW) for name in commands(revision)]
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_arbitrary_text(b: Bench, revision: Revision, called: str, way: Way, data: st.DataObject) -> None:
    command = commands(revision)[called]
    asked = data.draw(arguments(command))
    if way is Way.TYPED and "certificate_hash_data" in asked:
        asked["certificate_hash_data"] = record(asked["certificate_hash_data"])
    before = tree(b.root)
    try:
        answer = b.ask(called, revision, way, **asked)
    except MalformedRequest as refusal:
        assert way is Way.JSON  # half surrogates and over-long values, which only JSON's types exclude
        assert refusal.path
    except CommandRefused as refusal:
        assert called in ("update_ocsp_cache", "generate_certificate_signing_request")
        assert str(refusal)
    else:
        assert is_of(command.result, as_json(answer))
    made = tree(b.root).keys() - before.keys()
    if called in MADE:
        for path in made:
            (b.root / path).unlink()
    assert tree(b.root) == before


HUGE = {
    "a mebibyte": "A" * (1 << 20),
    "more than a mebibyte": "A" * ((1 << 20) + 1),
    "100,000 BEGIN lines": f"{BEGIN}\n" * 100_000,
    "a mebibyte of BEGIN lines": f"{BEGIN}\n" * 37_000,
    "BEGIN lines and one END": f"{BEGIN}\n" * 30_000 + END,
    "BEGIN lines of all kinds": f"{BEGIN}\n-----BEGIN TRUSTED CERTIFICATE-----\n" * 15_000,
    "a mebibyte of one block": f"{BEGIN}\n" + "A" * 1_000_000 + f"\n{END}",
    "a mebibyte of blanks": f"{BEGIN}\n" + " " * 1_000_000 + f"\n{END}",
    "2,000 certificates": W["Sub1"].pem * 1_500,
    "hyphens": "-" * (1 << 20),
    "NUL characters": "\0" * (1 << 20),
    "digits": "9" * (1 << 20),
}


@pytest.mark.parametrize("what", HUGE)
def test_huge_text(b: Bench, what: str) -> None:
    text = HUGE[what]
    data = record(
        {"hash_algorithm": "SHA256", "issuer_name_hash": "00", "issuer_key_hash": "00", "serial_number": text}
    )
    calls: list[tuple[str, dict[str, Any], Any]] = [
        ("install_ca_certificate", {"certificate": text, "certificate_type": "V2G"}, "InvalidFormat"),
        ("update_leaf_certificate", {"certificate_chain": text, "certificate_type": "V2G"}, "InvalidFormat"),
        ("verify_certificate", {"certificate_chain": text, "certificate_types": ["V2G"]}, "Unknown"),
        ("get_mo_ocsp_request_data", {"certificate_chain": text}, {"ocsp_request_data_list": []}),
        ("delete_certificate", {"certificate_hash_data": data}, "NotFound"),
        ("verify_file_signature", {"file_path": text, "signing_certificate": text, "signature": text}, False),
    ]
    before = tree(b.root)
    for command, asked, answer in calls:
        assert b.ask(command, NEW, Way.TYPED, **asked) == answer
        try:
            assert b.ask(command, NEW, Way.JSON, **as_json(asked)) == answer
        except MalformedRequest as refusal:
            assert "characters" in str(refusal)
    assert tree(b.root) == before


def test_a_chain_of_many_certificates_of_one_name(b: Bench) -> None:
    """Every one of them could be the issuer of every other."""
    same = {"subject": W["Sub1"].certificate.subject}
    paths = ["Root > " + " > ".join(f"C{n}" for n in range(12)) + " >"]
    made = world(*paths, Root=same, **{f"C{n}": same for n in range(12)})
    chain = W["SECC"].pem + made.pem(*made) * 7
    for kind in ("V2G", "MO"):
        b.ask("verify_certificate", certificate_chain=chain, certificate_types=[kind])
        looped = made.pem(*reversed(list(made))) * 7
        assert b.ask("verify_certificate", certificate_chain=looped, certificate_types=[kind]) in (
            "InvalidChain",
            "IssuerNotFound",
            "Unknown",
        )
    b.ask("get_mo_ocsp_request_data", certificate_chain=chain)


@pytest.mark.parametrize(("revision", "way"), WAYS)
def test_log_lines_cannot_be_forged(b: Bench, caplog: pytest.LogCaptureFixture, revision: Revision, way: Way) -> None:
    forged = "x\nWARNING evse_security: all is well \x1b[32m"
    data = {"hash_algorithm": "SHA256", "issuer_name_hash": forged, "issuer_key_hash": forged, "serial_number": "1"}
    given_data: Any = data if way is Way.JSON else record(data)
    assert b.ask("delete_certificate", revision, way, certificate_hash_data=given_data) == "NotFound"
    chain = W["SECC"].pem.replace("-----END", f"{forged}-----END")
    b.ask("update_leaf_certificate", revision, way, certificate_chain=chain, certificate_type="V2G")
    assert "all is well" not in caplog.text


def test_names_from_certificates_are_harmless_in_logs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = world("Root > SECC", SECC={"subject": name(CN="a\nb\x1b[2J\u202eevil"), "not_after": NOW})
    b = bench(tmp_path, now=NOW + DAY)
    assert b.update(made["SECC"].pem) == "Expired"
    assert "evil" in caplog.text
    assert "\x1b" not in caplog.text


@example(b"0\x82\xff\xff")
@given(st.binary(max_size=200))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_files_in_every_place(b: Bench, content: bytes) -> None:
    before = tree(b.root)
    places = ["client/cso/x.pem", "client/cso/x.der", "client/cso/x.key", "client/cso/ocsp/x_ocsp.hash"]
    places += ["client/cso/ocsp/x_ocsp.der", "ca/mo/MO_ROOT_CA.pem"]
    put = [b.put(place, content) for place in places]
    try:
        assert b.info("V2G", "PEM", ocsp=True)["status"] == "Accepted"
        assert len(b.listed("V2GRootCertificate", "V2GCertificateChain", "MORootCertificate")) == 2
        b.station.overview()
        b.station.sweep(dry_run=True)
        b.ask("get_verify_file", certificate_type="MO")
    finally:
        for path in put:
            path.unlink()
    assert tree(b.root) == before


def test_an_answer_about_arbitrary_bytes_is_refused(b: Bench) -> None:
    [chain] = b.listed("V2GCertificateChain")
    response = bytearray(ocsp_answer(W, "SECC"))
    refused = 0
    for at in range(0, len(response), 3):
        response[at] ^= 0x55
        try:
            b.ask(
                "update_ocsp_cache",
                certificate_hash_data=chain["certificate_hash_data"],
                ocsp_response=b64encode(bytes(response)).decode(),
            )
        except CommandRefused:
            refused += 1
        response[at] ^= 0x55
    assert refused == len(range(0, len(response), 3))
