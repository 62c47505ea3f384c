"""The process that EVerest starts as its module: the module itself, and beside it what its configuration asks for."""

from __future__ import annotations

import sys

from evse_security.daemon.parts import assemble_what_can_be
from evse_security.daemon.shield import shield
from evse_security.everest import run


def main() -> int:
    """Be the module until EVerest ends it."""
    shield()
    return run.main(parts=assemble_what_can_be)


if __name__ == "__main__":
    sys.exit(main())
