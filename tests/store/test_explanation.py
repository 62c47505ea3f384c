"""Why each certificate is or is not used, with every path; and what commands would make of a file."""

from typing import Any

import pytest
from cryptography.x509.ocsp import OCSPCertStatus

from evse_security.clock import Moment
from evse_security.store.explanation import Explanation, LeafExplained, explain
from evse_security.store.overview import overview
from evse_security.store.rules.revoked import NONE
from evse_security.store.trial import FileExplanation, explain_text
from tests.builders import DAY, NOW, YEAR, World, ocsp_answer, world
from tests.store.pictures import (
    BELIEVED,
    CSMS,
    CSMS_BUNDLE,
    MO,
    MO_BUNDLE,
    PAST,
    V2G,
    V2G_BUNDLE,
    Shelf,
    id_of,
    junk_block,
    limits,
    of,
    token,
)
from tests.store.sick import pki, station


def explained(shelf: Shelf, ca_type: Any = V2G, newest_by: str = "not_after", moment: Moment = BELIEVED) -> Explanation:
    snapshot = shelf.look()
    return explain(snapshot, snapshot.cas[ca_type], moment, newest_by)


def leaf(found: Explanation, holder: str) -> LeafExplained:
    [one] = [each for each in found.leaves if f"CN={holder}," in f"{each.name},"]
    return one


def test_the_leaf_in_use_comes_first_with_its_path() -> None:
    found = explained(station(pki()))
    [one] = found.leaves
    assert (one.used, one.reason.code, one.rule) == (True, "InUse", None)
    [path] = one.paths
    assert (path.taken, path.reason.code) == (True, "Valid")
    assert path.names == ("CN=SECC, O=Test", "CN=Sub2, O=Test", "CN=Sub1, O=Test", "CN=Root, O=Test")
    assert [(each.role, each.reason.code) for each in found.authorities] == [
        ("root", "TrustedRoot"), ("sub-CA", "BuildsChains"), ("sub-CA", "BuildsChains"),
    ]  # fmt: skip


RULES = {
    "not_after": ({"not_after": NOW + 9 * DAY}, "is valid until 2030-03-02 00:00:00Z, this one 2030-01-10 00:00:00Z"),
    "not_before": (
        {"not_before": NOW - 2 * DAY, "not_after": NOW + 90 * DAY},
        "is valid from 2029-12-31 00:00:00Z, this one 2029-12-30 00:00:00Z",
    ),
}


@pytest.mark.parametrize("newest_by", RULES)
def test_the_rule_by_which_a_leaf_was_beaten(newest_by: str) -> None:
    changes, said = RULES[newest_by]
    w = pki("Root > Sub1 > Sub2 > Old", Old=changes)
    found = explained(station(w).with_leaf(w, "Old", "Sub2", "Sub1", number=2), newest_by=newest_by)
    old = leaf(found, "Old")
    assert (old.used, old.reason.code) == (False, "NotNewest")
    assert old.rule == f"the one in use {said} (newest_by = {newest_by})"
    assert old.paths[0].reason.code == "Valid"
    assert found.leaves[0].used


def test_of_equals_the_newer_key_decides_and_then_the_order_of_files() -> None:
    w = pki("Root > Sub1 > Sub2 > Twin")
    shelf = station(w)
    older = shelf.with_leaf(w, "Twin", "Sub2", "Sub1", number=2, age=YEAR)
    assert "has a key of 2029-12-31 23:00:00Z, this one 2029-01-01 00:00:00Z" in str(
        leaf(explained(older), "Twin").rule
    )
    same = shelf.with_leaf(w, "Twin", "Sub2", "Sub1", number=2)
    assert str(leaf(explained(same), "Twin").rule).startswith("both are equally new")


REFUSED = {
    "expired": (PAST, "Expired", "not used: expired"),
    "later": ({"not_before": NOW + DAY, "not_after": NOW + YEAR}, "NotYetValid", "not used: not yet valid"),
}


@pytest.mark.parametrize(("changes", "code", "words"), REFUSED.values(), ids=REFUSED)
def test_a_leaf_out_of_its_time(changes: dict[str, Any], code: str, words: str) -> None:
    w = pki("Root > Sub1 > Sub2 > Odd", Odd=changes)
    odd = leaf(explained(station(w).with_leaf(w, "Odd", "Sub2", "Sub1", number=2)), "Odd")
    assert (odd.reason.code, odd.reason.text, odd.rule) == (code, words, None)
    assert (odd.paths[0].reason.code, odd.paths[0].taken) == (code, False)


def test_a_leaf_without_key_and_one_that_leads_to_no_root() -> None:
    w = pki("Strange > Newer", Newer={"not_after": NOW + YEAR})
    shelf = station(w).put("client/cso/other.pem", w["Other"].pem).with_leaf(w, "Newer", number=9)
    found = explained(shelf)
    assert leaf(found, "Other").reason.code == "KeyNotFound"
    assert leaf(found, "Other").private_key is None
    newer = leaf(found, "Newer")
    assert (newer.reason.code, newer.paths[0].reason.code) == ("IssuerNotFound", "IssuerNotFound")
    assert newer.paths[0].names == ("CN=Newer, O=Test",)


def test_every_candidate_path_has_its_reason() -> None:
    w = world("A > Sub > SECC", "B > Cross >", Cross={"same_as": "Sub"}, B=PAST)
    shelf = Shelf().put(V2G_BUNDLE, w.pem("A", "B", "Cross")).with_leaf(w, "SECC", "Sub")
    paths = explained(shelf).leaves[0].paths
    assert [(path.names[-1], path.taken, path.reason.code) for path in paths] == [
        ("CN=B, O=Test", False, "Expired"),
        ("CN=A, O=Test", True, "Valid"),
    ]


def test_mo_and_mf_have_no_leaves_but_roots() -> None:
    w = pki("MoRoot > Sub > z", Sub=PAST)
    found = explained(station(w).put(MO_BUNDLE, w.pem("MoRoot", "Sub", "Sub1")), MO)
    assert found.leaves == ()
    assert [(each.name, each.used, each.reason.code) for each in found.authorities] == [
        ("CN=MoRoot, O=Test", True, "TrustedRoot"),
        ("CN=Sub, O=Test", False, "Expired"),
        ("CN=Sub1, O=Test", False, "IssuerNotFound"),
    ]


def test_the_reasons_are_those_of_the_trees() -> None:
    w = pki("Root > Sub1 > Sub2 > Old", "Root > Sub1 > Sub2 > Gone", Old=PAST)
    shelf = station(w).with_leaf(w, "Old", "Sub2", "Sub1", number=2).put("client/cso/gone.pem", w["Gone"].pem)
    drawn = overview(shelf.look(), BELIEVED, "not_after").domains[0].trees
    told = {}
    waiting = list(drawn)
    while waiting:
        node = waiting.pop()
        told[node.name] = (node.used, node.reason, node.because)
        waiting += node.children
    found = explained(shelf)
    leaves = {each.name: (each.used, each.reason.code, each.reason.text) for each in found.leaves}
    authorities = {each.name: (each.used, each.reason.code, each.reason.text) for each in found.authorities}
    assert told == leaves | authorities


def test_the_clock_is_told() -> None:
    assert explained(station(pki()), moment=Moment(NOW, "1970")).clock == "1970"


# ---- files


def asked(shelf: Shelf, text: str, **given: Any) -> FileExplanation:
    return explain_text(shelf.look(), text, BELIEVED, limits(**given))


def verdicts(found: FileExplanation) -> dict[tuple[str, str], str]:
    return {(one.command.split("_", 1)[0], one.type): one.reason.code for one in found.attempts}


def test_a_renewal_that_would_be_taken() -> None:
    w = pki("Root > Sub1 > Sub2 > New")
    shelf = station(w).with_key(w, "New", f"client/cso/SECC_LEAF_{token(3)}.key")
    found = asked(shelf, w.pem("New", "Sub2", "Sub1"))
    assert verdicts(found) == {
        ("install", "V2G"): "NotExactlyOne", ("install", "MO"): "NotExactlyOne",
        ("install", "CSMS"): "NotExactlyOne", ("install", "MF"): "NotExactlyOne",
        ("install", "OEM"): "NotExactlyOne",
        ("update", "V2G"): "Accepted", ("update", "CSMS"): "KeyNotFound",
        ("verify", "V2G"): "Accepted", ("verify", "MO"): "IssuerNotFound",
        ("verify", "CSMS"): "Accepted", ("verify", "MF"): "IssuerNotFound",
    }  # fmt: skip
    assert found.names == ("CN=New, O=Test", "CN=Sub2, O=Test", "CN=Sub1, O=Test")
    assert found.installed[0] == ()
    assert len(found.installed[1]) == 2  # in the chain files of both leaves


def test_a_root_that_would_be_installed_but_for_want_of_room() -> None:
    w = pki("New > z")
    shelf = station(w)
    assert {code for (command, _), code in verdicts(asked(shelf, w["New"].pem)).items() if command == "install"} == {
        "Accepted"
    }
    full = verdicts(asked(shelf, w["New"].pem, max_bytes=1))
    assert full["install", "V2G"] == "StoreFull"
    assert full["update", "V2G"] == "NotAnEndEntity"


def test_a_sub_ca_is_taken_where_its_issuer_is() -> None:
    found = verdicts(asked(station(w := pki()), w["Sub1"].pem))
    assert (found["install", "V2G"], found["install", "MO"]) == ("Accepted", "IssuerNotFound")


def test_what_cannot_be_read_is_refused_once() -> None:
    found = asked(station(pki()), junk_block())
    assert [(one.command, one.accepted, one.reason.code) for one in found.attempts] == [
        ("any", False, "MalformedCertificate")
    ]


def _store(w: World) -> Shelf:
    return station(w).put(CSMS_BUNDLE, w["MoRoot"].pem)


def test_paths_of_a_file_are_told_per_domain() -> None:
    w = pki()
    found = asked(_store(w), w.pem("Other", "Sub2", "Sub1"))
    paths = {one.type: one.paths for one in found.attempts if one.command == "verify_certificate"}
    assert paths[V2G][0].taken
    assert [path.reason.code for path in paths[CSMS]] == ["IssuerNotFound"]


# ---- one certificate, and what is told of those that are handed over


def test_one_certificate_is_explained_by_itself_as_among_all() -> None:
    w = world("Root > Sub > SECC", "Root > Sub > Other")
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Root", "Sub")).with_leaf(w, "SECC").with_leaf(w, "Other", number=2)
    snapshot = shelf.look()
    every = explain(snapshot, snapshot.cas[V2G], BELIEVED, "not_after")
    for one in every.leaves:
        alone = explain(snapshot, snapshot.cas[V2G], BELIEVED, "not_after", only=one.fingerprint)
        assert (alone.leaves, alone.authorities) == ((one,), ())
    for ca in every.authorities:
        alone = explain(snapshot, snapshot.cas[V2G], BELIEVED, "not_after", only=ca.fingerprint)
        assert (alone.leaves, alone.authorities) == ((), (ca,))


def test_what_would_be_written_and_what_was_handed_over_are_told() -> None:
    w = world("Root > Sub >")
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Root"))
    found = asked(shelf, w.pem("Sub"))
    [received] = found.certificates
    assert (received.fingerprint, received.issuer) == (of(w, "Sub").fingerprint, of(w, "Root").name)
    assert (received.role, received.key, received.installed) == ("sub-CA", "EC 256", ())
    accepted = [(one.type, one.written) for one in found.attempts if one.accepted]
    assert accepted == [("V2G", (shelf.path(V2G_BUNDLE),))]
    again = asked(shelf, w.pem("Root"))
    assert again.certificates[0].installed == (shelf.path(V2G_BUNDLE),)
    assert next(one.written for one in again.attempts if one.type == "V2G") == ()


def test_what_certificates_would_be_used_for_is_told() -> None:
    w = world("Root > Sub > Old", "Root > Sub > New", "Root > Sub > Older", Older={"not_after": NOW + DAY})
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Root")).with_leaf(w, "Old", "Sub").with_key(w, "New", "client/cso/new.key")
    shelf = shelf.with_key(w, "Older", "client/cso/older.key")

    def then(*holders: str) -> set[str]:
        attempts = asked(shelf, w.pem(*holders)).attempts
        return {one.then for one in attempts if one.accepted and one.then is not None}

    assert then("New", "Sub") == {"in use: the newest that is valid and has its key"}
    [older] = then("Older", "Sub")
    assert older == f"not used: another leaf is newer, the one in CPO_CERT_SECC_LEAF_CHAIN_{token(1)}.pem"
    assert then("Sub") == {"used to build chains"}
    stranger = asked(shelf, world("Stranger").pem("Stranger"))
    assert [one.then for one in stranger.attempts if one.accepted] == ["trusted as a root"] * 5


def test_what_a_leaf_would_be_used_for_heeds_that_another_is_revoked() -> None:
    w = world("Root > Sub > Old", "Root > Sub > New", New={"not_after": NOW + 90 * DAY})
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Root")).with_leaf(w, "New", "Sub").with_key(w, "Old", "client/cso/old.key")
    revoked = ocsp_answer(w, "New", status=OCSPCertStatus.REVOKED, revoked_at=NOW - DAY)
    snapshot = shelf.with_ocsp("client/cso/ocsp/1_ocsp", id_of(w, "New"), revoked).look()
    told = [
        [one.then for one in explain_text(snapshot, w.pem("Old", "Sub"), BELIEVED, limits(), said=said).attempts]
        for said in (NONE, snapshot.revocations)
    ]
    assert f"not used: another leaf is newer, the one in CPO_CERT_SECC_LEAF_CHAIN_{token(1)}.pem" in told[0]
    assert "in use: the newest that is valid and has its key" in told[1]
