"""Every certificate of the field that OpenSSL loads can be listed, deleted and verified."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from evse_security import LeafCertificateType, Refusal
from tests.builders import NOW
from tests.conformance.kit import Bench, bench

Facts = dict[str, Any]


@pytest.fixture(scope="module")
def certificates(realworld: Path) -> dict[str, Facts]:
    """Name of its file -> facts of a certificate, its text included."""
    index = json.loads((realworld / "index.json").read_text())
    found = {facts["file"]: facts for facts in index.values() if facts["kind"] == "cert"}
    for name, facts in found.items():
        facts["pem"] = (realworld / name).read_text()
    assert len(found) >= 128
    return found


@pytest.fixture(scope="module")
def pairs(realworld: Path) -> list[dict[str, str]]:
    """Certificate, issuer, and the hash data that OpenSSL makes of them."""
    found: list[dict[str, str]] = json.loads((realworld / "hash_data.json").read_text())["pairs"]
    assert len(found) >= 119
    return found


def oracle(pair: dict[str, str]) -> dict[str, str]:
    return {
        "hash_algorithm": pair["hash_algorithm"],
        "issuer_name_hash": pair["issuer_name_hash"],
        "issuer_key_hash": pair["issuer_key_hash"],
        "serial_number": f"{int(pair['serial_openssl'], 16):x}",
    }


def placed(root: Path, *chosen: Facts) -> Bench:
    """CA certificates in the V2G store, a directory; others among the SECC leaves."""
    for number, facts in enumerate(chosen):
        place = root / ("ca/v2g" if facts["ca"] else "client/cso")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.pem").write_text(facts["pem"])
    return bench(root, v2g_ca_bundle="ca/v2g")


def shown(b: Bench) -> set[str]:
    """The files of all certificates of the overview."""

    def walk(nodes: Iterable[Any]) -> Iterator[Any]:
        for node in nodes:
            yield node
            yield from walk(node.children)

    trees = [tree for domain in b.station.overview().domains for tree in domain.trees]
    return {str(path) for node in walk(trees) for path in node.files}


def midway(facts: Facts) -> datetime:
    begin, end = (datetime.fromisoformat(facts[key]) for key in ("nb", "na"))
    return begin + (end - begin) / 2


def test_all_are_shown_together(tmp_path: Path, certificates: dict[str, Facts]) -> None:
    b = placed(tmp_path, *certificates.values())
    assert shown(b) == {str(path) for path in tmp_path.rglob("*.pem")}
    assert b.station.overview().problems == ()
    for year in (1970, 9998):
        b.set_clock(NOW.replace(year=year))
        assert len(shown(b)) == len(certificates)


def test_all_are_deleted_by_the_hash_data_of_openssl(
    tmp_path: Path, certificates: dict[str, Facts], pairs: list[dict[str, str]]
) -> None:
    for number, pair in enumerate(pairs):
        facts, issuer = certificates[pair["cert"]], certificates[pair["issuer"]]
        issuer = issuer | {"ca": True}  # a root of version 1 does not say so
        chosen = (facts,) if facts["file"] == issuer["file"] else (facts, issuer)
        b = placed(tmp_path / str(number), *chosen)
        with b.watched() as change:
            assert b.delete(oracle(pair)) == "Accepted", pair["cert"]
        assert f"{'ca/v2g' if facts['ca'] else 'client/cso'}/0.pem" in change.removed, pair["cert"]
        assert len(change.updates) == 1
        assert b.delete(oracle(pair)) == "NotFound", pair["cert"]


def test_cas_are_listed_with_the_hash_data_of_openssl(
    tmp_path: Path, certificates: dict[str, Facts], pairs: list[dict[str, str]]
) -> None:
    listed = 0
    for number, pair in enumerate(pairs):
        facts, issuer = certificates[pair["cert"]], certificates[pair["issuer"]]
        if facts["ca"] and issuer["ca"]:
            b = placed(tmp_path / str(number), facts, issuer)
            entries = b.listed("V2GRootCertificate")
            found = [entry["certificate_hash_data"] for entry in entries]
            found += [child for entry in entries for child in entry.get("child_certificate_hash_data", [])]
            assert oracle(pair) in found, pair["cert"]
            listed += 1
    assert listed >= 70


def test_all_are_verified_or_refused_with_a_reason(tmp_path: Path, certificates: dict[str, Facts]) -> None:
    b = placed(tmp_path, *(facts for facts in certificates.values() if facts["ca"]))
    valid = set()
    for name, facts in certificates.items():
        for now in (NOW, midway(facts)):
            b.set_clock(now)
            report = b.station.check(facts["pem"], [LeafCertificateType.V2G])
            if report.reason is None:
                assert len(report.path) >= 2
                valid.add(name)
            else:
                assert isinstance(report.reason, Refusal)
                assert len(str(report.reason)) > 10
    assert len(valid) >= 20


def test_roots_are_installed_or_refused_with_a_reason(
    tmp_path: Path, certificates: dict[str, Facts], pairs: list[dict[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    accepted = 0
    for number, pair in enumerate(pair for pair in pairs if pair["cert"] == pair["issuer"]):
        facts = certificates[pair["cert"]]
        b = bench(tmp_path / str(number), now=midway(facts))
        caplog.clear()
        if b.install(facts["pem"]) == "Accepted":
            [root] = b.listed("V2GRootCertificate")
            assert root["certificate_hash_data"] == oracle(pair)
            assert b.delete(root["certificate_hash_data"]) == "Accepted"
            accepted += 1
        else:
            assert "install_ca_certificate refused" in caplog.text
    assert accepted >= 25
