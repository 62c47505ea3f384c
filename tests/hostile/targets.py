"""All that is tried."""

from __future__ import annotations

from tests.hostile import api, commands, configured, handshakes, keys, pki, stores
from tests.hostile.target import Target

TARGETS: dict[str, Target] = {
    **pki.TARGETS,
    **keys.TARGETS,
    **configured.TARGETS,
    **api.TARGETS,
    **commands.TARGETS,
    **handshakes.TARGETS,
    **stores.TARGETS,
}
"""What is tried in the tests, and for longer by `make fuzz`."""

RACES = stores.RACES
"""What `make fuzz` tries besides."""
