"""How a signing request reaches a CA, and its answer the station: one port for each way."""
