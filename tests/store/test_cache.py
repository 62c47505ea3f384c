"""Keeping OCSP responses (M06), and offering them."""

from typing import Any

import pytest
from cryptography.x509.ocsp import OCSPCertStatus

from evse_security.errors import (
    NotInstalled,
    OcspBadSignature,
    OcspMalformed,
    OcspNotCurrent,
    OcspOlder,
    OcspOtherCertificate,
    OcspRefused,
    OcspUnknown,
)
from evse_security.lab.keys import PrivateKey
from evse_security.lab.resign import contents, members, resign, tlv
from evse_security.pki.hashdata import CertID
from evse_security.store.changes import Decision, Write
from evse_security.store.rules.cache import cache, offered
from evse_security.vocabulary import HashAlgorithm
from tests.builders import DAY, NOW, World, ocsp_answer, world
from tests.store.pictures import CSMS_BUNDLE, HOUR, MO_BUNDLE, V2G_BUNDLE, Shelf, config, id_of, of

PLACE = "client/cso/ocsp"


def pki() -> World:
    return world(
        "Root > Sub1 > Sub2 > SECC", "Root > Sub1 > Sub2 > Responder", "Stranger >", Responder={"role": "responder"}
    )


def station(w: World) -> Shelf:
    return Shelf().put(V2G_BUNDLE, w["Root"].pem).with_leaf(w, "SECC", "Sub2", "Sub1")


def decided(shelf: Shelf, wanted: CertID, response: bytes, check: str = "verified") -> Decision:
    return cache(shelf.look(), wanted, response, check=check, now=NOW)


def cached(shelf: Shelf, w: World, holder: str, response: bytes, check: str = "verified") -> Shelf:
    return shelf.applied(decided(shelf, id_of(w, holder), response, check).changes)


def pair(w: World, holder: str, directory: str = PLACE) -> set[str]:
    stem = f"{directory}/{id_of(w, holder).digest}_ocsp"
    return {f"{stem}.der", f"{stem}.hash"}


# ---- where it goes


def test_a_response_lies_in_der_beside_the_certificate_and_then_its_hash_file() -> None:
    w = pki()
    response = ocsp_answer(w, "SECC")
    decision = decided(station(w), id_of(w, "SECC"), response)
    stem = f"{PLACE}/{id_of(w, 'SECC').digest}_ocsp"
    assert decision.changes == (
        Write(Shelf().path(f"{stem}.der"), response),
        Write(Shelf().path(f"{stem}.hash"), id_of(w, "SECC").lines),
    )
    assert decision.updates == ()


def test_the_hash_file_has_four_lines() -> None:
    w = pki()
    data = id_of(w, "SECC").hash_data
    after = cached(station(w), w, "SECC", ocsp_answer(w, "SECC"))
    assert after.text(f"{PLACE}/{id_of(w, 'SECC').digest}_ocsp.hash").splitlines() == [
        "SHA256",
        data.issuer_name_hash,
        data.issuer_key_hash,
        data.serial_number,
    ]


def test_every_directory_with_a_copy_of_the_certificate_gets_one_leaves_first() -> None:
    w = pki()
    shelf = station(w).put(V2G_BUNDLE, w.pem("Root", "Sub2", "Sub1")).put(f"{MO_BUNDLE}/x.pem", w["Sub2"].pem)
    shelf = shelf.with_leaf(w, "SECC", "Sub2", kind="CSMS").put(CSMS_BUNDLE, w["Root"].pem)
    decision = decided(shelf, id_of(w, "Sub2"), ocsp_answer(w, "Sub2"))
    expected = ["client/cso/ocsp", "client/csms/ocsp", "ca/v2g/ocsp", f"{MO_BUNDLE}/ocsp"]
    assert [str(c.path.parent.relative_to(Shelf().path(""))) for c in decision.changes[::2]] == expected


def test_a_bundle_that_domains_share_gets_one() -> None:
    w = pki()
    shelf = Shelf().put("ca/v2g/MO.pem", w["Root"].pem).put(V2G_BUNDLE, w.pem("Root", "Sub1"))
    assert len(decided(shelf, id_of(w, "Sub1"), ocsp_answer(w, "Sub1")).changes) == 2


def test_the_pair_that_is_there_is_kept_up_to_date_under_its_name() -> None:
    w = pki()
    old, new = ocsp_answer(w, "SECC", this_update=NOW - DAY), ocsp_answer(w, "SECC")
    shelf = station(w).with_ocsp(f"{PLACE}/M1_ocsp", id_of(w, "SECC"), old)
    after = cached(shelf, w, "SECC", new)
    assert after.names() == shelf.names()
    assert after.files[after.path(f"{PLACE}/M1_ocsp.der")].content == new


def test_all_pairs_that_are_there_are_kept_up_to_date() -> None:
    w = pki()
    shelf = station(w).with_ocsp(f"{PLACE}/1_ocsp", id_of(w, "SECC"), b"junk")
    shelf = shelf.with_ocsp(f"{PLACE}/2_ocsp", id_of(w, "SECC"), None)
    new = ocsp_answer(w, "SECC")
    after = cached(shelf, w, "SECC", new)
    assert {after.files[after.path(f"{PLACE}/{n}_ocsp.der")].content for n in (1, 2)} == {new}


def test_23_46_a_hash_file_without_its_response_gets_it() -> None:
    w = pki()
    shelf = station(w).with_ocsp(f"{PLACE}/M1_ocsp", id_of(w, "SECC"), None)
    after = cached(shelf, w, "SECC", ocsp_answer(w, "SECC"))
    assert after.names() - shelf.names() == {f"{PLACE}/M1_ocsp.der"}


def test_fault_21_a_response_without_its_hash_file_is_completed_by_the_next() -> None:
    w = pki()
    shelf = station(w)
    first, *_ = decided(shelf, id_of(w, "SECC"), ocsp_answer(w, "SECC")).changes
    interrupted = shelf.after(first)
    after = cached(interrupted, w, "SECC", ocsp_answer(w, "SECC"))
    assert after.names() - station(w).names() == pair(w, "SECC")


def test_a_pair_of_another_certificate_is_not_touched() -> None:
    w = pki()
    shelf = station(w).with_ocsp(f"{PLACE}/M1_ocsp", id_of(w, "Sub2"), ocsp_answer(w, "Sub2"))
    decision = decided(shelf, id_of(w, "SECC"), ocsp_answer(w, "SECC"))
    assert {change.path.name[:2] for change in decision.changes} != {"M1"}
    assert len(decision.changes) == 2


def test_fault_40_csms_leaves_and_contract_roots_have_responses_too() -> None:
    w = pki()
    shelf = Shelf().put(MO_BUNDLE, w.pem("Root", "Sub1")).with_leaf(w, "SECC", "Sub2", "Sub1", kind="CSMS")
    assert cached(shelf, w, "SECC", ocsp_answer(w, "SECC")).names() >= pair(w, "SECC", "client/csms/ocsp")
    assert cached(shelf, w, "Sub1", ocsp_answer(w, "Sub1")).names() >= pair(w, "Sub1", "ca/mo/ocsp")


# ---- who is meant


def test_fault_37_a_response_for_a_certificate_that_is_not_installed_is_refused() -> None:
    w = pki()
    with pytest.raises(NotInstalled):
        decided(station(w).without("x"), id_of(w, "Responder"), ocsp_answer(w, "Responder"))


def test_a_certificate_whose_issuer_is_not_installed_has_no_identity() -> None:
    w = pki()
    with pytest.raises(NotInstalled):
        decided(Shelf().with_leaf(w, "SECC"), id_of(w, "SECC"), ocsp_answer(w, "SECC"))


@pytest.mark.parametrize("algorithm", list(HashAlgorithm))
def test_fault_52_the_caller_may_use_any_algorithm_and_sha256_is_written(algorithm: HashAlgorithm) -> None:
    w = pki()
    shelf = station(w)
    wanted = shelf.look().forest.id_of(of(w, "SECC"), algorithm)
    assert wanted is not None
    after = shelf.applied(decided(shelf, wanted, ocsp_answer(w, "SECC")).changes)
    assert after.names() - shelf.names() == pair(w, "SECC")


# ---- whether it is believed

NOT_BELIEVED: dict[str, tuple[type[OcspRefused], dict[str, Any]]] = {
    "another certificate": (OcspOtherCertificate, {"subject": "Sub2"}),
    "signed by a stranger": (OcspBadSignature, {"responder": "Stranger"}),
    "past its nextUpdate": (OcspNotCurrent, {"this_update": NOW - 9 * DAY, "next_update": NOW - 2 * DAY}),
    "from the future": (OcspNotCurrent, {"this_update": NOW + DAY, "next_update": NOW + 2 * DAY}),
    "unknown": (OcspUnknown, {"status": OCSPCertStatus.UNKNOWN}),
}


@pytest.mark.parametrize(("refusal", "given"), NOT_BELIEVED.values(), ids=NOT_BELIEVED)
def test_23_24_what_is_not_to_be_believed_is_not_kept(refusal: type[OcspRefused], given: dict[str, Any]) -> None:
    w = pki()
    response = ocsp_answer(w, **{"subject": "SECC", **given})
    with pytest.raises(refusal):
        decided(station(w), id_of(w, "SECC"), response)
    assert decided(station(w), id_of(w, "SECC"), response, "unchecked").changes


def test_23_24_junk_is_not_kept() -> None:
    w = pki()
    with pytest.raises(OcspMalformed):
        decided(station(w), id_of(w, "SECC"), b"junk")
    after = cached(station(w), w, "SECC", b"junk", "unchecked")
    assert offered(after.look(), of(w, "SECC"), after.path("client/cso"), NOW) is None


def test_a_delegated_responder_is_believed_and_a_revocation_is_kept() -> None:
    w = pki()
    response = ocsp_answer(w, "SECC", "Responder", status=OCSPCertStatus.REVOKED, revoked_at=NOW - DAY)
    assert cached(station(w), w, "SECC", response).names() >= pair(w, "SECC")


# ---- replays


def test_an_older_response_does_not_replace_a_newer_one() -> None:
    w = pki()
    newer = ocsp_answer(w, "SECC", this_update=NOW - HOUR, status=OCSPCertStatus.REVOKED, revoked_at=NOW - DAY)
    older = ocsp_answer(w, "SECC", this_update=NOW - 2 * HOUR)
    shelf = cached(station(w), w, "SECC", newer)
    with pytest.raises(OcspOlder):
        decided(shelf, id_of(w, "SECC"), older)
    assert decided(shelf, id_of(w, "SECC"), older, "unchecked").changes


@pytest.mark.parametrize("kept", [NOW - 2 * HOUR, NOW - HOUR])
def test_one_as_new_or_newer_does(kept: Any) -> None:
    w = pki()
    shelf = cached(station(w), w, "SECC", ocsp_answer(w, "SECC", this_update=kept))
    assert decided(shelf, id_of(w, "SECC"), ocsp_answer(w, "SECC", this_update=NOW - HOUR)).changes


def test_a_kept_answer_from_the_future_blocks_nothing() -> None:
    w = pki()
    shelf = station(w).with_ocsp(f"{PLACE}/1_ocsp", id_of(w, "SECC"), ocsp_answer(w, "SECC", this_update=NOW + DAY))
    assert decided(shelf, id_of(w, "SECC"), ocsp_answer(w, "SECC")).changes


def test_a_clock_that_is_set_back_undoes_no_revocation() -> None:
    """A response from before it is current again then, and somebody may have kept it."""
    w = pki()
    good = ocsp_answer(w, "SECC", this_update=NOW - HOUR)
    revoked = ocsp_answer(w, "SECC", this_update=NOW + DAY, status=OCSPCertStatus.REVOKED, revoked_at=NOW)
    shelf = station(w).with_ocsp(f"{PLACE}/1_ocsp", id_of(w, "SECC"), revoked)
    with pytest.raises(OcspOlder):
        decided(shelf, id_of(w, "SECC"), good)


def test_of_two_equally_new_ones_the_revocation_stays() -> None:
    w = pki()
    revoked = ocsp_answer(w, "SECC", this_update=NOW - HOUR, status=OCSPCertStatus.REVOKED, revoked_at=NOW - DAY)
    good = ocsp_answer(w, "SECC", this_update=NOW - HOUR)
    shelf = cached(station(w), w, "SECC", revoked)
    with pytest.raises(OcspOlder):
        decided(shelf, id_of(w, "SECC"), good)
    assert decided(cached(station(w), w, "SECC", good), id_of(w, "SECC"), revoked).changes


def test_a_revocation_from_the_future_that_nobody_signed_blocks_nothing() -> None:
    w = pki()
    claim = {"this_update": NOW + DAY, "status": OCSPCertStatus.REVOKED, "revoked_at": NOW}
    forged = ocsp_answer(w, "SECC", "Stranger", **claim)
    shelf = station(w).with_ocsp(f"{PLACE}/1_ocsp", id_of(w, "SECC"), forged)
    assert decided(shelf, id_of(w, "SECC"), ocsp_answer(w, "SECC")).changes


def test_what_cannot_be_read_blocks_nothing() -> None:
    w = pki()
    shelf = station(w).with_ocsp(f"{PLACE}/1_ocsp", id_of(w, "SECC"), b"SGVsbG8=")
    assert decided(shelf, id_of(w, "SECC"), ocsp_answer(w, "SECC")).changes


# ---- several answers in one response


def singles(response: bytes) -> list[bytes]:
    """Its single responses, DER."""
    _, octets = members(members(members(response)[1])[0])
    return members(members(members(contents(octets))[0])[-1])


def with_singles(response: bytes, key: PrivateKey, *given: bytes) -> bytes:
    """The response with other single responses, signed again."""
    status, response_bytes = members(response)
    kind, octets = members(members(response_bytes)[0])
    basic = resign(contents(octets), key, lambda parts: [*parts[:-1], tlv(0x30, *given)])
    return tlv(0x30, status, tlv(0xA0, tlv(0x30, kind, tlv(0x04, basic))))


def both(w: World, first: bytes, second: bytes) -> bytes:
    """The response that says what these two say, signed by the CA of the leaf."""
    [single] = singles(first)
    return with_singles(second, w["Sub2"].key, single, *singles(second))


def test_a_revocation_is_not_replaced_whoever_else_the_kept_response_is_about() -> None:
    w = pki()
    other = ocsp_answer(w, "Responder", this_update=NOW - 20 * HOUR)
    revoked = ocsp_answer(w, "SECC", this_update=NOW - HOUR, status=OCSPCertStatus.REVOKED, revoked_at=NOW - DAY)
    shelf = cached(station(w), w, "SECC", both(w, other, revoked))
    with pytest.raises(OcspOlder):
        decided(shelf, id_of(w, "SECC"), ocsp_answer(w, "SECC", this_update=NOW - 2 * HOUR))


def test_another_certificates_answer_blocks_nothing() -> None:
    w = pki()
    shelf = station(w).with_ocsp(f"{PLACE}/1_ocsp", id_of(w, "SECC"), ocsp_answer(w, "Responder", this_update=NOW))
    assert decided(shelf, id_of(w, "SECC"), ocsp_answer(w, "SECC")).changes


# ---- what is offered


def offer(shelf: Shelf, w: World, holder: str = "SECC", near: str = "client/cso") -> str | None:
    entry = offered(shelf.look(), of(w, holder), shelf.path(near), NOW)
    return None if entry is None else str(entry.response_path.relative_to(shelf.path("")))


def test_the_newest_current_response_is_offered_of_equals_the_nearest() -> None:
    w = pki()
    shelf = station(w).put(V2G_BUNDLE, w.pem("Root", "Sub1", "Sub2"))
    shelf = shelf.with_ocsp("ca/v2g/ocsp/a_ocsp", id_of(w, "Sub2"), ocsp_answer(w, "Sub2", this_update=NOW - DAY))
    assert offer(shelf, w, "Sub2") == "ca/v2g/ocsp/a_ocsp.der"
    shelf = cached(shelf.without("ca/v2g/ocsp/a_ocsp.hash"), w, "Sub2", ocsp_answer(w, "Sub2"))
    digest = id_of(w, "Sub2").digest
    assert offer(shelf, w, "Sub2") == f"client/cso/ocsp/{digest}_ocsp.der"
    assert offer(shelf, w, "Sub2", near="ca/v2g") == f"ca/v2g/ocsp/{digest}_ocsp.der"


@pytest.mark.parametrize(
    "given",
    [
        {"this_update": NOW - 9 * DAY, "next_update": NOW - DAY},
        {"this_update": NOW + DAY, "next_update": NOW + 2 * DAY},
        {"this_update": NOW - 8 * DAY, "next_update": None},
        {"status": OCSPCertStatus.UNKNOWN},
    ],
)
def test_23_24_what_is_not_current_or_says_nothing_is_not_offered(given: dict[str, Any]) -> None:
    w = pki()
    shelf = station(w).with_ocsp(f"{PLACE}/1_ocsp", id_of(w, "SECC"), ocsp_answer(w, "SECC", **given))
    assert offer(shelf, w) is None


@pytest.mark.parametrize(("until", "path"), [(NOW + DAY, f"{PLACE}/1_ocsp.der"), (NOW - HOUR, None)])
def test_23_24_what_is_current_about_others_only_is_not_offered(until: Any, path: str | None) -> None:
    w = pki()
    other = ocsp_answer(w, "Responder")
    own = ocsp_answer(w, "SECC", this_update=NOW - DAY, next_update=until)
    assert offer(station(w).with_ocsp(f"{PLACE}/1_ocsp", id_of(w, "SECC"), both(w, other, own)), w) == path
    assert offer(station(w).with_ocsp(f"{PLACE}/1_ocsp", id_of(w, "SECC"), other), w) is None


def test_23_46_half_a_pair_is_not_offered_and_hides_no_whole_one() -> None:
    w = pki()
    half = station(w).with_ocsp(f"{PLACE}/1_ocsp", id_of(w, "SECC"), None)
    half = half.with_ocsp(f"{PLACE}/2_ocsp", None, ocsp_answer(w, "SECC"))
    assert offer(half, w) is None
    whole = half.with_ocsp(f"{PLACE}/3_ocsp", id_of(w, "SECC"), ocsp_answer(w, "SECC"))
    assert offer(whole, w) == f"{PLACE}/3_ocsp.der"


def test_fault_39_responses_are_found_beside_certificates_though_the_keys_are_elsewhere() -> None:
    w = pki()
    shelf = Shelf(config(secc_leaf_key_directory="keys")).put(V2G_BUNDLE, w["Root"].pem)
    shelf = shelf.put("client/cso/l.pem", w.pem("SECC", "Sub2", "Sub1")).with_key(w, "SECC", "keys/l.key")
    assert offer(cached(shelf, w, "SECC", ocsp_answer(w, "SECC")), w) is not None


def test_of_a_certificate_without_identity_nothing_is_offered() -> None:
    w = pki()
    assert offer(Shelf().with_leaf(w, "SECC"), w) is None
