"""Text from elsewhere, such as names in certificates: as it may be shown to people, and whether it may be shown."""

from __future__ import annotations

import unicodedata

NO_TEXT = frozenset({"Cc", "Zl", "Zp", "Cs"})
"""Categories of Unicode that no name in a certificate has: control characters, line breaks, halves of pairs."""


def is_line(text: str) -> bool:
    """Whether there is something that can be shown on one line: what else a name is, no certificate may carry."""
    return bool(text.strip()) and not any(unicodedata.category(one) in NO_TEXT for one in text)


def printable(text: str) -> str:
    """The text with everything escaped that is not seen but acts: control characters, directions, surrogates."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
