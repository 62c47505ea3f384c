"""Certificates that others place or remove are announced, once each; what is done here is not announced twice."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from evse_security.agents.placed import PlacedWatch, changes
from evse_security.service.events import EventKind
from evse_security.service.service import Service
from evse_security.station import Inventory
from evse_security.vocabulary import CaCertificateType, LeafCertificateType
from tests.agents.stations import Watched, put, stock, watched
from tests.builders import csms, world

UPDATE, OEM_UPDATE = EventKind.certificate_store_update, EventKind.oem_store_update
W = world("Root > Sub > SECC", "Other", "Third")
V2G_CA: dict[str, Any] = {"ca_certificate_type": "V2G"}
V2G_LEAF: dict[str, Any] = {"leaf_certificate_type": "V2G"}
REQUEST = {"certificate_type": "V2G", "country": "DE", "organization": "O", "common": "C", "use_tpm": False}


def placed(service: Service) -> PlacedWatch:
    return PlacedWatch(service, 0.01)


async def quiet(seen: Watched) -> None:
    """Some more looks."""
    for _ in range(5):
        await asyncio.sleep(0.02)
        await seen.service.ask(lambda _: None, caller="test")


# ---- the rule


def stock_of(cas: dict[str, set[str]], leaves: dict[str, set[str]] | None = None) -> Inventory:
    def frozen(places: dict[str, set[str]]) -> dict[str, frozenset[str]]:
        return {certificate: frozenset(paths) for certificate, paths in places.items()}

    return Inventory({CaCertificateType.V2G: frozen(cas)}, {LeafCertificateType.V2G: frozen(leaves or {})})


@pytest.mark.parametrize(
    ("before", "now", "ours", "found"),
    [
        ({}, {}, set(), []),
        ({}, {"a": {"/x"}}, set(), ["Installed"]),
        ({}, {"a": {"/x"}, "b": {"/x"}}, set(), ["Installed"]),
        ({}, {"a": {"/x"}}, {"/x"}, []),
        ({}, {"a": {"/x"}, "b": {"/y"}}, {"/x"}, ["Installed"]),
        ({"a": {"/x"}}, {}, set(), ["Deleted"]),
        ({"a": {"/x"}}, {}, {"/x"}, []),
        ({"a": {"/x"}}, {"b": {"/x"}}, set(), ["Installed", "Deleted"]),
        ({"a": {"/x"}}, {"a": {"/y"}}, set(), []),  # moved
        ({"a": {"/x"}}, {"a": {"/x", "/y"}}, set(), []),  # copied
    ],
)
def test_what_is_announced(before: Any, now: Any, ours: set[str], found: list[str]) -> None:
    for seen in (
        changes(stock_of(before), stock_of(now), frozenset(ours)),
        changes(stock_of({}, before), stock_of({}, now), frozenset(ours)),
    ):
        assert [str(update.operation) for update in seen] == found


# ---- real files


def test_by_hand_installed_and_deleted_is_announced_once(tmp_path: Path) -> None:
    stock(tmp_path, W, "SECC", "Sub")

    async def work(seen: Watched) -> None:
        await quiet(seen)
        assert seen.events == []  # what was there at the start is nothing new
        extra = put(tmp_path, "ca/v2g/V2G_ROOT_CA.pem", W.pem("Root", "Other"))
        await seen.until_said(UPDATE, operation="Installed", **V2G_CA)
        (tmp_path / "client/cso/SECC_LEAF.pem").unlink()  # it is still in the chain file
        await quiet(seen)
        (tmp_path / "client/cso/CPO_CERT_SECC_LEAF_CHAIN.pem").unlink()
        await seen.until_said(UPDATE, operation="Deleted", **V2G_LEAF)
        put(tmp_path, str(extra.relative_to(tmp_path)), W.pem("Other", "Third"))
        await seen.until_said(UPDATE, operation="Deleted", **V2G_CA)
        await quiet(seen)
        assert [dict(event.data) for event in seen.events] == [
            {"operation": "Installed", **V2G_CA},
            {"operation": "Deleted", **V2G_LEAF},
            {"operation": "Installed", **V2G_CA},
            {"operation": "Deleted", **V2G_CA},
        ]

    watched(tmp_path, work, placed)


def test_oem_roots_are_announced_in_words_of_their_own(tmp_path: Path) -> None:
    async def work(seen: Watched) -> None:
        await quiet(seen)
        bundle = put(tmp_path, "ca/oem/OEM_ROOT_CA.pem", W.pem("Other"))
        await seen.until_said(OEM_UPDATE, operation="Installed")
        bundle.unlink()
        await seen.until_said(OEM_UPDATE, operation="Deleted")
        arguments = {"certificate": W["Third"].pem, "certificate_type": "OEM"}
        answer = await seen.service.call("install_ca_certificate", arguments, caller="test", revision="2026-04-oem")
        assert answer == "Accepted"
        await quiet(seen)
        assert [(event.kind, dict(event.data)) for event in seen.events] == [
            (OEM_UPDATE, {"operation": operation, "ca_certificate_type": "OEM"})
            for operation in ("Installed", "Deleted", "Installed")
        ]

    watched(tmp_path, work, placed)


def test_by_another_process_is_announced_once(tmp_path: Path) -> None:
    stock(tmp_path, W, "SECC", "Sub")
    other = tmp_path / "other.pem"
    other.write_text(W["Other"].pem)

    async def work(seen: Watched) -> None:
        await quiet(seen)
        command = ("-m", "evse_security", "--certs", str(tmp_path), "call", "install_ca_certificate")
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, "--certificate", f"@{other}", "--certificate-type", "V2G",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        assert process.returncode == 0, said
        assert await seen.until_said(UPDATE) == [{"operation": "Installed", **V2G_CA}]
        await quiet(seen)
        assert len(seen.events) == 1

    watched(tmp_path, work, placed)


def test_what_is_done_here_is_announced_by_its_command_alone(tmp_path: Path) -> None:
    stock(tmp_path, W, "SECC", "Sub")

    async def work(seen: Watched) -> None:
        await quiet(seen)
        for name in ("Other", "Third"):
            installed = await seen.call("install_ca_certificate", certificate=W[name].pem, certificate_type="V2G")
            assert installed == "Accepted"
        csr = (await seen.call("generate_certificate_signing_request", **REQUEST))["csr"]
        chain = csms(W, "Sub").answer(csr) + W["Sub"].pem
        updated = await seen.call("update_leaf_certificate", certificate_chain=chain, certificate_type="V2G")
        assert updated == "Accepted"
        listed = await seen.call("get_installed_certificates", certificate_types=["V2GRootCertificate"])
        for entry in listed["certificate_hash_data_chain"][1:]:
            data = entry["certificate_hash_data"]
            assert await seen.call("delete_certificate", certificate_hash_data=data) == "Accepted"
        await quiet(seen)
        assert [dict(event.data) for event in seen.events] == [
            {"operation": "Installed", **V2G_CA},
            {"operation": "Installed", **V2G_CA},
            {"operation": "Installed", **V2G_LEAF},
            {"operation": "Deleted", **V2G_CA},
            {"operation": "Deleted", **V2G_CA},
        ]

    watched(tmp_path, work, placed)


def test_between_two_looks_each_is_told_apart(tmp_path: Path) -> None:
    stock(tmp_path, W, "SECC", "Sub")

    async def work(seen: Watched) -> None:
        watch = PlacedWatch(seen.service)
        running = asyncio.create_task(watch.run(lambda: None))
        await quiet(seen)
        put(tmp_path, "client/cso/hand.pem", W["Third"].pem)  # a root among leaves is none
        assert await seen.call("install_ca_certificate", certificate=W["Other"].pem, certificate_type="V2G")
        (tmp_path / "client/cso/SECC_LEAF.pem").unlink()
        (tmp_path / "client/cso/CPO_CERT_SECC_LEAF_CHAIN.pem").unlink()
        await watch.look()
        assert [dict(event.data) for event in seen.events] == [
            {"operation": "Installed", **V2G_CA},
            {"operation": "Deleted", **V2G_LEAF},
        ]
        running.cancel()
        await asyncio.wait([running])

    watched(tmp_path, work)
