"""What tests of the module use."""

from tests.mqtt.conftest import mosquitto

__all__ = ["mosquitto"]
