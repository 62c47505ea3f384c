"""Which chain cars are shown, edition by edition, and why the others are not: for people. TLS itself chooses anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evse_security.chains import Chain, Edition, Installed

EDITIONS = {Edition.ISO15118_2: "ISO 15118-2", Edition.ISO15118_20: "ISO 15118-20"}
TLS = {Edition.ISO15118_2: "TLS 1.2", Edition.ISO15118_20: "TLS 1.3"}
"""The version of TLS that an edition is served with."""
KEYS = {Edition.ISO15118_2: "secp256r1", Edition.ISO15118_20: "secp521r1 or Ed448"}
NO_EDITION = "its key ({}) is of no edition of ISO 15118"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a car of one edition is shown that names no root."""

    edition: str
    tls: str
    chain: str | None
    fingerprint: str | None
    """Of the leaf."""
    reason: str
    ocsp: str | None
    """Whether a response is stapled, and why not."""

    def __str__(self) -> str:
        facts = self.reason if self.chain is None else f"{self.chain}; {self.reason}; {self.ocsp}"
        return f"{self.edition} over {self.tls}: {facts}"


@dataclass(frozen=True, slots=True)
class NotShown:
    """A leaf that such cars are not shown, and why."""

    leaf: str
    reason: str

    def __str__(self) -> str:
        return f"{self.leaf}: {self.reason}"


@dataclass(frozen=True, slots=True)
class ShownToCars:
    """What cars are shown now."""

    editions: tuple[Shown, ...]
    others: tuple[NotShown, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is no leaf at all."""
        return not self.others and all(one.chain is None for one in self.editions)


def shown_to_cars(installed: Installed) -> ShownToCars:
    """What cars of each edition are shown that name no root: the newest; and why the others are not."""
    editions = {edition: [one for one in installed.chains if one.edition is edition] for edition in EDITIONS}
    others = [NotShown(f"{one.name}, serial {one.serial}", one.reason) for one in installed.unsent]
    others += [
        NotShown(str(chain), NO_EDITION.format(chain.key_kind)) for chain in installed.chains if chain.edition is None
    ]
    others += [one for chains in editions.values() for one in _older(chains)]
    return ShownToCars(tuple(_newest(edition, chains) for edition, chains in editions.items()), tuple(others))


def _newest(edition: Edition, chains: list[Chain]) -> Shown:
    name, tls = EDITIONS[edition], TLS[edition]
    if not chains:
        return Shown(name, tls, None, None, f"none, as no leaf with {KEYS[edition]} verifies now", None)
    first, leaf = chains[0], chains[0].sent[0]
    reason = "the only one" if len(chains) == 1 else f"the newest of {len(chains)}"
    ocsp = "its OCSP response is stapled" if leaf.response is not None else f"nothing is stapled: {leaf.problem}"
    return Shown(name, tls, str(first), first.fingerprint, f"{reason} that verifies now", ocsp)


def _older(chains: list[Chain]) -> Iterator[NotShown]:
    known = set(chains[0].authorities) if chains else set()
    kinds = {one.key_kind for one in chains[:1]}
    for chain in chains[1:]:
        new = [one.name for one in chain.authorities if one not in known]
        if new:
            reason = f"a newer one is shown, but to cars that name {' or '.join(new)}"
        elif chain.key_kind not in kinds:
            reason = f"a newer one is shown, but to cars that verify {chain.key_kind} alone"
        else:
            reason = "a newer one under the same CAs is shown"
        known.update(chain.authorities)
        kinds.add(chain.key_kind)
        yield NotShown(str(chain), reason)
