"""What is worked out about a leaf that is offered is remembered as long as it is so, and not a moment longer."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from evse_security import LeafCertificateType
from evse_security.leaves import Leaves
from evse_security.store.info import LeafFiles
from evse_security.store.snapshot import KeyFile
from tests.builders import DAY, NOW, ocsp_answer
from tests.conformance.kit import OLD, Bench, bench, standard
from tests.conformance.test_commands_delete import hash_data

W = standard()
SUBS = ("Sub2", "Sub1")
TICK = timedelta(microseconds=1)
SKEW = timedelta(minutes=5)
ALWAYS, NEVER = 0, 1 << 62
"""Nanoseconds after which stamps are believed to show each change."""


def living(root: Path) -> Bench:
    b = bench(root)
    b.put("ca/v2g/V2G_ROOT_CA.pem", W.pem("V2GRoot"))
    b.put("client/cso/chain.pem", W.pem("SECC", *SUBS))
    b.put("client/cso/a.key", W["SECC"].key_pem())
    return b


def settling(monkeypatch: pytest.MonkeyPatch, nanoseconds: int) -> None:
    for name in ("SETTLING_NS", "COARSE_SETTLING_NS"):
        monkeypatch.setattr(f"evse_security.store.stamp.{name}", nanoseconds)


# ---- copies in DER


@pytest.fixture
def comparisons(monkeypatch: pytest.MonkeyPatch) -> list[KeyFile]:
    """One entry for each time that copies were compared with what they are copies of."""
    read, found = Leaves._key_in_der, list[KeyFile]()

    def noted(self: Leaves, key: KeyFile) -> bytes:
        found.append(key)
        return read(self, key)

    monkeypatch.setattr(Leaves, "_key_in_der", noted)
    return found


def ask(b: Bench) -> dict[str, Any]:
    pair = b.ask("get_key_pair", OLD, certificate_type="V2G", encoding="DER")["key_pair"]
    info: dict[str, Any] = b.info("V2G", "DER")["info"]
    assert pair == {"key": info["key"], "certificate": info["certificate_single"]}
    return info


def test_copies_that_were_compared_are_not_opened_again(
    tmp_path: Path, comparisons: list[KeyFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    settling(monkeypatch, ALWAYS)
    b = living(tmp_path)
    ask(b)
    ask(b)
    number = len(comparisons)
    assert ask(b) == ask(b)
    assert len(comparisons) == number
    memory = b.station._core.look()[0].memory.values()
    files = [one for one in memory if isinstance(one, LeafFiles)]
    assert files
    assert not any(one.copies for one in files)  # they hold the key


@pytest.mark.parametrize("why", ["stamps could not show it", "the kernel would not tell", "it is not in the picture"])
def test_copies_that_could_change_unseen_are_compared_each_time(
    tmp_path: Path, comparisons: list[KeyFile], monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    settling(monkeypatch, NEVER if why.startswith("stamps") else ALWAYS)
    if why.startswith("the kernel"):
        monkeypatch.setattr("evse_security.store.watch.is_local", lambda _: False)
    b = living(tmp_path)
    ask(b)
    if why.startswith("it is not"):
        (tmp_path / "client/cso/der").rename(tmp_path / "elsewhere")
        (tmp_path / "client/cso/der").symlink_to(tmp_path / "elsewhere")
    ask(b)
    for _ in range(2):
        number = len(comparisons)
        ask(b)
        assert len(comparisons) == number + 2


def rewritten(path: Path) -> None:
    """Other content of the same size in the same file, its time set back."""
    found = path.stat()
    with path.open("r+b") as file:
        file.write(bytes(found.st_size))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "rewritten": rewritten,
    "replaced": lambda path: (path.with_name("new").write_bytes(b"new"), path.with_name("new").rename(path)),
    "removed": Path.unlink,
    "its directory removed": lambda path: path.parent.rename(path.parent.with_name("old")),
}


@pytest.mark.parametrize("part", ["key", "certificate", "certificate_single"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_that_was_changed_is_mended_before_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, part: str
) -> None:
    settling(monkeypatch, ALWAYS)
    b = living(tmp_path)
    for _ in range(3):
        info = ask(b)
    right = Path(info[part]).read_bytes()
    CHANGES[change](Path(info[part]))
    assert ask(b) == info
    assert Path(info[part]).read_bytes() == right


# ---- OCSP responses


def keep(b: Bench, name: str, holder: str, **changes: Any) -> None:
    """Place a response by hand."""
    b.put(f"client/cso/ocsp/{name}.hash", "\n".join(hash_data(W, holder).values()) + "\n")
    b.put(f"client/cso/ocsp/{name}.der", ocsp_answer(W, holder, **changes))


def shown(b: Bench) -> list[object]:
    """What is offered, and what a TLS stack is given to staple."""
    chains = b.station.chains(LeafCertificateType.V2G).chains
    return [b.info(ocsp=True), b.info("V2G", "DER", ocsp=True), [one.responses for one in chains]]


def test_responses_are_offered_from_the_moment_they_are_current_until_they_are_not(tmp_path: Path) -> None:
    b = living(tmp_path)
    keep(b, "a", "SECC", this_update=NOW - DAY, next_update=NOW + 2 * DAY)
    keep(b, "b", "SECC", this_update=NOW + DAY, next_update=NOW + 4 * DAY)
    keep(b, "c", "Sub2", this_update=NOW - DAY, next_update=None)
    keep(b, "d", "Sub1", this_update=NOW + 3 * DAY, next_update=NOW + 5 * DAY)
    bounds = [NOW + days * DAY + step for days in range(-1, 7) for step in (-SKEW, SKEW, 0 * DAY)]
    moments = [bound + step for bound in sorted(bounds) for step in (-TICK, 0 * TICK, TICK)]
    seen: set[str] = set()
    for now in (*moments, *reversed(moments), *moments[::7]):
        seen.add(str(_both(b, tmp_path, now)))
    assert len(seen) > 6


def _both(b: Bench, root: Path, now: datetime) -> list[object]:
    b.set_clock(now)
    found = shown(b)
    assert found == shown(b) == shown(bench(root, now=now))
    return found
