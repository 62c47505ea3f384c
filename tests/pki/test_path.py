"""The way from a leaf to a trust anchor: every one that is good is found, and the best reason is told where none is."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from evse_security import errors as e
from evse_security.lab.authority import SUB_CA, KeyIdentifier, KeyUse, name, unknown_extension
from evse_security.lab.keys import KeyKind
from evse_security.lab.resign import tlv
from evse_security.outcomes import ANSWERS
from evse_security.pki import demands, encode, path, pem
from evse_security.pki.candidates import candidates
from evse_security.pki.certificate import Certificate
from evse_security.pki.forest import Forest
from evse_security.pki.path import LeafStart, Policy, TrustStore, VerifiedChain, verify
from evse_security.pki.profile import ProfileName
from evse_security.vocabulary import LeafCertificateType as Leaf
from tests.builders import (
    DAY,
    NOW,
    YEAR,
    World,
    altered,
    as_version_1,
    key,
    next_serial,
    signed_with_rsa,
    with_explicit_false,
    world,
)
from tests.lab.conftest import OpenSsl, openssl  # noqa: F401  a fixture

LATER = Policy((Leaf.V2G,), leaf_start=LeafStart.NOW_OR_LATER)
STRICT = Policy((Leaf.V2G,), ProfileName.ISO15118, LeafStart.NOW_OR_LATER)
NO_IDS: dict[str, Any] = {
    "subject_key_identifier": KeyIdentifier.ABSENT,
    "authority_key_identifier": KeyIdentifier.ABSENT,
}
CA = x509.BasicConstraints(ca=True, path_length=None)
CA_USES = frozenset({KeyUse.KEY_CERT_SIGN, KeyUse.CRL_SIGN})


def read(made: World, *holders: str) -> list[Certificate]:
    return [Certificate(made[holder].der) for holder in holders]


def judged(
    made: World,
    leaf: str = "Leaf",
    *,
    sent: Sequence[str] = (),
    anchors: Sequence[str] = ("Root",),
    sub_cas: Sequence[str] = (),
    policy: Policy = Policy((Leaf.V2G,)),  # noqa: B008  frozen
) -> VerifiedChain:
    return verify(
        *read(made, leaf),
        intermediates=read(made, *sent),
        trust=TrustStore(read(made, *anchors), read(made, *sub_cas)),
        policy=policy,
        now=NOW,
    )


def names_of(chain: VerifiedChain) -> list[str]:
    return [certificate.name.removeprefix("CN=").partition(",")[0] for certificate in chain.path]


# ---- what verifies


@pytest.mark.parametrize("sent", [("SubCA2", "SubCA1"), ("SubCA1", "SubCA2"), ("SubCA1", "Other", "SubCA2", "Root")])
def test_received_sub_cas_in_any_order_and_with_others_among_them(sent: tuple[str, ...]) -> None:
    made = world("Root > SubCA1 > SubCA2 > Leaf", "Elsewhere > Other >")
    chain = judged(made, sent=sent)
    assert list(chain.path) == read(made, "Leaf", "SubCA2", "SubCA1", "Root")
    assert (chain.leaf, chain.anchor) == (chain.path[0], chain.path[-1])
    assert list(chain.sent) == read(made, "Leaf", "SubCA2", "SubCA1")


def test_installed_sub_cas_need_not_be_sent() -> None:
    made = world("Root > SubCA1 > SubCA2 > Leaf")
    assert names_of(judged(made, sub_cas=("SubCA1", "SubCA2"))) == ["Leaf", "SubCA2", "SubCA1", "Root"]
    assert names_of(judged(made, sent=("SubCA2",), sub_cas=("SubCA1",))) == ["Leaf", "SubCA2", "SubCA1", "Root"]


STRONG = [kind for kind in KeyKind if kind not in (KeyKind.RSA1024, KeyKind.SECP192R1)]


@pytest.mark.parametrize("kind", STRONG)
def test_keys_of_all_kinds(kind: KeyKind) -> None:
    made = world("Root > Sub > Leaf", Root={"key": kind}, Sub={"key": kind}, Leaf={"key": kind})
    assert names_of(judged(made, sent=("Sub",))) == ["Leaf", "Sub", "Root"]


def test_signatures_with_rsa_pss(openssl: OpenSsl) -> None:  # noqa: F811
    made = world("Root >", Root={"key": KeyKind.RSA2048})
    key_file, root = openssl.file("key", made["Root"].key_pem()), openssl.file("root", made["Root"].pem)
    config = openssl.file("config", "[req]\ndistinguished_name=dn\n[dn]\n[leaf]\nkeyUsage=digitalSignature\n")
    for digest in ("sha256", "sha512"):
        options = ("-sigopt", "rsa_padding_mode:pss", f"-{digest}", "-extensions", "leaf", "-days", "99999")
        named = ("-subj", "/CN=Leaf", "-config", config, "-newkey", "ed25519", "-nodes", "-keyout", key_file + "2")
        text = openssl("req", "-x509", "-CA", root, "-CAkey", key_file, *named, *options).stdout
        leaf, trust = pem.single(text, "leaf"), TrustStore(read(made, "Root"))
        late = NOW.replace(year=2040)  # the leaf begins when this test runs
        chain = verify(leaf, intermediates=(), trust=trust, policy=Policy((Leaf.MO,)), now=late)
        assert chain.leaf.signature_algorithm.find(encode.oid("1.2.840.113549.1.1.10")) > 0


def test_real_leaves_spell_out_that_they_are_no_ca() -> None:
    made = world("Root > Leaf")
    leaf = Certificate(with_explicit_false(made["Leaf"]))
    trust = TrustStore(read(made, "Root"))
    assert verify(leaf, intermediates=(), trust=trust, policy=Policy((Leaf.V2G,)), now=NOW).leaf == leaf


def test_a_version_1_root_is_an_anchor() -> None:
    made = world("Root > Leaf")
    root = Certificate(as_version_1(made["Root"]))
    [leaf] = read(made, "Leaf")
    assert verify(leaf, intermediates=(), trust=TrustStore([root]), policy=Policy((Leaf.MO,)), now=NOW).anchor == root


@pytest.mark.parametrize("leaf_type", Leaf)
def test_leaves_of_all_types(leaf_type: Leaf) -> None:
    judged(world("Root > Leaf"), policy=Policy((leaf_type,)))


# ---- several paths


@pytest.mark.parametrize("sent", [("Sub", "Cross"), ("Cross", "Sub")])
@pytest.mark.parametrize(("anchor", "via"), [("A", "Sub"), ("B", "Cross")])
def test_cross_signed_sub_cas_in_either_order(sent: tuple[str, str], anchor: str, via: str) -> None:
    made = world("A > Sub > Leaf", "B > Cross >", Cross={"same_as": "Sub"})
    assert list(judged(made, sent=sent, anchors=(anchor,)).path) == read(made, "Leaf", via, anchor)
    judged(made, sent=sent, anchors=("A", "B"))


@pytest.mark.parametrize("anchors", [("A", "B", "C"), ("C", "B", "A")])
@pytest.mark.parametrize("ids", [{}, NO_IDS])
@pytest.mark.parametrize("signer", ["A", "B", "C"])
def test_roots_of_one_name(anchors: tuple[str, ...], ids: dict[str, Any], signer: str) -> None:
    root = {"subject": name(CN="Root"), **ids}
    made = world("A >", "B >", "C >", f"{signer} > Sub > Leaf", A=root, B=root, C=root, Sub=ids, Leaf=ids)
    assert list(judged(made, sent=("Sub",), anchors=anchors).path) == read(made, "Leaf", "Sub", signer)


def test_a_renewed_root_is_found_beside_the_expired_one_of_the_same_key() -> None:
    made = world("Old > Sub > Leaf", "New >", Old={"not_after": NOW - DAY}, New={"same_as": "Old"})
    for anchors in (("Old", "New"), ("New", "Old")):
        assert list(judged(made, sent=("Sub",), anchors=anchors).path) == read(made, "Leaf", "Sub", "New")
    with pytest.raises(e.Expired):
        judged(made, sent=("Sub",), anchors=("Old",))


def test_a_renewed_sub_ca_is_found_beside_the_expired_one() -> None:
    made = world("Root > Old > Leaf", "Root > New >", Old={"not_after": NOW - DAY}, New={"same_as": "Old"})
    for sent in (("Old", "New"), ("New", "Old")):
        assert list(judged(made, sent=sent).path) == read(made, "Leaf", "New", "Root")
    assert list(judged(made, sent=("Old",), sub_cas=("New",)).path) == read(made, "Leaf", "New", "Root")


def test_a_root_whose_key_was_renewed() -> None:
    """RFC 4210 §4.4: the new key under the old one, both of one name."""
    root = {"subject": name(CN="Root")}
    made = world("Old > NewWithOld > Leaf", Old=root, NewWithOld=root)
    assert list(judged(made, sent=("NewWithOld",), anchors=("Old",)).path) == read(made, "Leaf", "NewWithOld", "Old")


def test_which_of_several_good_paths_is_taken_does_not_depend_on_chance() -> None:
    """A set of anchors would be gone through by hash, which differs from process to process."""
    root: dict[str, Any] = {"subject": name(CN="Root"), "key": key("Root")}
    made = world(*(f"R{number} >" for number in range(20)), "R0 > Leaf", **{f"R{number}": root for number in range(20)})
    for _ in range(5):
        holders = [f"R{number}" for number in range(20)]
        random.Random(4).shuffle(holders)
        assert judged(made, anchors=holders).anchor == read(made, holders[0])[0]


def test_additional_anchors_that_are_not_self_signed_end_a_path() -> None:
    made = world("Root > Sub > Leaf")
    assert list(judged(made, anchors=("Sub",)).path) == read(made, "Leaf", "Sub")
    assert judged(made, anchors=("Sub",)).sent == tuple(read(made, "Leaf"))
    # of two anchors in a row the nearer one
    assert list(judged(made, anchors=("Root", "Sub")).path) == read(made, "Leaf", "Sub")
    assert list(judged(made, sent=("Sub",), anchors=("Root",)).path) == read(made, "Leaf", "Sub", "Root")


# ---- what does not: one thing wrong, one reason

EKU_MAIL = (ExtendedKeyUsageOID.EMAIL_PROTECTION,)
EXPIRED = {"not_before": NOW - 2 * YEAR, "not_after": NOW - DAY}
FUTURE = {"not_before": NOW + DAY}
CONSTRAINED = x509.Extension(
    ExtensionOID.NAME_CONSTRAINTS,
    True,
    x509.NameConstraints(permitted_subtrees=[x509.DirectoryName(name(CN="Nobody"))], excluded_subtrees=None),
)
PATH_0 = x509.BasicConstraints(ca=True, path_length=0)
WRONG: dict[str, tuple[dict[str, dict[str, Any]], type[e.ChainRefused], str]] = {
    "forged leaf": ({"Leaf": {"signed_by": "Mallory"}}, e.BadSignature, "Leaf"),
    "forged sub-CA 2": ({"Sub2": {"signed_by": "Mallory"}}, e.BadSignature, "Sub2"),
    "forged sub-CA 1": ({"Sub1": {"signed_by": "Mallory"}}, e.BadSignature, "Sub1"),
    "expired leaf": ({"Leaf": EXPIRED}, e.Expired, "Leaf"),
    "expired sub-CA 2": ({"Sub2": EXPIRED}, e.Expired, "Sub2"),
    "expired sub-CA 1": ({"Sub1": EXPIRED}, e.Expired, "Sub1"),
    "expired root": ({"Root": EXPIRED}, e.Expired, "Root"),
    "future leaf": ({"Leaf": FUTURE}, e.NotYetValid, "Leaf"),
    "future sub-CA 2": ({"Sub2": FUTURE}, e.NotYetValid, "Sub2"),
    "future sub-CA 1": ({"Sub1": FUTURE}, e.NotYetValid, "Sub1"),
    "future root": ({"Root": FUTURE}, e.NotYetValid, "Root"),
    "sub-CA that is an end entity": ({"Sub2": {"role": "leaf"}}, e.NotACa, "Sub2"),
    "sub-CA without basicConstraints": ({"Sub2": {"basic_constraints": None}}, e.NotACa, "Sub2"),
    "sub-CA without keyCertSign": ({"Sub1": {"key_usage": frozenset({KeyUse.CRL_SIGN})}}, e.NotACa, "Sub1"),
    "root without keyCertSign": ({"Root": {"key_usage": frozenset({KeyUse.CRL_SIGN})}}, e.NotACa, "Root"),
    "path too long for the root": ({"Root": {"path_length": 1}}, e.PathTooLong, "Root"),
    "path too long for a sub-CA": ({"Sub1": {"basic_constraints": PATH_0}}, e.PathTooLong, "Sub1"),
    "weak key of the leaf": ({"Leaf": {"key": KeyKind.RSA1024}}, e.WeakKey, "Leaf"),
    "weak key of a sub-CA": ({"Sub1": {"key": KeyKind.SECP192R1}}, e.WeakKey, "Sub1"),
    "weak key of the root": ({"Root": {"key": KeyKind.RSA1024}}, e.WeakKey, "Root"),
    "leaf that is a CA": ({"Leaf": {"role": "sub_ca"}}, e.NotAnEndEntity, "Leaf"),
    "leaf without digitalSignature": ({"Leaf": {"key_usage": frozenset({KeyUse.KEY_AGREEMENT})}}, e.WrongUsage, "Leaf"),
    "leaf for mail": ({"Leaf": {"extended_key_usage": EKU_MAIL}}, e.WrongUsage, "Leaf"),
    "unknown critical extension": ({"Sub1": {"more_extensions": (unknown_extension(),)}}, e.RefusedByOpenSsl, "Sub1"),
    "unknown critical extension of the leaf": (
        {"Leaf": {"more_extensions": (unknown_extension(),)}},
        e.RefusedByOpenSsl,
        "Leaf",
    ),
    "name not permitted": ({"Sub1": {"more_extensions": (CONSTRAINED,)}}, e.RefusedByOpenSsl, "Sub2"),
    "another issuer": ({"Sub1": {"issuer": name(CN="Nobody")}}, e.IssuerNotFound, "Sub1"),
    "another issuer's key": ({"Sub2": {"authority_key_identifier": b"another"}}, e.IssuerNotFound, "Sub2"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_one_thing_is_wrong_and_it_is_told(wrong: str) -> None:
    changes, refusal, culprit = WRONG[wrong]
    made = world("Root > Sub1 > Sub2 > Leaf", **changes)
    with pytest.raises(refusal, match=rf"CN={culprit}\b") as refused:
        judged(made, sent=("Sub2", "Sub1"))
    assert type(refused.value) is refusal


def test_fault_32_time_is_checked_for_every_certificate_of_the_path() -> None:
    for holder in ("Sub1", "Sub2", "Root"):
        with pytest.raises(e.Expired):
            judged(world("Root > Sub1 > Sub2 > Leaf", **{holder: EXPIRED}), sent=("Sub2", "Sub1"), policy=LATER)
    with pytest.raises(e.NotYetValid):
        judged(world("Root > Leaf", Leaf={"not_before": NOW + 300 * DAY, "not_after": NOW + YEAR}))


def test_only_the_start_of_a_leaf_may_lie_ahead() -> None:
    judged(world("Root > Leaf", Leaf=FUTURE), policy=LATER)
    judged(world("Root > Leaf"), policy=LATER)
    with pytest.raises(e.Expired):
        judged(world("Root > Leaf", Leaf=EXPIRED), policy=LATER)
    for holder in ("Sub", "Root"):
        with pytest.raises(e.NotYetValid, match=f"CN={holder}"):
            judged(world("Root > Sub > Leaf", Leaf=FUTURE, **{holder: FUTURE}), sent=("Sub",), policy=LATER)


def test_a_leaf_whose_start_is_no_time_does_not_start_later() -> None:
    made = world("Root > Leaf")
    validity = tlv(0x30, tlv(0x17, b"291301000000Z"), tlv(0x17, b"310101000000Z"))
    leaf = Certificate(altered(made["Leaf"], lambda fields: [*fields[:4], validity, *fields[5:]]))
    trust = TrustStore(read(made, "Root"))
    with pytest.raises(e.WrongUsage, match="malformed validity"):
        verify(leaf, intermediates=(), trust=trust, policy=LATER, now=NOW)


def test_fault_33_neither_root_nor_sub_ca_is_a_leaf_and_the_leaf_comes_first() -> None:
    made = world("Root > Sub1 > Sub2 > Leaf")
    for ca in ("Root", "Sub1", "Sub2"):
        with pytest.raises(e.NotAnEndEntity):
            judged(made, ca, sent=("Leaf", "Sub2", "Sub1"))
    v1 = Certificate(as_version_1(made["Root"]))
    with pytest.raises(e.ChainRefused):
        verify(v1, intermediates=(), trust=TrustStore([v1]), policy=Policy((Leaf.V2G,)), now=NOW)


def test_fault_33_extended_key_usages() -> None:
    client, server = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
    anything, code = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, ExtendedKeyUsageOID.CODE_SIGNING
    for usages in ((client,), (server,), (client, server), (anything,), (code, client)):
        made = world("Root > Leaf", Leaf={"extended_key_usage": usages})
        judged(made)
        judged(made, policy=Policy((Leaf.CSMS,)))
    made = world("Root > Leaf", Leaf={"extended_key_usage": (code,)})
    judged(made, policy=Policy((Leaf.MF,)))
    judged(made, policy=Policy((Leaf.V2G, Leaf.MF)))  # one of the purposes will do
    for leaf_type in (Leaf.V2G, Leaf.CSMS):
        with pytest.raises(e.WrongUsage, match=r"extended key usage 1\.3\.6\.1\.5\.5\.7\.3\.3"):
            judged(made, policy=Policy((leaf_type,)))


def test_without_key_usage_everything_is_permitted() -> None:
    made = world("Root > Sub > Leaf", Leaf={"key_usage": None, "basic_constraints": None}, Sub={"key_usage": None})
    judged(made, sent=("Sub",))


def test_fault_34_weak_digests_are_refused_but_not_in_a_root() -> None:
    made = world("Root > Sub > Leaf", Root={"key": KeyKind.RSA2048})
    root, leaf = read(made, "Root", "Leaf")
    md5, sha1 = ("1.2.840.113549.1.1.4", hashes.MD5()), ("1.2.840.113549.1.1.5", hashes.SHA1())  # noqa: S303
    sub = Certificate(signed_with_rsa(made, "Sub", "Root", *md5))
    assert sub.signed_by(root)
    with pytest.raises(e.WeakDigest, match="CN=Sub, O=Test is signed with MD5"):
        verify(leaf, intermediates=[sub], trust=TrustStore([root]), policy=LATER, now=NOW)
    anchor = Certificate(signed_with_rsa(made, "Root", "Root", *md5))
    assert anchor.self_signed
    verify(leaf, intermediates=read(made, "Sub"), trust=TrustStore([anchor]), policy=LATER, now=NOW)
    old = Certificate(signed_with_rsa(made, "Sub", "Root", *sha1))
    verify(leaf, intermediates=[old], trust=TrustStore([root]), policy=LATER, now=NOW)
    with pytest.raises(e.ProfileViolated):
        verify(leaf, intermediates=[old], trust=TrustStore([root]), policy=STRICT, now=NOW)


def test_an_algorithm_that_is_not_known_is_refused() -> None:
    made = world("Root > Leaf")
    odd = tlv(0x30, encode.oid("1.2.840.10045.4.3.99"))
    leaf = Certificate(made["Leaf"].der.replace(tlv(0x30, encode.oid("1.2.840.10045.4.3.2")), odd))
    with pytest.raises(e.WeakDigest, match=r"an unknown algorithm \(1\.2\.840\.10045\.4\.3\.99\)"):
        demands.check_digest(leaf)


def test_fault_35_an_unknown_root_that_is_sent_along_is_not_trusted() -> None:
    made = world("Root >", "Mine > Sub > Leaf")
    with pytest.raises(e.IssuerNotFound, match="CN=Mine"):
        judged(made, sent=("Sub", "Mine"))
    named_alike = world(
        "Root >", "Mine > Sub > Leaf", Mine={"subject": name(CN="Root", O="Test"), **NO_IDS}, Sub=NO_IDS
    )
    with pytest.raises(e.BadSignature):
        judged(named_alike, sent=("Sub", "Mine"))
    with pytest.raises(e.IssuerNotFound):
        judged(world("Root >", "Leaf >", Leaf={"role": "leaf"}))


def test_a_self_signed_leaf_is_trusted_by_nobody() -> None:
    made = world("Root >", "Leaf >", Leaf={"role": "leaf"})
    with pytest.raises(e.IssuerNotFound):
        judged(made, anchors=("Root", "Leaf"))


def test_a_missing_sub_ca_is_told() -> None:
    made = world("Root > Sub1 > Sub2 > Leaf")
    with pytest.raises(e.IssuerNotFound, match="issuer CN=Sub2, O=Test of CN=Leaf"):
        judged(made, sent=("Sub1",))
    with pytest.raises(e.IssuerNotFound, match="issuer CN=Sub1, O=Test of CN=Sub2"):
        judged(made, sent=("Sub2",))
    with pytest.raises(e.IssuerNotFound, match="issuer CN=Root, O=Test of CN=Sub1"):
        judged(world("Root > Sub1 > Leaf", "Other >"), sent=("Sub1",), anchors=("Other",))


def test_an_issuer_of_the_name_with_another_key_is_told() -> None:
    made = world("Root > Leaf", "Renewed >", Renewed={"subject": name(CN="Root", O="Test")})
    with pytest.raises(e.IssuerNotFound, match="as a CA; one of that name is installed, but with another key"):
        judged(made, sent=(), anchors=("Renewed",))
    with pytest.raises(e.IssuerNotFound, match=r"is installed as a CA$"):
        judged(world("Root > Leaf", "Other >"), sent=(), anchors=("Other",))


def test_without_anchors_nothing_is_trusted() -> None:
    made = world("Root > Leaf")
    with pytest.raises(e.NoTrustAnchor, match="V2G or MO"):
        judged(made, anchors=(), policy=Policy((Leaf.V2G, Leaf.MO)))
    with pytest.raises(e.NoTrustAnchor):
        judged(made, anchors=(), sub_cas=("Root",), policy=Policy((Leaf.V2G,)))
    with pytest.raises(e.WrongUsage):
        judged(world("Root > Leaf", Leaf={"extended_key_usage": EKU_MAIL}), policy=Policy(()))


@pytest.mark.parametrize("malformed", ["leaf", "sub-CA", "root"])
def test_what_is_malformed_is_not_trusted(malformed: str) -> None:
    holder = {"leaf": "Leaf", "sub-CA": "Sub", "root": "Root"}[malformed]
    made = world("Root > Sub > Leaf")
    twice = tlv(0x30, encode.oid("2.5.29.15"), tlv(0x04, tlv(0x03, b"\x00\xff")))

    def alter(fields: list[bytes]) -> list[bytes]:
        return [*fields[:-1], tlv(0xA3, tlv(0x30, fields[-1][fields[-1].index(b"\x30", 2) + 2 :], twice))]

    read_as = {one: Certificate(altered(made[one], alter) if one == holder else made[one].der) for one in made}
    assert read_as[holder].malformed
    with pytest.raises(e.WrongUsage if malformed == "leaf" else e.NotACa):
        verify(
            read_as["Leaf"], intermediates=[read_as["Sub"]], trust=TrustStore([read_as["Root"]]), policy=LATER, now=NOW
        )


def test_fault_54_reasons_are_told_apart_as_the_interface_can() -> None:
    told = {wrong: ANSWERS[refusal].validation for wrong, (_, refusal, _) in WRONG.items()}
    assert told["future sub-CA 1"] == told["expired root"] == "Expired"
    assert told["path too long for the root"] == told["sub-CA without keyCertSign"] == "InvalidChain"
    assert told["forged sub-CA 2"] == "InvalidSignature"
    assert told["another issuer"] == "IssuerNotFound"
    assert "Unknown" not in told.values()


def test_the_profile_is_checked_last() -> None:
    made = world("Root > Leaf")
    strict = Policy((Leaf.V2G,), ProfileName.ISO15118)
    with pytest.raises(e.ProfileViolated):
        judged(made, policy=strict)
    with pytest.raises(e.Expired):
        judged(world("Root > Leaf", Root=EXPIRED), policy=strict)


def test_openssl_and_we_agree_on_what_is_wrong(openssl: OpenSsl) -> None:  # noqa: F811
    """Where we are stricter: what is weak, and who may be a leaf."""
    made = {wrong: world("Root > Sub1 > Sub2 > Leaf", **changes) for wrong, (changes, _, _) in WRONG.items()}
    stricter = {wrong for wrong in WRONG if not _openssl_refuses(openssl, made[wrong])}
    assert stricter == {
        "weak key of the leaf",
        "weak key of a sub-CA",
        "weak key of the root",
        "leaf that is a CA",
        "leaf without digitalSignature",
        "leaf for mail",
    }


def _openssl_refuses(program: OpenSsl, made: World) -> bool:
    texts = {"roots": made["Root"].pem, "sub_cas": made.pem("Sub1", "Sub2")}
    said = program.verify(made["Leaf"].pem, **texts, options=("-auth_level", "0"))
    return re.search(r"error \d+ at", said) is not None


# ---- the best reason


def test_the_reason_of_the_path_that_came_nearest_is_told() -> None:
    """Three ways up: a forged one, an expired one, one to nowhere. The expired one needs least."""
    subs: dict[str, Any] = {"Forged": {"same_as": "Sub", "signed_by": "Mallory"}, "Lost": {"same_as": "Sub"}}
    made = world("Root > Sub > Leaf", "Root > Forged >", "Nowhere > Lost >", Sub=EXPIRED, **subs)
    for sent in (("Forged", "Sub", "Lost"), ("Lost", "Sub", "Forged"), ("Sub", "Lost", "Forged")):
        with pytest.raises(e.Expired, match="CN=Sub"):
            judged(made, sent=sent)
    with pytest.raises(e.BadSignature):
        judged(made, sent=("Lost", "Forged"))


def _refusals(root: type[e.ChainRefused]) -> Iterable[type[e.ChainRefused]]:
    for refusal in root.__subclasses__():
        yield refusal
        yield from _refusals(refusal)


def test_every_reason_has_a_rank() -> None:
    assert all("rank" in vars(refusal) for refusal in _refusals(e.ChainRefused))


# ---- budgets


def verifications(certificates: Iterable[Certificate]) -> int:
    """How many signatures were verified on behalf of these certificates."""
    return sum(len(certificate._signers) + len(certificate._strangers) for certificate in certificates)


def crowd(count: int, issue: Callable[[int], dict[str, Any]]) -> list[Certificate]:
    """So many sub-CAs that all could have issued one another: one name, one key or several, no key identifiers."""
    made = world("Origin >", Origin={"subject": name(CN="Crowd"), **NO_IDS})
    origin = made["Origin"]
    template = replace(SUB_CA, not_before=NOW - DAY, not_after=NOW + DAY, subject=name(CN="Crowd"), **NO_IDS)
    found = []
    for number in range(count):
        changes = {"serial_number": next_serial("crowd"), "issuer": name(CN="Crowd"), **issue(number)}
        found.append(Certificate(origin.issue(key("Crowd"), replace(template, **changes)).der))
    return found


CROWDS: dict[str, Callable[[int], dict[str, Any]]] = {
    "one key, others' signatures": lambda _: {"signed_by": key("Mallory")},
    "two names in turn": lambda n: {
        "subject": name(CN=("Crowd", "Crew")[n % 2]),
        "issuer": name(CN=("Crew", "Crowd")[n % 2]),
        "signed_by": key("Crowd"),
    },
    "self-signed": lambda _: {"signed_by": key("Crowd")},
}


@pytest.mark.parametrize("kind", CROWDS)
def test_99_intermediates_of_one_name_end_soon(kind: str) -> None:
    """Some 100! paths in theory."""
    made = world("Root >", "Crowd > Leaf", Crowd={"subject": name(CN="Crowd"), **NO_IDS}, Leaf=NO_IDS)
    [leaf, root] = read(made, "Leaf", "Root")
    sent = crowd(99, CROWDS[kind])
    with pytest.raises(e.ChainRefused) as refused:
        verify(leaf, intermediates=sent, trust=TrustStore([root]), policy=LATER, now=NOW)
    assert verifications([leaf, *sent]) <= path.MAX_STEPS + len(sent)  # of each first whether it is self-signed
    assert isinstance(refused.value, e.SearchExhausted | e.BadSignature | e.IssuerNotFound)
    if kind == "two names in turn":
        assert isinstance(refused.value, e.SearchExhausted)
        assert str(refused.value) == f"no valid path was found within the limit of {path.MAX_STEPS} steps"


def test_a_search_that_is_given_up_does_not_blame_a_signature() -> None:
    """The steps may end in the midst of the candidates for one certificate."""
    made = world("Root >", "Other > Leaf", Other={"subject": name(CN="Crowd"), **NO_IDS}, Leaf=NO_IDS)
    [leaf, root] = read(made, "Leaf", "Root")
    sent = crowd(path.MAX_STEPS + 1, lambda _: {"signed_by": key("Mallory")})
    with pytest.raises(e.SearchExhausted):
        verify(leaf, intermediates=sent, trust=TrustStore([root]), policy=LATER, now=NOW)
    with pytest.raises(e.BadSignature):
        verify(leaf, intermediates=sent[:-1], trust=TrustStore([root]), policy=LATER, now=NOW)


def test_a_crowd_does_not_hide_the_way_over_installed_certificates() -> None:
    made = world("Root > Sub > Leaf", Root={"subject": name(CN="Crowd"), **NO_IDS}, Sub=NO_IDS, Leaf=NO_IDS)
    leaf, sub, root = read(made, "Leaf", "Sub", "Root")
    sent = crowd(99, CROWDS["two names in turn"])
    chain = verify(leaf, intermediates=[*sent, sub], trust=TrustStore([root]), policy=LATER, now=NOW)
    assert chain.path == (leaf, sub, root)


def test_forty_roots_of_one_name_are_no_hard_case() -> None:
    ids: dict[str, Any] = {"subject": name(CN="Root"), **NO_IDS}
    holders = [f"R{number}" for number in range(40)]
    made = world(*(f"{holder} >" for holder in holders), "R39 > Sub > Leaf", **dict.fromkeys(holders, ids), Sub=NO_IDS)
    assert judged(made, sent=("Sub",), anchors=holders).anchor == read(made, "R39")[0]


def test_candidate_paths_have_a_limit() -> None:
    """Every sub-CA leads to the root, and every path is refused."""
    made = world("Root > Sub0 > Leaf", Root=EXPIRED, Sub0={"key": key("Sub")})
    entity = made["Root"]
    template = replace(SUB_CA, not_before=NOW - DAY, not_after=NOW + DAY, subject=name(CN="Sub0", O="Test"))
    more = (replace(template, serial_number=next_serial("more")) for _ in range(path.MAX_CANDIDATES + 9))
    sent = [Certificate(entity.issue(key("Sub"), one).der) for one in more]
    leaf, root = read(made, "Leaf", "Root")
    with pytest.raises(e.Expired):  # the best reason, though the search was given up
        verify(leaf, intermediates=sent, trust=TrustStore([root]), policy=LATER, now=NOW)


def test_giving_up_counts_for_less_than_any_reason_but_a_missing_issuer() -> None:
    assert e.IssuerNotFound.rank < e.SearchExhausted.rank < e.BadSignature.rank


@pytest.mark.parametrize(("sub_cas", "result"), [(8, None), (9, e.SearchExhausted), (12, e.SearchExhausted)])
def test_paths_have_a_longest_length(sub_cas: int, result: type[e.ChainRefused] | None) -> None:
    """What is longer is refused with a reason; it was an error of Python's once."""
    holders = [f"Sub{number}" for number in range(sub_cas)]
    made = world(" > ".join(("Root", *holders, "Leaf")))
    if result is None:
        assert len(judged(made, sent=holders).path) == path.MAX_PATH
        return
    with pytest.raises(result, match="limit of 10 certificates in a path"):
        judged(made, sent=holders)


def test_loops_of_cross_certificates_end() -> None:
    made = world(
        "A > AB > Leaf", "B > BA >", "C >",
        AB={"subject": name(CN="B", O="Test"), "key": key("B")},
        BA={"same_as": "A"},
    )  # fmt: skip
    with pytest.raises(e.IssuerNotFound):
        judged(made, sent=("AB", "BA"), anchors=("C",))
    assert judged(made, sent=("AB", "BA"), anchors=("A",)).anchor == read(made, "A")[0]


def test_fault_11_certificates_that_have_no_part_in_it_cost_nothing() -> None:
    made = world("Root > Sub > Leaf", *(f"Other > Odd{number} >" for number in range(90)))
    odd = read(made, *(f"Odd{number}" for number in range(90)))
    leaf, sub, root = read(made, "Leaf", "Sub", "Root")
    verify(leaf, intermediates=[*odd, sub], trust=TrustStore([root]), policy=LATER, now=NOW)
    assert verifications(odd) == 0


def layers(depth: int, width: int, *, keys: int = 1) -> tuple[Certificate, list[Certificate], Certificate]:
    """A leaf below so many layers of CAs, each layer of one name, below a root that is out of date.

    With one key per layer, every way through is signed as it should be: width to the power of depth paths.
    """
    made = world(
        "Root >", "Low > Leaf", Root=EXPIRED | NO_IDS, Low={"subject": name(CN="Layer0"), **NO_IDS}, Leaf=NO_IDS
    )
    template = replace(SUB_CA, not_before=NOW - DAY, not_after=NOW + DAY, basic_constraints=CA, **NO_IDS)
    found = []
    for layer in range(depth):
        issuer = name(CN=f"Layer{layer + 1}") if layer + 1 < depth else made["Root"].certificate.subject
        signer = f"Layer{layer + 1}/0" if layer + 1 < depth else "Root"
        for number in range(width):
            changes: dict[str, Any] = {"subject": name(CN=f"Layer{layer}"), "issuer": issuer}
            one = replace(template, serial_number=next_serial("layer"), signed_by=key(signer), **changes)
            holder = "Low" if layer == 0 else f"Layer{layer}/{number % keys}"
            found.append(Certificate(made["Low"].issue(key(holder), one).der))
    [leaf, root] = read(made, "Leaf", "Root")
    return leaf, found, root


@pytest.mark.parametrize(("depth", "width"), [(2, 90), (4, 30), (8, 12), (3, 1)])
@pytest.mark.parametrize("installed", ["sent", "installed"])
def test_a_mesh_of_cross_certificates_is_given_up_in_time(depth: int, width: int, installed: str) -> None:
    """Every CA of a layer issued every one of the layer below: 10**8 paths, all of them signed."""
    leaf, cas, root = layers(depth, width)
    sent, trust = (cas, TrustStore([root])) if installed == "sent" else ([], TrustStore([root], cas))
    with pytest.raises(e.ChainRefused) as refused:
        verify(leaf, intermediates=sent, trust=trust, policy=LATER, now=NOW)
    assert isinstance(refused.value, e.Expired | e.SearchExhausted)
    assert verifications([leaf, *cas]) <= path.MAX_STEPS
    tried = candidates(leaf, intermediates=sent, trust=trust, policy=LATER, now=NOW)
    assert len(tried.candidates) <= path.MAX_CANDIDATES
    assert verifications([leaf, *cas]) <= path.MAX_STEPS


def test_a_mesh_of_keys_most_of_which_did_not_sign_is_given_up_in_time() -> None:
    leaf, cas, root = layers(6, 20, keys=20)
    with pytest.raises(e.ChainRefused):
        verify(leaf, intermediates=cas, trust=TrustStore([root]), policy=LATER, now=NOW)
    assert verifications([leaf, *cas]) <= path.MAX_STEPS


@pytest.mark.parametrize(("count", "found"), [(200, True), (400, False)])
def test_roots_of_one_name_without_key_identifiers_are_tried_within_the_budget(count: int, found: bool) -> None:  # noqa: FBT001
    ids: dict[str, Any] = {"subject": name(CN="Root"), **NO_IDS}
    holders = [f"R{number}" for number in range(count)]
    made = world(*(f"{holder} >" for holder in holders), "R0 > Leaf", **dict.fromkeys(holders, ids), Leaf=NO_IDS)
    leaf, roots = read(made, "Leaf")[0], read(made, *holders)
    if found:
        assert verify(leaf, intermediates=(), trust=TrustStore(roots), policy=LATER, now=NOW).anchor == roots[0]
    with pytest.raises(e.BadSignature if found else e.SearchExhausted):
        verify(leaf, intermediates=(), trust=TrustStore(roots[1:]), policy=LATER, now=NOW)
    assert verifications([leaf]) <= path.MAX_STEPS
    assert verifications(roots[1:]) == 0


# ---- what is asked once


def test_what_openssl_verified_is_not_verified_again() -> None:
    made = world("Root > Sub > Leaf")
    leaf, sub, root = judged(made, sent=("Sub",)).path
    assert (leaf._signers, sub._signers) == ((sub.fingerprint,), (root.fingerprint,))
    assert verifications([leaf, sub]) == 2


def test_of_a_path_through_namesakes_nothing_is_concluded() -> None:
    """OpenSSL may have taken another way through them than the one it was asked about."""
    named = {"subject": name(CN="Sub", O="Test"), "key": key("Sub"), **NO_IDS}
    made = world("Root > Upper > Sub > Leaf", Upper=named, Sub=named, Leaf=NO_IDS)
    verified = judged(made, sent=("Sub", "Upper")).path
    leaf = verified[0]
    assert set(leaf._signers) <= {one.fingerprint for one in verified[1:] if leaf.signed_by(one)}
    direct = judged(world("Root > Leaf2"), "Leaf2").path
    assert direct[0]._signers == (direct[1].fingerprint,)


@pytest.mark.parametrize("order", [1, -1])
def test_anchors_that_are_asked_about_when_met_are_the_same_as_given_ones(order: int) -> None:
    named = {"subject": name(CN="Crowd"), **NO_IDS}
    made = world(
        "R1 > Sub1 > Leaf1", "R2 > Sub2 > Leaf2", "R3 > Leaf3", "Forged > Leaf4", "Odd > Leaf5", "Lone > Leaf6",
        "Gone > Leaf7", R1=named, R2=named, R3=named, Sub1=NO_IDS, Sub2=NO_IDS, Leaf3=NO_IDS, Gone=EXPIRED,
        Forged={"signed_by": "Mallory"}, Odd={"basic_constraints": None, "key_usage": None},
    )  # fmt: skip
    installed = read(made, *(holder for holder in made if not holder.startswith(("Leaf", "Lone"))))[::order]

    def is_anchor(one: Certificate) -> bool:
        return one.self_signed and demands.why_not_ca(one) is None

    given = TrustStore(filter(is_anchor, installed), (one for one in installed if not one.self_signed))
    asked = TrustStore.among(Forest(installed), is_anchor)
    assert asked.anchors == given.anchors
    assert asked.has_anchors is given.has_anchors is True
    assert not TrustStore.among(Forest(installed), lambda _: False).has_anchors
    for holder in made:
        answers: list[object] = []
        for trust in (given, asked):
            [one] = read(made, holder)
            try:
                sent = read(made, "Lone", "Gone")
                answers.append(verify(one, intermediates=sent, trust=trust, policy=LATER, now=NOW).path)
            except e.ChainRefused as refusal:
                answers.append((type(refusal), str(refusal)))
        assert answers[0] == answers[1]


def test_roots_that_nobody_needs_are_not_verified() -> None:
    made = world("Root > Leaf", *(f"Other{number} >" for number in range(9)))
    roots = [Certificate(made[holder].der) for holder in made if holder != "Leaf"]
    trust = TrustStore.among(Forest(roots), lambda one: one.self_signed)
    assert verify(*read(made, "Leaf"), intermediates=(), trust=trust, policy=LATER, now=NOW).anchor == roots[0]
    assert verifications(roots[1:]) == 0


# ---- proof


def test_a_verified_chain_is_made_by_verify_only() -> None:
    made = world("Root > Leaf")
    chain = judged(made)
    with pytest.raises(TypeError, match="made by verify"):
        VerifiedChain(chain.path, object())
    with pytest.raises(TypeError):
        VerifiedChain(chain.path)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        chain.path = ()  # type: ignore[misc]
    assert "proof" not in repr(chain)


def test_a_certificate_that_openssl_cannot_use_is_refused() -> None:
    """A key of a kind without signatures, as anchor of a leaf that names it."""
    made = world("Root > Leaf")
    x25519 = tlv(0x30, tlv(0x30, encode.oid("1.3.101.110")), tlv(0x03, b"\0", bytes(31), b"\x09"))
    root = Certificate(altered(made["Root"], lambda fields: [*fields[:6], x25519, *fields[7:]]))
    [leaf] = read(made, "Leaf")
    with pytest.raises(e.ChainRefused):
        verify(leaf, intermediates=(), trust=TrustStore([root]), policy=LATER, now=NOW)
