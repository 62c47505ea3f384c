"""Many stations in one process, each over TLS with a client certificate of its own, and the one CSMS that they have.

    python -m tests.adapters.ocpp.fleet --stations 200

1. Their certificates near their end. The clock is turned hour by hour: each renews when it is due, with a new
   certificate and a new connection, and the CSMS counts how many ask at a time.
2. The CSMS goes away, and comes back when the certificates of all are overdue: how the connections are spread that come
   back, and the requests that follow from them, is measured with a real clock.

Prints what was counted, with the memory and the threads that the stations take. A station that is left behind is
waited for in vain.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from evse_security import Station, StationConfig
from evse_security.adapters.ocpp import Certificates, Edition, SigningUse
from evse_security.adapters.ocpp.desk import Desk
from evse_security.adapters.ocpp.handlers import message
from evse_security.agents.renewal import rules
from evse_security.vocabulary import LeafCertificateType
from tests.adapters.ocpp.csms import ANSWERS, Csms, server_context, serving
from tests.adapters.ocpp.kit import Bench, Time, policy
from tests.adapters.ocpp.stations import ended, endpoint, keep_connected
from tests.builders import DAY, csms

EDITION = Edition.V201_2025
"""The renewed certificate is tried at once, on a new connection: the most that a renewal asks of a CSMS."""
HOUR = timedelta(hours=1)
DAYS = 30
LIFE = 365 * DAY
KIND = LeafCertificateType.CSMS


@dataclass
class Member:
    """One station."""

    name: str
    station: Station
    certificates: Certificates
    connecting: asyncio.Task[None] | None = None

    async def leaf(self) -> str:
        """The certificate that it would connect with."""
        found = await self.certificates.client_certificate()
        assert found is not None
        return found.fingerprint

    @property
    def is_settled(self) -> bool:
        """Whether it is connected, and nothing that it asked for is under way."""
        return (
            self.certificates._send is not None and self.certificates._desk.memory.renewal(SigningUse.CSMS).csr is None
        )


@dataclass
class Counts:
    """What the CSMS saw of a fleet."""

    connected_at: list[float] = field(default_factory=list)
    """Seconds, of a clock that goes on."""
    asked_at: list[float] = field(default_factory=list)
    asked_in: Counter[datetime] = field(default_factory=Counter)
    """Requests by the hour of the fleet's own clock."""
    busy: int = 0
    busiest: int = 0
    """Requests that were being answered at one moment, until their certificate was installed."""
    refused: list[str] = field(default_factory=list)


class Fleet:
    """Stations that were made from one template, and their CSMS."""

    def __init__(self, place: Path, count: int) -> None:
        """Make their stores; nobody is connected yet."""
        self.place, self.clock = place, Time(datetime.now(UTC))
        self.bench = Bench(place / "template" / "certs", EDITION, time=self.clock)
        self.csms, self.counts = Csms(EDITION), Counts()
        self.csms.answers = {"SignCertificate": self._sign, "BootNotification": self._booted}
        self._line = AsyncExitStack()
        self.signing: set[asyncio.Task[None]] = set()
        self.names = [f"CS-{number:04}" for number in range(count)]
        self.members: list[Member] = []
        for name in self.names:
            shutil.copytree(self.bench.certs, place / name / "certs", symlinks=True)

    def _chain(self, csr: str) -> str:
        """Valid for TLS now, and for long by the fleet's clock."""
        times = {"not_before": datetime.now(UTC) - DAY, "not_after": self.clock.now + LIFE}
        return csms(self.bench.made, "CsmsSub").answer(csr, **times)

    def join(self, name: str, executor: Executor | None) -> Member:
        """Open a station's store, give it a certificate, and make its `Certificates`."""
        station = Station.open(StationConfig.under(self.place / name / "certs", clock=self.clock))
        rules_of_it = policy(EDITION, serial_number=name, days=DAYS)
        state = self.place / name / "state"
        desk = Desk(station, rules_of_it, state)
        desk.renewals.trigger(SigningUse.CSMS)
        [request] = desk.renewals.look().requests
        answer = desk.answer("CertificateSigned", {"certificateChain": self._chain(request.payload["csr"])})
        assert answer is not None and answer.payload == {"status": "Accepted"}
        certificates = Certificates(station, policy=rules_of_it, directory=state, executor=executor)
        member = Member(name, station, certificates)
        self.members.append(member)
        return member

    # ---- the CSMS

    async def open(self) -> None:
        """The CSMS is there, at the port that it had before."""
        context = server_context(self.bench, self.place / "tls", profile=3)
        await self._line.enter_async_context(serving(self.csms, context))

    async def away(self) -> None:
        """The CSMS is gone, and has not said a word."""
        for peer in self.csms.peers:
            peer._connection.transport.abort()
        await self._line.aclose()

    def _booted(self, _: Mapping[str, Any]) -> dict[str, Any]:
        self.counts.connected_at.append(time.monotonic())
        return dict(ANSWERS["BootNotification"])

    def _sign(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        counts = self.counts
        counts.asked_at.append(time.monotonic())
        counts.asked_in[self.clock.now.replace(minute=0, second=0, microsecond=0)] += 1
        counts.busy += 1
        counts.busiest = max(counts.busiest, counts.busy)
        task = asyncio.ensure_future(self._signed(self.csms.speaker, payload["csr"]))
        self.signing.add(task)
        task.add_done_callback(self.signing.discard)
        return {"status": "Accepted"}

    async def _signed(self, peer: Any, csr: str) -> None:
        chain = await asyncio.to_thread(self._chain, csr)
        kind = "ChargingStationCertificate"
        asking = message("CertificateSigned", {"certificateChain": chain, "certificateType": kind})
        answer = await peer.call(asking)
        self.counts.busy -= 1
        if getattr(answer, "status", None) != "Accepted":
            self.counts.refused.append(str(answer))

    # ---- what is waited for

    async def leaves(self) -> list[str]:
        """The certificate of each."""
        return [await one.leaf() for one in self.members]

    async def settled(self) -> None:
        """Wait until every station is connected, and nothing is under way."""
        while self.signing or not all(one.is_settled for one in self.members):
            await asyncio.sleep(0.01)

    def due(self) -> int:
        """How many certificates should be renewed by now, by the rule."""
        return sum(self._is_due(one) for one in self.members)

    def _is_due(self, member: Member) -> bool:
        leaf = rules.newest(member.station.renewal.facts(KIND))
        return leaf is not None and rules.due(leaf, DAYS) <= self.clock.now

    async def look(self) -> None:
        """The time of day has changed: all look what there is to do, and what follows is waited for."""
        asked = len(self.counts.asked_at) + self.due()
        for one in self.members:
            one.certificates._wake.set()
        while len(self.counts.asked_at) < asked:
            await asyncio.sleep(0.01)
        await self.settled()


@asynccontextmanager
async def connected(fleet: Fleet, executor: Executor | None, **patience: float) -> AsyncIterator[Fleet]:
    """All stations of a fleet, connected as long as there is a CSMS."""
    for name in fleet.names:
        fleet.join(name, executor)
    await fleet.open()
    try:
        for number, one in enumerate(fleet.members):
            chance = random.Random(number).random
            target = endpoint(fleet.csms, one.name, profile=3, **patience)
            one.connecting = asyncio.create_task(keep_connected(target, one.certificates, chance=chance))
        await fleet.settled()
        yield fleet
    finally:
        await ended(*(one.connecting for one in fleet.members if one.connecting is not None), *fleet.signing)
        await fleet.away()
        for one in fleet.members:
            one.certificates.close()
            one.station.close()
        fleet.bench.station.close()


async def renewed_over_time(fleet: Fleet) -> None:
    """Turn the clock until all are renewed, an hour at a time."""
    before = await fleet.leaves()
    leaves = [rules.newest(one.station.renewal.facts(KIND)) for one in fleet.members]
    begins = [rules.due(leaf, DAYS) for leaf in leaves if leaf is not None]
    fleet.clock.now = min(begins) - HOUR
    while fleet.clock.now < max(begins) + HOUR:
        fleet.clock.now += HOUR
        await fleet.look()
    assert all(old != new for old, new in zip(before, await fleet.leaves(), strict=True))


async def renewed_after_an_outage(fleet: Fleet, seconds: float) -> float:
    """Take the CSMS away for so long, bring it back when all are overdue, wait for all. Returns when it came back."""
    before = await fleet.leaves()
    await fleet.away()
    fleet.clock.now += LIFE - 10 * DAY
    await asyncio.sleep(seconds)
    fleet.counts = Counts()
    overdue, begun = fleet.clock.now, time.monotonic()
    await fleet.open()
    while any(old == new for old, new in zip(before, await fleet.leaves(), strict=True)):
        await asyncio.sleep(0.05)
        # A request that was cut off is repeated after CertSigningWaitMinimum, so time goes on.
        fleet.clock.now = overdue + timedelta(seconds=time.monotonic() - begun)
    await fleet.settled()
    return begun


# ---- the campaign


def resident() -> float:
    """Memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def histogram(moments: Sequence[float], begun: float) -> str:
    """How many in each second."""
    found = Counter(int(one - begun) for one in moments)
    return " ".join(str(found[second]) for second in range(max(found) + 1))


async def campaign(options: argparse.Namespace, place: Path) -> None:
    """Play both parts, and print what was counted."""
    executor = ThreadPoolExecutor(options.threads, thread_name_prefix="stations") if options.threads else None
    fleet = Fleet(place, options.stations)
    before, started = resident(), time.monotonic()
    patience = {"first_wait": options.first_wait, "longest_wait": options.longest_wait}
    async with connected(fleet, executor, **patience):
        took, threads, memory = time.monotonic() - started, threading.active_count(), resident() - before
        print(f"{options.stations} stations connected in {took:.1f} s, {threads} threads, {memory:.0f} MiB more")
        started = time.monotonic()
        await renewed_over_time(fleet)
        hours = fleet.counts.asked_in
        spread = (max(hours) - min(hours)) / HOUR
        print(
            f"renewed over {spread:.0f} hours ({time.monotonic() - started:.1f} s here): at most {max(hours.values())} "
            f"in one hour, {fleet.counts.busiest} at one moment; refused {len(fleet.counts.refused)}"
        )
        begun = await renewed_after_an_outage(fleet, options.outage)
        counts = fleet.counts
        print(
            f"all overdue, CSMS back after {options.outage} s: connections a second: "
            f"{histogram(counts.connected_at, begun)}"
        )
        print(f"requests a second: {histogram(counts.asked_at, begun)}; {counts.busiest} at one moment at most")
        print(f"{threading.active_count()} threads, {resident() - before:.0f} MiB more")
    if executor is not None:
        executor.shutdown()


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the options say."""
    parser = argparse.ArgumentParser("tests.adapters.ocpp.fleet", description=__doc__)
    parser.add_argument("--stations", type=int, default=200)
    parser.add_argument("--threads", type=int, default=4, help="that all share; 0: one for each. %(default)s")
    parser.add_argument("--outage", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument("--first-wait", type=float, default=1.0, metavar="SECONDS")
    parser.add_argument("--longest-wait", type=float, default=20.0, metavar="SECONDS")
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(campaign(options, Path(place)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
