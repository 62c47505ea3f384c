"""Which chain a car is shown: the rule, without any TLS."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from evse_security.adapters.tls.hello import TLS_1_2, TLS_1_3, Hello
from evse_security.cars import EDITIONS, NO_EDITION, TLS
from evse_security.chains import Chain, Edition, Installed

VERSION = {Edition.ISO15118_2: TLS_1_2, Edition.ISO15118_20: TLS_1_3}
"""The version of TLS that an edition is served with, and no other (V2G20-2356: nothing of -20 below TLS 1.3)."""
_SCHEMES_20 = {"EC": 0x0603, "Ed448": 0x0808}
"""The signature schemes of ISO 15118-20 by the kind of key (RFC 8446 §4.2.3); in TLS 1.2 they bind no curve."""


class Offer(NamedTuple):
    """A chain that may be shown, and the edition that it is for."""

    chain: Chain
    edition: Edition


class Withheld(NamedTuple):
    """A leaf that is not shown to cars, and why."""

    leaf: str
    reason: str


class Choice(NamedTuple):
    """The chain for one handshake, and why that."""

    offer: Offer
    reason: str

    def __str__(self) -> str:
        edition = self.offer.edition
        return f"{EDITIONS[edition]} over {TLS[edition]}: {self.offer.chain}; {self.reason}"


class Demand(NamedTuple):
    """What a station demands of its chains."""

    secc_id: str | None
    """The common name of the leaf; None: any."""
    editions: Collection[Edition]
    require_ocsp: bool
    """Show no chain of which a certificate lacks a current response that calls it good."""


def offers(installed: Installed, demand: Demand) -> tuple[list[Offer], list[Withheld]]:
    """The chains that may be shown, newest first; and the others with the reason."""
    shown: list[Offer] = []
    withheld = [Withheld(f"{one.name}, serial {one.serial}", one.reason) for one in installed.unsent]
    for chain in installed.chains:
        edition = chain.edition
        if edition is None:
            withheld.append(Withheld(str(chain), NO_EDITION.format(chain.key_kind)))
        elif (objection := next(_objections(chain, edition, demand), None)) is not None:
            withheld.append(Withheld(str(chain), objection))
        else:
            shown.append(Offer(chain, edition))
    return shown, withheld


def _objections(chain: Chain, edition: Edition, demand: Demand) -> Iterator[str]:
    if edition not in demand.editions:
        yield f"{EDITIONS[edition]} is not served here"
    if demand.secc_id is not None and chain.common_name != demand.secc_id:
        yield f"it is not for the SECC {demand.secc_id!r}"
    if demand.require_ocsp:
        for one in chain.sent:
            if one.problem is not None:
                yield f"an OCSP response is required, and of {one.name} there is none: {one.problem}"


def choose(shown: Sequence[Offer], hello: Hello) -> Choice | str:
    """The chain for a car, or why there is none.

    Of those for versions and signatures that the car knows: one that leads to a CA that it names, where it names any;
    then ISO 15118-20 before -2; then the newest.
    """
    fitting = [one for one in shown if VERSION[one.edition] in hello.versions and _can_verify(hello, one)]
    if not fitting:
        return _why_none(shown, hello)
    if len(fitting) > 1:
        fitting.sort(key=lambda one: one.edition is not Edition.ISO15118_20)  # stable: newest first remains
    for offer in fitting:
        named = hello.named[VERSION[offer.edition]]
        if not named:
            return Choice(offer, "the newest; the car names no root")
        for authority in offer.chain.authorities:
            found = next((one for one in named if one.is_named(authority)), None)
            if found is not None:
                return Choice(offer, f"the newest under {authority.name}, which the car names by {found.by.value}")
    return Choice(fitting[0], "the newest, as none leads to a root that the car names")


def _can_verify(hello: Hello, offer: Offer) -> bool:
    """Whether the car knows such signatures. One that says nothing of it is left to OpenSSL."""
    if offer.edition is Edition.ISO15118_2 or not hello.schemes:
        return True
    return _SCHEMES_20[offer.chain.key_kind.partition(" ")[0]] in hello.schemes


def _why_none(shown: Sequence[Offer], hello: Hello) -> str:
    if not shown:
        return "there is no chain that may be shown"
    known = (
        ", ".join(TLS[edition] for edition, version in VERSION.items() if version in hello.versions)
        or "neither TLS 1.2 nor 1.3"
    )
    served = ", ".join(sorted({EDITIONS[one.edition] for one in shown}))
    return f"the car knows {known}, and the chains here are for {served} (or it cannot verify their signatures)"
