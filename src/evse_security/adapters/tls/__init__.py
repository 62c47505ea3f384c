"""TLS from the store: the server of an SECC, which shows each car a chain that it can verify; the client of a CSMS."""
