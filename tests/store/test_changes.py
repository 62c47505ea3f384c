"""What changes are, byte by byte."""

import pytest

from evse_security.store.changes import Edit, Write
from tests.store.pictures import CERTS

PATH = CERTS / "file"


def test_pieces_are_cut_out_with_their_line_ends_and_all_other_bytes_stay() -> None:
    data = b"# one\nAAA\n\n# two\r\nBBB\r\n# three\nCCC"
    cut = tuple((data.index(piece), data.index(piece) + 3) for piece in (b"CCC", b"AAA", b"BBB"))
    assert Edit(PATH, cut).applied(data) == b"# one\n\n# two\r\n# three\n"


def test_a_piece_in_the_middle_of_a_line_leaves_the_line_end() -> None:
    data = b"AAABBB\nCCC\n"
    assert Edit(PATH, ((3, 6),)).applied(data) == b"AAA\nCCC\n"
    assert Edit(PATH, ((0, 3),)).applied(data) == b"BBB\nCCC\n"


@pytest.mark.parametrize(
    ("before", "after"), [(b"", b"NEW\n"), (b"A", b"A\nNEW\n"), (b"A\n", b"A\nNEW\n"), (b"A\r\n", b"A\r\nNEW\n")]
)
def test_what_is_added_begins_a_line(before: bytes, after: bytes) -> None:
    assert Edit(PATH, append=b"NEW\n").applied(before) == after


def test_cutting_and_adding_are_one_step() -> None:
    assert Edit(PATH, ((0, 3),), b"NEW\n").applied(b"OLD\nB\n") == b"B\nNEW\n"


def test_changes_do_not_show_content() -> None:
    assert "secret" not in repr(Write(PATH, b"secret")) + repr(Edit(PATH, append=b"secret"))
