"""What is told before something is done."""

from dataclasses import replace

from evse_security.http.page.preview import deletion_view, preview, tried, verdict
from evse_security.http.page.rows import Clock
from evse_security.station import CheckReport
from evse_security.store.deletion import deletion
from evse_security.store.explanation import PathTried
from evse_security.store.overview import overview
from evse_security.store.reasons import Reason
from evse_security.store.trial import FileExplanation, explain_text
from evse_security.vocabulary import CertificateValidationResult
from tests.builders import DAY, NOW, World, world
from tests.store.pictures import BELIEVED, V2G_BUNDLE, Shelf, id_of, limits, of

CLOCK = Clock(NOW, 30 * DAY, None)


def explained(shelf: Shelf, text: str) -> FileExplanation:
    return explain_text(shelf.look(), text, BELIEVED, limits())


def pki() -> World:
    return world("Root > Sub > SECC", "Root > Sub > Other", "New", "Lonely > LonelySub > LonelyLeaf")


def station(w: World) -> Shelf:
    return Shelf().put(V2G_BUNDLE, w.pem("Root", "Sub")).with_leaf(w, "SECC", "Sub")


def test_a_root_can_be_installed_in_every_domain_and_says_what_that_does() -> None:
    w = pki()
    view = preview(explained(station(w), w.pem("New")), CLOCK)
    assert [choice.value for choice in view.choices] == [
        f"install_ca_certificate:{t}" for t in ["V2G", "MO", "CSMS", "MF", "OEM"]
    ]
    firmware, cars = view.choices[-2:]
    assert cars.label == "as CA certificate of OEM (Car makers)"
    assert cars.does[0] == "A vehicle whose certificate leads to it may connect from then on, in ISO 15118-20."
    assert firmware.does[0] == "Firmware that is signed below it is accepted from then on."
    assert firmware.does[1] == "It would then be trusted as a root."
    assert firmware.does[2].startswith("Written: /station/certs/ca/mf/")
    [given] = view.certificates
    assert (given.title, given.role) == ("New", "root")
    assert given.fingerprint.replace(" ", "").lower() == of(w, "New").fingerprint
    assert [(one.labels, one.code) for one in view.refused] == [
        (("as V2G leaf of this station", "as CSMS leaf of this station"), "NotAnEndEntity")
    ]


def test_what_is_installed_already_changes_nothing() -> None:
    w = pki()
    view = preview(explained(station(w), w.pem("Root")), CLOCK)
    assert view.choices[0].does == ("It is installed already: nothing would change.",)
    assert view.certificates[0].installed.lines == ("/station/certs/ca/v2g/V2G_ROOT_CA.pem",)


def test_a_chain_that_nothing_takes_is_told_why() -> None:
    w = pki()
    view = preview(explained(station(w), w.pem("LonelyLeaf", "LonelySub")), CLOCK)
    assert view.choices == ()
    assert {one.code for one in view.refused} == {"NotExactlyOne", "IssuerNotFound", "NoTrustAnchor"}


def test_a_leaf_without_a_key_and_one_with_it() -> None:
    w = pki()
    chain = w.pem("Other", "Sub")
    keyless = preview(explained(station(w), chain), CLOCK)
    assert keyless.choices == ()
    assert "KeyNotFound" in {one.code for one in keyless.refused}
    view = preview(explained(station(w).with_key(w, "Other", "client/cso/o.key"), chain), CLOCK)
    [choice] = view.choices
    assert choice.value == "update_leaf_certificate:V2G"
    assert choice.does[0].startswith("It would then be ")


def test_text_that_is_no_certificate_is_refused_by_everybody_once() -> None:
    view = preview(explained(Shelf(), "hello"), CLOCK)
    assert (view.certificates, view.choices) == ((), ())
    assert [one.code for one in view.refused] == ["NoCertificate"]


def test_a_verdict_shows_the_path_or_the_reason_and_what_was_tried() -> None:
    w = pki()
    text = w.pem("SECC", "Sub")
    report = CheckReport(CertificateValidationResult.Valid, None, ("CN=SECC", "CN=Sub", "CN=Root"))
    view = verdict(report, explained(station(w), text), ["V2G"], CLOCK)
    assert view.result.text == "Valid"
    assert [one.verdict.text for one in view.tried] == ["taken"]


def test_paths_above_a_refused_leaf_are_not_called_valid_too() -> None:
    valid, refused = Reason("Valid", ""), Reason("Expired", "expired")
    paths = [PathTried(("a",), False, refused), PathTried(("a", "b"), False, valid), PathTried(("a",), False, refused)]
    assert [one.verdict.text for one in tried(paths)] == ["refused", "valid above the leaf"]
    taken = PathTried(("a", "c"), True, valid)
    assert [one.verdict.text for one in tried([*paths, taken])] == ["refused", "valid, too", "taken"]


def test_a_deletion_lists_what_goes_what_is_in_use_and_what_loses_its_issuer() -> None:
    w = pki()
    snapshot = station(w).look()
    drawn = overview(snapshot, BELIEVED, "not_after")
    view = deletion_view(deletion(snapshot, id_of(w, "Root")), drawn)
    assert [one.title for one in view.going] == ["Root"]  # the leaf's chain file still holds its sub-CA
    assert view.going[0].state == "trusted as a root"
    assert view.orphans.lines == (f"{of(w, 'SECC').name}, in use",)
    assert view.edited.lines == ("/station/certs/ca/v2g/V2G_ROOT_CA.pem",)
    leaf = deletion_view(deletion(snapshot, id_of(w, "SECC")), drawn)
    assert leaf.going[0].state == "in use: the newest that is valid and has its key"
    assert len(leaf.keys.lines) == 1
    assert leaf.digest != view.digest


def test_the_digest_of_a_list_changes_with_the_list() -> None:
    w = pki()
    shelf = station(w)
    drawn = overview(shelf.look(), BELIEVED, "not_after")
    found = deletion(shelf.look(), id_of(w, "SECC"))
    same = deletion_view(deletion(shelf.look(), id_of(w, "SECC")), drawn).digest
    assert deletion_view(found, drawn).digest == same
    assert deletion_view(replace(found, private_keys=()), drawn).digest != same


def test_a_refused_deletion_says_why() -> None:
    w = world("Root > Sub > CSMS")
    snapshot = Shelf().put("ca/csms/CSMS_ROOT_CA.pem", w.pem("Root")).with_leaf(w, "CSMS", "Sub", kind="CSMS").look()
    view = deletion_view(deletion(snapshot, id_of(w, "CSMS")), overview(snapshot, BELIEVED, "not_after"))
    assert (view.code, view.going) == ("MustStay", ())
    assert "M04.FR.06" in view.refusal
