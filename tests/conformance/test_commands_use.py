"""get_key_pair, get_leaf_certificate_info, get_all_valid_certificates_info, get_leaf_expiry_days_count."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key

from tests.builders import DAY, NOW, World, chain_pem, world
from tests.conformance.kit import NEW, OLD, PASSWORD, WAYS, Bench, ReadOnly, Revision, Way, bench, standard

W = standard()
SUBS = ("Sub2", "Sub1")
MADE = world(
    "V2GRoot > Sub1 > Sub2 > SECC",
    "Sub2 > Longer",
    "Sub2 > Later",
    "Sub2 > Expired",
    "Sub2 > Future",
    "Other > Elsewhere",
    "Unknown > Orphan",
    Longer={"not_before": NOW - 30 * DAY, "not_after": NOW + 90 * DAY},
    Later={"not_before": NOW - DAY / 24, "not_after": NOW + 30 * DAY},
    Expired={"not_before": NOW - 9 * DAY, "not_after": NOW - DAY},
    Future={"not_before": NOW + DAY, "not_after": NOW + 99 * DAY},
)
PLACES = {"V2G": ("client/cso", "ca/v2g/V2G_ROOT_CA.pem"), "CSMS": ("client/csms", "ca/csms/CSMS_ROOT_CA.pem")}


class Held(NamedTuple):
    situation: str
    files: dict[str, tuple[str, ...]]
    """Name without extension: certificates. `key:NAME` places the key of NAME."""
    status: str
    chosen: str = ""
    days: int = 0


HELD = [
    Held("nothing", {}, "NotFound"),
    Held("a key only", {"key:SECC": ()}, "NotFound"),
    Held("sub-CAs only", {"subs": SUBS, "key:Sub2": ()}, "NotFound"),
    Held("a CA with its key", {"ca": ("V2GRoot",), "key:V2GRoot": ()}, "NotFound"),
    Held("expired", {"a": ("Expired",), "key:Expired": ()}, "NotFoundValid"),
    Held("future", {"a": ("Future",), "key:Future": ()}, "NotFoundValid"),
    Held("expired and future", {"a": ("Future",), "b": ("Expired",), "key:Expired": ()}, "NotFoundValid"),
    Held("no key", {"a": ("SECC", *SUBS)}, "PrivateKeyNotFound"),
    Held("another's key", {"a": ("SECC", *SUBS), "key:Sub2": ()}, "PrivateKeyNotFound"),
    Held("a chain", {"a": ("SECC", *SUBS), "key:SECC": ()}, "Accepted", "SECC", 60),
    Held("alone", {"a": ("SECC",), "key:SECC": ()}, "Accepted", "SECC", 60),
    Held("both", {"a": ("SECC",), "b": ("SECC", *SUBS), "key:SECC": ()}, "Accepted", "SECC", 60),
    Held("newer without key", {"a": ("SECC",), "b": ("Longer",), "key:SECC": ()}, "Accepted", "SECC", 60),
    Held("and future", {"a": ("SECC",), "b": ("Future",), "key:SECC": (), "key:Future": ()}, "Accepted", "SECC", 60),
    Held("and expired", {"a": ("SECC",), "b": ("Expired",), "key:SECC": (), "key:Expired": ()}, "Accepted", "SECC", 60),
    Held("two", {"a": ("SECC",), "b": ("Longer",), "key:SECC": (), "key:Longer": ()}, "Accepted", "Longer", 90),
    Held("without a root", {"a": ("Orphan",), "key:Orphan": ()}, "Accepted", "Orphan", 60),
]  # fmt: skip


def place(b: Bench, kind: str, files: dict[str, tuple[str, ...]], made: World = MADE) -> None:
    for name, certificates in files.items():
        directory = PLACES[kind][0]
        if name.startswith("key:"):
            b.put(f"{directory}/{name[4:]}.key", made[name[4:]].key_pem())
        else:
            b.put(f"{directory}/{name}.pem", chain_pem(made, *certificates))


@pytest.mark.parametrize("kind", ["V2G", "CSMS"])
@pytest.mark.parametrize("held", HELD, ids=lambda held: held.situation)
def test_the_leaf_that_is_used(tmp_path: Path, held: Held, kind: str) -> None:
    b = bench(tmp_path)
    b.put(PLACES[kind][1], MADE["V2GRoot"].pem)
    place(b, kind, held.files)
    by_hand = {tuple(names): tmp_path / PLACES[kind][0] / f"{name}.pem" for name, names in held.files.items()}
    with b.watched() as change:
        for way in Way:
            answer = b.ask(
                "get_leaf_certificate_info", NEW, way, certificate_type=kind, encoding="PEM", include_ocsp=False
            )
            old = b.ask("get_key_pair", OLD, way, certificate_type=kind, encoding="PEM")
            days = b.ask("get_leaf_expiry_days_count", OLD, way, certificate_type=kind)
    assert change.nothing
    assert answer["status"] == old["status"] == held.status
    assert days == held.days
    if held.status != "Accepted":
        assert (answer, old) == ({"status": held.status},) * 2
        return
    chain, single = by_hand.get((held.chosen, *SUBS)), by_hand.get((held.chosen,))
    key = str(tmp_path / PLACES[kind][0] / f"{held.chosen}.key")
    expected: dict[str, Any] = {"key": key, "certificate_count": 3 if chain else 1}
    expected |= {"certificate": str(chain)} if chain else {}
    expected |= {"certificate_single": str(single)} if single else {}
    assert answer["info"] == expected
    assert old["key_pair"] == {"key": key, "certificate": str(chain or single)}


@pytest.mark.parametrize(("newest_by", "chosen"), [("not_after", "Longer"), ("not_before", "Later")])
def test_what_newest_means_can_be_chosen(tmp_path: Path, newest_by: str, chosen: str) -> None:
    b = bench(tmp_path, newest_by=newest_by)
    place(
        b, "V2G", {"a": ("SECC",), "b": ("Longer",), "c": ("Later",), "key:SECC": (), "key:Longer": (), "key:Later": ()}
    )
    assert b.info()["info"]["key"].endswith(f"{chosen}.key")


@pytest.mark.parametrize(("revision", "way"), WAYS)
@pytest.mark.parametrize("kind", ["MF", "MO"])
def test_leaves_that_the_station_does_not_keep(tmp_path: Path, kind: str, revision: Revision, way: Way) -> None:
    if kind == "MO" and revision == OLD:
        kind = "MF"
    b = bench(tmp_path)
    asked = {"certificate_type": kind, "encoding": "PEM"}
    commands = {"get_key_pair": {}} if revision == OLD else {"get_leaf_certificate_info": {"include_ocsp": True}}
    with b.watched() as change:
        assert b.ask("get_leaf_expiry_days_count", revision, way, certificate_type=kind) == 0
        for command, more in commands.items():
            assert b.ask(command, revision, way, **asked, **more) == {"status": "Rejected"}
        several = b.ask("get_all_valid_certificates_info", NEW, way, **asked, include_ocsp=True)
        assert several == {"status": "Rejected", "info": []}
    assert change.nothing


@pytest.mark.parametrize("password", [None, PASSWORD])
@pytest.mark.parametrize("way", Way)
def test_in_der(tmp_path: Path, password: str | None, way: Way) -> None:
    b = bench(tmp_path, private_key_password=password)
    b.install(W["V2GRoot"].pem)
    chain = b.renew(W)
    with b.watched() as change:
        answer = b.ask(
            "get_leaf_certificate_info", NEW, way, certificate_type="V2G", encoding="DER", include_ocsp=False
        )["info"]
        pair = b.ask("get_key_pair", OLD, way, certificate_type="V2G", encoding="DER")["key_pair"]
    assert change.nothing  # made at the installation
    leaf, *subs = x509.load_pem_x509_certificates(chain.encode())
    assert x509.load_der_x509_certificate(Path(answer["certificate_single"]).read_bytes()) == leaf
    content = Path(answer["certificate"]).read_bytes()
    assert content == b"".join(one.public_bytes(Encoding.DER) for one in (leaf, *subs))
    key = Path(answer["key"])
    secret = password.encode() if password else None
    assert load_der_private_key(key.read_bytes(), secret).public_key() == leaf.public_key()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert pair == {
        "key": str(key),
        "certificate": answer["certificate_single"],
        **({"password": password} if password else {}),
    }
    assert {Path(p).parent.name for p in (answer["key"], answer["certificate"])} == {"der"}


def test_der_of_a_leaf_placed_by_hand_is_made_when_asked_for(tmp_path: Path) -> None:
    b = bench(tmp_path)
    place(b, "V2G", {"a": ("SECC", *SUBS), "key:SECC": ()})
    with b.watched() as change:
        b.info("V2G", "PEM")
    assert change.nothing
    with b.watched() as change:
        answer = b.info("V2G", "DER")["info"]
    assert len(change.added) == 3
    assert not change.removed | change.altered
    assert change.updates == []
    assert Path(answer["certificate_single"]).read_bytes() == MADE["SECC"].der
    with b.watched() as change:
        b.info("V2G", "DER")
    assert change.nothing


def test_der_that_cannot_be_written_is_rejected_and_pem_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    b = bench(tmp_path, files=ReadOnly())
    b.put(PLACES["V2G"][1], MADE["V2GRoot"].pem)
    place(b, "V2G", {"a": ("SECC", *SUBS), "key:SECC": ()})
    asked = {"certificate_type": "V2G", "encoding": "DER"}
    with b.watched() as change:
        assert b.info("V2G", "DER") == {"status": "Rejected"}
        assert b.ask("get_key_pair", OLD, certificate_type="V2G", encoding="DER") == {"status": "Rejected"}
        several = b.ask("get_all_valid_certificates_info", NEW, Way.JSON, **asked, include_ocsp=False)
        assert several == {"status": "Rejected", "info": []}
        assert b.info("V2G", "PEM")["status"] == "Accepted"
    assert change.nothing
    assert "Read-only file system" in caplog.text


def test_a_leaf_placed_in_der_is_used(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put("client/cso/leaf.der", MADE["SECC"].der)
    b.put("client/cso/leaf.key", MADE["SECC"].key_pem())
    answer = b.info()
    assert answer["status"] == "Accepted"
    assert Path(answer["info"]["certificate_single"]).read_text() == MADE["SECC"].pem


@pytest.mark.parametrize(
    ("configured", "stored", "status", "told"),
    [
        (None, None, "Accepted", None),
        (PASSWORD, PASSWORD, "Accepted", PASSWORD),
        (PASSWORD, None, "Accepted", None),
        (None, PASSWORD, "PrivateKeyNotFound", None),
        ("wrong", PASSWORD, "PrivateKeyNotFound", None),
        ("", None, "Accepted", None),
    ],
)
def test_passwords(tmp_path: Path, configured: str | None, stored: str | None, status: str, told: str | None) -> None:
    b = bench(tmp_path, private_key_password=configured)
    place(b, "V2G", {"a": ("SECC",)})
    b.put("client/cso/a.key", MADE["SECC"].key_pem(stored))
    answer = b.info()
    assert answer["status"] == status
    assert answer.get("info", {}).get("password") == told


# ---- all valid


def all_valid(b: Bench, way: Way = Way.JSON, *, ocsp: bool = False) -> dict[str, Any]:
    answer: dict[str, Any] = b.ask(
        "get_all_valid_certificates_info", NEW, way, certificate_type="V2G", encoding="PEM", include_ocsp=ocsp
    )
    return answer


@pytest.mark.parametrize("way", Way)
def test_the_newest_leaf_of_each_root(tmp_path: Path, way: Way) -> None:
    b = bench(tmp_path)
    b.put(PLACES["V2G"][1], MADE.pem("V2GRoot", "Other"))
    leaves = ("SECC", "Longer", "Elsewhere", "Orphan", "Expired", "Future")
    place(b, "V2G", {f"chain{name}": (name, *(SUBS if name not in ("Elsewhere", "Orphan") else ())) for name in leaves})
    place(b, "V2G", {f"key:{name}": () for name in leaves})
    with b.watched() as change:
        answer = all_valid(b, way)
    assert change.nothing
    assert answer["status"] == "Accepted"
    assert [(Path(one["key"]).stem, one["certificate_root"], one["certificate_count"]) for one in answer["info"]] == [
        ("Longer", MADE["V2GRoot"].pem, 3),
        ("Elsewhere", MADE["Other"].pem, 1),
    ]


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ({}, "NotFound"),
        ({"a": ("Expired",), "key:Expired": ()}, "NotFoundValid"),
        ({"a": ("SECC",)}, "PrivateKeyNotFound"),
        ({"a": ("Orphan",), "key:Orphan": ()}, "Accepted"),
    ],
)
def test_no_valid_leaf_of_any_root(tmp_path: Path, files: dict[str, tuple[str, ...]], status: str) -> None:
    b = bench(tmp_path)
    b.put(PLACES["V2G"][1], MADE["V2GRoot"].pem)
    place(b, "V2G", files)
    assert all_valid(b, ocsp=True) == {"status": status, "info": []}


def test_malformed_files_hide_no_other(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put(PLACES["V2G"][1], "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + MADE["V2GRoot"].pem)
    place(b, "V2G", {"a": ("SECC", *SUBS), "key:SECC": ()})
    b.put("client/cso/0.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    b.put("client/cso/1.der", b"\x30\x82\xff\xff")
    b.put("client/cso/2.pem", b"")
    b.put("client/cso/3.key", b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n")
    (tmp_path / "client/cso/loop.pem").symlink_to("loop.pem")
    (tmp_path / "client/cso/dir.pem").mkdir()
    assert b.info()["status"] == "Accepted"
    assert all_valid(b)["info"][0]["certificate_root"] == MADE["V2GRoot"].pem
    assert len(b.listed("V2GRootCertificate", "V2GCertificateChain")) == 2
    assert b.ask("get_leaf_expiry_days_count", certificate_type="V2G") == 60
    problems = {problem.path.name for problem in b.station.overview().problems}
    assert problems >= {"0.pem", "1.der", "3.key", "V2G_ROOT_CA.pem"}
