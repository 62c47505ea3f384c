"""The daemon: one station, its commands served by many transports and its certificates watched over.

`service` is what transports and agents share: the one worker and the stream of events. `parts` are what runs beside
each other, each of which fails and begins again by itself; `run` puts them together from the configuration.
"""
