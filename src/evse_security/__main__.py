"""`python -m evse_security` and the program `evse-security`."""

from __future__ import annotations

import sys

from evse_security.cli import main

if __name__ == "__main__":
    sys.exit(main())
