"""Every kind of finding, each on a store with that wrong; and what is not found."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from evse_security.clock import Moment
from evse_security.lab.authority import KeyUse
from evse_security.lab.keys import KeyKind
from evse_security.store.changes import Remove, Write
from evse_security.store.diagnosis import diagnose
from evse_security.store.diagnosis.finding import AS_READER, KINDS, Finding, Mender, Severity
from evse_security.store.diagnosis.inspection import Inspection, Place, Rights, Span, Volume
from evse_security.store.diagnosis.mending import Treatment, treatment
from evse_security.store.surroundings import spans
from tests.builders import DAY, NOW, YEAR, altered, ocsp_answer, pem_of
from tests.store.pictures import CERTS, CSMS_BUNDLE, MO_BUNDLE, PAST, V2G_BUNDLE, config, id_of, junk_block, token
from tests.store.sick import CASES, CHAIN, CSO, KEY, SINGLE, pki, seen, station

ALWAYS = {"ProfileDeviates"}
"""The chains of the tests are no ISO 15118 chains."""
BESIDE = {
    "KeyLocked": {"NoUsableLeaf", "LeafWithoutKey"},
    "NoUsableLeaf": {"LeafExpired"},
    "NoValidRoot": {"CaExpired"},
    "ForgedRoot": {"NoRoot"},
    "IssuerMissing": {"NoLeaf", "KeyPending"},
    "NothingInstalled": {"NoLeaf", "NoRoot"},
}
"""What else is wrong where this is wrong."""


def codes(inspection: Inspection) -> set[str]:
    return {finding.code for finding in diagnose(inspection).findings}


CSMS_FILES = (f"client/csms/CSMS_LEAF_{token(7)}.pem", f"client/csms/CPO_CERT_CSMS_LEAF_CHAIN_{token(7)}.pem")


def the(code: str, inspection: Inspection) -> Finding:
    [finding] = [one for one in diagnose(inspection).findings if one.code == code]
    return finding


def test_a_store_with_which_nothing_is_wrong() -> None:
    found = diagnose(seen(station(pki())))
    assert {finding.code for finding in found.findings} == ALWAYS
    assert found.worst is Severity.NOTE


def test_every_kind_has_its_case() -> None:
    assert CASES.keys() == KINDS.keys()


@pytest.mark.parametrize("code", CASES)
def test_each_is_found_where_it_is(code: str) -> None:
    assert code in codes(CASES[code]())


@pytest.mark.parametrize("code", CASES)
def test_nothing_else_is_found_with_it(code: str) -> None:
    assert codes(CASES[code]()) <= {code, *ALWAYS, *BESIDE.get(code, ())}


@pytest.mark.parametrize("code", CASES)
def test_each_says_what_to_do_or_is_worth_a_note(code: str) -> None:
    for finding in diagnose(CASES[code]()).findings:
        assert finding.mend or finding.advice or finding.severity is Severity.NOTE, finding
        assert finding.what.isprintable()
        assert finding.means == KINDS[finding.code].means


WORDS = {
    "ChainIncomplete": "its file lacks CN=Sub1, O=Test",
    "ChainOutOfOrder": "its file has the order CN=SECC, O=Test <- CN=Sub1, O=Test <- CN=Sub2, O=Test",
    "DiskFull": "the disk is full: 1 KiB left, 1000000 files; a renewal needs 256 KiB, 32 files",
    "KeyExposed": "private key open to everybody (mode 0644)",
    "KeyLocked": "encrypted, and no password is configured",
    "LeafExpiring": "the V2G leaf in use expires on 2030-01-10, in 9 days",
    "NoUsableLeaf": f"no V2G leaf can be used: {Path(CHAIN).name} not used: expired",
    "OcspNotDer": "an OCSP response in base64 instead of DER",
    "OcspStale": "of 2029-12-23 00:00:00Z, good until 2029-12-30 00:00:00Z: out of date",
    "WeakKey": "the key of CN=MoRoot, O=Test is too weak: RSA 1024",
    "WrongBundle": f"no root certificate of V2G is installed; CN=Root, O=Test lies in {CERTS / CSMS_BUNDLE}",
}


@pytest.mark.parametrize("code", WORDS)
def test_the_words(code: str) -> None:
    assert the(code, CASES[code]()).what == WORDS[code]


COMMANDS = {
    "KeyExposed": ("chmod", "0600", str(CERTS / KEY)),
    "KeyDirectoryOpen": ("chmod", "0700", str(CSO)),
    "OtherOwner": ("chown", "-h", "1000", str(CERTS / KEY)),
    "ChainIncomplete": (
        "evse-security", "call", "update_leaf_certificate",
        "--certificate-chain", f"@{CERTS / CHAIN}", "--certificate-type", "V2G",
    ),
    "WrongBundle": (
        "evse-security", "call", "install_ca_certificate",
        "--certificate", f"@{CERTS / CSMS_BUNDLE}", "--certificate-type", "V2G",
    ),
    "LeafExpiring": (
        "evse-security", "call", "generate_certificate_signing_request", "--certificate-type", "V2G",
        "--country", "COUNTRY", "--organization", "Test", "--common", "SECC", "--no-use-tpm",
    ),
    "KeyOrphan": ("evse-security", "sweep"),
    "OcspNotDer": ("evse-security", "doctor", "--fix"),
}  # fmt: skip


@pytest.mark.parametrize("code", COMMANDS)
def test_the_commands(code: str) -> None:
    assert the(code, CASES[code]()).mend[0] == COMMANDS[code]


def test_a_bad_block_is_named_by_its_line_and_cut_out_by_it() -> None:
    w = pki()
    good = w["MoRoot"].pem
    line = good.count("\n") + 1
    finding = the("Unreadable", seen(station(w).put(MO_BUNDLE, good + junk_block() + w["MfRoot"].pem)))
    assert finding.what == f"at line {line} (byte {len(good)}): an element is longer than what holds it"
    assert finding.mend == (("sed", "-i.bad", f"{line},{line + 2}d", str(CERTS / MO_BUNDLE)),)


def test_a_missing_root_is_named() -> None:
    advice = the("RootMissing", seen(station(pki()).without(V2G_BUNDLE, CSMS_BUNDLE).without(*CSMS_FILES))).advice
    assert advice is not None
    assert advice.startswith("ISSUER.pem is the certificate of CN=Root, O=Test, or of the root above it: ")


def test_where_time_decides_the_clock_is_to_be_looked_at_first() -> None:
    for code in ("NoUsableLeaf", "NoValidRoot"):
        advice = the(code, CASES[code]()).advice
        assert advice is not None
        assert advice.startswith("see first that the clock is right, it shows 2030-01-01 00:00:00Z; then: ")


# ---- the worst first


def test_the_worst_comes_first() -> None:
    w = pki(MoRoot={"not_after": NOW + DAY})
    shelf = station(w).put(KEY, w["SECC"].key_pem(), mode=0o644).put("client/cso/empty.pem", "")
    found = diagnose(seen(shelf))
    assert [one.code for one in found.findings] == ["KeyExposed", "CaExpiring", "HoldsNothing", "ProfileDeviates"]
    assert found.worst is Severity.ERROR


# ---- the clock


def test_nobody_is_called_expired_by_a_clock_that_is_not_believed() -> None:
    w = pki(SECC=PAST, MoRoot=PAST)
    shelf = station(w).with_key(w, "y", f"client/cso/SECC_LEAF_{token(9)}.key", age=YEAR)
    found = diagnose(seen(shelf, moment=Moment(NOW, "1970")))
    assert not {"LeafExpired", "CaExpired", "NoValidRoot", "NoUsableLeaf", "KeyOrphan", "FromFuture"} & {
        one.code for one in found.findings
    }
    assert found.findings[0].code == "ClockNotBelieved"


def test_what_a_sweep_would_remove_is_left_to_people_while_the_clock_is_not_believed() -> None:
    inspection = replace(CASES["Leftover"](), moment=Moment(NOW, "1970"))
    finding = the("Leftover", inspection)
    assert finding.mender is Mender.PEOPLE
    assert finding.mend[0][:2] == ("rm", "-f")


# ---- rights


def test_what_only_the_group_may_is_left_to_people() -> None:
    w = pki()
    place = Place(CSO, Rights(0o750, 0, NOW), holds_keys=True, can_write=True)
    inspection = seen(station(w).put(KEY, w["SECC"].key_pem(), mode=0o640), places=(place,))
    exposed, open_directory = the("KeyExposed", inspection), the("KeyDirectoryOpen", inspection)
    assert (exposed.severity, exposed.mender) == (Severity.WARNING, Mender.PEOPLE)
    assert (open_directory.severity, open_directory.mender) == (Severity.NOTE, Mender.PEOPLE)
    assert treatment(inspection, 10).modes == ()


def test_many_keys_are_one_finding_without_an_endless_command() -> None:
    w = pki()
    shelf = station(w)
    for number in range(20, 40):
        shelf = shelf.put(f"client/cso/{number}.key", w["y"].key_pem(), mode=0o644)
    finding = the("KeyExposed", seen(shelf))
    assert len(finding.paths) == 20
    assert finding.mend == (("evse-security", "doctor", "--fix"),)


def test_the_copy_of_a_key_is_a_key() -> None:
    w = pki()
    copy = f"client/cso/der/{Path(KEY).name}.der"
    finding = the("KeyExposed", seen(station(w).put(copy, w["SECC"].key_pem(), mode=0o644)))
    assert finding.paths == (CERTS / copy,)


# ---- leaves


def test_a_leaf_whose_key_may_be_a_locked_one_is_not_to_be_deleted() -> None:
    finding = the("LeafWithoutKey", CASES["KeyLocked"]())
    assert finding.mend == ()
    assert finding.what.endswith("fits, but 1 of the keys there cannot be opened")


def test_a_leaf_that_has_a_successor_may_expire() -> None:
    new = {"not_before": NOW + DAY, "not_after": NOW + YEAR}
    w = pki("Root > Sub1 > Sub2 > New", SECC={"not_after": NOW + 9 * DAY}, New=new)
    assert "LeafExpiring" in codes(seen(station(w)))
    assert "LeafExpiring" not in codes(seen(station(w).with_leaf(w, "New", "Sub2", "Sub1", number=2)))


@pytest.mark.parametrize(("old", "new"), [(9, 400), (400, 9)])
def test_of_secc_leaves_of_both_editions_none_follows_the_other(old: int, new: int) -> None:
    """Whichever is in use: cars of the other edition are shown the other."""
    other = {"not_before": NOW - DAY, "not_after": NOW + new * DAY, "key": KeyKind.SECP521R1}
    w = pki("Root > Sub1 > Sub2 > New", SECC={"not_after": NOW + old * DAY}, New=other)
    finding = the("LeafExpiring", seen(station(w).with_leaf(w, "New", "Sub2", "Sub1", number=2)))
    assert finding.certificate is not None
    assert finding.certificate.startswith("CN=SECC" if old < new else "CN=New")
    options = finding.mend[0][1 : finding.mend[0].index("call")]
    assert options == (() if old < new else ("--csr-key-type", "secp521r1"))


def test_responses_are_missed_about_the_secc_leaves_of_both_editions() -> None:
    """Cars of the other edition ask for one, too."""
    asked = {"responder_urls": ("http://ocsp.example",)}
    other = {"not_before": NOW - DAY, "not_after": NOW + YEAR, "key": KeyKind.SECP521R1, **asked}
    w = pki("Root > Sub1 > Sub2 > New", SECC=asked, New=other)
    findings = diagnose(seen(station(w).with_leaf(w, "New", "Sub2", "Sub1", number=2))).findings
    named = {str(one.certificate).split(",")[0] for one in findings if one.code == "OcspMissing"}
    assert named == {"CN=SECC", "CN=New"}


def test_a_chain_whose_leaf_is_not_first_hides_the_leaf() -> None:
    w = pki()
    finding = the("ChainOutOfOrder", seen(station(w).without(SINGLE).put(CHAIN, w.pem("Sub1", "Sub2", "SECC"))))
    assert finding.severity is Severity.ERROR
    assert finding.what == "begins with CN=Sub1, O=Test, which is a CA; the leaf CN=SECC, O=Test is not seen"


def test_a_sub_ca_that_only_another_leaf_holds_is_named() -> None:
    w = pki()
    finding = the("IssuerMissing", seen(station(w).put(CHAIN, w.pem("SECC", "Sub2"))))
    csms_chain = CERTS / f"client/csms/CPO_CERT_CSMS_LEAF_CHAIN_{token(7)}.pem"
    assert finding.what.endswith(f"; CN=Sub1, O=Test lies in {csms_chain}")
    serial = f"{w['Sub1'].certificate.serial_number:x}"
    assert finding.advice == f"ISSUER.pem is the certificate with serial {serial} in {csms_chain}: copy its block"


def test_a_root_that_only_came_with_the_chain_is_not_installed() -> None:
    w = pki()
    shelf = station(w).without(V2G_BUNDLE, CSMS_BUNDLE).put(CHAIN, w.pem("SECC", "Sub2", "Sub1", "Root"))
    findings = [one for one in diagnose(seen(shelf)).findings if one.code == "RootMissing"]
    assert [one.what for one in findings] == [
        f"no root certificate of CSMS is installed; CN=Root, O=Test lies in {CERTS / CHAIN}",
        f"no root certificate of V2G is installed; CN=Root, O=Test lies in {CERTS / CHAIN}",
    ]


def test_csms_leaves_are_removed_by_hand() -> None:
    w = pki()
    finding = the("LeafWithoutKey", seen(station(w).put("client/csms/spare.pem", w["SECC"].pem)))
    spare = CERTS / "client/csms/spare.pem"
    assert finding.mend == (("mv", "-n", str(spare), f"{spare}.unused"),)


def test_a_leaf_whose_key_may_turn_up_is_set_aside_not_deleted() -> None:
    assert all(command[:2] == ("mv", "-n") for command in the("LeafWithoutKey", CASES["LeafWithoutKey"]()).mend)


def test_a_leaf_not_in_use_is_less_bad() -> None:
    w = pki("Strange > Newer", Newer={"not_after": NOW + YEAR})
    finding = the("IssuerMissing", seen(station(w).with_leaf(w, "Newer", number=2)))
    assert finding.severity is Severity.WARNING


def test_a_leaf_whose_usage_forbids_it_to_be_one() -> None:
    w = pki("Root > Sub1 > Sub2 > Odd", Odd={"key_usage": frozenset({KeyUse.KEY_AGREEMENT})})
    finding = the("LeafRefused", seen(station(w).with_leaf(w, "Odd", "Sub2", "Sub1", number=2)))
    assert (finding.severity, finding.reason) == (Severity.WARNING, "WrongUsage")


# ---- keys


def test_junk_and_keys_in_other_forms_are_not_keys() -> None:
    w = pki()
    shelf = station(w).put("client/cso/junk.key", "junk", mode=0o600)
    assert the("KeyUnreadable", seen(shelf)).what == "no private key, or a damaged one"
    shelf = station(w).put("client/cso/tpm.key", junk_block("TSS2 PRIVATE KEY"), mode=0o600)
    assert the("KeyUnreadable", seen(shelf)).what == "bound to a TPM, which is not supported"


def test_keys_that_no_sweep_removes_are_left_to_people() -> None:
    w = pki()
    by_hand = station(w).with_key(w, "y", "client/cso/mine.key", age=YEAR)
    finding = the("KeyOrphan", seen(by_hand))
    assert (finding.mender, finding.mend) == (
        Mender.PEOPLE,
        (("mv", "-n", str(CSO / "mine.key"), str(CSO / "mine.key.unused")),),
    )
    ours = f"client/cso/SECC_LEAF_{token(9)}.key"
    damaged = station(w).with_key(w, "y", ours, age=YEAR).put("client/cso/bad.pem", junk_block())
    finding = the("KeyOrphan", seen(damaged))
    assert finding.mender is Mender.PEOPLE
    assert finding.what.endswith("but not all files of certificates can be read")
    assert finding.mend == ()


def test_since_when_a_key_waits_only_a_clock_can_tell() -> None:
    w = pki()
    shelf = station(w).with_key(w, "y", f"client/cso/SECC_LEAF_{token(9)}.key", age=YEAR)
    finding = the("KeyPending", seen(shelf, moment=Moment(NOW, "1970")))
    assert finding.what == "without a certificate; since when, no clock tells"


# ---- CA certificates


def test_a_bundle_that_domains_share_is_told_once() -> None:
    w = pki(MoRoot=PAST)
    shelf = station(w)
    shared = replace(shelf, config=config(mf_ca_bundle=CERTS / MO_BUNDLE))
    findings = diagnose(seen(shared)).findings
    assert [one.code for one in findings] == ["NoValidRoot", "NoValidRoot", "CaExpired", "ProfileDeviates"]


def test_a_bundle_that_was_cut_off_is_an_error() -> None:
    w = pki()
    found = diagnose(seen(station(w).put(MO_BUNDLE, w["MoRoot"].pem[:300])))
    assert [one.code for one in found.findings] == ["BundleUnreadable", "Unreadable", "ProfileDeviates"]


def test_a_duplicate_in_a_file_of_its_own_can_be_removed() -> None:
    w = pki()
    shelf = (
        station(w)
        .without(MO_BUNDLE)
        .put(f"{MO_BUNDLE}/a.pem", w["MoRoot"].pem)
        .put(f"{MO_BUNDLE}/b.pem", w["MoRoot"].pem)
    )
    assert the("Duplicate", seen(shelf)).mend == (("rm", str(CERTS / MO_BUNDLE / "a.pem")),)


@pytest.mark.parametrize(
    ("text", "alone"),
    [
        ("x\n" + junk_block() + "y\n", True),
        ("x " + junk_block() + "y\n", False),
        ("x\n" + junk_block()[:-1] + " y\n", False),
    ],
)
def test_lines_are_cut_out_only_where_nothing_else_is_on_them(text: str, *, alone: bool) -> None:
    start, end = text.index("-----BEGIN"), text.index("-----END CERTIFICATE-----") + 25
    expected = Span(2 if text[1] == "\n" else 1, 4 if text[1] == "\n" else 3, alone)
    assert list(spans(text.encode(), [(start, end), (0, 1), (start, end)]))[::2] == [expected, expected]


def test_no_command_is_given_that_would_delete_more() -> None:
    """`delete_certificate` takes a leaf wherever it lies, and all certificates of one identity."""
    w = pki()
    finding = the("NotACa", seen(station(w).put(MO_BUNDLE, w.pem("MoRoot", "SECC"))))
    assert (finding.mend, finding.advice) == ((), "take its block out of the file")
    twin = altered(w["MoRoot"], lambda fields: fields[:-1])  # the same name, key and serial number, without extensions
    findings = diagnose(seen(station(w).put(MO_BUNDLE, w["MoRoot"].pem + pem_of(twin)))).findings
    assert not [one for one in findings if "delete_certificate" in str(one.mend)]
    assert {one.code for one in findings} == {"NotACa", *ALWAYS}


def test_a_file_that_must_not_be_read_is_not_moved() -> None:
    w = pki()
    finding = the("Unreadable", seen(station(w).put("client/cso/locked.pem", None)))
    assert finding.mend == ()
    assert finding.advice is not None


# ---- OCSP


def test_a_response_in_base64_that_is_not_to_be_kept_stays_as_it_is() -> None:
    w = pki()
    old = ocsp_answer(w, "SECC", this_update=NOW - 9 * DAY, next_update=NOW - 2 * DAY)
    shelf = station(w).with_ocsp("client/cso/ocsp/1_ocsp", id_of(w, "SECC"), base64.b64encode(old))
    finding = the("OcspNotDer", seen(shelf))
    assert finding.mender is Mender.PEOPLE
    assert finding.what.endswith(", and not one to keep")
    assert treatment(seen(shelf), 10).is_empty


def test_a_stale_response_beside_a_fresh_one_is_no_matter() -> None:
    w = pki()
    old = ocsp_answer(w, "SECC", this_update=NOW - 9 * DAY, next_update=NOW - 2 * DAY)
    shelf = station(w).with_ocsp("client/cso/ocsp/1_ocsp", id_of(w, "SECC"), old)
    shelf = shelf.with_ocsp("client/cso/ocsp/2_ocsp", id_of(w, "SECC"), ocsp_answer(w, "SECC"))
    assert codes(seen(shelf)) == ALWAYS


def test_a_response_about_another_says_so() -> None:
    w = pki()
    shelf = station(w).with_ocsp("client/cso/ocsp/1_ocsp", id_of(w, "SECC"), ocsp_answer(w, "Other"))
    assert the("OcspUnreadable", seen(shelf)).what.endswith("about other certificates than its .hash file says")


# ---- mending


def mended(code: str) -> tuple[Inspection, Treatment]:
    inspection = CASES[code]()
    return inspection, treatment(inspection, 10)


@pytest.mark.parametrize("code", [code for code, kind in KINDS.items() if kind.mender is Mender.DOCTOR])
def test_what_the_doctor_mends_is_treated(code: str) -> None:
    assert not mended(code)[1].is_empty


@pytest.mark.parametrize("code", [code for code, kind in KINDS.items() if kind.mender is Mender.PEOPLE])
def test_what_people_mend_is_left_alone(code: str) -> None:
    assert mended(code)[1].is_empty


@pytest.mark.parametrize("code", ["KeyOrphan", "OcspNotDer", "OcspAboutNobody", "OcspHalf", "CopyStale", "Leftover"])
def test_the_treatment_changes_the_files_of_the_finding(code: str) -> None:
    inspection, made = mended(code)
    assert made.decision.changes
    assert {type(change) for change in made.decision.changes} <= {Remove, Write}
    assert set(made.said) == {change.path for change in made.decision.changes}
    assert {change.path for change in made.decision.changes} >= set(the(code, inspection).paths)


def test_a_response_in_base64_becomes_der() -> None:
    made = mended("OcspNotDer")[1]
    [write] = made.decision.changes
    assert isinstance(write, Write)
    assert write.content[:1] == b"\x30"


def test_rights_are_taken_from_everybody() -> None:
    assert [(mode.old, mode.new) for mode in mended("KeyExposed")[1].modes] == [(0o644, 0o600)]
    assert [(mode.old, mode.new) for mode in mended("KeyDirectoryOpen")[1].modes] == [(0o755, 0o700)]
    assert [(mode.old, mode.new) for mode in mended("WritableByAll")[1].modes] == [(0o666, 0o664)]


def test_a_healthy_store_is_left_alone() -> None:
    assert treatment(seen(station(pki())), 10).is_empty


# ---- what the user who asks must not read


def test_nobody_is_told_to_remove_what_is_only_closed_to_who_asks() -> None:
    """A technician is seldom the user that the station runs as."""
    shelf = station(pki())
    shelf = replace(shelf, files={path: held for path, held in shelf.files.items() if CSO not in path.parents})
    finding = the("Unreadable", seen(replace(shelf, blocked=frozenset({CSO}))))
    assert (finding.severity, finding.mend, finding.advice) == (Severity.ERROR, (), AS_READER)
    findings = diagnose(seen(station(pki()).put(KEY, None, mode=0o600))).findings
    assert [one.code for one in findings if one.severity is Severity.ERROR] == ["KeyUnreadable", "NoUsableLeaf"]
    assert [one.mend for one in findings[:2]] == [(), ()]
    assert findings[0].advice == AS_READER
    assert findings[1].advice == "see to the keys that cannot be opened first: one of them may be its own"


# ---- the issuer is missing


def test_responses_stay_while_nobody_can_tell_whom_they_are_about() -> None:
    """A root that was lost may come back, and the responses about what it issued are as good as before."""
    w = pki()
    answer = ocsp_answer(w, "Sub1")
    shelf = station(w).with_ocsp("client/cso/ocsp/1_ocsp", id_of(w, "Sub1"), answer)
    lost = seen(shelf.put(V2G_BUNDLE, "").put(CSMS_BUNDLE, ""))
    assert {"RootMissing"} <= codes(lost) <= {"RootMissing", "NoRoot", *ALWAYS}
    assert treatment(lost, 10).is_empty
    assert codes(seen(shelf)) == ALWAYS


def test_where_the_issuer_is_missing_nobody_is_told_to_ask_a_responder() -> None:
    w = pki(Sub1={"responder_urls": ("http://ocsp.example",)})
    assert "OcspMissing" in codes(seen(station(w)))
    assert "OcspMissing" not in codes(seen(station(w).put(V2G_BUNDLE, "").put(CSMS_BUNDLE, "")))


# ---- the clock and the file that it is judged by


def test_a_clock_that_is_not_believed_makes_no_leaf_look_expired() -> None:
    """It is shown all the same: nobody is to ask for another."""
    found = seen(station(pki()), moment=Moment(NOW + 100 * YEAR, "the clock shows 2130", NOW))
    assert codes(found) - ALWAYS == {"ClockNotBelieved"}


def test_the_files_that_were_written_later_are_named() -> None:
    shelf = station(pki()).put(SINGLE, pki()["SECC"].pem, age=-DAY)
    finding = the("ClockNotBelieved", seen(shelf, moment=Moment(NOW, "the clock shows less")))
    assert finding.paths == (CERTS / SINGLE,)
    assert finding.advice is not None
    assert finding.advice.endswith("another one was not when these files were written: touch them")


# ---- mounted so that nobody can write


def test_where_nobody_can_write_rights_are_no_matter() -> None:
    place = Place(CSO, Rights(0o700, 0, NOW), holds_keys=True, can_write=False, is_read_only=True)
    volume = Volume(CSO, CSO, "ext4", True, 10**9, 10**6)
    inspection = seen(station(pki()), places=(place,), volumes=(volume,))
    assert codes(inspection) == {"ReadOnly", *ALWAYS}
    assert the("ReadOnly", inspection).mend == (("mount", "-o", "remount,rw", str(CSO)),)


def test_an_expired_root_comes_before_the_leaf_that_it_makes_useless() -> None:
    findings = diagnose(seen(station(pki(Root=PAST)))).findings
    assert [one.code for one in findings[:4]] == ["NoValidRoot"] * 2 + ["LeafRefused"] * 2
    assert "ask the issuer for a chain that is valid now, and for its root" in str(findings[2].advice)


def test_a_leaf_may_be_there_alone_and_with_its_chain_and_no_more() -> None:
    w = pki()
    again = CERTS / "client/cso/again.pem"
    for held in (("SECC",), ("SECC", "Sub2", "Sub1")):
        finding = the("Duplicate", seen(station(w).put(again, w.pem(*held), age=DAY)))
        assert (finding.what, len(finding.paths)) == ("is there 3 times", 3)
        [(*move, old, new)] = finding.mend
        assert (move, new) == (["mv", "-n"], f"{old}.unused")
