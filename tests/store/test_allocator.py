"""After a look that read many files the memory that this took is given back; after others nothing is done for it."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace

import pytest

from evse_security.store import disk
from evse_security.store.allocator import give_back
from tests.conformance.kit import bench, standard

W = standard()


@pytest.mark.parametrize(("many", "expected"), [(3, 1), (4, 0)])
def test_memory_is_given_back_after_many_files_were_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int, expected: int
) -> None:
    given: list[str] = []
    monkeypatch.setattr(disk, "_MANY", many)
    monkeypatch.setattr(disk, "give_back", lambda: given.append("memory"))
    b = bench(tmp_path)
    b.put("ca/v2g/V2G_ROOT_CA.pem", W.pem("V2GRoot"))
    b.put("client/cso/chain.pem", W.pem("SECC", "Sub2", "Sub1"))
    b.put("client/cso/a.key", W["SECC"].key_pem())
    b.listed("V2GCertificateChain")
    assert not given  # what the command itself makes of them takes something, too
    b.listed("V2GCertificateChain")
    assert len(given) == expected
    b.put("client/cso/more.pem", W.pem("SECC"))
    for _ in range(2):
        b.listed("V2GCertificateChain")
    assert len(given) == expected


def test_where_the_c_library_cannot_nothing_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    give_back()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())  # as musl's
    give_back()
