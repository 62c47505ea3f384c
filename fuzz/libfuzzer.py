"""The same targets under atheris (libFuzzer), which sees the values that are compared as well; not installed by `make`.

pip install atheris; libFuzzer ends the process when the time is up, so it tries one target.
Of several that are named, chance takes one.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from fuzz.coverage import Coverage
from fuzz.engine import Attempts


def main(names: list[str], seconds: float, corpus: Path | None) -> int:
    """Try until the time is up; what breaks is printed in its shortest form."""
    try:
        atheris = importlib.import_module("atheris")
    except ModuleNotFoundError:
        print("atheris is not installed (pip install atheris); the engine of our own needs nothing", file=sys.stderr)
        return 1
    import random

    from fuzz.__main__ import ALL

    chance = random.SystemRandom()
    one = Attempts(name := chance.choice(names), ALL[name], random.Random(0), Coverage())
    for module in [found for key, found in sys.modules.items() if key.startswith("evse_security.")]:
        for function in vars(module).values():
            if getattr(function, "__module__", "") == module.__name__ and hasattr(function, "__code__"):
                atheris.instrument_func(function)
    print(f"{name}: {seconds:.0f} s of atheris", file=sys.stderr)

    def attempt(octets: bytes) -> None:
        try:
            one.one_input(octets)
        except BaseException:
            one.run()
            raise

    directories = [str(corpus)] if corpus else []
    if corpus:
        corpus.mkdir(parents=True, exist_ok=True)
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds:.0f}", "-timeout=30", *directories], attempt)
    atheris.Fuzz()
    return 0
