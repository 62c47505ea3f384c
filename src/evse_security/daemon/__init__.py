"""The program `evse-security serve`: what runs in it (`parts`), from its start to its end (`life`).

`notify` talks to systemd, `logs` writes what is logged, `shield` keeps secrets out of core dumps.
"""
