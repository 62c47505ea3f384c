"""The module's manifest, in which EVerest's manager reads what it is and which keys it has."""

from __future__ import annotations

import json
from collections.abc import Iterator

from evse_security.everest.configuration import everest_keys
from evse_security.everest.wire import IMPLEMENTATION, INTERFACE

_DESCRIPTION = (
    "The security module of a charging station: certificates, their keys, signing requests and OCSP responses. "
    "It takes the place of EVerest's own EvseSecurity; the first nine keys are that one's, the others are optional."
)


def manifest() -> str:
    """The text of manifest.yaml."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield f"description: {json.dumps(_DESCRIPTION)}"
    yield "config:"
    for key in everest_keys():
        yield f"  {key.name}:"
        yield f"    description: {json.dumps(key.description)}"
        yield f"    type: {key.type}"
        yield f"    default: {json.dumps(key.default)}"
    yield "provides:"
    yield f"  {IMPLEMENTATION}:"
    yield '    description: "The evse_security interface."'
    yield f"    interface: {INTERFACE}"
    yield "metadata:"
    yield "  license: https://www.apache.org/licenses/LICENSE-2.0"
    yield "  authors:"
    yield "    - evse-security"
