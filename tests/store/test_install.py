"""Installing a CA certificate (M05)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtensionOID

from evse_security.errors import (
    BadSignature,
    ChainRefused,
    Expired,
    IssuerNotFound,
    NotACa,
    NotSignedByPredecessor,
    NotWritable,
    NotYetValid,
    PathTooLong,
    StoreFull,
    WeakDigest,
    WeakKey,
)
from evse_security.lab.authority import KeyIdentifier, KeyUse, name
from evse_security.lab.keys import KeyKind
from evse_security.pki.certificate import Certificate
from evse_security.store.changes import Decision, Edit, Remove, Write
from evse_security.store.limits import Limits, with_room
from evse_security.store.rules.install import install
from evse_security.vocabulary import CaCertificateType, CertificateStoreUpdate, CertificateStoreUpdateOperation
from tests.builders import DAY, NOW, YEAR, as_version_1, key, signed_with_rsa, world
from tests.store.pictures import (
    BELIEVED,
    CSMS,
    CSMS_BUNDLE,
    MO,
    MO_BUNDLE,
    V2G,
    V2G_BUNDLE,
    Shelf,
    config,
    junk_block,
    limits,
    names_in,
    of,
    parsed,
    token,
)

SECOND = timedelta(seconds=1)
INSTALLED = CertificateStoreUpdateOperation.Installed


def decided(
    shelf: Shelf,
    certificate: Certificate,
    ca_type: CaCertificateType = V2G,
    *,
    now: datetime = NOW,
    under: Limits | None = None,
) -> Decision:
    snapshot = shelf.look()
    return install(snapshot, certificate, snapshot.cas[ca_type], under or limits(), now, token(7))


def accepted(shelf: Shelf, certificate: Certificate, ca_type: CaCertificateType = V2G, **given: Any) -> Shelf:
    return shelf.applied(decided(shelf, certificate, ca_type, **given).changes)


# ---- where it goes


def test_a_root_is_added_to_the_end_of_the_bundle_and_announced_once() -> None:
    w = world("Old >", "New >")
    shelf = Shelf().put(V2G_BUNDLE, "# ours\n" + w["Old"].pem)
    decision = decided(shelf, of(w, "New"))
    assert decision.changes == (Edit(shelf.path(V2G_BUNDLE), append=w["New"].pem.encode()),)
    assert decision.updates == (CertificateStoreUpdate(operation=INSTALLED, ca_certificate_type=V2G),)
    assert shelf.applied(decision.changes).text(V2G_BUNDLE) == "# ours\n" + w["Old"].pem + w["New"].pem


def test_a_bundle_without_last_newline_gets_one_first() -> None:
    w = world("Old >", "New >")
    after = accepted(Shelf().put(V2G_BUNDLE, w["Old"].pem.rstrip()), of(w, "New"))
    assert after.text(V2G_BUNDLE) == w["Old"].pem + w["New"].pem


def test_a_bundle_that_does_not_exist_is_made_where_its_path_says() -> None:
    root = world("Root >")
    assert accepted(Shelf(), of(root, "Root")).text(V2G_BUNDLE) == root["Root"].pem


def test_a_path_without_extension_that_does_not_exist_becomes_a_directory() -> None:
    w = world("Root >")
    after = accepted(Shelf(config(mo_ca_bundle="ca/mo")), of(w, "Root"), MO)
    assert after.names() == {f"ca/mo/MO_ROOT_{token(7)}.pem"}


def test_in_a_directory_a_root_is_a_file_of_its_own_and_no_other_file_is_touched() -> None:
    w = world("Old >", "New >")
    shelf = Shelf().put(f"{V2G_BUNDLE}/mine.crt", w["Old"].pem).put(f"{V2G_BUNDLE}/readme.txt", "hands off")
    decision = decided(shelf, of(w, "New"))
    assert decision.changes == (Write(shelf.path(f"{V2G_BUNDLE}/V2G_ROOT_{token(7)}.pem"), w["New"].pem.encode()),)


def test_an_empty_directory_takes_a_file() -> None:
    after = accepted(Shelf().with_directory(V2G_BUNDLE), of(world("Root >"), "Root"))
    assert after.names() == {f"{V2G_BUNDLE}/V2G_ROOT_{token(7)}.pem"}


def test_a_bundle_in_der_becomes_text_when_a_second_certificate_comes() -> None:
    w = world("Old >", "New >")
    after = accepted(Shelf().put(V2G_BUNDLE, w["Old"].der), of(w, "New"))
    assert after.text(V2G_BUNDLE) == w["Old"].pem + w["New"].pem


def test_what_cannot_be_looked_at_is_not_written_to() -> None:
    shelf = replace(Shelf(config(v2g_ca_bundle="ca/v2g")), blocked=frozenset({Shelf().path("ca/v2g")}))
    with pytest.raises(NotWritable):
        decided(shelf, of(world("Root >"), "Root"))


def test_a_bad_block_in_the_bundle_is_not_blamed_on_the_new_certificate() -> None:
    w = world("Old >", "New >")
    after = accepted(Shelf().put(V2G_BUNDLE, junk_block() + w["Old"].pem), of(w, "New"))
    assert after.text(V2G_BUNDLE) == junk_block() + w["Old"].pem + w["New"].pem
    assert len(after.look().cas[V2G].roots) == 2


def test_one_domain_does_not_show_in_another() -> None:
    after = accepted(Shelf(), of(world("Root >"), "Root"), MO)
    assert after.names() == {MO_BUNDLE}


# ---- installed already


@pytest.mark.parametrize("place", [V2G_BUNDLE, f"{V2G_BUNDLE}/mine.pem"])
@pytest.mark.parametrize("in_der", [False, True])
def test_what_is_installed_already_is_accepted_without_a_change(place: str, in_der: bool) -> None:  # noqa: FBT001
    w = world("Root >")
    shelf = Shelf().put(place, w["Root"].der if in_der else w["Root"].pem)
    assert decided(shelf, of(w, "Root")) == Decision()
    assert decided(shelf, of(w, "Root"), under=limits(max_ca_certificates=1, max_entries=1)) == Decision()


def test_in_a_bundle_that_domains_share_a_root_of_the_other_is_installed_already() -> None:
    w = world("Root >")
    shelf = Shelf(config(csms_ca_bundle=V2G_BUNDLE)).put(V2G_BUNDLE, w["Root"].pem)
    assert decided(shelf, of(w, "Root"), CSMS) == Decision()


# ---- 1. a CA that may sign

NOT_CAS: Mapping[str, Mapping[str, Any]] = {
    "end entity": {"role": "leaf"},
    "no basic constraints": {"basic_constraints": None},
    "no keyCertSign": {"key_usage": frozenset({KeyUse.CRL_SIGN, KeyUse.DIGITAL_SIGNATURE})},
}


@pytest.mark.parametrize("changes", NOT_CAS.values(), ids=NOT_CAS)
def test_23_01_what_may_not_sign_is_no_trust_anchor(changes: Mapping[str, Any]) -> None:
    w = world("Root >", Root=changes)
    with pytest.raises(NotACa):
        decided(Shelf(), of(w, "Root"))


@pytest.mark.parametrize("changes", NOT_CAS.values(), ids=NOT_CAS)
def test_23_01_nor_does_what_may_not_sign_come_in_below_an_installed_root(changes: Mapping[str, Any]) -> None:
    w = world("Root > Sub >", Sub=changes)
    with pytest.raises(NotACa):
        decided(Shelf().put(V2G_BUNDLE, w["Root"].pem), of(w, "Sub"))


def test_fault_35_a_leaf_is_no_ca() -> None:
    w = world("Root > Leaf")
    with pytest.raises(NotACa):
        decided(Shelf().put(V2G_BUNDLE, w["Root"].pem), of(w, "Leaf"))


def test_a_ca_without_key_usage_may_sign() -> None:
    w = world("Root >", Root={"key_usage": None})
    assert accepted(Shelf(), of(w, "Root")).names() == {V2G_BUNDLE}


def test_a_self_signed_version_1_root_counts() -> None:
    old = parsed(as_version_1(world("Root >")["Root"]))
    assert old.version == 1
    assert accepted(Shelf(), old).look().cas[V2G].roots == (old,)


def test_a_version_1_sub_ca_does_not_count() -> None:
    w = world("Root > Sub >")
    with pytest.raises(NotACa):
        decided(Shelf().put(V2G_BUNDLE, w["Root"].pem), parsed(as_version_1(w["Sub"])))


def test_a_root_whose_key_usage_cannot_be_read_is_refused() -> None:
    w = world("Root >", Root={"key_usage": None, "more_extensions": (unreadable(ExtensionOID.KEY_USAGE),)})
    with pytest.raises(NotACa, match="malformed"):
        decided(Shelf(), of(w, "Root"))


def test_a_root_whose_responders_cannot_be_read_is_accepted_whoever_asked_for_them_before() -> None:
    w = world("Root >", Root={"more_extensions": (unreadable(ExtensionOID.AUTHORITY_INFORMATION_ACCESS),)})
    root = of(w, "Root")
    assert root.ocsp_urls == ()
    assert accepted(Shelf(), root).look().cas[V2G].roots == (root,)


def unreadable(oid: x509.ObjectIdentifier) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(oid, False, x509.UnrecognizedExtension(oid, b"\x05\x00"))


@pytest.mark.parametrize("kind", [KeyKind.SECP384R1, KeyKind.SECP521R1, KeyKind.ED25519, KeyKind.ED448])
def test_roots_with_every_strong_kind_of_key_are_accepted(kind: KeyKind) -> None:
    w = world("Root >", Root={"key": kind})
    assert accepted(Shelf(), of(w, "Root")).look().cas[V2G].roots == (of(w, "Root"),)


def test_a_root_with_a_weak_key_is_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    w = world("Root >", Root={"key": rsa.generate_private_key(65537, 1024)})  # noqa: S505  # that is the point
    with pytest.raises(WeakKey):
        decided(Shelf(), of(w, "Root"))


# ---- 2. signatures


def test_23_02_a_forged_root_is_refused() -> None:
    w = world("Root >", Root={"signed_by": "Mallory"})
    with pytest.raises(BadSignature):
        decided(Shelf(), of(w, "Root"))


def test_fault_35_a_root_with_a_wrong_self_signature_is_refused_also_beside_the_genuine_one() -> None:
    genuine = world("Root >")
    forged = world("Root >", Root={"signed_by": "Mallory"})
    with pytest.raises(BadSignature):
        decided(Shelf().put(V2G_BUNDLE, genuine["Root"].pem), of(forged, "Root"))


def test_a_sub_ca_goes_where_its_issuer_is() -> None:
    w = world("Root > Sub1 > Sub2 >")
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem)
    shelf = accepted(shelf, of(w, "Sub1"))
    assert names_in(accepted(shelf, of(w, "Sub2")).text(V2G_BUNDLE)) == ["Root", "Sub1", "Sub2"]


@pytest.mark.parametrize("held", [(), ("Other",), ("Root",)])
def test_fault_35_a_sub_ca_without_its_issuer_in_the_store_is_refused(held: tuple[str, ...]) -> None:
    w = world("Root > Sub1 > Sub2 >", "Other >")
    with pytest.raises(IssuerNotFound):
        decided(Shelf().put(V2G_BUNDLE, w.pem(*held)), of(w, "Sub2"))


def test_an_issuer_in_the_store_of_another_domain_does_not_help() -> None:
    w = world("Root > Sub >")
    with pytest.raises(IssuerNotFound):
        decided(Shelf().put(MO_BUNDLE, w["Root"].pem), of(w, "Sub"))


def test_a_sub_ca_that_its_issuer_did_not_sign_is_refused() -> None:
    w = world("Root > Sub >", Sub={"signed_by": "Mallory"})
    with pytest.raises(BadSignature):
        decided(Shelf().put(V2G_BUNDLE, w["Root"].pem), of(w, "Sub"))


def test_a_sub_ca_that_a_mere_leaf_signed_is_refused() -> None:
    w = world("Root > Leaf > Sub >", Leaf={"role": "leaf"}, Sub={"authority_key_identifier": KeyIdentifier.ABSENT})
    with pytest.raises(NotACa, match="Leaf"):
        decided(Shelf().put(V2G_BUNDLE, w.pem("Root", "Leaf")), of(w, "Sub"))


def test_a_key_rollover_certificate_needs_the_root_that_signed_it() -> None:
    """Self-issued, but signed with the old key (RFC 4210 §4.4): no root of its own."""
    w = world("Old > NewWithOld >", NewWithOld={"subject": name(CN="Old", O="Test")})
    rollover = of(w, "NewWithOld")
    assert rollover.subject_key == rollover.issuer_key
    with pytest.raises((IssuerNotFound, BadSignature)):
        decided(Shelf(), rollover)
    shelf = accepted(Shelf().put(V2G_BUNDLE, w["Old"].pem), rollover)
    assert shelf.look().cas[V2G].roots == (of(w, "Old"),)


# ---- 3. validity


@pytest.mark.parametrize("late", [timedelta(0), SECOND, timedelta(seconds=300)])
def test_300_seconds_of_skew_are_forgiven_at_either_end(late: timedelta) -> None:
    w = world("Ended >", "Coming >", Ended={"not_after": NOW - late}, Coming={"not_before": NOW + late})
    assert accepted(Shelf(), of(w, "Ended")).names() == {V2G_BUNDLE}
    assert accepted(Shelf(), of(w, "Coming")).names() == {V2G_BUNDLE}


@pytest.mark.parametrize("late", [timedelta(seconds=301), DAY, YEAR])
def test_more_than_that_is_expired_or_not_yet_valid(late: timedelta) -> None:
    w = world("Ended >", "Coming >", Ended={"not_after": NOW - late}, Coming={"not_before": NOW + late})
    with pytest.raises(Expired):
        decided(Shelf(), of(w, "Ended"))
    with pytest.raises(NotYetValid):
        decided(Shelf(), of(w, "Coming"))


def test_a_sub_ca_is_held_to_its_validity_as_well() -> None:
    w = world("Root > Sub >", Sub={"not_after": NOW - DAY})
    with pytest.raises(Expired):
        decided(Shelf().put(V2G_BUNDLE, w["Root"].pem), of(w, "Sub"))


# ---- 4. AdditionalRootCertificateCheck

CHECKED = config(additional_root_certificate_check=True)


def successor(*path: str) -> Any:
    """CSMS roots of which each signed the next."""
    return world(" > ".join(path) + " >", "Stranger >")


def test_23_07_the_first_csms_root_needs_nobody() -> None:
    w = successor("Root1")
    assert accepted(Shelf(CHECKED), of(w, "Root1"), CSMS).names() == {CSMS_BUNDLE}


def test_23_07_a_new_csms_root_must_be_signed_by_the_installed_one() -> None:
    w = successor("Root1", "Root2")
    shelf = Shelf(CHECKED).put(CSMS_BUNDLE, w["Root1"].pem)
    with pytest.raises(NotSignedByPredecessor):
        decided(shelf, of(w, "Stranger"), CSMS)
    after = accepted(shelf, of(w, "Root2"), CSMS)
    assert names_in(after.text(CSMS_BUNDLE)) == ["Root1", "Root2"]
    assert after.look().cas[CSMS].anchors == (of(w, "Root1"), of(w, "Root2"))


def test_23_07_two_are_kept_at_most_the_new_one_and_its_fallback_in_one_step() -> None:
    w = successor("Root1", "Root2", "Root3")
    shelf = Shelf(CHECKED).put(CSMS_BUNDLE, "# ours\n" + w.pem("Root1", "Root2"))
    decision = decided(shelf, of(w, "Root3"), CSMS)
    assert len(decision.changes) == 1
    assert shelf.applied(decision.changes).text(CSMS_BUNDLE) == "# ours\n" + w.pem("Root2", "Root3")


def test_23_07_in_a_directory_the_new_root_is_there_before_the_outdated_one_goes() -> None:
    w = successor("Root1", "Root2", "Root3")
    shelf = Shelf(CHECKED).put(f"{CSMS_BUNDLE}/1.pem", w["Root1"].pem).put(f"{CSMS_BUNDLE}/2.pem", w["Root2"].pem)
    shelf = shelf.put(f"{CSMS_BUNDLE}/bundle/CSMS_ROOT_CA.pem", w.pem("Root1", "Root2"))
    decision = decided(shelf, of(w, "Root3"), CSMS)
    new = shelf.path(f"{CSMS_BUNDLE}/CSMS_ROOT_{token(7)}.pem")
    assert [type(change) for change in decision.changes] == [Write, Remove, Write]
    assert decision.changes[0].path == new
    after = shelf.applied(decision.changes)
    assert after.names() >= {f"{CSMS_BUNDLE}/2.pem", f"{CSMS_BUNDLE}/bundle/CSMS_ROOT_CA.pem"}
    assert names_in(after.text(f"{CSMS_BUNDLE}/bundle/CSMS_ROOT_CA.pem")) == ["Root2", "Root3"]
    assert {c.name for c in after.look().cas[CSMS].anchors} == {of(w, "Root2").name, of(w, "Root3").name}


def test_23_07_the_fallback_may_not_sign_a_second_successor() -> None:
    w = world("Root1 > Root2 >", "Root1 > Other2 >")
    shelf = Shelf(CHECKED).put(CSMS_BUNDLE, w.pem("Root1", "Root2"))
    with pytest.raises(NotSignedByPredecessor):
        decided(shelf, of(w, "Other2"), CSMS)


def test_23_07_roots_that_signed_each_other_let_no_stranger_in() -> None:
    w = world("Root1 > Root2 > Cross1 >", "Root2 > Root3 >", "Stranger >", Cross1={"same_as": "Root1"})
    shelf = Shelf(CHECKED).put(CSMS_BUNDLE, w.pem("Root2", "Cross1"))
    with pytest.raises(NotSignedByPredecessor):
        decided(shelf, of(w, "Stranger"), CSMS)
    assert names_in(accepted(shelf, of(w, "Root3"), CSMS).text(CSMS_BUNDLE)) == ["Root2", "Root3"]


def test_23_07_one_with_the_name_but_not_the_signature_of_the_installed_root_is_refused() -> None:
    w = world("Root1 > Root2 >", Root2={"signed_by": "Mallory"})
    with pytest.raises(BadSignature):
        decided(Shelf(CHECKED).put(CSMS_BUNDLE, w["Root1"].pem), of(w, "Root2"), CSMS)


def test_23_07_a_successor_is_no_way_round_a_path_length() -> None:
    w = world("Root1 > Root2 > Root3 >", Root2={"path_length": 0})
    with pytest.raises(PathTooLong, match="Root2"):
        decided(Shelf(CHECKED).put(CSMS_BUNDLE, w.pem("Root1", "Root2")), of(w, "Root3"), CSMS)
    w = world("Root1 > Root2 > Root3 >", Root1={"path_length": 1})
    with pytest.raises(PathTooLong, match="Root1"):
        decided(Shelf(CHECKED).put(CSMS_BUNDLE, w.pem("Root1", "Root2")), of(w, "Root3"), CSMS)


def test_23_07_a_successor_is_not_signed_with_a_digest_that_can_collide() -> None:
    w = world("Root1 > Root2 >", Root1={"key": KeyKind.RSA2048})
    sha1 = parsed(signed_with_rsa(w, "Root2", "Root1", "1.2.840.113549.1.1.5", hashes.SHA1()))  # noqa: S303
    with pytest.raises(WeakDigest, match="SHA1"):
        decided(Shelf(CHECKED).put(CSMS_BUNDLE, w["Root1"].pem), sha1, CSMS)


def test_23_07_the_same_root_again_changes_nothing() -> None:
    w = successor("Root1", "Root2")
    shelf = Shelf(CHECKED).put(CSMS_BUNDLE, w.pem("Root1", "Root2"))
    assert decided(shelf, of(w, "Root2"), CSMS) == Decision()
    assert decided(shelf, of(w, "Root1"), CSMS) == Decision()


def test_23_07_other_domains_are_not_bound() -> None:
    w = world("Root1 >", "Root2 >")
    shelf = Shelf(CHECKED).put(V2G_BUNDLE, w["Root1"].pem)
    assert names_in(accepted(shelf, of(w, "Root2")).text(V2G_BUNDLE)) == ["Root1", "Root2"]


def test_without_the_check_any_csms_root_is_welcome() -> None:
    w = successor("Root1")
    shelf = Shelf().put(CSMS_BUNDLE, w["Root1"].pem)
    assert names_in(accepted(shelf, of(w, "Stranger"), CSMS).text(CSMS_BUNDLE)) == ["Root1", "Stranger"]


# ---- 5. room


def test_23_08_certificate_store_max_length_counts_ca_certificates_of_all_domains() -> None:
    w = world("V2G > Sub >", "MO >", "New >")
    shelf = Shelf().put(V2G_BUNDLE, w.pem("V2G", "Sub")).put(MO_BUNDLE, w["MO"].pem)
    assert accepted(shelf, of(w, "New"), under=limits(max_ca_certificates=4)).look().ca_count() == 4
    with pytest.raises(StoreFull, match="certificate_store_max_length = 3"):
        decided(shelf, of(w, "New"), under=limits(max_ca_certificates=3))


def test_23_08_a_bundle_that_domains_share_counts_once() -> None:
    w = world("One >", "Two >")
    shelf = Shelf(config(csms_ca_bundle=V2G_BUNDLE)).put(V2G_BUNDLE, w["One"].pem)
    assert accepted(shelf, of(w, "Two"), under=limits(max_ca_certificates=2)).look().ca_count() == 2


def test_23_08_a_root_that_takes_the_place_of_another_needs_no_room() -> None:
    w = successor("Root1", "Root2", "Root3")
    shelf = Shelf(CHECKED).put(CSMS_BUNDLE, w.pem("Root1", "Root2"))
    assert decided(shelf, of(w, "Root3"), CSMS, under=limits(max_ca_certificates=2)).changes


def test_a_full_store_is_swept_before_it_refuses() -> None:
    w = world("Root >", "New >")
    shelf = Shelf().put(f"{V2G_BUNDLE}/root.pem", w["Root"].pem).put("client/cso/.x.evse-tmp", b"left over")
    tight = limits(max_entries=2)
    decision = with_room(decided(shelf, of(w, "New"), under=tight), shelf.look(), tight, BELIEVED)
    assert decision.changes[0] == Remove(shelf.path("client/cso/.x.evse-tmp"))
    assert shelf.applied(decision.changes).names() == {
        f"{V2G_BUNDLE}/root.pem",
        f"{V2G_BUNDLE}/V2G_ROOT_{token(7)}.pem",
    }


# ---- the order of objections


def test_what_is_wrong_with_the_certificate_is_said_before_what_is_wrong_with_its_time() -> None:
    w = world("Root >", Root={"role": "leaf", "not_before": NOW - 2 * DAY, "not_after": NOW - DAY})
    with pytest.raises(NotACa):
        decided(Shelf(), of(w, "Root"))


def test_a_refusal_is_a_chain_refused_and_names_the_certificate() -> None:
    w = world("Root > Sub >", Root={"key": key("Root")})
    with pytest.raises(ChainRefused, match="Sub"):
        decided(Shelf(), of(w, "Sub"))


def test_fault_20_a_bundle_is_edited_in_place_so_that_a_link_stays_a_link_with_its_owner_and_mode() -> None:
    w = world("Old >", "New >")
    [change] = decided(Shelf().put(V2G_BUNDLE, w["Old"].pem), of(w, "New")).changes
    assert isinstance(change, Edit)
    assert not change.cut
