"""`python -m benchmarks`: measure, print the table, keep it, compare it, draw it."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256

from benchmarks import (
    footprint,
    handshakes,
    load,
    memory,
    mqtt,
    ocpp,
    opening,
    reading,
    report,
    signing,
    verifying,
    writing,
)
from benchmarks.chart import chart
from benchmarks.measure import Row, in_turns
from benchmarks.plan import FULL, QUICK, Group, Plan
from benchmarks.report import Run
from benchmarks.stores import Stores
from evse_security.lab.keys import KeyKind, generate_key

GROUPS: dict[str, Group] = {
    "read": reading.rows,
    "verify": verifying.rows,
    "open": opening.cold_rows,
    "change": opening.changed_rows,
    "write": writing.rows,
    "signature": signing.rows,
    "memory": memory.rows,
    "load": load.rows,
    "mqtt": mqtt.rows,
    "service": footprint.rows,
    "tls": handshakes.rows,
    "ocpp": ocpp.rows,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the options say."""
    options = _options(arguments)
    if options.load is not None:
        run = Run.load(options.load)
        print(report.table(run))
    else:
        run = measure(QUICK if options.quick else FULL, options.only or list(GROUPS), options.directory)
    print(f"\n{report.summary(run)}")
    if options.json is not None:
        run.save(options.json)
    if options.chart is not None:
        options.chart.write_text(chart(run))
    if options.compare is not None:
        print(f"\n{report.comparison(Run.load(options.compare), run)}")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small stores and few rounds: under a minute")
    parser.add_argument("--only", action="append", choices=list(GROUPS), help="one group; may be given again")
    parser.add_argument("--json", type=Path, metavar="PATH", help="keep the run")
    parser.add_argument("--load", type=Path, metavar="PATH", help="measure nothing; take a run that was kept")
    parser.add_argument("--compare", type=Path, metavar="OLD", help="print old / new for each row of a kept run")
    parser.add_argument("--chart", type=Path, metavar="PATH", help="draw the shares of the targets (SVG)")
    parser.add_argument(
        "--directory", type=Path, default=Path(".benchmarks"), help="where stores are made: %(default)s"
    )
    return parser.parse_args(arguments)


def measure(plan: Plan, groups: Sequence[str], directory: Path) -> Run:
    """Measure some groups, printing each row when it is known."""
    start = time.perf_counter()
    stores = Stores(directory.resolve())
    made = stores.prepare(plan.leaves[-1], plan.roots[-1])
    machine = {**_machine(), "made_in": made}
    print(", ".join(f"{key} {value}" for key, value in machine.items() if key != "made_in"))
    print(f"certificates and keys made in {made:.1f} s")
    rows = tuple(_printed(plan, stores, groups))
    took = time.perf_counter() - start
    print(f"\nmeasured in {took:.0f} s")
    return Run({**machine, "took": took}, rows)


def _printed(plan: Plan, stores: Stores, groups: Sequence[str]) -> Iterator[Row]:
    for name in groups:
        group = None
        start = time.perf_counter()
        for row in GROUPS[name](plan, stores):
            if row.group != group:
                group = row.group
                print(report.heading(group))
            print(report.line(row), flush=True)
            yield row
        print(f"({time.perf_counter() - start:.0f} s)")


def _machine() -> Mapping[str, Any]:
    """What the numbers depend on, with one yardstick: a P-256 signature check, in microseconds."""
    key = generate_key(KeyKind.SECP256R1)
    signature = key.sign(b"", ECDSA(SHA256()))  # type: ignore[call-arg, arg-type]  # it is elliptic
    public: Any = key.public_key()
    [samples] = in_turns({"check": lambda: public.verify(signature, b"", ECDSA(SHA256()))}, seconds=0.1).values()
    return {
        "python": platform.python_version(),
        "cryptography": version("cryptography"),
        "pyOpenSSL": version("pyOpenSSL"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "P-256 check in µs": round(min(samples) * 1e6, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
