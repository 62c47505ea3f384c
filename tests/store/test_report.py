"""What is installed (M03), and what to ask OCSP responders about (M06, C07)."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from evse_security.pki.pem import blocks
from evse_security.store.rules.report import contract_questions, installed, v2g_questions, v2g_sub_ca_questions
from evse_security.vocabulary import CertificateHashData, CertificateHashDataChain, CertificateType, OCSPRequestData
from tests.builders import DAY, NOW, World, as_version_1, world
from tests.store.pictures import (
    CSMS_BUNDLE,
    FUTURE,
    MF_BUNDLE,
    MO_BUNDLE,
    PAST,
    V2G_BUNDLE,
    Shelf,
    id_of,
    junk_block,
    of,
    parsed,
)

V2G_ROOT, CHAIN = CertificateType.V2GRootCertificate, CertificateType.V2GCertificateChain


def listed(shelf: Shelf, *kinds: CertificateType, newest_by: str = "not_after") -> list[CertificateHashDataChain]:
    return installed(shelf.look(), kinds, newest_by, CertificateHashDataChain)


def data(w: World, holder: str) -> CertificateHashData:
    return id_of(w, holder).hash_data


def entry(kind: CertificateType, w: World, first: str, *children: str) -> CertificateHashDataChain:
    return CertificateHashDataChain(
        certificate_type=kind,
        certificate_hash_data=data(w, first),
        child_certificate_hash_data=tuple(data(w, child) for child in children) or None,
    )


def pki() -> World:
    return world("Root > Sub1 > Sub2 > SECC", "Root > Branch1 > Branch2 > Elsewhere")


# ---- CA stores


def test_each_root_is_listed_once_with_what_it_issued_from_the_top_down() -> None:
    w = world("A > Sub1 > Sub2 >", "B >")
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Sub2", "A", "B", "Sub1", "A"))
    assert listed(shelf, V2G_ROOT) == [entry(V2G_ROOT, w, "A", "Sub1", "Sub2"), entry(V2G_ROOT, w, "B")]


def test_copies_of_a_root_in_several_files_are_listed_once() -> None:
    w = world("A >")
    shelf = Shelf().put(f"{V2G_BUNDLE}/1.pem", w["A"].pem).put(f"{V2G_BUNDLE}/2.der", w["A"].der)
    assert listed(shelf, V2G_ROOT) == [entry(V2G_ROOT, w, "A")]


def test_23_13_expired_and_future_certificates_are_listed() -> None:
    w = world("Old > OldSub >", "New > NewSub >", Old=PAST, OldSub=PAST, New=FUTURE, NewSub=FUTURE)
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Old", "OldSub", "New", "NewSub"))
    assert listed(shelf, V2G_ROOT) == [
        entry(V2G_ROOT, w, "Old", "OldSub"),
        entry(V2G_ROOT, w, "New", "NewSub"),
    ]


def test_23_40_there_are_at_most_four_children_each_once() -> None:
    w = world("Root > A > B > C > D > E >")
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Root", "A", "B", "C", "D", "E", "A"))
    assert listed(shelf, V2G_ROOT) == [entry(V2G_ROOT, w, "Root", "A", "B", "C", "D")]


def test_domains_are_listed_in_the_order_asked_for_each_once_and_the_chain_last() -> None:
    w = world("V > Sub > SECC", "M >", "C >", "F >")
    shelf = Shelf().put(V2G_BUNDLE, w["V"].pem).put(MO_BUNDLE, w["M"].pem).put(CSMS_BUNDLE, w["C"].pem)
    shelf = shelf.put(MF_BUNDLE, w["F"].pem).with_leaf(w, "SECC", "Sub")
    kinds = (
        CHAIN,
        CertificateType.MFRootCertificate,
        CertificateType.CSMSRootCertificate,
        CertificateType.MORootCertificate,
        CertificateType.MFRootCertificate,
        V2G_ROOT,
    )
    assert [one.certificate_type for one in listed(shelf, *kinds)] == [
        "MFRootCertificate",
        "CSMSRootCertificate",
        "MORootCertificate",
        "V2GRootCertificate",
        "V2GCertificateChain",
    ]


def test_nothing_is_listed_where_nothing_is_or_nothing_is_asked_for() -> None:
    w = world("Root >")
    assert listed(Shelf(), V2G_ROOT, CHAIN) == []
    assert listed(Shelf().put(V2G_BUNDLE, w["Root"].pem)) == []


def test_a_sub_ca_without_issuer_has_no_hash_data_and_does_not_hide_the_others() -> None:
    w = world("Root > Sub >", "Other >")
    assert listed(Shelf().put(V2G_BUNDLE, w.pem("Sub", "Other")), V2G_ROOT) == [entry(V2G_ROOT, w, "Other")]


def test_a_sub_ca_whose_issuer_lies_in_another_store_is_listed_with_what_it_issued() -> None:
    w = world("Root > Sub1 > Sub2 >")
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Sub1", "Sub2")).put(MO_BUNDLE, w["Root"].pem)
    assert listed(shelf, V2G_ROOT) == [entry(V2G_ROOT, w, "Sub1", "Sub2")]


def test_23_02_a_forged_root_is_not_reported_as_one() -> None:
    w = world("Forged >", "Root >", Forged={"signed_by": "Mallory"})
    assert listed(Shelf().put(V2G_BUNDLE, w.pem("Forged", "Root")), V2G_ROOT) == [entry(V2G_ROOT, w, "Root")]


def test_self_signed_certificates_that_may_not_sign_are_listed_so_that_they_can_be_deleted() -> None:
    w = world("Leaf >", Leaf={"role": "leaf"})
    assert listed(Shelf().put(V2G_BUNDLE, w["Leaf"].pem), V2G_ROOT) == [entry(V2G_ROOT, w, "Leaf")]


def test_version_1_roots_are_listed() -> None:
    root = parsed(as_version_1(world("Root >")["Root"]))
    [found] = listed(Shelf().put(V2G_BUNDLE, root.der), V2G_ROOT)
    assert found.certificate_hash_data.serial_number == root.serial_text


def test_a_bad_block_hides_nothing() -> None:
    w = world("A >", "B >")
    shelf = Shelf().put(V2G_BUNDLE, w["A"].pem + junk_block() + w["B"].pem)
    assert listed(shelf, V2G_ROOT) == [entry(V2G_ROOT, w, "A"), entry(V2G_ROOT, w, "B")]


def test_23_04_nor_does_an_unreadable_file() -> None:
    w = world("A >")
    shelf = Shelf().put(f"{V2G_BUNDLE}/1.pem", None).put(f"{V2G_BUNDLE}/2.pem", w["A"].pem)
    assert listed(shelf, V2G_ROOT) == [entry(V2G_ROOT, w, "A")]


def test_every_self_signed_certificate_in_the_field_is_listed(realworld: Path) -> None:
    texts = sorted((realworld / "certs").rglob("*.pem"))
    certificates = [b.certificate for text in texts for b in blocks(text.read_bytes())]
    genuine = {c for c in certificates if c is not None and c.self_signed}
    shelf = Shelf()
    for number, certificate in enumerate(genuine):
        shelf = shelf.put(f"{V2G_BUNDLE}/{number}.pem", certificate.pem)
    snapshot = shelf.look()
    entries = {
        one.certificate_hash_data for one in installed(snapshot, (V2G_ROOT,), "not_after", CertificateHashDataChain)
    }
    expected = {found.hash_data for c in genuine if (found := snapshot.forest.id_of(c)) is not None}
    assert len(genuine) >= 10
    assert entries == expected


# ---- V2G chains


def test_a_chain_is_listed_leaf_first_without_its_root() -> None:
    w = pki()
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem).with_leaf(w, "SECC", "Sub2", "Sub1")
    assert listed(shelf, CHAIN) == [entry(CHAIN, w, "SECC", "Sub2", "Sub1")]


@pytest.mark.parametrize("held", [("Sub1", "Sub2"), ("Sub1",), ("Sub2",)])
@pytest.mark.parametrize("sent", [(), ("Sub2",), ("Sub1", "Sub2"), ("Sub2", "Sub1", "Root", "Branch1")])
def test_the_sub_cas_come_from_the_leafs_file_or_from_the_store(held: Sequence[str], sent: Sequence[str]) -> None:
    w = pki()
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Root", *held)).with_leaf(w, "SECC", *sent)
    known = {*held, *sent}
    if "Sub2" not in known:
        assert listed(shelf, CHAIN) == []  # nobody knows who issued it
    elif "Sub1" not in known:
        assert listed(shelf, CHAIN) == [entry(CHAIN, w, "SECC")]  # nor who issued its sub-CA
    else:
        assert listed(shelf, CHAIN) == [entry(CHAIN, w, "SECC", "Sub2", "Sub1")]


def test_23_19_fault_49_foreign_sub_cas_in_the_store_do_not_leak_into_the_chain() -> None:
    w = pki()
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Root", "Branch1", "Branch2", "Sub1", "Sub2"))
    shelf = shelf.with_leaf(w, "SECC", "Sub2", "Sub1")
    assert listed(shelf, CHAIN) == [entry(CHAIN, w, "SECC", "Sub2", "Sub1")]


@pytest.mark.parametrize("validity", [PAST, FUTURE])
def test_23_13_expired_and_future_chains_are_listed(validity: dict[str, object]) -> None:
    w = world("Root > Sub > SECC", Root=PAST, Sub=validity, SECC=validity)
    assert listed(Shelf().with_leaf(w, "SECC", "Sub"), CHAIN) == [entry(CHAIN, w, "SECC")]
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem).with_leaf(w, "SECC", "Sub")
    assert listed(shelf, CHAIN) == [entry(CHAIN, w, "SECC", "Sub")]


def test_chains_are_listed_newest_first() -> None:
    ends = {holder: NOW + days * DAY for days, holder in enumerate("ABC", 10)}
    starts = {"A": NOW - DAY, "B": NOW - 3 * DAY, "C": NOW - 2 * DAY}
    w = world(
        *(f"Root > Sub > {h}" for h in "ABC"), **{h: {"not_after": ends[h], "not_before": starts[h]} for h in "ABC"}
    )
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem)
    for number, holder in enumerate("BAC"):
        shelf = shelf.with_leaf(w, holder, "Sub", number=number)
    assert listed(shelf, CHAIN) == [entry(CHAIN, w, holder, "Sub") for holder in "CBA"]
    assert listed(shelf, CHAIN, newest_by="not_before") == [entry(CHAIN, w, holder, "Sub") for holder in "ACB"]


def test_a_leaf_without_its_key_is_not_listed_nor_a_csms_leaf() -> None:
    w = pki()
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem).put("client/cso/l.pem", w.pem("SECC", "Sub2", "Sub1"))
    shelf = shelf.with_leaf(w, "Elsewhere", "Branch2", "Branch1", kind="CSMS")
    assert listed(shelf, CHAIN) == []


def test_23_15_a_ca_certificate_with_its_key_is_not_listed_as_chain() -> None:
    w = pki()
    assert listed(Shelf().put(V2G_BUNDLE, w["Root"].pem).with_leaf(w, "Sub1"), CHAIN) == []


def test_a_chain_in_a_damaged_file_is_listed_with_what_can_be_read() -> None:
    w = pki()
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem).with_key(w, "SECC", "client/cso/l.key")
    shelf = shelf.put("client/cso/l.pem", w["SECC"].pem + junk_block() + w.pem("Sub2", "Sub1"))
    assert listed(shelf, CHAIN) == [entry(CHAIN, w, "SECC", "Sub2", "Sub1")]


# ---- OCSP: the station's own chains

URL = "http://ocsp.example/{}"


def responding(*paths: str, **changes: object) -> World:
    """A world in which everybody but roots names a responder."""
    holders = {part.strip() for path in paths for part in path.split(">")[1:] if part.strip()}
    given: dict[str, dict[str, object]] = {h: {"responder_urls": (URL.format(h),)} for h in sorted(holders)}
    for holder, more in changes.items():
        given[holder] = {**given.get(holder, {}), **more}  # type: ignore[dict-item]  # as the builder takes them
    return world(*paths, **given)


def questions(w: World, *holders: str) -> list[OCSPRequestData]:
    return [
        OCSPRequestData(certificate_hash_data=data(w, holder), responder_url=URL.format(holder)) for holder in holders
    ]


def asked(shelf: Shelf) -> list[OCSPRequestData]:
    return v2g_questions(shelf.look(), "not_after", NOW)


THREE = "Root > Sub1 > Sub2 > SECC"


@pytest.mark.parametrize("held", [(), ("Sub1", "Sub2"), ("Sub2", "Sub1"), ("Branch", "Sub1")])
@pytest.mark.parametrize("sent", [("Sub2", "Sub1"), ("Sub1", "Sub2"), ("Sub2", "Sub1", "Root")])
def test_fault_50_the_chain_is_asked_about_leaf_first_and_nothing_else(
    held: Sequence[str], sent: Sequence[str]
) -> None:
    w = responding(THREE, "Root > Branch >")
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Root", *held)).with_leaf(w, "SECC", *sent)
    assert asked(shelf) == questions(w, "SECC", "Sub2", "Sub1")


def test_a_single_leaf_is_asked_about_with_the_sub_cas_of_the_store() -> None:
    w = responding(THREE)
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Root", "Sub1", "Sub2")).with_leaf(w, "SECC")
    assert asked(shelf) == questions(w, "SECC", "Sub2", "Sub1")


def test_a_sub_ca_without_known_issuer_is_left_out() -> None:
    w = responding(THREE)
    assert asked(Shelf().with_leaf(w, "SECC", "Sub2", "Sub1")) == questions(w, "SECC", "Sub2")


def test_23_13_future_leaves_are_asked_about_and_expired_ones_are_not() -> None:
    w = responding(THREE, "Root > Sub1 > Sub2 > Ended", SECC=FUTURE, Ended=PAST)
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem).with_leaf(w, "SECC", "Sub2", "Sub1")
    shelf = shelf.with_leaf(w, "Ended", "Sub2", "Sub1", number=2)
    assert asked(shelf) == questions(w, "SECC", "Sub2", "Sub1")


def test_what_two_chains_share_is_asked_about_once() -> None:
    w = responding(THREE, "Root > Sub1 > Sub2 > Later", Later={"not_after": NOW + 90 * DAY})
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem).with_leaf(w, "SECC", "Sub2", "Sub1")
    shelf = shelf.with_leaf(w, "Later", "Sub2", "Sub1", number=2)
    assert asked(shelf) == questions(w, "Later", "Sub2", "Sub1", "SECC")


def test_a_leaf_without_key_and_csms_leaves_are_not_asked_about() -> None:
    w = responding(THREE, "Root > Sub1 > Client")
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem).put("client/cso/l.pem", w.pem("SECC", "Sub2", "Sub1"))
    assert asked(shelf.with_leaf(w, "Client", "Sub1", kind="CSMS")) == []


def test_23_21_fault_51_of_several_responders_the_first_usable_one_is_named() -> None:
    urls = ("ldap://x", "http://ocsp.example/" + "x" * 500, URL.format("SECC"), "http://second.example")
    w = responding(THREE, SECC={"responder_urls": urls}, Sub2={"responder_urls": ("http://" + "x" * 600,)})
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem).with_leaf(w, "SECC", "Sub2", "Sub1")
    assert asked(shelf) == questions(w, "SECC", "Sub1")


# ---- OCSP: every sub-CA of the store (revision 2023-10)


def test_all_sub_cas_of_the_v2g_store_that_name_a_responder_are_asked_about_each_once() -> None:
    w = responding(THREE, "Root > Branch >", "Root > Silent >", "MO > MOSub >", Silent={"responder_urls": ()})
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Root", "Sub1", "Branch", "Silent", "Sub1", "SECC"))
    shelf = shelf.put(MO_BUNDLE, w.pem("MO", "MOSub"))
    assert v2g_sub_ca_questions(shelf.look()) == questions(w, "Sub1", "Branch")


def test_an_orphan_among_them_cannot_be_asked_about() -> None:
    w = responding(THREE)
    assert v2g_sub_ca_questions(Shelf().put(V2G_BUNDLE, w["Sub1"].pem).look()) == []


# ---- OCSP: contract chains

CONTRACT = "MORoot > MO1 > MO2 > Contract"


def contract(shelf: Shelf, w: World, *received: str) -> list[OCSPRequestData]:
    return contract_questions(shelf.look(), [of(w, holder) for holder in received])


@pytest.mark.parametrize("bundle", [MO_BUNDLE, V2G_BUNDLE])
@pytest.mark.parametrize("sent", [("MO2", "MO1"), ("MO1", "MO2"), ("MO2", "MO1", "MORoot")])
def test_23_22_a_contract_chain_is_asked_about_with_and_without_its_root_sent_along(
    bundle: str, sent: Sequence[str]
) -> None:
    w = responding(CONTRACT)
    shelf = Shelf().put(bundle, w["MORoot"].pem)
    assert contract(shelf, w, "Contract", *sent) == questions(w, "Contract", "MO2", "MO1")


def test_without_an_installed_root_what_is_known_is_asked_about_for_central_validation() -> None:
    w = responding(CONTRACT)
    assert contract(Shelf(), w, "Contract", "MO2", "MO1", "MORoot") == questions(w, "Contract", "MO2", "MO1")
    assert contract(Shelf(), w, "Contract", "MO2", "MO1") == questions(w, "Contract", "MO2")
    assert contract(Shelf(), w, "Contract") == []


def test_installed_sub_cas_complete_a_contract_chain() -> None:
    w = responding(CONTRACT, "MORoot > Foreign >")
    shelf = Shelf().put(MO_BUNDLE, w.pem("MORoot", "MO1", "MO2", "Foreign"))
    assert contract(shelf, w, "Contract") == questions(w, "Contract", "MO2", "MO1")


def test_expired_contracts_are_asked_about_like_others() -> None:
    w = responding(CONTRACT, Contract=PAST, MO2=PAST)
    assert contract(Shelf(), w, "Contract", "MO2", "MO1") == questions(w, "Contract", "MO2")


def test_a_lone_root_is_nothing_to_ask_about() -> None:
    w = responding(CONTRACT)
    assert contract(Shelf(), w, "MORoot") == []


def test_contracts_without_responder_are_left_out() -> None:
    w = responding(CONTRACT, MO2={"responder_urls": ()})
    assert contract(Shelf(), w, "Contract", "MO2", "MO1", "MORoot") == questions(w, "Contract", "MO1")


def test_a_ring_of_certificates_ends() -> None:
    """Two CAs that certify each other, neither of which is a root."""
    responder = {holder: {"responder_urls": (URL.format(holder),)} for holder in ("B", "Leaf")}
    w = world("A > B > Leaf", "B0 > A2 >", B0={"same_as": "B"}, A2={"same_as": "A"}, **responder)
    assert contract(Shelf(), w, "Leaf", "B", "A2") == questions(w, "Leaf", "B")
