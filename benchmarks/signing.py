"""verify_file_signature beside the bare digest of the same file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

from benchmarks.measure import Bound, Row, Target, in_turns, paired
from benchmarks.plan import MIB, Plan
from benchmarks.processes import child
from benchmarks.stores import NOW, Stores
from evse_security import Station, StationConfig
from evse_security.lab.authority import LEAF, name, self_signed
from evse_security.lab.firmware import sign_firmware
from evse_security.lab.keys import KeyKind, generate_key

GROUP = "verify_file_signature"
SPEED = Target(Bound.SPEED, 0.95)
CONSTANT = Target(Bound.ABOVE_FLOOR, 2 * MIB)
KINDS = {KeyKind.SECP256R1: "sha256", KeyKind.RSA3072: "sha256", KeyKind.ED25519: "sha512"}
"""Kinds of keys, and the digest that is taken of the file: by us, or for EdDSA within the signature scheme."""


def rows(plan: Plan, stores: Stores) -> Iterator[Row]:
    """Speed for each kind of key; memory for a large file beside a small one."""
    with stores.scratch() as directory:
        large, small = directory / "large", directory / "small"
        _fill(large, plan.file_bytes)
        _fill(small, MIB)
        for kind in KINDS:
            certificate, signature = _signed(directory, kind, large)
            yield _speed(plan, large, certificate.read_text(), signature, kind)
        yield _memory(directory, large, small, _size(plan.file_bytes))


def _fill(path: Path, size: int) -> None:
    random = Random(0)
    with path.open("wb") as file:
        for _ in range(size // MIB):
            file.write(random.randbytes(MIB))


def _size(count: int) -> str:
    return f"{count // MIB} MiB"


def _signed(directory: Path, kind: KeyKind, file: Path) -> tuple[Path, str]:
    """A new key's certificate, and its signature over a file."""
    key = generate_key(kind)
    template = replace(LEAF, not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=30))
    certificate = directory / "certificate.pem"
    certificate.write_text(self_signed(key, replace(template, subject=name(CN="Firmware"))).pem)
    return certificate, sign_firmware(file, key)


def _speed(plan: Plan, path: Path, certificate: str, signature: str, kind: KeyKind) -> Row:
    interface = Station.open(StationConfig.under("/nonexistent")).interface()

    def measured() -> None:
        assert interface.verify_file_signature(
            file_path=str(path), signing_certificate=certificate, signature=signature
        )

    def digest() -> None:
        with path.open("rb") as file:
            hashlib.file_digest(file, KINDS[kind])

    samples = in_turns({"measured": measured, "digest": digest}, seconds=3 * plan.seconds)
    return paired(
        samples["measured"],
        samples["digest"],
        group=GROUP,
        what=kind,
        size=_size(plan.file_bytes),
        floor_is=f"hashlib.file_digest, {KINDS[kind]}",
        target=SPEED if KINDS[kind] == "sha256" else None,
    )


def _memory(directory: Path, large: Path, small: Path, size: str) -> Row:
    most = {}
    for file in (large, small):
        certificate, signature = _signed(directory, KeyKind.SECP256R1, file)
        most[file] = child("signature_memory", file, certificate, signature)["bytes"]
    return paired(
        [most[large]],
        [most[small]],
        group=GROUP,
        what="most memory",
        size=size,
        floor_is="the same for 1 MiB",
        unit="B",
        target=CONSTANT,
    )
