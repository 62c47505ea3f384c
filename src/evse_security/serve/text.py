"""JSON text (RFC 8259) -> JSON values, as strict as what follows in `codec`."""

from __future__ import annotations

import json
from typing import NoReturn

from evse_security.errors import MalformedRequest
from evse_security.serve.codec import MAX_STRING, below, unknown

MAX_TEXT = 2 * MAX_STRING
"""Characters of a text: a string of the interface with room for what is escaped in it. Values take 25 times as much."""


def parse(text: str | bytes, path: str) -> object:
    """The JSON value of a text (RFC 8259). Names that occur twice, NaN and infinities are `MalformedRequest`.

    So are texts of more than 2 Mi characters.
    """
    if len(text) > MAX_TEXT:
        raise MalformedRequest(path, f"has {len(text)} characters, at most {MAX_TEXT} are allowed")
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except MalformedRequest as refusal:
        raise below(path, refusal) from None
    except (ValueError, RecursionError) as problem:
        # The message of a ValueError says where it happened, not what was there: it is safe to repeat.
        raise MalformedRequest(path, f"not JSON: {str(problem) or 'nested too deeply'}") from None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    unique: dict[str, object] = {}
    for name, value in pairs:
        if name in unique:
            raise MalformedRequest(unknown(name), "occurs twice")
        unique[name] = value
    return unique


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")
