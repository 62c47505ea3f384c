"""The colours of the page: text can be read in both schemes (WCAG 2.2, 1.4.3: a contrast of 4.5 or more)."""

import re

import pytest

from evse_security.http.page import STATIC

GROUNDS = ("ground", "raised")
ON_GROUNDS = ("text", "muted", "link", "good", "soon", "bad", "idle")
PAIRS = [
    *((text, ground) for text in ON_GROUNDS for ground in GROUNDS),
    *((tone, f"{tone}-ground") for tone in ("good", "soon", "bad", "idle")),
    *(("text", f"{tone}-ground") for tone in ("good", "soon", "bad", "idle")),
    *(("muted", f"{tone}-ground") for tone in ("soon", "bad")),
    ("ground", "link"),
    ("ground", "bad"),
]
STYLE = (STATIC / "page.css").read_text()


def palettes() -> dict[str, dict[str, str]]:
    light, dark = re.findall(r":root \{([^}]*)\}", STYLE)
    first = dict(re.findall(r"--([a-z-]+): #([0-9a-f]{3,6})", light))
    return {"light": first, "dark": first | dict(re.findall(r"--([a-z-]+): #([0-9a-f]{3,6})", dark))}


def luminance(colour: str) -> float:
    digits = colour if len(colour) == 6 else "".join(digit * 2 for digit in colour)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrasts(scheme: str) -> None:
    colours = palettes()[scheme]
    for text, ground in PAIRS:
        lighter, darker = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (text, ground)


def test_nothing_of_it_comes_from_elsewhere_or_moves_for_who_does_not_want_it() -> None:
    assert "url(" not in STYLE and "@import" not in STYLE
    assert not re.search(r"animation|transition", STYLE)
    assert STYLE.index("prefers-reduced-motion: no-preference") < STYLE.index("scroll-behavior")
