"""The life of a charging station, played on a real directory with the interface's own commands.

`home` is the directory that is kept between runs, `cast` plays everyone but the station, `acts` are what can be done,
`scenes` is the play itself, a table of steps with their expected answers, `peers` are the two ends of TLS, and `play`
performs and tells it.
"""
