"""The page of all findings, with an example of each: `python -m tests.store.findings_page` writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from evse_security.cli.doctor import lines_of
from evse_security.store.diagnosis import diagnose
from evse_security.store.diagnosis.finding import KINDS, Mender
from tests.store.pictures import CERTS
from tests.store.sick import CASES

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "findings.md"
SHOWN = "/etc/everest/certs"

VARYING = (
    (re.compile(r"(serial(?:_number\": \"| ))[0-9a-f]{8,}"), r"\g<1>5e21a8c07bd943f6"),
    (re.compile(r"(_hash\": \")[0-9a-f]{64}"), r"\g<1>" + "1c0ffee5" * 8),
    (re.compile(r"at line \d+ \(byte \d+\)"), "at line 12 (byte 583)"),
    (re.compile(r"\b\d+,\d+([dpw])\b"), r"12,14\1"),
)
"""Signatures, serial numbers and RSA keys are others each time."""

MENDS = {Mender.DOCTOR: "mends", Mender.PEOPLE: ""}

HEAD = """\
<!-- Written by python -m tests.store.findings_page from src/evse_security/store/diagnosis: change it there. -->

# Findings of the doctor

What `evse-security doctor` and `Station.diagnose()` find, the most urgent first. The codes are stable. Those marked
*mends* are mended by `doctor --fix`; of rights only what everybody has is taken: a group may be meant to have them.

| code | severity | mends | what it means for the station |
|---|---|---|---|
"""


def page() -> str:
    """The page in Markdown."""
    rows = [
        f"| [{code}](#{code.lower()}) | {kind.severity} | {MENDS[kind.mender]} | {kind.means} |\n"
        for code, kind in KINDS.items()
    ]
    return HEAD + "".join(rows) + "".join(f"\n## {code}\n\n```text\n{example(code)}```\n" for code in KINDS)


def example(code: str) -> str:
    """What is printed of one such finding."""
    finding = next(one for one in diagnose(CASES[code]()).findings if one.code == code)
    return "".join(f"{line}\n" for line in _fixed(lines_of(finding, ("--certs", SHOWN))))


def _fixed(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        fixed = line.replace(str(CERTS), SHOWN)
        for varying, shown in VARYING:
            fixed = varying.sub(shown, fixed)
        yield fixed


if __name__ == "__main__":
    PAGE.write_text(page())
