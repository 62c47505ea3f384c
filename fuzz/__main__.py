"""Throw altered certificates, keys, OCSP responses, configurations, commands and whole stores at all that reads them.

make fuzz ARGS="--seconds 600". What must hold of each is in tests/hostile/; what breaks it is printed in its shortest
form, and belongs into a test. With --bounds: what the largest inputs cost, in time and memory.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from pathlib import Path

from fuzz.coverage import Coverage
from fuzz.engine import Attempts
from tests.hostile.targets import RACES, TARGETS

ALL = {**TARGETS, **RACES}
PACKAGES = ("pki", "serve", "store", "keys", "cli")


def main() -> int:
    """Go on until the time is up or something breaks."""
    arguments = _parser().parse_args()
    os.nice(10)
    if arguments.bounds:
        from fuzz.bounds import main as bounds

        return bounds()
    if arguments.engine == "atheris":
        from fuzz.libfuzzer import main as libfuzzer

        return libfuzzer(arguments.target or list(ALL), arguments.seconds, arguments.corpus)
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 32)
    return fuzz({name: ALL[name] for name in arguments.target or ALL}, arguments, seed)


def fuzz(targets: dict[str, object], arguments: argparse.Namespace, seed: int) -> int:
    """Try all in turns, and say how many and how far they came."""
    coverage = Coverage()
    every = [Attempts(name, ALL[name], random.Random(f"{seed}:{name}"), coverage) for name in targets]
    end = time.monotonic() + arguments.seconds
    turn = max(0.5, min(5.0, arguments.seconds / len(every) / 3))
    while time.monotonic() < end:
        for one in every:
            try:
                one.go_on(min(turn, max(0.1, end - time.monotonic())))
            except BaseException:
                print(f"{one.name}: broken after {one.tried} inputs (--seed {seed})", file=sys.stderr)
                raise
    _report(every, coverage, seed)
    if arguments.missed:
        for file, lines in coverage.missed(PACKAGES):
            print(f"  {file}: {', '.join(map(str, lines))}")
    return 0


def _report(every: list[Attempts], coverage: Coverage, seed: int) -> None:
    width = max(len(one.name) for one in every)
    print(f"{'tried':>{width + 2}}   inputs   kept   slowest")
    for one in every:
        print(f"  {one.name:{width}} {one.tried:8} {len(one.corpus):6} {one.slowest:8.2f} s")
    print(f"  {'all':{width}} {sum(one.tried for one in every):8} {sum(len(one.corpus) for one in every):6}")
    reached = ", ".join(f"{name} {got}/{there}" for name, got, there in coverage.table(PACKAGES))
    print(f"lines of functions reached: {reached}")
    print(f"nothing broken (--seed {seed})")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30, help="how long (default: %(default)s)")
    parser.add_argument("--target", choices=ALL, action="append", help="what to try (default: all)")
    parser.add_argument("--seed", type=int, help="where chance starts, to come by the same inputs again")
    parser.add_argument("--missed", action="store_true", help="say in the end which lines nothing reached")
    parser.add_argument("--bounds", action="store_true", help="measure what the largest inputs cost, and exit")
    parser.add_argument("--engine", choices=("own", "atheris"), default="own", help="atheris: if it is installed")
    parser.add_argument("--corpus", type=Path, help="directory in which atheris keeps what came far")
    return parser


if __name__ == "__main__":
    sys.exit(main())
