"""What tests of MQTT use: one broker for all that do not need their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mqtt.broker import Mosquitto, broker


@pytest.fixture(scope="session")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with broker(tmp_path_factory.mktemp("mosquitto")) as running:
        yield running
