"""The real certificates kept beside the repository: all are read, all verify that can, and openssl agrees."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from evse_security.errors import ChainRefused
from evse_security.pki import pem
from evse_security.pki.certificate import Certificate
from evse_security.pki.demands import check_end_entity, why_not_ca
from evse_security.pki.forest import Forest, lineage
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.path import Policy, TrustStore, verify
from evse_security.pki.profile import algorithms
from evse_security.vocabulary import LeafCertificateType

FREE = Policy((LeafCertificateType.MO,))
"""No demands on extended key usages: the leaves here are for all purposes."""

Certificates = Mapping[str, Certificate]

# The tables below must be exact: a test fails when an entry has become stale.

NEITHER_CA_NOR_LEAF = {
    "0cbe6d62_Demo_Unit_01",  # says CA:TRUE, and keyUsage digitalSignature alone
}
BOTH_CA_AND_LEAF = {  # self-signed of version 1, which says nothing about it; no way leads up from them
    "2f8f9ed6_TestRootCA",
    "36e71cc0_CSMSRootCA",
    "44924143_ExpiredRootCA",
    "9e66c808_evse",
    "c35bf612_TestCA",
}
INVERTED = {
    "69d9f186_UKSWI123456791A",  # ends the day before it begins: never valid
}
VERIFIED = 31
"""Leaves with a way to a self-signed root that verify when all are valid."""
REFUSED: dict[str, str] = {}
"""Leaves with such a way that do not, and why."""
STRICTER = set(REFUSED)
"""Where openssl says yes and we say no."""


@pytest.fixture(scope="module")
def certificates(realworld: Path) -> Certificates:
    return {path.stem: pem.single(path.read_text(), path.name) for path in sorted((realworld / "certs").iterdir())}


@pytest.fixture(scope="module")
def forest(certificates: Certificates) -> Forest:
    return Forest(certificates.values())


def test_all_are_read(certificates: Certificates, realworld: Path) -> None:
    assert len(certificates) == 128
    index = json.loads((realworld / "index.json").read_text())
    assert {certificate.fingerprint for certificate in certificates.values()} <= set(index)


def test_all_tell_their_facts(certificates: Certificates) -> None:
    for certificate in certificates.values():
        assert certificate.name.isprintable()
        assert certificate.issuer_name.isprintable()
        assert certificate.version in (1, 3)
        assert certificate.malformed == ()
        assert certificate.key_strength[0] in ("EC", "RSA")
        assert all(url.startswith("http") for url in certificate.ocsp_urls)
        assert algorithms(certificate).signature
        assert token_of_certificate(certificate).startswith((b"EC:", b"RSA:"))
        assert re.fullmatch("[0-9a-f]+", certificate.serial_text)
        assert isinstance(certificate.extensions, dict)
        assert certificate.extended_key_usage is None or certificate.extended_key_usage
        assert certificate.subject_hash == certificate.openssl.subject_name_hash()
        assert pem.single(certificate.pem, "it") == certificate


def test_one_is_valid_at_no_time(certificates: Certificates) -> None:
    assert {name for name, one in certificates.items() if one.not_before >= one.not_after} == INVERTED
    assert not any(certificates[name].valid_at(certificates[name].not_after) for name in INVERTED)


def test_fault_33_each_is_a_ca_or_a_leaf(certificates: Certificates) -> None:
    def is_leaf(certificate: Certificate) -> bool:
        try:
            check_end_entity(certificate, (LeafCertificateType.MO,))
        except ChainRefused:
            return False
        return True

    neither = {name for name, one in certificates.items() if why_not_ca(one) is not None and not is_leaf(one)}
    assert neither == NEITHER_CA_NOR_LEAF
    both = {name for name, one in certificates.items() if why_not_ca(one) is None and is_leaf(one)}
    assert both == BOTH_CA_AND_LEAF


def test_who_issued_whom(certificates: Certificates, forest: Forest, realworld: Path) -> None:
    pairs = json.loads((realworld / "hash_data.json").read_text())["pairs"]
    known = {Path(pair["cert"]).stem: certificates[Path(pair["issuer"]).stem] for pair in pairs}
    assert len(pairs) == 119
    for name, certificate in certificates.items():
        issuer = forest.issuer_of(certificate)
        if name in known:
            assert issuer is not None
            assert issuer.spki == known[name].spki
            assert forest.id_of(certificate) is not None
        else:
            assert issuer is None


def common_moment(path: list[Certificate]) -> datetime | None:
    """A moment within all validities."""
    begin = max(certificate.not_before for certificate in path)
    return begin + timedelta(seconds=1) if begin < min(certificate.not_after for certificate in path) else None


def leaves_with_paths(certificates: Certificates, forest: Forest) -> dict[str, list[Certificate]]:
    """Everything that leads to a self-signed certificate, with its way."""
    found = {}
    for name, certificate in certificates.items():
        path = [certificate, *lineage(certificate, forest)]
        if len(path) > 1 and path[-1].self_signed and not (certificate.basic_constraints or (False,))[0]:
            found[name] = path
    return found


def verdict(path: list[Certificate], forest: Forest, now: datetime) -> str:
    """`Valid`, or why not; with everything at hand as intermediates."""
    anchors = [path[-1]]
    sent = [certificate for certificate in forest.certificates if certificate not in (path[0], path[-1])]
    try:
        chain = verify(path[0], intermediates=sent, trust=TrustStore(anchors), policy=FREE, now=now)
    except ChainRefused as refusal:
        return f"{refusal.code}: {refusal}"
    assert chain.leaf == path[0]
    assert chain.anchor == path[-1]
    return "Valid"


def test_every_chain_verifies_or_has_a_reason(certificates: Certificates, forest: Forest) -> None:
    refused = {}
    paths = leaves_with_paths(certificates, forest)
    for name, path in paths.items():
        now = common_moment(path)
        said = "no common moment" if now is None else verdict(path, forest, now)
        if said != "Valid":
            refused[name] = said
    assert refused.keys() == REFUSED.keys(), refused
    for name, said in refused.items():
        assert re.search(REFUSED[name], said), (name, said)
    assert len(paths) - len(refused) == VERIFIED


def test_openssl_says_the_same_at_every_moment(certificates: Certificates, forest: Forest, tmp_path: Path) -> None:
    """At a moment when all are valid, and a day before the first and after the last of them."""
    (tmp_path / "all.pem").write_text("".join(one.pem for one in forest.certificates if not one.self_signed))
    differing = set()
    for name, path in leaves_with_paths(certificates, forest).items():
        (tmp_path / "leaf.pem").write_text(path[0].pem)
        (tmp_path / "root.pem").write_text(path[-1].pem)
        begin = max(certificate.not_before for certificate in path)
        end = min(certificate.not_after for certificate in path)
        moments = [begin - timedelta(days=1), min(end, datetime(9990, 1, 1, tzinfo=end.tzinfo)) + timedelta(days=1)]
        for now in (*moments, *filter(None, [common_moment(path)])):
            ours, theirs = verdict(path, forest, now) == "Valid", openssl_accepts(tmp_path, now)
            if ours != theirs:
                assert theirs, f"{name}: openssl refuses what we accept"
                differing.add(name)
    assert differing == STRICTER


def openssl_accepts(directory: Path, now: datetime) -> bool:
    options = ["-no-CApath", "-CAfile", "root.pem", "-untrusted", "all.pem", "-auth_level", "0"]
    arguments = ["openssl", "verify", "-attime", str(int(now.timestamp())), *options, "leaf.pem"]
    return subprocess.run(arguments, cwd=directory, capture_output=True, check=False).returncode == 0
