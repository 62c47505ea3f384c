from __future__ import annotations

import re

import pytest
from cryptography import x509

from evse_security.lab.keys import KeyKind
from tests.builders import (
    NOW,
    as_version_1,
    at,
    chain_pem,
    key,
    key_source,
    pem_of,
    with_explicit_false,
    with_serial_number,
    world,
)
from tests.lab.conftest import QUICK_KINDS, OpenSsl


def test_paths_branch_at_names_met_before() -> None:
    w = world("Root > Sub > Leaf", "Root > Sub > Other", "MO > Contract")
    assert list(w) == ["Root", "Sub", "Leaf", "Other", "MO", "Contract"]
    assert w["Other"].path() == (w["Other"], w["Sub"], w["Root"])
    assert w["Contract"].path() == (w["Contract"], w["MO"])


def test_changes_for_nobody_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="'Lief'"):
        world("Root > Leaf", Lief={"not_after": NOW})


def test_a_cross_signed_entity_has_subject_and_key_of_its_twin(openssl: OpenSsl) -> None:
    w = world("A > Sub > Leaf", "B > Cross >", Cross={"same_as": "Sub"}, Sub={"key": KeyKind.ED448})
    assert w["Cross"].certificate.subject == w["Sub"].certificate.subject
    assert openssl.verify(w["Leaf"].pem, roots=w["B"].pem, sub_cas=w["Cross"].pem) == ""
    assert openssl.verify(w["Leaf"].pem, roots=w["A"].pem, sub_cas=w["Cross"].pem) != ""


def test_a_chain_is_written_in_the_order_asked_for() -> None:
    w = world("Root > Sub > Leaf")
    assert chain_pem(w, "Sub", "Leaf") == w["Sub"].pem + w["Leaf"].pem


@pytest.mark.parametrize("kind", QUICK_KINDS)
def test_a_key_belongs_to_its_name_and_kind(kind: KeyKind) -> None:
    assert key("one", kind) is key_source(kind, "one") is key("one", kind=kind)
    assert key("one", kind).public_key() != key("other", kind).public_key()


def test_two_worlds_never_share_a_serial_number() -> None:
    numbers = [world("Root > Leaf")[holder].certificate.serial_number for holder in ("Root", "Leaf") * 20]
    assert len(set(numbers)) == len(numbers)
    assert {number.bit_length() for number in numbers} <= set(range(121, 129))


def test_times_are_utc_unless_they_say_otherwise() -> None:
    assert at("2030-01-01") == NOW == at("2030-01-01T02:00:00+02:00")


@pytest.mark.parametrize("number", [0, -1, -129, 127, 128, 1 << 300])
def test_any_serial_number_can_be_had(openssl: OpenSsl, number: int) -> None:
    w = world("Root > Leaf")
    text = pem_of(with_serial_number(w["Leaf"], number))
    told = openssl("x509", "-noout", "-serial", "-in", openssl.file("leaf.pem", text)).stdout
    assert int(re.sub(r"serial=|\\\n", "", told), 16) == number
    assert openssl.verify(text, roots=w["Root"].pem) == ""


def test_a_version_1_root_verifies_under_its_own_key(openssl: OpenSsl) -> None:
    w = world("Root > Leaf")
    der = as_version_1(w["Root"])
    assert x509.load_der_x509_certificate(der).version is x509.Version.v1
    assert openssl.verify(pem_of(der), roots=pem_of(der), options=("-check_ss_sig",)) == ""


def test_an_explicit_false_is_what_cryptography_refuses_and_openssl_loads(openssl: OpenSsl) -> None:
    w = world("Root > Leaf")
    der = with_explicit_false(w["Leaf"])
    with pytest.raises(ValueError, match="EncodedDefault"):
        _ = x509.load_der_x509_certificate(der).extensions
    assert openssl.verify(pem_of(der), roots=w["Root"].pem) == ""
