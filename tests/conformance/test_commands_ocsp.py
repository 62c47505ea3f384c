"""get_ocsp_request_data, get_v2g_ocsp_request_data, get_mo_ocsp_request_data, update_ocsp_cache, include_ocsp."""

from __future__ import annotations

import textwrap
from base64 import b64encode
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp

from evse_security import CommandRefused
from evse_security.store.overview import Node
from tests.builders import DAY, NOW, World, key, ocsp_answer, world
from tests.conformance.kit import NAMED, NEW, OLD, PASSWORD, WAYS, Bench, Revision, Way, bench, record
from tests.conformance.test_commands_delete import hash_data

URL = "http://ocsp.example/"
W = world(
    "V2GRoot > Sub1 > Sub2 > SECC",
    "Sub1 > Branch >",
    "V2GRoot > Responder1",
    "Sub1 > Responder",
    "Sub2 > LeafResponder",
    "Sub2 > NoDelegate",
    Sub1=NAMED,
    Sub2=NAMED,
    SECC=NAMED,
    Branch=NAMED,
    Responder1={"role": "responder"},
    Responder={"role": "responder"},
    LeafResponder={"role": "responder"},
)
SUBS = ("Sub2", "Sub1")
BUNDLE = "ca/v2g/V2G_ROOT_CA.pem"


def question(made: World, holder: str, url: str = URL) -> dict[str, Any]:
    return {"certificate_hash_data": hash_data(made, holder), "responder_url": url}


def living(tmp_path: Path, *bundle: str, made: World = W, **config: Any) -> Bench:
    b = bench(tmp_path, **config)
    b.put(BUNDLE, made.pem(*(bundle or ("V2GRoot",))))
    b.put("client/cso/chain.pem", made.pem("SECC", *SUBS))
    b.put(f"{b.station.config.secc_leaf_key_directory.relative_to(tmp_path)}/a.key", made["SECC"].key_pem())
    return b


# ---- what to ask


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize(
    ("bundle", "today", "then"),
    [
        (("V2GRoot",), ["SECC", *SUBS], ["SECC", *SUBS]),
        (("V2GRoot", "Sub1", "Sub2"), ["SECC", *SUBS], ["SECC", *SUBS]),
        (("Branch", "Sub1", "V2GRoot"), ["SECC", *SUBS], ["SECC", *SUBS, "Branch"]),
    ],
)
def test_the_chain_and_every_other_sub_ca(
    tmp_path: Path, bundle: tuple[str, ...], today: list[str], then: list[str], way: Way
) -> None:
    b = living(tmp_path, *bundle)
    with b.watched() as change:
        new = b.ask("get_v2g_ocsp_request_data", NEW, way)["ocsp_request_data_list"]
        old = b.ask("get_ocsp_request_data", OLD, way)["ocsp_request_data_list"]
    assert change.nothing
    assert new == [question(W, holder) for holder in today]
    assert old == [question(W, holder) for holder in then]


def test_nobody_to_ask_about(tmp_path: Path) -> None:
    b = bench(tmp_path)
    assert b.ask("get_v2g_ocsp_request_data") == {"ocsp_request_data_list": []}
    assert b.ask("get_ocsp_request_data", OLD) == {"ocsp_request_data_list": []}
    b = living(tmp_path / "keyless")
    (tmp_path / "keyless/client/cso/a.key").unlink()
    assert b.ask("get_v2g_ocsp_request_data") == {"ocsp_request_data_list": []}


@pytest.mark.parametrize(
    ("validity", "asked"),
    [
        ({"not_before": NOW + DAY}, True),
        ({"not_before": NOW - 9 * DAY, "not_after": NOW - DAY}, False),
    ],
)
def test_future_leaves_are_asked_about_and_expired_ones_are_not(
    tmp_path: Path, validity: dict[str, Any], *, asked: bool
) -> None:
    made = world("V2GRoot > Sub1 > Sub2 > SECC", SECC=NAMED | validity)
    b = living(tmp_path, made=made)
    found = b.ask("get_v2g_ocsp_request_data")["ocsp_request_data_list"]
    assert found == ([question(made, "SECC")] if asked else [])


@pytest.mark.parametrize(
    ("urls", "url"),
    [
        (("http://a/", "http://b/"), "http://a/"),
        (("ldap://a/", "http://b/"), "http://b/"),
        (("http://" + "a" * 600 + "/", "http://b/"), "http://b/"),
        (("http://" + "a" * 505,), "http://" + "a" * 505),
        (("http://" + "a" * 506,), None),
        ((), None),
    ],
)
def test_one_url_of_at_most_512_characters(tmp_path: Path, urls: tuple[str, ...], url: str | None) -> None:
    made = world("V2GRoot > Sub1 > Sub2 > SECC", SECC={"responder_urls": urls})
    b = living(tmp_path, made=made)
    found = b.ask("get_v2g_ocsp_request_data")["ocsp_request_data_list"]
    assert found == ([question(made, "SECC", url)] if url else [])


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize(
    ("sent", "installed", "asked"),
    [
        (("SECC", *SUBS), ("V2GRoot",), ["SECC", *SUBS]),
        (("SECC", *SUBS, "V2GRoot"), ("V2GRoot",), ["SECC", *SUBS]),
        (("SECC", *SUBS, "V2GRoot"), (), ["SECC", *SUBS]),
        (("SECC", *SUBS), (), ["SECC", "Sub2"]),
        (("SECC", "Sub1", "Sub2"), ("V2GRoot",), ["SECC", *SUBS]),
        (("SECC",), ("V2GRoot", "Sub1", "Sub2"), ["SECC", *SUBS]),
        (("SECC", "Branch", *SUBS), ("V2GRoot",), ["SECC", *SUBS]),
        (("SECC",), ("V2GRoot",), []),
        (("V2GRoot",), ("V2GRoot",), []),
    ],
)
@pytest.mark.parametrize("domain", ["mo/MO", "v2g/V2G"])
def test_contracts(
    tmp_path: Path, domain: str, sent: tuple[str, ...], installed: tuple[str, ...], asked: list[str], way: Way
) -> None:
    b = bench(tmp_path)
    b.put(f"ca/{domain}_ROOT_CA.pem", W.pem(*installed))
    with b.watched() as change:
        found = b.ask("get_mo_ocsp_request_data", NEW, way, certificate_chain=W.pem(*sent))
    assert change.nothing
    assert found["ocsp_request_data_list"] == [question(W, holder) for holder in asked]


@pytest.mark.parametrize("text", ["", "text", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_malformed_contracts(tmp_path: Path, text: str) -> None:
    b = living(tmp_path)
    for chain in (text, W["SECC"].pem + text if "BEGIN" in text else text):
        assert b.ask("get_mo_ocsp_request_data", certificate_chain=chain) == {"ocsp_request_data_list": []}


# ---- keeping answers


def told(response: bytes, *, wrapped: bool = False) -> str:
    text = b64encode(response).decode()
    return "\r\n".join(textwrap.wrap(text, 76)) + "\n" if wrapped else text


def keep(b: Bench, holder: str, response: str, revision: Revision = NEW, way: Way = Way.JSON, **spelled: str) -> None:
    data = hash_data(W, holder) | spelled
    given: Any = data if way is Way.JSON else record(data)
    assert b.ask("update_ocsp_cache", revision, way, certificate_hash_data=given, ocsp_response=response) is None


@pytest.mark.parametrize(("revision", "way"), WAYS)
@pytest.mark.parametrize("wrapped", [False, True])
def test_an_answer_is_kept_as_der_beside_its_hash(
    tmp_path: Path, revision: Revision, way: Way, *, wrapped: bool
) -> None:
    b = living(tmp_path)
    response = ocsp_answer(W, "SECC")
    with b.watched() as change:
        keep(b, "SECC", told(response, wrapped=wrapped), revision, way)
    assert change.is_like(added=(r"client/cso/ocsp/[^/]+_ocsp\.(der|hash)",) * 2)
    assert change.updates == []
    [der] = (tmp_path / "client/cso/ocsp").glob("*_ocsp.der")
    [hashed] = (tmp_path / "client/cso/ocsp").glob("*_ocsp.hash")
    assert der.stem == hashed.stem
    assert der.read_bytes() == response
    assert hashed.read_text().split() == list(hash_data(W, "SECC").values())
    later = ocsp_answer(W, "SECC", this_update=NOW, next_update=NOW + 9 * DAY)
    with b.watched() as change:
        keep(b, "SECC", told(later), revision, way, issuer_name_hash=hash_data(W, "SECC")["issuer_name_hash"].upper())
    assert change.altered == {str(der.relative_to(tmp_path))}
    assert not change.added
    assert der.read_bytes() == later


def test_beside_every_copy(tmp_path: Path) -> None:
    b = living(tmp_path, "V2GRoot", "Sub1")
    keep(b, "Sub1", told(ocsp_answer(W, "Sub1")))
    places = {path.parent.relative_to(tmp_path) for path in tmp_path.rglob("*_ocsp.der")}
    assert places == {Path("client/cso/ocsp"), Path("ca/v2g/ocsp")}
    keep(b, "Sub1", told(ocsp_answer(W, "Sub1", this_update=NOW)))
    assert len(list(tmp_path.rglob("*_ocsp.hash"))) == 2
    assert len({path.read_bytes() for path in tmp_path.rglob("*_ocsp.der")}) == 1


BELIEVED = {
    "by the issuer": {},
    "by a delegate": {"responder": "LeafResponder"},
    "SHA-256 CertID": {"hash_algorithm": hashes.SHA256()},
    "revoked": {"status": ocsp.OCSPCertStatus.REVOKED},
    "without nextUpdate": {"next_update": None},
    "just past": {"next_update": NOW - timedelta(seconds=200)},
    "just ahead": {"this_update": NOW + timedelta(seconds=200)},
}
REFUSED = {
    "forged": ({"signed_by": key("Mallory")}, "OcspBadSignature"),
    "by a delegate of another": ({"responder": "Responder"}, "OcspBadSignature"),
    "by somebody without the usage": ({"responder": "NoDelegate"}, "OcspBadSignature"),
    "past": ({"next_update": NOW - DAY / 24, "this_update": NOW - DAY}, "OcspNotCurrent"),
    "ahead": ({"this_update": NOW + DAY, "next_update": NOW + 2 * DAY}, "OcspNotCurrent"),
    "unknown": ({"status": ocsp.OCSPCertStatus.UNKNOWN}, "OcspUnknown"),
}


@pytest.mark.parametrize("case", BELIEVED)
def test_believed(tmp_path: Path, case: str) -> None:
    b = living(tmp_path)
    with b.watched() as change:
        keep(b, "SECC", told(ocsp_answer(W, "SECC", **BELIEVED[case])))  # type: ignore[arg-type]
    assert len(change.added) == 2


def refused(b: Bench, holder: str, response: str, **spelled: str) -> str:
    codes = set()
    for revision, way in WAYS:
        with b.watched() as change, pytest.raises(CommandRefused) as refusal:
            keep(b, holder, response, revision, way, **spelled)
        assert change.nothing
        assert "update_ocsp_cache" in str(refusal.value)
        codes.add(refusal.value.reason.code)
    [code] = codes
    return code


@pytest.mark.parametrize("case", REFUSED)
def test_not_believed(tmp_path: Path, case: str) -> None:
    changes, code = REFUSED[case]
    assert refused(living(tmp_path), "SECC", told(ocsp_answer(W, "SECC", **changes))) == code  # type: ignore[arg-type]


NO_ANSWER = {
    "empty": ("", "NotBase64"),
    "no base64": ("not base64!", "NotBase64"),
    "a foreign character": ("aGVs-bG8=", "NotBase64"),
    "no response": ("AAAA", "OcspMalformed"),
    "a certificate": (told(W["SECC"].der), "OcspMalformed"),
    "something behind it": (told(ocsp_answer(W, "SECC") + b"\0"), "OcspMalformed"),
    "about another": (told(ocsp_answer(W, "Sub2")), "OcspOtherCertificate"),
    "an error": (told(b"\x30\x03\x0a\x01\x06"), "OcspUnsuccessful"),
    "far too long": ("A" * 200_000, "TooLarge"),
}


@pytest.mark.parametrize("case", NO_ANSWER)
def test_no_answer_at_all(tmp_path: Path, case: str) -> None:
    response, code = NO_ANSWER[case]
    assert refused(living(tmp_path), "SECC", response) == code


@pytest.mark.parametrize(
    "spelled", [{"serial_number": "1"}, {"serial_number": "x"}, {"issuer_key_hash": ""}, {"hash_algorithm": "SHA512"}]
)
def test_about_nobody(tmp_path: Path, spelled: dict[str, str]) -> None:
    assert refused(living(tmp_path), "SECC", told(ocsp_answer(W, "SECC")), **spelled) == "NotInstalled"


def test_a_replayed_answer_is_refused(tmp_path: Path) -> None:
    b = living(tmp_path)
    keep(b, "SECC", told(ocsp_answer(W, "SECC", this_update=NOW)))
    assert refused(b, "SECC", told(ocsp_answer(W, "SECC"))) == "OcspOlder"


def test_unchecked_for_laboratories(tmp_path: Path) -> None:
    b = living(tmp_path, ocsp_check="unchecked")
    with b.watched() as change:
        keep(b, "SECC", told(b"whatever"))
    assert len(change.added) == 2


# ---- offering them


def offered(b: Bench, kind: str = "V2G") -> list[dict[str, Any]]:
    info = b.info(kind, ocsp=True)["info"]
    found: list[dict[str, Any]] = info["ocsp"]
    [all_valid] = b.ask("get_all_valid_certificates_info", certificate_type=kind, encoding="PEM", include_ocsp=True)[
        "info"
    ]
    assert all_valid["ocsp"] == found
    assert len(found) == info["certificate_count"]
    return found


@pytest.mark.parametrize("config", [{}, {"secc_leaf_key_directory": "keys", "private_key_password": PASSWORD}])
def test_one_entry_per_certificate_in_file_order(tmp_path: Path, config: dict[str, Any]) -> None:
    b = living(tmp_path, **config)
    names = ("SECC", *SUBS)
    assert offered(b) == [{"hash": hash_data(W, name)} for name in names]
    responses = {name: ocsp_answer(W, name) for name in names}
    for name in ("Sub1", "SECC"):
        keep(b, name, told(responses[name]))
    leaf, sub2, sub1 = offered(b)
    assert "ocsp_path" not in sub2
    for entry, name in ((leaf, "SECC"), (sub1, "Sub1")):
        assert Path(entry["ocsp_path"]).read_bytes() == responses[name]
    b.set_clock(NOW + 8 * DAY)
    assert offered(b) == [{"hash": hash_data(W, name)} for name in names]
    assert "ocsp" not in b.info()["info"]


def test_a_revocation_is_kept_and_offered_where_that_is_wanted(tmp_path: Path) -> None:
    b = living(tmp_path, revoked_leaves="offer")
    keep(b, "SECC", told(ocsp_answer(W, "SECC", status=ocsp.OCSPCertStatus.REVOKED)))
    assert "ocsp_path" in offered(b)[0]


@pytest.mark.parametrize("who", ["SECC", "Sub1"])
def test_a_revoked_leaf_is_withdrawn_at_once_in_every_command(tmp_path: Path, who: str) -> None:
    b = living(tmp_path)
    assert b.info()["status"] == "Accepted"
    keep(b, who, told(ocsp_answer(W, who, status=ocsp.OCSPCertStatus.REVOKED)))
    asked: dict[str, Any] = {"certificate_type": "V2G", "encoding": "PEM"}
    fresh = bench(tmp_path)  # another process, which has not seen anything yet
    for station in (b, fresh):
        for include_ocsp in (False, True):
            assert station.info(ocsp=include_ocsp) == {"status": "NotFoundValid"}
            every = station.ask("get_all_valid_certificates_info", **asked, include_ocsp=include_ocsp)
            assert every == {"status": "NotFoundValid", "info": []}
        assert station.ask("get_key_pair", OLD, **asked) == {"status": "NotFoundValid"}
        assert station.ask("get_leaf_expiry_days_count", certificate_type="V2G") == 0
        assert station.listed("V2GCertificateChain")  # it is there, and can be deleted
        [domain] = [each for each in station.station.overview().domains if each.domain == "V2G"]
        assert [leaf.reason for leaf in leaves_of(domain.trees)] == ["Revoked"]
        assert [leaf.reason.code for leaf in station.station.explain(domain.domain).leaves] == ["Revoked"]
        codes = {finding.code for finding in station.station.diagnose().findings}
        assert {"OcspRevoked", "NoUsableLeaf"} <= codes
    keep(b, who, told(ocsp_answer(W, who, this_update=NOW)))  # it was on hold
    assert b.info()["status"] == fresh.info()["status"] == "Accepted"


def leaves_of(nodes: tuple[Node, ...]) -> list[Node]:
    found = [node for node in nodes if node.role == "leaf"]
    return found + [leaf for node in nodes for leaf in leaves_of(node.children)]


def test_csms_leaves_have_answers_too(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put("ca/csms/CSMS_ROOT_CA.pem", W["V2GRoot"].pem)
    b.put("client/csms/a.pem", W.pem("SECC", *SUBS))
    b.put("client/csms/a.key", W["SECC"].key_pem())
    keep(b, "SECC", told(ocsp_answer(W, "SECC")))
    assert "ocsp_path" in offered(b, "CSMS")[0]


def test_half_a_pair_hides_nothing(tmp_path: Path) -> None:
    b = living(tmp_path)
    lines = "\n".join(hash_data(W, "SECC").values()) + "\n"
    b.put("client/cso/ocsp/000_ocsp.hash", lines)
    b.put("client/cso/ocsp/zzz_ocsp.der", b"junk")
    keep(b, "SECC", told(ocsp_answer(W, "SECC")))
    found = Path(offered(b)[0]["ocsp_path"])
    assert ocsp.load_der_ocsp_response(found.read_bytes()).serial_number == W["SECC"].certificate.serial_number
    with b.watched() as change:
        keep(b, "SECC", told(ocsp_answer(W, "SECC", this_update=NOW)))
    assert not change.added
