"""What OpenSSL said of a path is asked again only where it could say something else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from OpenSSL import crypto

from evse_security import errors as e
from evse_security.lab.authority import KeyIdentifier, name, unknown_extension
from evse_security.lab.resign import members, tlv
from evse_security.pki import der, verdict
from evse_security.pki.certificate import Certificate
from evse_security.pki.path import Policy, TrustStore, verify
from evse_security.vocabulary import LeafCertificateType as Leaf
from tests.builders import DAY, NOW, World, altered, world

POLICY = Policy((Leaf.V2G,))
PATH = "Root > Sub1 > Sub2 >"
UTF8_STRING = 0x0C


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many certificates OpenSSL was asked about, each time; nothing is known from other tests."""
    verdict.forget()
    found: list[int] = []

    class Context(crypto.X509StoreContext):
        def __init__(self, store: crypto.X509Store, certificate: crypto.X509, chain: Any = None) -> None:
            super().__init__(store, certificate, chain)
            found.append(1 + len(chain or ()))

    class Counting:
        """`OpenSSL.crypto` but for that: the module itself may be one that does not take its old attribute back."""

        def __getattr__(self, name: str) -> Any:
            return Context if name == "X509StoreContext" else getattr(crypto, name)

    monkeypatch.setattr(verdict, "crypto", Counting())
    yield found
    verdict.forget()


def read(made: World, *holders: str) -> list[Certificate]:
    return [Certificate(made[holder].der) for holder in holders]


def refusal(made: World, leaf: str = "Leaf", *sent: str, root: str = "Root", now: Any = NOW) -> e.ChainRefused | None:
    found, *others = read(made, leaf, *(sent or ("Sub2", "Sub1")))
    trust = TrustStore(read(made, root))
    try:
        verify(found, intermediates=others, trust=trust, policy=POLICY, now=now)
    except e.ChainRefused as refused:
        return refused
    return None


def below_known_cas(made: World) -> e.ChainRefused | None:
    """The refusal of the leaf after another one was accepted; the same as when nothing is known."""
    verdict.forget()
    alone = refusal(made)
    verdict.forget()
    assert refusal(made, "Other") is None
    after = refusal(made)
    assert (type(after), str(after)) == (type(alone), str(alone))
    return after


def test_an_accepted_path_is_not_asked_about_again(asked: list[int]) -> None:
    made = world(f"{PATH} Leaf")
    assert [refusal(made), refusal(made), refusal(made)] == [None] * 3
    assert asked == [3]


def test_below_cas_that_were_accepted_only_the_leaf_is_new(asked: list[int]) -> None:
    made = world(f"{PATH} Leaf", "Root > Sub1 > Sub2 > Other", "Root > Sub1 > Third")
    assert [refusal(made), refusal(made, "Other")] == [None] * 2
    assert asked == [3, 1]
    assert refusal(made, "Third", "Sub1") is None
    assert asked == [3, 1, 2], "another path of CAs"


def test_without_sub_cas_there_is_nothing_to_remember_but_the_path(asked: list[int]) -> None:
    made = world("Root > Leaf", "Root > Other")
    assert [refusal(made, "Leaf", "Other"), refusal(made, "Other", "Leaf")] == [None] * 2
    assert asked == [1, 1]


WRONG: dict[str, tuple[dict[str, Any], type[e.ChainRefused]]] = {
    "forged": ({"signed_by": "Mallory"}, e.BadSignature),
    "an unknown critical extension": ({"more_extensions": (unknown_extension(),)}, e.RefusedByOpenSsl),
    "expired": ({"not_after": NOW - DAY / 2}, e.Expired),
    "a CA": ({"path_length": 0}, e.NotAnEndEntity),
    "addresses that no CA gave it": (
        {"more_extensions": (x509.Extension(
            x509.ObjectIdentifier("1.3.6.1.5.5.7.1.7"), True,
            x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.7"),
                                       bytes.fromhex("300e300c04020001300603040a000001"))),)},
        e.RefusedByOpenSsl,
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_leaf_is_refused_as_if_nothing_was_known(wrong: str) -> None:
    changes, why = WRONG[wrong]
    made = world(f"{PATH} Other", "Root > Sub1 > Sub2 > Leaf", Leaf=changes)
    assert type(below_known_cas(made)) is why


def test_a_refusal_is_not_remembered(asked: list[int]) -> None:
    made = world(f"{PATH} Leaf", Leaf={"signed_by": "Mallory"})
    first, second = refusal(made), refusal(made)
    assert (type(first), str(first)) == (type(second), str(second)) == (e.BadSignature, str(first))
    assert asked == [3, 3]


@pytest.mark.parametrize("holder", ["Root", "Sub1", "Sub2"])
def test_what_a_ca_says_of_names_further_down_is_looked_at_for_each_leaf(holder: str, asked: list[int]) -> None:
    permitted = x509.NameConstraints([x509.DirectoryName(name(O="Test"))], None)
    constraints = x509.Extension(ExtensionOID.NAME_CONSTRAINTS, True, permitted)
    subjects = {ca: {"subject": name(O="Test", CN=ca)} for ca in ("Sub1", "Sub2", "Other")}
    changes: dict[str, Any] = {"Root": {}, **subjects, "Leaf": {"subject": name(O="Elsewhere", CN="Leaf")}}
    changes[holder]["more_extensions"] = (constraints,)
    made = world(f"{PATH} Other", "Root > Sub1 > Sub2 > Leaf", **changes)
    assert isinstance(below_known_cas(made), e.RefusedByOpenSsl)
    assert 1 not in asked, "the leaf is never asked about by itself"


def test_who_is_trusted_is_looked_at_each_time() -> None:
    made = world(f"{PATH} Leaf", "Elsewhere >")
    assert refusal(made) is None
    assert isinstance(refusal(made, root="Elsewhere"), e.IssuerNotFound)
    found, *others = read(made, "Leaf", "Sub2", "Sub1")
    with pytest.raises(e.NoTrustAnchor):
        verify(found, intermediates=others, trust=TrustStore(()), policy=POLICY, now=NOW)


@pytest.mark.parametrize("holder", ["Leaf", "Sub1", "Root"])
def test_time_is_looked_at_each_time(holder: str) -> None:
    made = world(f"{PATH} Leaf", **{holder: {"not_after": NOW + DAY}})
    assert refusal(made) is None
    assert isinstance(refusal(made, now=NOW + 2 * DAY), e.Expired)


def test_another_certificate_of_a_known_name_and_key_is_another_path(asked: list[int]) -> None:
    made = world(f"{PATH} Leaf", "Root > Sub1 > Twin >", "Root > Sub1 > Sub2 > Other",
                 Twin={"same_as": "Sub2", "more_extensions": (unknown_extension(),)})  # fmt: skip
    assert refusal(made) is None
    assert isinstance(refusal(made, "Other", "Twin", "Sub1"), e.RefusedByOpenSsl)
    assert asked == [3, 3]


def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch, asked: list[int]) -> None:
    monkeypatch.setattr(verdict, "MAX_ACCEPTED", 2)
    made = world("Root > A", "Root > B", "Root > C")
    for leaf in ("A", "B", "C", "C", "A"):
        assert refusal(made, leaf, "B") is None
    assert asked == [1, 1, 1, 1], "the third begins anew, and is known then"


def in_pieces(encoded: bytes) -> bytes:
    """The same name for OpenSSL: its strings are cut into pieces, as BER allows (X.690 §8.23.6)."""
    if encoded[0] == UTF8_STRING:
        return tlv(UTF8_STRING | der.CONSTRUCTED, encoded)
    return tlv(encoded[0], *map(in_pieces, members(encoded))) if encoded[0] & der.CONSTRUCTED else encoded


def test_a_ca_that_openssl_went_around_is_not_taken_for_accepted() -> None:
    """Nobody signed Rogue. Sub, below which no CA may be, signed Around, which names it as Rogue writes that name."""
    root, sub = name(CN="Root"), name(CN="Sub")
    by_serial = x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(root)], 77)  # for OpenSSL this is Sub alone
    around = x509.Extension(ExtensionOID.AUTHORITY_KEY_IDENTIFIER, False, by_serial)
    unnamed = {"authority_key_identifier": KeyIdentifier.ABSENT}
    made = world("Root > Sub > Around", "Mallory > Rogue > Leaf",
                 Root={"subject": root}, Sub={"subject": sub, "path_length": 0, "serial_number": 77},
                 Around={**unnamed, "more_extensions": (around,)}, Rogue=unnamed)  # fmt: skip
    plain, pieces = sub.public_bytes(), in_pieces(sub.public_bytes())

    def named(holder: str, issuer: bytes, subject: bytes | None = None) -> Certificate:
        def alter(parts: list[bytes]) -> list[bytes]:
            return [*parts[:3], issuer, parts[4], subject or parts[5], *parts[6:]]

        return Certificate(altered(made[holder], alter))

    rogue, leaf = named("Rogue", plain, pieces), named("Leaf", pieces)
    sent, trust = [rogue, *read(made, "Sub")], TrustStore(read(made, "Root"))

    def refused(one: Certificate) -> e.ChainRefused | None:
        try:
            verify(one, intermediates=sent, trust=trust, policy=POLICY, now=NOW)
        except e.ChainRefused as why:
            return why
        return None

    alone = refused(leaf)
    assert alone is not None
    refused(named("Around", pieces))
    assert type(refused(leaf)) is type(alone)
    assert not rogue.signed_by(sent[1])
