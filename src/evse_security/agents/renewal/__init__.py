"""Renewal of the station's own leaves: when to ask, what was asked, and who carries the request to a CA."""
