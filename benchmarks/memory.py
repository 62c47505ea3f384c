"""Resident memory: what each certificate takes, and what the library takes when it has nothing to do."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measure import Bound, Row, Target, paired
from benchmarks.plan import MIB, Plan
from benchmarks.processes import child
from benchmarks.stores import Stores

GROUP = "memory"
PER_CERTIFICATE = Target(Bound.MEASURED, 4096)
IDLE = Target(Bound.MEASURED, 45 * MIB)


def rows(plan: Plan, stores: Stores) -> Iterator[Row]:
    """New processes with the smallest store and with others: the difference is what their leaves take."""
    least = plan.leaves[0]
    with stores.store(least, 140) as small:
        chain = stores.leaf_files(0)[1]
        yield paired(
            [child("idle_memory", small, chain)["bytes"]],
            [child("imported_memory")["bytes"]],
            group=GROUP,
            what="idle, after a key pair and a verification",
            size=f"{least} leaves, 140 roots",
            floor_is="its dependencies imported",
            unit="B",
            target=IDLE,
        )
    with stores.store(least) as small:
        ours, bare = child("memory", small, stores.pki_directory)["bytes"], child("bare_memory", small)["bytes"]
        for size in plan.leaves[1:]:
            with stores.store(size) as large:
                more = child("memory", large, stores.pki_directory)["bytes"]
                bare_more = child("bare_memory", large)["bytes"]
            yield paired(
                [(more - ours) / (size - least)],
                [(bare_more - bare) / (size - least)],
                group=GROUP,
                what="each leaf: single, chain, key",
                size=f"{size} leaves",
                floor_is="the certificate alone, as cryptography parses it",
                unit="B",
                target=PER_CERTIFICATE if size >= 2000 else None,
            )
