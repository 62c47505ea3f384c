"""Texts made of pieces of PEM: boundaries are found where one regular expression finds them; complaints are bounded."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from evse_security.pki.pem import MAX_BAD, Flaw, _boundaries, blocks
from tests.builders import world

SLOW = re.compile(
    rb"(?:(?<![^\r\n])(?:\xef\xbb\xbf)?[ \t]*|(?<=-----))(?P<begin>-----BEGIN ([A-Z0-9 ]{1,64})-----)"
    rb"|-----END ([A-Z0-9 ]{1,64})-----"
)
"""What a BEGIN and an END are; too slow for files of many MiB."""
PIECES = (
    b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----", b"-----", b"-", b"BEGIN ", b"END A", b"A-----",
    b"\n", b"\r\n", b"\r", b" ", b"\t", b"\xef\xbb\xbf", b"x", b"-----BEGIN A-----", b"-----END A-----", b"----",
)  # fmt: skip
GOOD = world("Root >").pem("Root").encode()
BAD = b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"


@example([b"x", b"-----BEGIN A-----", b"END A", b"-----"])
@given(st.lists(st.sampled_from(PIECES), max_size=14))
def test_boundaries_are_where_they_are_by_definition(pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    found = [(one.start, one.end, one.label, one.is_end) for one in _boundaries(text)]
    assert found == [(one.start(), one.end(), one[2] or one[3], not one["begin"]) for one in SLOW.finditer(text)]


def test_bad_blocks_without_end_are_not_all_told_and_hide_no_good_one() -> None:
    for text in (BAD * 2000 + GOOD, b"x\n" + BAD * 2000 + GOOD, b"-----BEGIN CERTIFICATE-----\n" * 2000 + GOOD):
        found = blocks(text)
        assert sum(block.certificate is not None for block in found) == 1
        assert sum(block.problem is not None for block in found) == MAX_BAD


def test_of_flaws_without_end_the_last_may_hide_something() -> None:
    found = blocks(b"x -----BEGIN\n" * 5000 + GOOD)
    assert len(found) == MAX_BAD + 2
    assert found[-2].flaw is Flaw.HIDDEN
    found = blocks(b"\n".join([b"-----BEGIN A-----"] * 5000))
    assert len(found) == MAX_BAD + 1
    assert [block.flaw for block in found] == [Flaw.FORM] * MAX_BAD + [Flaw.HIDDEN]
