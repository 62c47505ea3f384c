"""What watches over the station by itself: renewal of leaves, OCSP responses, garbage, the clock, files placed by hand.

Each agent is a part (`service.parts`). What is to be done is decided by pure rules that are given the time.
"""
