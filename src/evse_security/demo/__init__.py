"""The life of a charging station, played on a real directory with the interface's own commands.

`home` is the directory that is kept between runs, `cast` plays everyone but the station, `acts` are what can be done,
`connections` the ones over TLS with `peers` at their ends, `scenes` is the play itself, a table of steps with their
expected answers, and `play` performs and tells it.
"""
