"""SECC leaves of ISO 15118-2 and -20 beside each other in OCPP 2.1: each with its own key, request and renewal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evse_security import errors
from evse_security.adapters.ocpp import Edition, SigningUse
from evse_security.adapters.ocpp.memory import RENEWALS
from evse_security.pki import profile
from evse_security.pki.enrolled import edition_of_request
from evse_security.vocabulary import CaCertificateType, EncodingFormat, LeafCertificateType
from tests.adapters.ocpp.csms import Stage, play, real_bench
from tests.adapters.ocpp.kit import Bench, hash_data, pki_of_both, policy
from tests.builders import DAY, csms

V2G = LeafCertificateType.V2G
RESPONDER = "http://ocsp.example/"
SIGNERS = {SigningUse.V2G: "CpoSub2", SigningUse.V2G20: "CsoSub2"}
TRIGGERS = {SigningUse.V2G: "SignV2GCertificate", SigningUse.V2G20: "SignV2G20Certificate"}
TYPES = {SigningUse.V2G: "V2GCertificate", SigningUse.V2G20: "V2G20Certificate"}
OTHER = {SigningUse.V2G: SigningUse.V2G20, SigningUse.V2G20: SigningUse.V2G}
BOTH = tuple(SIGNERS)


def with_both_roots(bench: Bench) -> Bench:
    arguments = {"certificate": bench.made["V2G20Root"].pem, "certificate_type": "V2G"}
    assert bench.station.dispatch("install_ca_certificate", arguments) == "Accepted"
    return bench


def bench_of_both(tmp_path: Path, edition: Edition = Edition.V21, **more: Any) -> Bench:
    return with_both_roots(Bench(tmp_path / "certs", edition, made=pki_of_both(), **more))


def asked(bench: Bench, *uses: SigningUse) -> Mapping[SigningUse, Mapping[str, Any]]:
    """The requests that a trigger of each leads to, sent and taken by the CSMS."""
    for use in uses:
        bench.desk.renewals.trigger(use)
    requests = {one.use: one.payload for one in bench.desk.renewals.look().requests}
    for use in requests:
        bench.desk.renewals.asked(use, None)
    return requests


def answered(bench: Bench, use: SigningUse, request: Mapping[str, Any], *, days: int = 60, **changes: Any) -> Any:
    """What the station says to the leaf that the CSMS sends for a request."""
    payload = {
        "certificateChain": bench.chain(request["csr"], SIGNERS[use], not_after=bench.time.now + days * DAY),
        "certificateType": request["certificateType"],
        "requestId": request["requestId"],
    }
    return bench.answer("CertificateSigned", **{**payload, **changes})


def enrolled(bench: Bench, **days: int) -> Bench:
    """A station with a leaf of each edition, for so many days."""
    for use, request in asked(bench, *BOTH).items():
        assert answered(bench, use, request, days=days.get(use, 60)) == {"status": "Accepted"}
    return bench


def editions(bench: Bench) -> list[profile.Edition | None]:
    return [one.edition for one in bench.station.chains(V2G).chains]


# ---- two requests


def test_each_has_its_type_its_number_and_its_kind_of_key(tmp_path: Path) -> None:
    requests = asked(bench_of_both(tmp_path), *BOTH)
    assert {use: request["certificateType"] for use, request in requests.items()} == TYPES
    assert len({request["requestId"] for request in requests.values()}) == 2
    kinds = {use: edition_of_request(request["csr"]) for use, request in requests.items()}
    assert kinds == {SigningUse.V2G: profile.Edition.ISO15118_2, SigningUse.V2G20: profile.Edition.ISO15118_20}


@pytest.mark.parametrize("configured", ["secp256r1", "secp521r1", "ed448", "rsa2048"])
@pytest.mark.parametrize("wanted", ["", "secp521r1", "ed448"])
def test_keys_are_of_the_right_kind_whatever_is_configured(tmp_path: Path, configured: str, wanted: str) -> None:
    bench = bench_of_both(tmp_path, config={"csr_key_type": configured}, changes={"v2g20_key_type": wanted})
    requests = asked(bench, *BOTH)
    assert edition_of_request(requests[SigningUse.V2G20]["csr"]) is profile.Edition.ISO15118_20
    assert edition_of_request(requests[SigningUse.V2G]["csr"]) is not profile.Edition.ISO15118_20


@pytest.mark.parametrize(("use", "component"), [(SigningUse.V2G, "CPO"), (SigningUse.V2G20, "CSO")])
def test_the_domain_component_is_that_of_the_edition(tmp_path: Path, use: SigningUse, component: str) -> None:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    csr = x509.load_pem_x509_csr(asked(bench_of_both(tmp_path), use)[use]["csr"].encode())
    assert [one.value for one in csr.subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)] == [component]


@pytest.mark.parametrize("use", BOTH)
def test_a_trigger_replaces_its_own_request_and_not_the_other(tmp_path: Path, use: SigningUse) -> None:
    bench = bench_of_both(tmp_path)
    before = asked(bench, *BOTH)
    asked(bench, use)
    bench.restarted()
    assert answered(bench, use, before[use])["status"] == "Rejected"
    assert answered(bench, OTHER[use], before[OTHER[use]]) == {"status": "Accepted"}


@pytest.mark.parametrize("use", BOTH)
def test_both_wait_and_are_answered_in_any_order(tmp_path: Path, use: SigningUse) -> None:
    bench = bench_of_both(tmp_path)
    requests = asked(bench, *BOTH)
    for one in (use, OTHER[use]):
        found = bench.restarted().answer("CertificateSigned", _signed(bench, one, requests[one]))
        assert found is not None and found.payload == {"status": "Accepted"}
        assert found.then.renewed is one and one.is_secc  # then OCSP is asked about, for either
    assert set(editions(bench)) == {profile.Edition.ISO15118_2, profile.Edition.ISO15118_20}


def _signed(bench: Bench, use: SigningUse, request: Mapping[str, Any]) -> dict[str, Any]:
    return {"certificateChain": bench.chain(request["csr"], SIGNERS[use]), "certificateType": TYPES[use]}


@pytest.mark.parametrize("use", BOTH)
def test_a_leaf_as_one_of_the_other_edition_is_refused_and_its_request_waits_on(
    tmp_path: Path, use: SigningUse
) -> None:
    bench = bench_of_both(tmp_path)
    request = asked(bench, *BOTH)[use]
    refused = answered(bench, use, request, certificateType=TYPES[OTHER[use]])
    assert refused["statusInfo"]["reasonCode"] == "NothingPending"
    assert answered(bench, use, request) == {"status": "Accepted"}


@pytest.mark.parametrize("use", BOTH)
def test_a_chain_that_cannot_be_read_ends_the_request_of_its_number_alone(tmp_path: Path, use: SigningUse) -> None:
    bench = bench_of_both(tmp_path)
    requests = asked(bench, *BOTH)
    answer = bench.answer("CertificateSigned", certificateChain="x", requestId=requests[use]["requestId"])
    assert answer["status"] == "Rejected"
    assert bench.desk.memory.renewal(use).outcome == "refused"
    assert bench.desk.memory.renewal(OTHER[use]).outcome == "asked"


# ---- renewal


@pytest.mark.parametrize("use", BOTH)
def test_each_is_renewed_by_its_own_end_and_names_its_own_root(tmp_path: Path, use: SigningUse) -> None:
    bench = enrolled(bench_of_both(tmp_path), **{use: 60, OTHER[use]: 400})
    bench.desk.renewals.look()
    bench.time.now += 45 * DAY
    [request] = bench.desk.renewals.look().requests
    assert (request.use, request.payload["certificateType"]) == (use, TYPES[use])
    root = {SigningUse.V2G: "V2GRoot", SigningUse.V2G20: "V2G20Root"}[use]
    assert request.payload["hashRootCertificate"] == hash_data(bench.made[root])


def test_a_first_leaf_of_an_edition_names_no_root_though_the_other_is_there(tmp_path: Path) -> None:
    bench = bench_of_both(tmp_path)
    answered(bench, SigningUse.V2G, asked(bench, SigningUse.V2G)[SigningUse.V2G])
    assert "hashRootCertificate" not in asked(bench, SigningUse.V2G20)[SigningUse.V2G20]
    assert bench.desk.renewals.look().requests == ()  # and by itself nobody asks for one that was never there


def test_under_one_root_the_older_leaf_names_it_too(tmp_path: Path) -> None:
    bench = bench_of_both(tmp_path)
    for use, days in ((SigningUse.V2G, 60), (SigningUse.V2G20, 90)):
        chain = bench.chain(asked(bench, use)[use]["csr"], "CpoSub2", not_after=bench.time.now + days * DAY)
        assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}
    for request in asked(bench, *BOTH).values():
        assert request["hashRootCertificate"] == hash_data(bench.made["V2GRoot"])


def test_an_expired_leaf_still_names_its_root(tmp_path: Path) -> None:
    bench = enrolled(bench_of_both(tmp_path))
    bench.time.now += 100 * DAY
    roots = {use: request["hashRootCertificate"] for use, request in asked(bench, *BOTH).items()}
    assert roots[SigningUse.V2G] == hash_data(bench.made["V2GRoot"])
    assert roots[SigningUse.V2G20] == hash_data(bench.made["V2G20Root"])


def test_a_policy_enrols_both(tmp_path: Path) -> None:
    bench = bench_of_both(tmp_path, changes={"enrol": frozenset({V2G, SigningUse.V2G20})})
    assert [one.use for one in bench.desk.renewals.look().requests] == list(BOTH)


# ---- editions of OCPP without V2G20Certificate


@pytest.mark.parametrize("edition", [one for one in Edition if one is not Edition.V21])
def test_before_2_1_there_is_one_kind_of_secc_leaf_by_the_configured_key(tmp_path: Path, edition: Edition) -> None:
    bench = bench_of_both(tmp_path, edition, config={"csr_key_type": "secp521r1"})
    action = "ExtendedTriggerMessage" if edition is Edition.V16 else "TriggerMessage"
    assert bench.answer(action, requestedMessage="SignV2G20Certificate")["status"] == "NotImplemented"
    request = asked(bench, SigningUse.V2G)[SigningUse.V2G]
    assert request.get("certificateType") == (None if edition is Edition.V16 else "V2GCertificate")
    assert edition_of_request(request["csr"]) is profile.Edition.ISO15118_20


def test_a_policy_says_which_key_in_words_that_exist() -> None:
    with pytest.raises(errors.InvalidConfiguration, match="v2g20_key_type"):
        policy(Edition.V21, v2g20_key_type="secp256r1")


# ---- memory


def test_what_version_1_remembered_of_a_20_leaf_is_answered(tmp_path: Path) -> None:
    """It knew one kind of SECC leaf, and asked for V2G20Certificate where `csr_key_type` was one of -20."""
    bench = bench_of_both(tmp_path, config={"csr_key_type": "secp521r1"})
    request = asked(bench, SigningUse.V2G20)[SigningUse.V2G20]
    path = bench.state / RENEWALS
    written = json.loads(path.read_text())
    written["leaves"] = {"V2G": written["leaves"].pop("V2G20")}
    del written["installing"]
    path.write_text(json.dumps(written))
    bench.restarted()
    assert answered(bench, SigningUse.V2G20, request) == {"status": "Accepted"}


def test_a_remembered_request_that_was_altered_is_no_request(tmp_path: Path) -> None:
    bench = bench_of_both(tmp_path)
    requests = asked(bench, *BOTH)
    path = bench.state / RENEWALS
    written = json.loads(path.read_text())
    written["leaves"]["V2G"]["csr"] = "nothing"
    path.write_text(json.dumps(written))
    bench.restarted()
    assert answered(bench, SigningUse.V2G, requests[SigningUse.V2G])["statusInfo"]["reasonCode"] == "NothingPending"
    assert answered(bench, SigningUse.V2G20, requests[SigningUse.V2G20]) == {"status": "Accepted"}


# ---- the house


def test_the_declared_commands_give_the_newest_of_all(tmp_path: Path) -> None:
    bench = enrolled(bench_of_both(tmp_path), V2G=60, V2G20=90)
    info = bench.station.interface().get_leaf_certificate_info(
        certificate_type=V2G, encoding=EncodingFormat.PEM, include_ocsp=False
    )
    assert info.info is not None
    newest = bench.station.renewal.facts(V2G, edition=profile.Edition.ISO15118_20).leaf
    assert newest is not None and bench.station.renewal.leaf_info(V2G, newest.fingerprint) == info.info
    every = bench.station.interface().get_all_valid_certificates_info(
        certificate_type=V2G, encoding=EncodingFormat.PEM, include_ocsp=False
    )
    assert len(every.info) == 2  # as they lead to two roots


def test_what_is_shown_of_a_leaf_says_that_it_is_for_the_other_edition(tmp_path: Path) -> None:
    bench = enrolled(bench_of_both(tmp_path), V2G=60, V2G20=90)
    first, second = bench.station.explain(CaCertificateType.V2G).leaves
    assert (first.used, first.reason.code) == (True, "InUse")
    assert (second.used, second.reason.code) == (True, "InUse")
    assert second.reason.text.startswith("in use for cars of its edition of ISO 15118; ")


def test_sweeping_leaves_the_only_valid_leaf_of_an_edition(tmp_path: Path) -> None:
    bench = enrolled(bench_of_both(tmp_path, config={"keep_newest": 1}), V2G=60, V2G20=400)
    bench.time.now += 50 * DAY
    assert bench.station.sweep().kept_because is None
    assert len(editions(bench)) == 2


def test_the_last_leaf_of_an_edition_is_not_discarded_for_the_other(tmp_path: Path) -> None:
    bench = enrolled(bench_of_both(tmp_path))
    for edition in profile.Edition:
        leaf = bench.station.renewal.facts(V2G, edition=edition).leaf
        assert leaf is not None
        with pytest.raises(errors.MustStay):
            bench.station.renewal.discard_leaf(V2G, leaf.fingerprint)


def test_the_newest_leaf_is_the_one_that_begins_last_where_that_is_configured(tmp_path: Path) -> None:
    """A02.FR.15, of each root and each edition."""
    bench = enrolled(bench_of_both(tmp_path, config={"newest_by": "not_before"}), V2G=90, V2G20=90)
    older = {one.edition: one.fingerprint for one in bench.station.chains(V2G).chains}
    for use, request in asked(bench, *BOTH).items():
        begin, end = bench.time.now - DAY / 24, bench.time.now + 60 * DAY
        chain = csms(bench.made, SIGNERS[use]).answer(request["csr"], not_before=begin, not_after=end)
        assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}
    for edition in profile.Edition:
        leaf = bench.station.renewal.facts(V2G, edition=edition).leaf
        assert leaf is not None and leaf.fingerprint != older[edition]
    every = bench.station.interface().get_all_valid_certificates_info(
        certificate_type=V2G, encoding=EncodingFormat.PEM, include_ocsp=False
    )
    newest = [one.fingerprint for one in bench.station.chains(V2G).chains[:2]]
    expected = [info.certificate for one in newest if (info := bench.station.renewal.leaf_info(V2G, one)) is not None]
    assert [one.certificate for one in every.info] == expected


# ---- over TLS, with the schemas of both sides


def test_tc_a_12_both_leaves_at_the_csms_request_and_again(tmp_path: Path) -> None:
    bench = with_both_roots(real_bench(tmp_path, Edition.V21, made=pki_of_both()))

    async def scene(stage: Stage) -> None:
        for _ in range(2):  # the second time they are renewals, and the CSMS checks whose root they name
            for use in BOTH:
                assert await stage.enrol(TRIGGERS[use], SIGNERS[use]) == {"status": "Accepted"}
        types = [one["certificateType"] for one in stage.csms.said("SignCertificate")]
        assert types == [TYPES[use] for use in BOTH] * 2
        assert set(editions(bench)) == set(profile.Edition)
        assert len(stage.csms.signed) == 2

    play(tmp_path, Edition.V21, scene, bench=bench)


@pytest.mark.parametrize("use", BOTH)
def test_m06_after_a_leaf_of_either_its_chain_is_asked_about_at_once(tmp_path: Path, use: SigningUse) -> None:
    bench = with_both_roots(real_bench(tmp_path, Edition.V21, made=pki_of_both(RESPONDER)))

    async def scene(stage: Stage) -> None:
        assert await stage.enrol(TRIGGERS[use], SIGNERS[use], responder_urls=(RESPONDER,)) == {"status": "Accepted"}
        said = await stage.csms.until_said("GetCertificateStatus", 3)
        serials = {one["ocspRequestData"]["serialNumber"] for one in said}
        line = [SIGNERS[use], SIGNERS[use].replace("2", "1")]
        assert {f"{bench.made[one].certificate.serial_number:x}" for one in line} < serials

    play(tmp_path, Edition.V21, scene, bench=bench)
