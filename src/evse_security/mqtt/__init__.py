"""The commands over MQTT: EVerest API v1 and EVerest's own protocol between modules.

`connection` is what a protocol is spoken on, `client` the part that connects, reconnects and speaks it.
"""
