"""The unit with which systemd runs the service, with as few rights as it can do with."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.resources import files


def systemd_unit(program: str) -> str:
    """The unit, for the program that was called, or for this Python where that is no program."""
    found = shutil.which(program)
    started = os.path.abspath(found) if found else f"{os.path.abspath(sys.executable)} -m evse_security"
    text = files(__package__ or "evse_security.daemon").joinpath("evse-security.service").read_text("utf-8")
    return text.replace("@PROGRAM@", started)
