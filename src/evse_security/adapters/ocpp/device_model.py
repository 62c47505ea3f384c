"""Variables as messages have them: GetVariables, SetVariables and NotifyReport of 2.x, configuration keys of 1.6. Pure.

What is served is a picture of one moment. Names are compared without case, as OCPP has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from evse_security.adapters.ocpp.editions import Edition, Payload
from evse_security.adapters.ocpp.refusals import InvalidValue, ReadOnly, WriteOnly, with_reason
from evse_security.errors import EvseSecurityError

LONGEST_VALUE = 2500
"""Characters of a value. 2.0.1 sends 1000 at most, 1.6 sends 500."""


class DataType(StrEnum):
    """OCPP's types of values, those that are met here."""

    string = "string"
    integer = "integer"
    boolean = "boolean"
    option_list = "OptionList"


class Mutability(StrEnum):
    """Who may do what with a variable."""

    read_only = "ReadOnly"
    read_write = "ReadWrite"
    write_only = "WriteOnly"
    """A secret: it is in no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One variable, with all that a device model says of it."""

    component: str
    """Empty: there is none in 2.x."""
    variable: str
    key: str
    """Its name in 1.6; empty: there is none."""
    value: str
    """Empty where it is a secret."""
    mutability: Mutability
    data_type: DataType = DataType.string
    unit: str = ""
    lowest: int | None = None
    highest: int | None = None
    """The most that a number may be, or the characters that a text may have."""
    options: tuple[str, ...] = ()
    evse: int | None = None
    writes: str = ""
    """The field of the policy that it sets; empty: none."""

    @property
    def name(self) -> str:
        """What it is called where it is told of."""
        return self.variable or self.key


Item = Mapping[str, Any]
"""One `getVariableData` or `setVariableData`: as on the wire, or as `ocpp` hands it over (snake_case)."""
Write = Callable[[Served, str], None]
"""Sets a variable. Raises `EvseSecurityError`."""


# ---- 2.x


def get_variables(served: Sequence[Served], items: Iterable[Item], edition: Edition) -> list[Payload]:
    """`getVariableResult`, one for each item, in their order. What is not served here is Unknown…."""
    return [_got(served, _members(item), edition) for item in items]


def _got(served: Sequence[Served], item: Item, edition: Edition) -> Payload:
    found = _found(served, item)
    if isinstance(found, str):
        return _result(item, {"status": found})
    if found.mutability is Mutability.write_only:
        return _result(item, with_reason("Rejected", WriteOnly(found.name), edition))
    return {**_result(item, {"status": "Accepted"}), "attributeValue": found.value}


def set_variables(served: Sequence[Served], items: Iterable[Item], write: Write, edition: Edition) -> list[Payload]:
    """`setVariableResult`, one for each item, in their order; `write` is called for each value that may be."""
    return [_set(served, _members(item), write, edition) for item in items]


def _set(served: Sequence[Served], item: Item, write: Write, edition: Edition) -> Payload:
    found = _found(served, item)
    if isinstance(found, str):
        return _result(item, {"status": found})
    why = _written(found, value_of(item), write)
    return _result(item, with_reason("Accepted" if why is None else "Rejected", why, edition))


def refused(item: Item) -> Payload:
    """`setVariableResult` of a value that the station's own program could not take."""
    return _result(item, {"status": "Rejected"})


def is_unknown(result: Mapping[str, Any]) -> bool:
    """Whether an item is none of ours: then it is asked of the station's own device model."""
    return str(result.get("attributeStatus")).startswith("Unknown")


def report_data(served: Iterable[Served], *, settable_only: bool = False) -> list[Payload]:
    """`reportData` of NotifyReport. `settable_only`: for a ConfigurationInventory (B07)."""
    return [_reported(one) for one in served if not settable_only or one.mutability is not Mutability.read_only]


def _reported(one: Served) -> Payload:
    characteristics: Payload = {"dataType": one.data_type.value, "supportsMonitoring": False}
    for name, value in (("unit", one.unit), ("minLimit", one.lowest), ("maxLimit", one.highest)):
        if value not in ("", None):
            characteristics[name] = value
    if one.options:
        characteristics["valuesList"] = ",".join(one.options)
    attribute: Payload = {"type": "Actual", "mutability": one.mutability.value}
    if one.mutability is not Mutability.write_only:
        attribute["value"] = one.value
    if one.mutability is not Mutability.read_only:
        attribute["persistent"] = True
    component: Payload = {"name": one.component}
    if one.evse is not None:
        component["evse"] = {"id": one.evse}
    return {
        "component": component,
        "variable": {"name": one.variable},
        "variableAttribute": [attribute],
        "variableCharacteristics": characteristics,
    }


def names(items: Iterable[Item]) -> frozenset[str]:
    """The variables that are asked for, in small letters."""
    named = (_members(item).get("variable") for item in items)
    return frozenset(str(one.get("name")).lower() for one in named if isinstance(one, Mapping))


def value_of(item: Item) -> object:
    """The value that an item sets."""
    return item.get("attributeValue", item.get("attribute_value"))


def _members(item: object) -> Item:
    """What an item has; nothing where it is none, as a station may check no schema."""
    return item if isinstance(item, Mapping) else {}


def _type_of(item: Item) -> str:
    return str(item.get("attributeType") or item.get("attribute_type") or "Actual")


def _found(served: Sequence[Served], item: Item) -> Served | str:
    """The variable that an item names, or the status that says why there is none."""
    component, variable = item.get("component"), item.get("variable")
    if not isinstance(component, Mapping) or not isinstance(variable, Mapping):
        return "UnknownComponent"
    place = component.get("evse")
    evse = place.get("id") if isinstance(place, Mapping) else None
    named = (str(component.get("name")).lower(), evse)
    of_it = [one for one in served if (one.component.lower(), one.evse) == named]
    if not of_it or component.get("instance") is not None:
        return "UnknownComponent"
    wanted = str(variable.get("name")).lower()
    found = next((one for one in of_it if one.variable.lower() == wanted), None)
    if found is None or variable.get("instance") is not None:
        return "UnknownVariable"
    return found if _type_of(item) == "Actual" else "NotSupportedAttributeType"


def _result(item: Item, answer: Payload) -> Payload:
    found: Payload = {
        "attributeStatus": answer["status"],
        "attributeType": _type_of(item),
        "component": item.get("component"),
        "variable": item.get("variable"),
    }
    if "statusInfo" in answer:
        found["attributeStatusInfo"] = answer["statusInfo"]
    return found


# ---- 1.6


def get_configuration(served: Iterable[Served], keys: Sequence[str] | None) -> Payload:
    """GetConfiguration's answer: all keys where none is named. Those of the station's own come back as unknown."""
    by_key = {one.key.lower(): one for one in served}
    if not keys:
        return {"configurationKey": [_configured(one) for one in by_key.values()]}
    asked = [str(key) for key in keys]
    found = [by_key[key.lower()] for key in asked if key.lower() in by_key]
    unknown = [key for key in asked if key.lower() not in by_key]
    answer: Payload = {"configurationKey": [_configured(one) for one in found]}
    return {**answer, "unknownKey": unknown} if unknown else answer


def _configured(one: Served) -> Payload:
    configured: Payload = {"key": one.key, "readonly": one.mutability is Mutability.read_only}
    return configured if one.mutability is Mutability.write_only else {**configured, "value": one.value}


def change_configuration(served: Iterable[Served], key: str, value: object, write: Write) -> Payload:
    """ChangeConfiguration's answer; NotSupported where the key is none of ours."""
    found = next((one for one in served if one.key.lower() == str(key).lower()), None)
    if found is None:
        return {"status": "NotSupported"}
    return {"status": "Accepted" if _written(found, value, write) is None else "Rejected"}


# ---- writing


def _written(one: Served, value: object, write: Write) -> EvseSecurityError | None:
    """Set a variable. Returns why not."""
    try:
        if one.mutability is Mutability.read_only:
            raise ReadOnly(one.name)
        write(one, checked(one, value))
    except EvseSecurityError as why:
        return why
    return None


def checked(one: Served, value: object) -> str:
    """A value that a variable may have, by what the device model says of it. Raises `InvalidValue`."""
    if not isinstance(value, str) or len(value) > LONGEST_VALUE:
        raise InvalidValue(one.name, f"must be a text of at most {LONGEST_VALUE} characters")
    if one.options and value not in one.options:
        raise InvalidValue(one.name, f"must be one of {', '.join(one.options)}")
    if one.data_type is DataType.boolean and value.lower() not in ("true", "false"):
        raise InvalidValue(one.name, "must be true or false")
    if one.data_type is DataType.integer and not (value.isascii() and value.isdigit() and len(value) < 10):
        raise InvalidValue(one.name, "must be a whole number")
    _within(one, int(value) if one.data_type is DataType.integer else len(value))
    return value


def _within(one: Served, size: int) -> None:
    """What is between its limits: a number, or the length of a text."""
    if (one.lowest is None or one.lowest <= size) and (one.highest is None or size <= one.highest):
        return
    if one.highest is None:
        raise InvalidValue(one.name, f"must be at least {one.lowest}")
    characters = "" if one.data_type is DataType.integer else " characters"
    raise InvalidValue(one.name, f"must be from {one.lowest or 0} to {one.highest}{characters}")
