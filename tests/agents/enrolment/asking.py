"""Requests to enrol, and a CA that answers them."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evse_security.agents.enrolment.port import Answer, Credentials, EnrolmentPort, Request
from evse_security.lab.authority import name
from evse_security.service.renewals import Renewed
from tests.builders import DAY, NOW, World, key, signing_request, world

SUBJECT = name(CN="SECC1", O="Operator", DC="CPO")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the program openssl")


def pki(**changes: Any) -> World:
    """A CA that is valid whatever the time is, and the leaf in use."""
    always = {"not_before": NOW - 3650 * DAY, "not_after": NOW + 3650 * DAY}
    return world(
        "V2GRoot > SubCA > SECC",
        V2GRoot=always,
        SubCA=always,
        SECC={"subject": SUBJECT, **always, **changes},
    )


def request(holder: str = "new", **changes: Any) -> Request:
    """A request for the key of that name; no leaf is in use."""
    made = Request(Renewed.V2G, 1, 1, signing_request(key(holder), SUBJECT), None, None)
    return replace(made, **changes)


def in_use(made: World, directory: Path, password: str | None = None) -> Credentials:
    """The leaf in use, in files."""
    chain, private = directory / "chain.pem", directory / "leaf.key"
    chain.write_text(made["SECC"].chain_pem())
    private.write_text(made["SECC"].key_pem(password))
    return Credentials(chain, private, password)


def enrol(port: EnrolmentPort, asked: Request | None = None) -> Answer:
    """What a port answers."""
    return asyncio.run(asyncio.wait_for(port.enrol(asked or request()), 60))
