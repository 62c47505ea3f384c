"""Text from elsewhere, such as names in certificates, as it may be shown to people."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with everything escaped that is not seen but acts: control characters, directions, surrogates."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
