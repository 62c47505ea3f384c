"""Certificates as people hand them over: the interface takes PEM, files are in DER as well."""

from __future__ import annotations

import base64
import textwrap


def pem_of(content: bytes) -> str:
    """A chain as PEM. A certificate in DER is wrapped: it begins with a SEQUENCE, which no PEM does.

    Raises ValueError where it is neither.
    """
    if content[:1] == b"\x30":
        body = "\n".join(textwrap.wrap(base64.b64encode(content).decode(), 64))
        return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
    return content.decode("utf-8-sig")
