"""What is tried: inputs, and what must hold of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st


class Target(NamedTuple):
    """A kind of input and its check, which raises where something is wrong.

    A test tries the same few hundred of each in every run; `make fuzz` tries others for as long as one likes.
    """

    inputs: st.SearchStrategy[Any]
    check: Callable[[Any], None]
    in_tests: int = 200
    """Inputs that the tests try: less of what is slow."""
