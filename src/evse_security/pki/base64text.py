"""Base64 as callers send it: lines may be wrapped, all else must be exact (RFC 4648 §3)."""

from __future__ import annotations

import base64
import binascii

from evse_security.errors import NotBase64, TooLarge

LINES = (
    rb"(?=[A-Za-z0-9+/])(?:[A-Za-z0-9+/]{64}\r?\n){0,1400}"
    rb"(?:(?:[A-Za-z0-9+/]{4}){0,15}(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)\r?\n)?"
)
"""A pattern: base64 in lines of 64 characters (RFC 7468 §2), up to 64 KiB, which `binascii.a2b_base64` takes."""

_WRAPPING = str.maketrans("", "", " \t\r\n")


def decode(text: str, *, what: str, limit: int) -> bytes:
    """The octets that `text` stands for, at least one and at most `limit`.

    Blanks and line breaks may be anywhere; any other foreign character, missing or superfluous padding, or bits set in
    the padding are refused rather than passed over. `what` names the text in the refusal.

    Raises NotBase64, TooLarge.
    """
    longest = -(-limit // 3) * 4
    if len(text) > 2 * longest:  # as many line breaks as octets: of what is longer not even a copy is made
        raise TooLarge(what, limit)
    compact = text.translate(_WRAPPING)
    if len(compact) > longest:
        raise TooLarge(what, limit)
    try:
        octets = base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError):
        raise NotBase64(what) from None
    if not octets or base64.b64encode(octets).decode("ascii") != compact:
        raise NotBase64(what)
    if len(octets) > limit:
        raise TooLarge(what, limit)
    return octets
