"""Certificates in files: those of the leaf before, and those that a program wrote."""

from __future__ import annotations

from pathlib import Path

from evse_security.agents.enrolment.port import Credentials
from evse_security.pki import pem
from evse_security.pki.certificate import Certificate
from evse_security.settings import at_once


def certificates_in(path: Path) -> tuple[Certificate, ...]:
    """The certificates of a file, as far as they can be read. Raises OSError."""
    with open(path, "rb", opener=at_once) as file:
        content = file.read(pem.MAX_TEXT_BYTES)
    return tuple(block.certificate for block in pem.blocks(content) if block.certificate is not None)


def chain_before(leaf: Credentials | None) -> tuple[Certificate, ...]:
    """The chain of the leaf in use: its sub-CAs are those of the new one, mostly. Raises OSError."""
    return () if leaf is None else certificates_in(leaf.chain)
