"""JSON text is read strictly."""

import pytest

from evse_security.errors import MalformedRequest
from evse_security.serve.text import parse

TEXTS = [
    ('{"a": 1, "a": 2}', "arguments.a", "occurs twice"),
    ('{"b": {"a": 1, "c": 3, "a": 1}}', "arguments.a", "occurs twice"),
    ("[NaN]", "arguments", "not JSON: NaN is not a number"),
    ("[-Infinity]", "arguments", "not JSON: -Infinity is not a number"),
    ("", "arguments", "not JSON: Expecting value: line 1 column 1 (char 0)"),
    ("{", "arguments", "not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
]


@pytest.mark.parametrize(("text", "path", "problem"), TEXTS)
def test_text_that_is_not_json_is_refused(text: str, path: str, problem: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        parse(text, "arguments")
    assert (refused.value.path, refused.value.problem) == (path, problem)


@pytest.mark.parametrize("text", [b"\xff", "[" * 200_000, "1" * 5000], ids=["bytes", "deep", "long number"])
def test_text_made_to_break_a_parser_is_refused(text: str | bytes) -> None:
    with pytest.raises(MalformedRequest, match=r"^arguments: not JSON: "):
        parse(text, "arguments")


def test_json_text_is_parsed() -> None:
    assert parse('{"a": [1, "x", null]}', "arguments") == {"a": [1, "x", None]}
    assert parse(b'"\\u00fc"', "arguments") == "ü"
