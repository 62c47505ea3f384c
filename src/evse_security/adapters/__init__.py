"""The words of others: what a station speaks besides the interface, each protocol in a room of its own."""
