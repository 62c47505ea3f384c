"""X.509 and its neighbours, as questions to bytes: nothing here knows files, clocks or the network."""
