"""The certificates of a station that is in use, and of some that are not installed."""

from tests.builders import DAY, NOW, World, world

PAST = {"not_before": NOW - 400 * DAY, "not_after": NOW - 40 * DAY}


def station_pki() -> World:
    """For `site.furnish`; NewRoot, Fresh and Lonely with hers are not installed."""
    below = ("SECC", "Older", "Expired", "Keyless", "Waiting", "Fresh")
    return world(
        *(f"V2GRoot > SubCA1 > SubCA2 > {leaf}" for leaf in below),
        "OldRoot",
        "CSMSRoot > CSMSSub > CSMSLeaf",
        "MORoot > MOSub >",
        "NewRoot",
        "Lonely > LonelySub > LonelyLeaf",
        OldRoot=PAST,
        Expired=PAST,
        Older={"not_after": NOW + 20 * DAY},
        CSMSLeaf={"not_after": NOW + 9 * DAY},
        SECC={"responder_urls": ("http://ocsp.example/",)},
    )
