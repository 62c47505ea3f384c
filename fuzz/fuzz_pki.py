"""Throw altered certificates, PEM texts, OCSP responses and `.hash` files at the readers.

make fuzz ARGS="--seconds 600". Every round has a number, and the same number tries the same inputs again. What must
hold is in tests/hostile.py; what breaks it is printed in its shortest form, and belongs into a test.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.hostile import TARGETS

EXAMPLES = 200
"""Inputs of one kind in one round."""


def attempt(target: str, number: int) -> None:
    """Try the inputs of one round. Raises whatever a check raises, with the input in its notes."""
    inputs, check = TARGETS[target]

    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        database=None,
        deadline=None,
        derandomize=False,
    )
    @given(st.shared(inputs, key=target))
    def once(data: bytes) -> None:
        check(data)

    once()


def main() -> int:
    """Go on until the time is up or something breaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="how long (default: %(default)s)")
    parser.add_argument("--round", type=int, help="try this round only")
    parser.add_argument("--target", choices=TARGETS, action="append", help="what to try (default: all)")
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds
    number = random.SystemRandom().randrange(1 << 32) if arguments.round is None else arguments.round
    rounds = 0
    while rounds == 0 or (arguments.round is None and time.monotonic() < end):
        for target in arguments.target or TARGETS:
            try:
                attempt(target, number)
            except BaseException:
                print(f"{target}: broken in round {number} (--target '{target}' --round {number})", file=sys.stderr)
                raise
        rounds, number = rounds + 1, number + 1
    print(f"fuzz_pki: {rounds} rounds of {EXAMPLES} inputs of each kind, nothing broken")
    return 0


if __name__ == "__main__":
    sys.exit(main())
