"""Public roots, as they are met in the field: odd names, large RSA keys, every age."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

END = "-----END CERTIFICATE-----\n"


@cache
def public_roots() -> list[str]:
    """The roots that certifi brings, in PEM; none where it is not installed."""
    found = importlib.util.find_spec("certifi")
    if found is None or found.origin is None:
        return []
    text = Path(found.origin).with_name("cacert.pem").read_text()
    return [f"-----BEGIN{part.rpartition('-----BEGIN')[2]}{END}" for part in text.split(END)[:-1]]
