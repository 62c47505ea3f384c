"""Whatever the conformance tests do, the logs stay fit to be sent to a stranger."""

import logging
import re
from collections.abc import Iterator

import pytest

from tests.conformance.kit import PASSWORD

_BODY = re.compile(r"(?=[A-Za-z0-9+]*[G-Zg-z])[A-Za-z0-9+]{40,}")
"""Base64 of keys and certificates; digests are hexadecimal."""


@pytest.fixture(autouse=True)
def logs_without_secrets(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No PEM, no body of a key or certificate, no password, and one line per record, in any log of any level."""
    caplog.set_level(logging.DEBUG)
    yield
    for record in caplog.get_records("setup") + caplog.get_records("call"):
        if record.name.startswith("evse_security"):
            said = record.getMessage()
            assert "-----" not in said
            assert PASSWORD not in said
            assert not _BODY.search(said), said
            assert all(character.isprintable() for character in said), ascii(said)
