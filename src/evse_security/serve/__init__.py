"""The interface on a wire: it knows the declaration, never the station."""
