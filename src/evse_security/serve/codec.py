"""JSON values <-> the vocabulary, by type hints.

A hint is one of: `str`, `Annotated[str, MaxLength(n)]`, `int`, `bool`, `None`, a `StrEnum`, a `Literal` of members
(an enumeration that is restricted or extended), a frozen dataclass, `tuple[X, ...]`, and `X | None` for a field that
may be absent.

Decoding is strict: no coercion (`true` is no integer, `"1"` neither), no unknown and no missing fields, no `null` for
an absent field, bounded sizes. What is wrong is a `MalformedRequest` with the path of the field. Encoding leaves out
what is `None` and yields only `dict`, `list`, `str`, `int`, `bool`, `None`.

How to decode or encode a type is worked out once per type, so that a call costs a walk over its values only.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from evse_security.errors import MalformedRequest
from evse_security.vocabulary import MaxLength

MAX_STRING = 1 << 20
"""Characters of a string of undeclared length: PEM chains and OCSP responses in base64 are far shorter."""

MAX_ARRAY = 1000
"""Members of an array: the arguments that are arrays name each of a handful of certificate types once."""

SHOWN = 40
"""Characters of a refused input that a message repeats at most."""

type_names: dict[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    NoneType: "null",
}

Decoder = Callable[[object], Any]
Encoder = Callable[[Any], Any]


def decode(hint: Any, value: object, path: str = "") -> Any:
    """The value of type `hint` that a JSON value stands for. Raises `MalformedRequest` with a path below `path`."""
    try:
        return decoder(hint)(value)
    except MalformedRequest as refusal:
        raise below(path, refusal) from None


def encode(hint: Any, value: object) -> Any:
    """The JSON value for a value of type `hint`. Raises `TypeError`, a programming error, if it is not of that type."""
    return encoder(hint)(value)


def shown(value: object) -> str:
    """A refused input as a message may repeat it: a string on one line, printable, cut off after `SHOWN` characters."""
    if not isinstance(value, str):
        return type_names.get(type(value), type(value).__name__)
    printable = json.dumps(value[:SHOWN])
    return printable if len(value) <= SHOWN and len(printable) <= SHOWN + 2 else printable[: SHOWN - 1] + '…"'


# ---- decoding


@functools.cache
def decoder(hint: Any) -> Decoder:
    """How values of a type are decoded; refusals have paths relative to the value."""
    hint, optional = without_none(hint)
    origin = get_origin(hint)
    if optional or hint is NoneType:
        return decoder(hint) if optional else _decode_null
    if origin is Annotated:
        return _string_decoder(next(each.characters for each in hint.__metadata__ if isinstance(each, MaxLength)))
    if origin is tuple:
        return _array_decoder(get_args(hint)[0])
    if origin is Literal:
        return _member_decoder({str(member): member for member in get_args(hint)})
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _member_decoder(dict(hint.__members__))
    if is_dataclass(hint) and isinstance(hint, type):
        return _record_decoder(hint)
    if hint is str:
        return _string_decoder(MAX_STRING)
    if hint in (bool, int):
        return _scalar_decoder(hint)
    raise TypeError(f"the interface has no values of type {hint!r}")


def object_decoder(hints: Mapping[str, Any], required: frozenset[str]) -> Callable[[object], dict[str, Any]]:
    """How an object with these fields is decoded, into a dictionary of the fields that are present."""
    decoders = {name: decoder(hint) for name, hint in hints.items()}

    def decode_object(value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            _expected("an object", value)
        decoded = {}
        for name, member in value.items():
            decode_member = decoders.get(name)
            if decode_member is None:
                raise MalformedRequest(unknown(name), "no such field; there are " + (", ".join(decoders) or "none"))
            try:
                decoded[name] = decode_member(member)
            except MalformedRequest as refusal:
                raise below(name, refusal) from None
        missing = required.difference(decoded)
        if missing:
            raise MalformedRequest(next(name for name in decoders if name in missing), "is required")
        return decoded

    return decode_object


def _record_decoder(record: type) -> Decoder:
    hints = get_type_hints(record, include_extras=True)
    decode_fields = object_decoder(hints, required_fields(record))
    return lambda value: record(**decode_fields(value))


def _array_decoder(hint: Any) -> Decoder:
    decode_member = decoder(hint)

    def decode_array(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            _expected("an array", value)
        if len(value) > MAX_ARRAY:
            raise MalformedRequest("", f"has {len(value)} members, at most {MAX_ARRAY} are allowed")
        return members(value, decode_member)

    return decode_array


def _string_decoder(longest: int) -> Decoder:
    def decode_string(value: object) -> str:
        if not isinstance(value, str):
            _expected("a string", value)
        if len(value) > longest:
            raise MalformedRequest("", f"has {len(value)} characters, at most {longest} are allowed")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise MalformedRequest("", "is not text: it holds half of a surrogate pair")
        return value

    return decode_string


def _member_decoder(members: Mapping[str, Any]) -> Decoder:
    choice = "one of " + ", ".join(members)

    def decode_member(value: object) -> Any:
        if not isinstance(value, str):
            _expected(choice, value)
        member = members.get(value)
        if member is None:
            raise MalformedRequest("", f"expected {choice}, got {shown(value)}")
        return member

    return decode_member


def _scalar_decoder(scalar: type) -> Decoder:
    def decode_scalar(value: object) -> Any:
        if type(value) is not scalar:  # isinstance(True, int) holds, but true is not an integer in JSON
            _expected(type_names[scalar], value)
        return value

    return decode_scalar


def _decode_null(value: object) -> None:
    if value is not None:
        _expected("null", value)


# ---- encoding


@functools.cache
def encoder(hint: Any) -> Encoder:
    """How values of a type are encoded."""
    hint, optional = without_none(hint)
    origin = get_origin(hint)
    if optional or hint is NoneType:
        return encoder(hint) if optional else _plain_encoder(NoneType)
    if origin is Annotated:
        return encoder(get_args(hint)[0])
    if origin is tuple:
        return _array_encoder(get_args(hint)[0])
    if origin is Literal:
        return _enum_encoder(*{type(member) for member in get_args(hint)})
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _enum_encoder(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        return _record_encoder(hint)
    if hint in (str, bool, int):
        return _plain_encoder(hint)
    raise TypeError(f"the interface has no values of type {hint!r}")


def _record_encoder(record: type) -> Encoder:
    encoders = [(name, encoder(hint)) for name, hint in get_type_hints(record, include_extras=True).items()]
    required = required_fields(record)

    def encode_record(value: Any) -> dict[str, Any]:
        if type(value) is not record:
            raise TypeError(f"{record.__name__} expected, not {type(value).__name__}")
        pairs = ((name, encode_field, getattr(value, name)) for name, encode_field in encoders)
        return {
            name: encode_field(member) for name, encode_field, member in pairs if member is not None or name in required
        }

    return encode_record


def _array_encoder(hint: Any) -> Encoder:
    encode_member = encoder(hint)

    def encode_array(value: Any) -> list[Any]:
        if type(value) is not tuple:
            raise TypeError(f"tuple expected, not {type(value).__name__}")
        return [encode_member(member) for member in value]

    return encode_array


def _enum_encoder(*enums: type[StrEnum]) -> Encoder:
    def encode_enum(value: Any) -> str:
        if type(value) not in enums:
            raise TypeError(f"{enums[0].__name__} expected, not {type(value).__name__}")
        return str(value.value)

    return encode_enum


def _plain_encoder(plain: type) -> Encoder:
    def encode_plain(value: Any) -> Any:
        if type(value) is not plain:
            raise TypeError(f"{plain.__name__} expected, not {type(value).__name__}")
        return value

    return encode_plain


# ---- both


def required_fields(record: Any) -> frozenset[str]:
    """The fields of a record that are always there."""
    return frozenset(each.name for each in fields(record) if each.default is MISSING)


def without_none(hint: Any) -> tuple[Any, bool]:
    """`X | None` -> (X, True); anything else -> (itself, False)."""
    if get_origin(hint) not in (Union, UnionType):
        return hint, False
    rest = [each for each in get_args(hint) if each is not NoneType]
    if len(rest) != 1:
        raise TypeError(f"the interface has no values of type {hint!r}")
    return rest[0], True


def _expected(what: str, value: object) -> NoReturn:
    # Not the value itself: where a string is expected it may be anything.
    raise MalformedRequest("", f"expected {what}, got {type_names.get(type(value), type(value).__name__)}")


def members(values: Iterable[Any], taken: Callable[[Any], Any]) -> tuple[Any, ...]:
    """The members of an array, each as it is taken; a refusal says which."""
    found: list[Any] = []
    try:
        # Not a comprehension: the length tells which member was refused.
        for value in values:
            found.append(taken(value))
    except MalformedRequest as refusal:
        raise below(f"[{len(found)}]", refusal) from None
    return tuple(found)


def below(path: str, refusal: MalformedRequest) -> MalformedRequest:
    """The refusal of a member, seen from the object or array that holds it."""
    dot = "." if path and refusal.path and not refusal.path.startswith("[") else ""
    return MalformedRequest(f"{path}{dot}{refusal.path}", refusal.problem)


def unknown(name: object) -> str:
    """The name of a field that is not ours, as a path may have it."""
    return shown(name).strip('"')
