"""The EVerest module `EvseSecurity`: EVerest's protocol between modules, spoken over MQTT without its libraries.

`surroundings` is what the manager says at the start, `wire` its messages in every generation (nothing but data),
`configuration` how its keys become ours, `protocol` the life of a module, `run` the process. `framework` is the same
on everestpy, where that is asked for; `manifest` and `installation` put the module where the manager finds it.
"""
