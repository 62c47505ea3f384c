"""Other people's words: how the store serves the protocols that use certificates."""
