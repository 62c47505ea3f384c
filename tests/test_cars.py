"""What cars are shown, for people; a context would show the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evse_security.adapters.iso15118 import server_context
from evse_security.lab.authority import Entity
from evse_security.lab.hierarchy import Variant, template_of
from evse_security.lab.keys import KeyKind
from tests.adapters.secc import ED448, HOUR, NOW, P256, P521, Site, answer, pki, under_another_root
from tests.builders import key_source


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def later(kind: KeyKind) -> Entity:
    """A leaf that is an hour newer."""
    template = template_of("SECC_LEAF", pki(kind).edition, Variant.ORDINARY, now=NOW + HOUR)
    return pki(kind)["CPO_SUB_CA2"].issue(key_source(kind, "later"), replace(template, not_before=NOW - HOUR))


def test_each_edition_has_its_chain_or_the_reason_why_not(site: Site) -> None:
    site.stock(P256)
    with site.open() as station:
        answer(station, P256)
        told, offers = station.shown_to_cars(), server_context(station).offers
    two, twenty = told.editions
    assert (two.edition, two.tls, two.fingerprint) == ("ISO 15118-2", "TLS 1.2", offers[0].chain.fingerprint)
    assert str(two).endswith("; the only one that verifies now; its OCSP response is stapled")
    assert (twenty.chain, twenty.ocsp) == (None, None)
    assert str(twenty) == "ISO 15118-20 over TLS 1.3: none, as no leaf with secp521r1 or Ed448 verifies now"
    assert told.others == ()
    assert not told.is_empty


def test_a_newer_leaf_is_shown_in_place_of_an_older_one(site: Site) -> None:
    site.stock(P256)
    newer = later(P256)
    site.install(newer, "newer")
    root, leaf = under_another_root(P256, "Another")
    site.trust(root)
    site.install(leaf, "another")
    with site.open() as station:
        told, offers = station.shown_to_cars(), server_context(station).offers
    assert told.editions[0].fingerprint == offers[0].chain.fingerprint
    assert told.editions[0].reason == "the newest of 3 that verifies now"
    assert "no current OCSP response is cached" in str(told.editions[0].ocsp)
    assert {one.reason for one in told.others} == {
        "a newer one is shown, but to cars that name CN=Another, DC=V2G",
        "a newer one under the same CAs is shown",
    }


def test_cars_that_verify_one_kind_of_signature_alone_are_shown_that(site: Site) -> None:
    site.stock(P521, ED448)
    with site.open() as station:
        told = station.shown_to_cars()
    [other] = told.others
    assert "to cars that name" in other.reason  # its root is another, too


def test_a_leaf_that_expired_or_has_a_key_of_no_edition_is_told(site: Site) -> None:
    site.stock(P256)
    issuer = pki(P256)["CPO_SUB_CA2"]
    template = template_of("SECC_LEAF", pki(P256).edition, Variant.ORDINARY, now=NOW)
    site.install(issuer.issue(key_source(KeyKind.SECP384R1, "strange"), template), "strange")
    with site.open() as station:
        [strange] = station.shown_to_cars().others
        site.now = pki(P256)["SECC_LEAF"].certificate.not_valid_after_utc + HOUR
        told = station.shown_to_cars()
    assert strange.reason == "its key (EC 384) is of no edition of ISO 15118"
    assert told.editions[0].chain is None
    assert any("expired" in str(one) for one in told.others)


def test_without_leaves_there_is_nothing_to_tell(site: Site) -> None:
    site.trust(pki(P256)["V2G_ROOT_CA"])
    with site.open() as station:
        assert station.shown_to_cars().is_empty
