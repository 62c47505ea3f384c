"""Any value of a type of the vocabulary, for properties."""

from dataclasses import is_dataclass
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

TEXT = st.text(st.characters(codec="utf-8"), max_size=50)


def of_type(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type hint of the declaration."""
    match get_origin(hint):
        case origin if origin is Annotated:
            return st.text(st.characters(codec="utf-8"), max_size=hint.__metadata__[0].characters)
        case origin if origin is tuple:
            return st.lists(of_type(get_args(hint)[0]), max_size=4).map(tuple)
        case origin if origin is Literal:
            return st.sampled_from(get_args(hint))
        case origin if origin in (Union, UnionType):
            return st.one_of([st.none() if each is NoneType else of_type(each) for each in get_args(hint)])
    if issubclass(hint, StrEnum):
        return st.sampled_from(list(hint))
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint, include_extras=True)
        return st.builds(hint, **{name: of_type(each) for name, each in hints.items()})
    scalars: dict[Any, st.SearchStrategy[Any]] = {
        str: TEXT,
        int: st.integers(),
        bool: st.booleans(),
        NoneType: st.none(),
    }
    return scalars[hint]
