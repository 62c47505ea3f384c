"""get_installed_certificates and delete_certificate: what the CSMS sees, and what it can take away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp

from tests.builders import DAY, NOW, World, world
from tests.conformance.kit import OLD, WAYS, Bench, Revision, Way, bench, record, standard, tree

W = standard()
SUBS = ("Sub2", "Sub1")
BUNDLE = "ca/v2g/V2G_ROOT_CA.pem"
ALL = ["V2GRootCertificate", "MORootCertificate", "CSMSRootCertificate", "V2GCertificateChain", "MFRootCertificate"]


def hash_data(made: World, holder: str, algorithm: hashes.HashAlgorithm | None = None) -> dict[str, str]:
    """As `cryptography` works it out for an OCSP request."""
    entity = made[holder]
    issuer = (entity.issuer or entity).certificate
    digest = algorithm or hashes.SHA256()
    asked = ocsp.OCSPRequestBuilder().add_certificate(entity.certificate, issuer, digest).build()
    return {
        "hash_algorithm": digest.name.upper(),
        "issuer_name_hash": asked.issuer_name_hash.hex(),
        "issuer_key_hash": asked.issuer_key_hash.hex(),
        "serial_number": f"{asked.serial_number:x}",
    }


def entry(kind: str, made: World, holder: str, *children: str) -> dict[str, Any]:
    found: dict[str, Any] = {"certificate_type": kind, "certificate_hash_data": hash_data(made, holder)}
    return found | ({"child_certificate_hash_data": [hash_data(made, c) for c in children]} if children else {})


def living(tmp_path: Path, **config: Any) -> Bench:
    """A station with the V2G root and a leaf placed under names of its own."""
    b = bench(tmp_path, **config)
    b.put(BUNDLE, W["V2GRoot"].pem)
    b.put("client/cso/single.pem", W["SECC"].pem)
    b.put("client/cso/chain.pem", W.pem("SECC", *SUBS))
    b.put("client/cso/any.key", W["SECC"].key_pem())
    return b


# ---- get_installed_certificates


@pytest.mark.parametrize(("revision", "way"), WAYS)
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ([], []),
        (["V2GRootCertificate"], ["V2G"]),
        (["V2GCertificateChain"], ["chain"]),
        (["V2GCertificateChain", "V2GRootCertificate"], ["V2G", "chain"]),
        (["V2GRootCertificate", "V2GRootCertificate"], ["V2G"]),
        (["MORootCertificate"], ["MO"]),
        (["CSMSRootCertificate"], []),
        (["MORootCertificate", "V2GRootCertificate"], ["MO", "V2G"]),
        (ALL, ["V2G", "MO", "chain"]),
    ],
)
def test_listed_in_the_order_asked_for(
    tmp_path: Path, asked: list[str], found: list[str], revision: Revision, way: Way
) -> None:
    b = living(tmp_path)
    b.put("ca/mo/MO_ROOT_CA.pem", W.pem("V2GRoot", "Sub1"))
    table = {
        "V2G": entry("V2GRootCertificate", W, "V2GRoot"),
        "MO": entry("MORootCertificate", W, "V2GRoot", "Sub1"),
        "chain": entry("V2GCertificateChain", W, "SECC", *SUBS),
    }
    with b.watched() as change:
        answer = b.ask("get_installed_certificates", revision, way, certificate_types=asked)
    assert change.nothing
    assert answer == {
        "status": "Accepted" if found else "NotFound",
        "certificate_hash_data_chain": [table[one] for one in found],
    }


def test_an_empty_station(tmp_path: Path) -> None:
    assert bench(tmp_path).listed(*ALL) == []


def test_copies_count_once_and_children_are_four_at_most(tmp_path: Path) -> None:
    made = world("Root > A >", "Root > B >", "Root > C >", "Root > D >", "Root > E >")
    b = bench(tmp_path, v2g_ca_bundle="ca/v2g")
    for number in range(2):
        b.put(f"ca/v2g/{number}.pem", made.pem(*made) + made["Root"].pem)
    [root] = b.listed("V2GRootCertificate")
    assert root == entry("V2GRootCertificate", made, "Root", "A", "B", "C", "D")


def test_foreign_sub_cas_do_not_enter_the_chain(tmp_path: Path) -> None:
    made = world("V2GRoot > Sub1 > Sub2 > SECC", "Sub1 > Branch > Twig >", "Other > Another >")
    b = bench(tmp_path)
    b.put(BUNDLE, made.pem("V2GRoot", "Sub1", "Branch", "Twig", "Other", "Another"))
    b.put("client/cso/a.pem", made.pem("SECC", *SUBS))
    b.put("client/cso/a.key", made["SECC"].key_pem())
    assert b.listed("V2GCertificateChain") == [entry("V2GCertificateChain", made, "SECC", *SUBS)]


def test_sub_cas_come_from_the_store_where_the_file_lacks_them(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put(BUNDLE, W.pem("Sub1", "V2GRoot"))
    b.put("client/cso/a.pem", W.pem("SECC", "Sub2"))
    b.put("client/cso/a.key", W["SECC"].key_pem())
    assert b.listed("V2GCertificateChain") == [entry("V2GCertificateChain", W, "SECC", *SUBS)]


@pytest.mark.parametrize("year", [1970, 2029, 2030, 2100])
def test_what_is_listed_does_not_depend_on_the_clock(tmp_path: Path, year: int) -> None:
    b = living(tmp_path)
    b.set_clock(NOW.replace(year=year))
    assert b.listed("V2GRootCertificate", "V2GCertificateChain") == [
        entry("V2GRootCertificate", W, "V2GRoot"),
        entry("V2GCertificateChain", W, "SECC", *SUBS),
    ]


def test_a_leaf_without_a_key_is_no_installed_chain(tmp_path: Path) -> None:
    b = living(tmp_path)
    (tmp_path / "client/cso/any.key").unlink()
    assert b.listed("V2GCertificateChain") == []


def test_csms_leaves_are_not_listed(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put("ca/csms/CSMS_ROOT_CA.pem", W["V2GRoot"].pem)
    b.renew(W, "CSMS")
    assert b.listed(*ALL) == [entry("CSMSRootCertificate", W, "V2GRoot")]


# ---- delete_certificate


ODD: list[dict[str, str]] = [
    {"serial_number": ""},
    {"serial_number": "0x1"},
    {"serial_number": "g"},
    {"serial_number": "-"},
    {"serial_number": "1 2"},
    {"serial_number": "١"},
    {"serial_number": "f" * 40},
    {"issuer_name_hash": ""},
    {"issuer_name_hash": "f" * 128},
    {"issuer_key_hash": "\n"},
    {"issuer_key_hash": "nothex"},
    {"hash_algorithm": "SHA384"},
]


@pytest.mark.parametrize(("revision", "way"), WAYS)
@pytest.mark.parametrize("odd", ODD, ids=str)
def test_nothing_has_this_hash_data(tmp_path: Path, odd: dict[str, str], revision: Revision, way: Way) -> None:
    b = living(tmp_path)
    with b.watched() as change:
        asked = hash_data(W, "V2GRoot") | odd
        answer = b.ask("delete_certificate", revision, way, certificate_hash_data=given(asked, way))
    assert answer == "NotFound"
    assert change.nothing


def given(data: dict[str, str], way: Way) -> Any:
    return data if way is Way.JSON else record(data)


SPELLINGS: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "as listed": lambda data: data,
    "in capitals": lambda data: {
        name: value.upper() if name != "hash_algorithm" else value for name, value in data.items()
    },
    "with leading zeros": lambda data: data | {"serial_number": "00" + data["serial_number"]},
    "with blanks around": lambda data: data | {"serial_number": f" {data['serial_number']}\n"},
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()], ids=lambda a: a.name)
@pytest.mark.parametrize("holder", ["V2GRoot", "SECC"])
def test_however_it_is_spelled(tmp_path: Path, holder: str, algorithm: hashes.HashAlgorithm, spelling: str) -> None:
    b = living(tmp_path)
    assert b.delete(SPELLINGS[spelling](hash_data(W, holder, algorithm))) == "Accepted"
    assert b.delete(hash_data(W, holder)) == "NotFound"


@pytest.mark.parametrize(("revision", "way"), WAYS)
def test_a_leaf_takes_all_that_is_its_own(tmp_path: Path, revision: Revision, way: Way) -> None:
    b = bench(tmp_path)
    b.put(BUNDLE, W["V2GRoot"].pem)
    b.renew(W)
    b.info("V2G", "DER")
    [chain] = b.listed("V2GCertificateChain")
    b.request()
    before = b.station.overview().pending_keys
    with b.watched() as change:
        asked = given(chain["certificate_hash_data"], way)
        assert b.ask("delete_certificate", revision, way, certificate_hash_data=asked) == "Accepted"
    assert change.updates == [("Deleted", "V2G")]
    assert not change.added | change.altered
    assert tree(tmp_path).keys() == {BUNDLE, *(str(path.relative_to(tmp_path)) for path in before)}
    assert b.delete(chain["certificate_hash_data"]) == "NotFound"


@pytest.mark.parametrize("directory", [False, True])
def test_a_ca_takes_what_it_issued_there_and_leaves_stay(tmp_path: Path, *, directory: bool) -> None:
    made = world("Root > Sub1 > Sub2 > SECC", "Sub1 > Branch >", "Root > Other >")
    b = bench(tmp_path, v2g_ca_bundle="ca/v2g" if directory else BUNDLE)
    holders = ("Root", "Sub1", "Sub2", "Branch", "Other")
    for number, holder in enumerate(holders):
        b.put(f"ca/v2g/{number}.pem" if directory else BUNDLE, made[holder].pem if directory else made.pem(*holders))
    b.put("client/cso/a.pem", made.pem("SECC", "Sub2", "Sub1"))
    b.put("client/cso/a.key", made["SECC"].key_pem())
    with b.watched() as change:
        assert b.delete(hash_data(made, "Sub1")) == "Accepted"
    assert change.updates == [("Deleted", "V2G")]
    if directory:
        assert change.is_like(removed=("ca/v2g/[123].pem",) * 3)
    else:
        assert change.is_like(altered=(BUNDLE,))
        assert (tmp_path / BUNDLE).read_text() == made.pem("Root", "Other")
    assert b.info()["status"] == "Accepted"
    with b.watched() as change:
        assert b.delete(hash_data(made, "Root")) == "Accepted"
    assert b.listed("V2GRootCertificate") == []
    assert (tmp_path / BUNDLE).exists() is not directory
    assert b.info()["status"] == "Accepted"


def test_a_sub_ca_that_only_a_chain_holds_takes_the_leaf_whole(tmp_path: Path) -> None:
    b = living(tmp_path)
    with b.watched() as change:
        assert b.delete(hash_data(W, "Sub1")) == "Accepted"
    assert change.removed == {"client/cso/single.pem", "client/cso/chain.pem", "client/cso/any.key"}
    assert change.updates == [("Deleted", "V2G")]


def test_csms_leaves_never(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put("ca/csms/CSMS_ROOT_CA.pem", W["V2GRoot"].pem)
    b.put("client/csms/a.pem", W.pem("SECC", *SUBS))
    b.put("client/csms/a.key", W["SECC"].key_pem())
    for holder in ("SECC", "Sub1"):
        with b.watched() as change:
            assert b.delete(hash_data(W, holder)) == "Failed"
        assert change.nothing


def test_a_leaf_of_both_kinds_stays_whole(tmp_path: Path) -> None:
    b = living(tmp_path)
    b.put("client/csms/a.pem", W.pem("SECC", *SUBS))
    with b.watched() as change:
        assert b.delete(hash_data(W, "SECC")) == "Failed"
    assert change.nothing


def test_a_key_that_another_leaf_uses_stays(tmp_path: Path) -> None:
    made = world("V2GRoot > Old", "V2GRoot > New", New={"same_as": "Old", "not_after": NOW + 90 * DAY})
    b = bench(tmp_path)
    b.put(BUNDLE, made["V2GRoot"].pem)
    b.put("client/cso/old.pem", made["Old"].pem)
    b.put("client/cso/new.pem", made["New"].pem)
    b.put("client/cso/a.key", made["Old"].key_pem())
    with b.watched() as change:
        assert b.delete(hash_data(made, "Old")) == "Accepted"
    assert change.removed == {"client/cso/old.pem"}
    with b.watched() as change:
        assert b.delete(hash_data(made, "New")) == "Accepted"
    assert change.removed == {"client/cso/new.pem", "client/cso/a.key"}


@pytest.mark.parametrize("case", ["expired", "future"])
@pytest.mark.parametrize("holder", ["Root", "Sub", "SECC"])
def test_out_of_validity(tmp_path: Path, holder: str, case: str) -> None:
    off = {"not_after": NOW - DAY, "not_before": NOW - 9 * DAY} if case == "expired" else {"not_before": NOW + DAY}
    made = world("Root > Sub > SECC", **{holder: off})
    b = bench(tmp_path)
    b.put(BUNDLE, made.pem("Root", "Sub"))
    b.put("client/cso/a.pem", made["SECC"].pem)
    b.put("client/cso/a.key", made["SECC"].key_pem())
    kinds = ("V2GRootCertificate", "V2GCertificateChain")
    assert b.listed(*kinds) == [
        entry("V2GRootCertificate", made, "Root", "Sub"),
        entry("V2GCertificateChain", made, "SECC", "Sub"),
    ]
    assert b.delete(hash_data(made, holder)) == "Accepted"


def test_a_certificate_in_several_domains_goes_everywhere(tmp_path: Path) -> None:
    b = bench(tmp_path)
    for place in (BUNDLE, "ca/mo/MO_ROOT_CA.pem", "ca/mf/MF_ROOT_CA.pem"):
        b.put(place, W["V2GRoot"].pem)
    with b.watched() as change:
        assert b.delete(hash_data(W, "V2GRoot")) == "Accepted"
    assert len(change.altered) == 3
    assert change.updates == [("Deleted", "V2G"), ("Deleted", "MO"), ("Deleted", "MF")]


def test_comments_keys_and_broken_blocks_survive_a_deletion(tmp_path: Path) -> None:
    b = bench(tmp_path)
    other = world("Other > x")
    around = ["# ours\r\n", "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n", "trailing words"]
    b.put(BUNDLE, around[0] + W["V2GRoot"].pem + around[1] + other["Other"].pem + around[2])
    assert b.delete(hash_data(W, "V2GRoot")) == "Accepted"
    assert (tmp_path / BUNDLE).read_bytes().decode() == around[0] + around[1] + other["Other"].pem + around[2]


def test_an_orphan_is_deletable_once_its_issuer_is_anywhere(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put(BUNDLE, W["Sub1"].pem)
    assert b.delete(hash_data(W, "Sub1")) == "NotFound"
    b.put("ca/mo/MO_ROOT_CA.pem", W["V2GRoot"].pem)
    assert b.listed("V2GRootCertificate") == [entry("V2GRootCertificate", W, "Sub1")]
    assert b.delete(hash_data(W, "Sub1")) == "Accepted"


@pytest.mark.parametrize("serial", [1, 127, 128, 2**159 - 1])
def test_serial_numbers_of_any_length(tmp_path: Path, serial: int) -> None:
    made = world("Root > x", Root={"serial_number": serial})
    b = bench(tmp_path)
    assert b.install(made["Root"].pem) == "Accepted"
    [root] = b.listed("V2GRootCertificate")
    assert root["certificate_hash_data"]["serial_number"] == f"{serial:x}"
    assert b.delete(root["certificate_hash_data"]) == "Accepted"
    assert x509.load_pem_x509_certificate(made["Root"].pem.encode()).serial_number == serial


def test_what_was_listed_then_can_be_deleted_now(tmp_path: Path) -> None:
    b = living(tmp_path)
    answer = b.ask("get_installed_certificates", OLD, Way.TYPED, certificate_types=ALL)
    for one in answer["certificate_hash_data_chain"]:
        assert b.delete(one["certificate_hash_data"]) == "Accepted"
    assert b.listed(*ALL) == []
