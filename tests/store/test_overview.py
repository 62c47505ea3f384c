"""What is installed, as trees, and why each certificate is used or not."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.x509.ocsp import OCSPCertStatus

from evse_security.clock import Moment
from evse_security.lab.authority import KeyUse, name
from evse_security.lab.keys import KeyKind
from evse_security.store.overview import DEEPEST, DomainOverview, Node, Overview, overview
from evse_security.vocabulary import CaCertificateType
from tests.builders import DAY, NOW, YEAR, World, ocsp_answer, world
from tests.store.pictures import (
    BELIEVED,
    CSMS,
    CSMS_BUNDLE,
    FUTURE,
    MO,
    MO_BUNDLE,
    PAST,
    V2G,
    V2G_BUNDLE,
    Shelf,
    config,
    id_of,
    junk_block,
    token,
)


def drawn(shelf: Shelf, newest_by: str = "not_after", moment: Moment = BELIEVED) -> Overview:
    return overview(shelf.look(), moment, newest_by)


def domain(shelf: Shelf, ca_type: CaCertificateType = V2G, **given: Any) -> DomainOverview:
    return next(one for one in drawn(shelf, **given).domains if one.domain is ca_type)


def walk(nodes: tuple[Node, ...]) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from walk(node.children)


def node(shelf: Shelf, holder: str, ca_type: CaCertificateType = V2G, **given: Any) -> Node:
    [found] = [one for one in walk(domain(shelf, ca_type, **given).trees) if f"CN={holder}," in f"{one.name},"]
    return found


def shape(nodes: tuple[Node, ...]) -> list[Any]:
    """Names with what hangs below."""
    return [(n.name.split("CN=")[1].split(",")[0], shape(n.children)) for n in nodes]


def pki(**changes: Any) -> World:
    return world("Root > Sub1 > Sub2 > SECC", "Root > Sub1 > Sub2 > Other", **changes)


def station(w: World) -> Shelf:
    return Shelf().put(V2G_BUNDLE, w["Root"].pem).with_leaf(w, "SECC", "Sub2", "Sub1")


# ---- the trees


def test_a_domain_is_drawn_from_its_roots_down_to_its_leaves() -> None:
    w = pki()
    found = domain(station(w))
    assert (found.path, found.form) == (Shelf().path(V2G_BUNDLE), "file")
    assert shape(found.trees) == [("Root", [("Sub1", [("Sub2", [("SECC", [])])])])]
    assert [one.role for one in walk(found.trees)] == ["root", "sub-CA", "sub-CA", "leaf"]


def test_domains_come_in_one_order_also_where_nothing_is() -> None:
    assert [(one.domain, one.form, one.trees) for one in drawn(Shelf()).domains] == [
        (ca_type, "missing", ()) for ca_type in ("V2G", "MO", "CSMS", "MF")
    ]


def test_what_hangs_under_nothing_is_drawn_too() -> None:
    w = pki()
    shelf = Shelf().with_leaf(w, "SECC", "Sub2")
    assert shape(domain(shelf).trees) == [("Sub2", [("SECC", [])])]


def test_a_certificate_below_two_issuers_is_drawn_once() -> None:
    w = world("A > Sub > SECC", "B > Cross >", Cross={"same_as": "Sub"})
    shelf = Shelf().put(V2G_BUNDLE, w.pem("A", "B", "Sub", "Cross")).with_leaf(w, "SECC")
    assert shape(domain(shelf).trees) == [("A", [("Sub", [("SECC", [])])]), ("B", [("Sub", [])])]


def test_a_ring_is_drawn_once() -> None:
    w = world("A > B > SECC", "B0 > A2 >", B0={"same_as": "B"}, A2={"same_as": "A"})
    assert shape(domain(Shelf().put(V2G_BUNDLE, w.pem("B", "A2"))).trees) == [("B", [("A", [])])]


def test_a_line_of_a_thousand_sub_cas_is_drawn_in_pieces() -> None:
    w = world(" > ".join(("Root", *(f"Sub{n}" for n in range(1100)), "")))
    found = domain(Shelf().put(V2G_BUNDLE, w.pem(*w)))
    assert sum(1 for _ in walk(found.trees)) == len(w)
    assert [tree.name for tree in found.trees][:2] == ["CN=Root, O=Test", f"CN=Sub{DEEPEST}, O=Test"]


def test_a_leaf_in_a_ca_store_is_called_a_leaf() -> None:
    w = pki()
    found = node(Shelf().put(MO_BUNDLE, w.pem("Root", "Sub1", "Sub2", "SECC")), "SECC", MO)
    assert (found.role, found.used, found.because) == ("leaf", False, "not trusted: basicConstraints does not say CA")


def test_csms_leaves_hang_under_csms_roots() -> None:
    w = pki()
    shelf = Shelf().put(CSMS_BUNDLE, w["Root"].pem).with_leaf(w, "SECC", "Sub2", "Sub1", kind="CSMS")
    assert node(shelf, "SECC", CSMS).used


# ---- what is said of each


def test_a_node_says_what_the_certificate_is() -> None:
    w = pki(SECC={"responder_urls": ("http://ocsp.example",), "key": KeyKind.SECP521R1})
    found = node(station(w), "SECC")
    assert found.serial == f"{w['SECC'].certificate.serial_number:x}"
    assert (found.not_before, found.not_after) == (NOW - DAY, NOW + 60 * DAY)
    assert (found.key, found.validity, found.names_responder) == ("EC 521", "valid", True)
    assert [path.name for path in found.files] == [
        f"CPO_CERT_SECC_LEAF_CHAIN_{token(1)}.pem",
        f"SECC_LEAF_{token(1)}.pem",
    ]
    assert found.private_key == Shelf().path(f"client/cso/SECC_LEAF_{token(1)}.key")
    assert len(found.fingerprint) == 64
    assert not node(station(w), "Root").names_responder


def test_of_cached_answers_the_newest_is_told() -> None:
    w = pki()
    shelf = station(w)
    assert node(shelf, "SECC").ocsp is None
    shelf = shelf.with_ocsp("client/cso/ocsp/1_ocsp", id_of(w, "SECC"), ocsp_answer(w, "SECC", this_update=NOW - DAY))
    revoked = ocsp_answer(w, "SECC", status=OCSPCertStatus.REVOKED)
    state = node(shelf.with_ocsp("client/cso/ocsp/2_ocsp", id_of(w, "SECC"), revoked), "SECC").ocsp
    assert state is not None
    assert (state.status, state.is_current, state.next_update) == ("revoked", True, NOW + 7 * DAY)
    past = ocsp_answer(w, "SECC", this_update=NOW - 9 * DAY, next_update=NOW - 2 * DAY)
    state = node(station(w).with_ocsp("client/cso/ocsp/1_ocsp", id_of(w, "SECC"), past), "SECC").ocsp
    assert state is not None
    assert not state.is_current


def test_of_a_certificate_without_identity_no_answer_is_known() -> None:
    w = pki()
    assert node(Shelf().with_leaf(w, "SECC"), "SECC").ocsp is None


CAS: dict[str, tuple[dict[str, Any], bool, str]] = {
    "trusted": ({}, True, "trusted as a root"),
    "no CA": ({"role": "leaf"}, False, "not trusted: basicConstraints does not say CA"),
    "may not sign": (
        {"key_usage": frozenset({KeyUse.CRL_SIGN})},
        False,
        "not trusted: keyUsage without keyCertSign",
    ),
    "forged": ({"signed_by": "Mallory"}, False, "not trusted: its own key does not confirm its signature"),
    "expired": (PAST, False, "not trusted: expired"),
    "future": (FUTURE, False, "not trusted: not yet valid"),
}


@pytest.mark.parametrize(("changes", "used", "because"), CAS.values(), ids=CAS)
def test_a_root_is_trusted_or_not_for_a_reason(changes: dict[str, Any], used: bool, because: str) -> None:  # noqa: FBT001
    w = world("Root >", Root=changes)
    found = node(Shelf().put(V2G_BUNDLE, w["Root"].pem), "Root")
    assert (found.used, found.because) == (used, because)


def test_a_sub_ca_builds_chains_unless_its_issuer_is_missing() -> None:
    w = pki()
    assert node(station(w), "Sub1").because == "used to build chains"
    found = node(Shelf().put(V2G_BUNDLE, w["Sub1"].pem), "Sub1")
    assert (found.used, found.because) == (False, "not used: its issuer is not installed")


def test_a_sub_ca_whose_line_ends_elsewhere_is_not_used() -> None:
    w = pki()
    shelf = Shelf().with_leaf(w, "SECC", "Sub2", "Sub1")
    assert node(shelf, "Sub1").because == "not used: its issuer is not installed"
    assert (node(shelf, "Sub2").used, node(shelf, "Sub2").because) == (False, "not used: leads to no trusted root")
    expired = pki(Root=PAST)
    assert node(station(expired), "Sub1").because == "not used: leads to no trusted root"


def test_of_several_lines_one_to_a_root_will_do() -> None:
    w = world("A > Sub > SECC", "B > Cross >", A=PAST, Cross={"same_as": "Sub"})
    shelf = Shelf().put(V2G_BUNDLE, w.pem("A", "B", "Sub", "Cross")).with_leaf(w, "SECC")
    used = [one for one in walk(domain(shelf).trees) if one.because == "used to build chains"]
    assert [one.serial for one in used] == [f"{w['Cross'].certificate.serial_number:x}"]


def test_a_root_in_a_leaf_directory_is_not_trusted_and_says_where_it_lies() -> None:
    w = pki()
    shelf = Shelf().with_leaf(w, "SECC", "Sub2", "Sub1", "Root")
    found = node(shelf, "Root")
    assert (found.used, found.because) == (False, "not trusted: it lies in a leaf directory, not in the CA store")
    assert node(shelf, "Sub1").because == "not used: leads to no trusted root"
    assert node(shelf.put(V2G_BUNDLE, w["Root"].pem), "Root").because == "trusted as a root"


def test_a_key_rollover_certificate_builds_chains() -> None:
    w = world("Root > Rollover >", Rollover={"subject": name(CN="Root", O="Test")})
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Root", "Rollover"))
    assert [one.because for one in walk(domain(shelf).trees)] == ["trusted as a root", "used to build chains"]


def test_a_csms_root_that_its_predecessor_signed_is_trusted_where_that_is_demanded() -> None:
    w = world("Root1 > Root2 >")
    shelf = Shelf(config(additional_root_certificate_check=True)).put(CSMS_BUNDLE, w.pem("Root1", "Root2"))
    assert node(shelf, "Root2", CSMS).because == "trusted as a root"


LEAVES: dict[str, tuple[dict[str, Any], str]] = {
    "older": (
        {"not_after": NOW + DAY},
        f"not used: another leaf is newer, the one in CPO_CERT_SECC_LEAF_CHAIN_{token(1)}.pem",
    ),
    "expired": (PAST, "not used: expired"),
    "future": (FUTURE, "not used: not yet valid"),
    "wrong usage": (
        {"key_usage": frozenset({KeyUse.KEY_AGREEMENT})},
        "not used: O=Test,CN=Other may not be used so: keyUsage without digitalSignature",
    ),
}


@pytest.mark.parametrize(("changes", "because"), LEAVES.values(), ids=LEAVES)
def test_a_leaf_is_in_use_or_not_for_a_reason(changes: dict[str, Any], because: str) -> None:
    w = pki(Other=changes)
    shelf = station(w).with_leaf(w, "Other", "Sub2", "Sub1", number=2)
    assert node(shelf, "SECC").because == "in use: the newest that is valid and has its key"
    assert node(shelf, "SECC").used
    found = node(shelf, "Other")
    assert not found.used
    assert sorted(found.because.replace(",", " ").split()) == sorted(because.replace(",", " ").split())


def test_a_leaf_without_key_says_so() -> None:
    w = pki()
    shelf = station(w).put("client/cso/other.pem", w["Other"].pem)
    assert node(shelf, "Other").because == "not used: no private key fits"
    assert node(shelf, "Other").private_key is None


def test_a_leaf_in_a_damaged_file_says_so() -> None:
    w = pki()
    shelf = station(w).put("client/cso/other.pem", w["Other"].pem + junk_block())
    shelf = shelf.with_key(w, "Other", "client/cso/other.key")
    assert node(shelf, "Other").because == "not used: no file of it is without a bad block"


def test_newest_is_told_by_what_is_configured() -> None:
    w = pki(Other={"not_before": NOW - 3 * DAY, "not_after": NOW + YEAR})
    shelf = station(w).with_leaf(w, "Other", "Sub2", "Sub1", number=2)
    assert node(shelf, "Other").used
    assert node(shelf, "SECC", newest_by="not_before").used


# ---- the rest


def test_keys_that_wait_for_their_certificate_are_named() -> None:
    w = pki()
    shelf = station(w).with_key(w, "Other", "client/cso/waiting.key").put("client/cso/junk.key", "junk", mode=0o600)
    assert drawn(shelf).pending_keys == (shelf.path("client/cso/waiting.key"),)


def test_a_key_of_an_installed_certificate_waits_for_none() -> None:
    w = pki()
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem).with_key(w, "Root", "client/cso/root.key")
    shelf = shelf.with_leaf(w, "SECC").with_key(w, "SECC", "client/cso/copy.key")
    assert drawn(shelf).pending_keys == ()


def test_problems_warnings_and_the_clock_are_told() -> None:
    w = pki()
    shelf = station(w).put(MO_BUNDLE, junk_block()).put("client/csms/open.key", w["Other"].key_pem(), mode=0o640)
    found = drawn(shelf, moment=Moment(NOW, "1970"))
    assert [problem.path for problem in found.problems] == [shelf.path(MO_BUNDLE)]
    assert found.warnings == (f"{shelf.path('client/csms/open.key')}: private key readable by others (mode 0640)",)
    assert found.clock == "1970"


def test_what_is_revoked_is_dangerous() -> None:
    w = pki()
    shelf = station(w).with_ocsp("client/cso/ocsp/1_ocsp", id_of(w, "Sub2"), ocsp_answer(w, "Sub2"))
    assert drawn(shelf).warnings == ()
    for holder, role in {"Sub1": "sub-CA", "SECC": "leaf"}.items():
        answer = ocsp_answer(w, holder, status=OCSPCertStatus.REVOKED)
        [warning] = drawn(shelf.with_ocsp("client/cso/ocsp/2_ocsp", id_of(w, holder), answer)).warnings
        assert f"{role} CN={holder}," in warning
        assert warning.endswith(f", serial {w[holder].certificate.serial_number:x}, is revoked, says its OCSP response")


def test_files_and_bytes_are_counted() -> None:
    found = drawn(Shelf().put("client/cso/a", "12345").put("client/cso/ocsp/b", "1"))
    assert (found.files, found.bytes) == (2, 6)


EMPTY = "named like a certificate, but holds none"


@pytest.mark.parametrize("content", ["", "nothing\n", b"\x00\xff\x17"], ids=["empty", "text", "noise"])
@pytest.mark.parametrize("place", ["client/cso/strange.pem", "client/csms/strange.crt", f"{MO_BUNDLE}/strange.pem"])
def test_files_that_hold_no_certificate_are_told_but_hide_nothing(place: str, content: str | bytes) -> None:
    w = pki()
    shelf = station(w).with_directory(MO_BUNDLE).put(place, content)
    assert [(one.path, one.text) for one in drawn(shelf).problems] == [(shelf.path(place), EMPTY)]
    assert shelf.look().readable
    assert node(shelf, "SECC").used


def test_an_empty_bundle_and_a_key_beside_certificates_are_lawful() -> None:
    w = pki()
    shelf = station(w).put(MO_BUNDLE, "").put("client/cso/key.pem", w["Other"].key_pem(), mode=0o600)
    assert drawn(shelf).problems == ()


def test_a_damaged_file_is_told_once() -> None:
    shelf = Shelf().put("client/cso/bad.pem", junk_block()).put("client/cso/locked.pem", None)
    assert [one.path.name for one in drawn(shelf).problems] == ["bad.pem", "locked.pem"]
    assert EMPTY not in {one.text for one in drawn(shelf).problems}


def test_cached_answers_that_are_none_are_told() -> None:
    w = pki()
    answer = ocsp_answer(w, "SECC")
    shelf = station(w).with_ocsp("client/cso/ocsp/good", id_of(w, "SECC"), answer)
    assert drawn(shelf).problems == ()
    for held in (base64.b64encode(answer), b"noise", b""):
        [problem] = drawn(shelf.with_ocsp("client/cso/ocsp/bad", id_of(w, "SECC"), held)).problems
        assert problem.path == shelf.path("client/cso/ocsp/bad.der")
        assert problem.text.startswith("no OCSP response in DER that says something (EVerest's own module ")
    assert drawn(shelf.with_ocsp("client/cso/ocsp/half", id_of(w, "SECC"), None)).problems == ()


def test_a_leaf_in_use_that_peers_will_refuse_says_why() -> None:
    w = world("Other > Strange > SECC")
    found = node(Shelf().with_leaf(w, "SECC", "Strange"), "SECC")
    assert found.used
    assert found.because.startswith("in use for want of a better one, but peers will refuse it: no root certificate")


def test_a_newer_leaf_that_leads_to_no_root_is_not_used_and_says_why() -> None:
    w = world("Root > Sub1 > Sub2 > SECC", "Other > Strange > Newer", Newer={"not_after": NOW + 2 * YEAR})
    shelf = station(w).with_leaf(w, "Newer", "Strange", number=9)
    assert node(shelf, "SECC").used
    assert node(shelf, "Newer").because.startswith("not used: no certificate of the issuer")


def test_each_certificate_tells_by_what_it_is_deleted() -> None:
    w = pki()
    assert node(station(w), "SECC").hash_data == id_of(w, "SECC").hash_data
    assert node(Shelf().put(V2G_BUNDLE, w["Sub2"].pem), "Sub2").hash_data is None


def test_keys_that_wait_tell_for_what_and_since_when() -> None:
    w = pki()
    [waiting] = drawn(Shelf().with_key(w, "SECC", "client/cso/waiting.key", age=2 * DAY)).pending
    assert (waiting.certificate_type, waiting.since) == ("V2G", NOW - 2 * DAY)
