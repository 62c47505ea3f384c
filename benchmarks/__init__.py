"""What a station waits for, measured against floors of the same run: `python -m benchmarks`."""
