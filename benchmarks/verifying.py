"""verify_certificate beside OpenSSL itself, for bundles of more and more roots, of chains that were not seen before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import cycle
from pathlib import Path

from OpenSSL import crypto

from benchmarks.measure import Bound, Row, Target, in_turns, paired
from benchmarks.plan import Plan
from benchmarks.stores import NOW, V2G_BUNDLE, Stores, config_under, leaf_template
from evse_security import CertificateValidationResult, LeafCertificateType, Station
from evse_security.lab.authority import SUB_CA, name
from evse_security.lab.hierarchy import Pki
from evse_security.lab.keys import KeyKind, generate_key

GROUP = "verify_certificate"
CHAINS = 200
"""Different leaves of one sub-CA, used in turn: of each, nothing is known any more when it comes again."""
STRANGERS = 300
"""Different chains with sub-CAs of their own, used in turn: more than any memory of the library has room for."""
TARGET = Target(Bound.RATIO, 1.3)
FLOORS = "beside OpenSSL, chain loaded already", "beside OpenSSL, chain loaded from PEM"
END = b"-----END CERTIFICATE-----\n"


def rows(plan: Plan, stores: Stores) -> Iterator[Row]:
    """Twice for each size and kind of chain: the floor with certificates that are loaded, and loading them as well."""
    kinds = {
        "": [stores.leaf_files(number)[1].read_text() for number in range(CHAINS)],
        "sub-CAs new, too; ": [_stranger(stores.pki, number) for number in range(STRANGERS)],
    }
    for roots in plan.roots:
        with stores.store(20, roots) as directory:
            for kind, texts in kinds.items():
                samples = _in_turns(directory, texts, plan.seconds)
                for floor in FLOORS:
                    yield paired(
                        samples["ours"],
                        samples[floor],
                        group=GROUP,
                        what=f"{kind}{floor}",
                        size=f"{roots} roots",
                        floor_is="OpenSSL by pyOpenSSL, prepared store",
                        target=TARGET,
                    )


def _stranger(pki: Pki, number: int) -> str:
    """A chain of which nobody has seen any certificate but the root."""
    issuer = pki["V2G_ROOT_CA"]
    for tier in (1, 2):
        subject = name(CN=f"Stranger {number} Sub-CA {tier}", O="Benchmark", C="DE", DC="V2G")
        begin, end = NOW - timedelta(days=1), NOW + timedelta(days=700)
        template = replace(SUB_CA, subject=subject, not_before=begin, not_after=end)
        issuer = issuer.issue(generate_key(KeyKind.SECP256R1), template)
    return issuer.issue(generate_key(KeyKind.SECP256R1), leaf_template(10**6 + number)).chain_pem()


def _in_turns(directory: Path, texts: list[str], seconds: float) -> dict[str, list[float]]:
    prepared = _prepared((directory / V2G_BUNDLE).read_text())
    ours, loaded, again = cycle(texts), cycle([_load(text) for text in texts]), cycle(texts)
    with Station.open(config_under(directory)) as station:
        interface = station.interface()

        def measured() -> None:
            answer = interface.verify_certificate(
                certificate_chain=next(ours), certificate_types=(LeafCertificateType.V2G,)
            )
            assert answer is CertificateValidationResult.Valid

        return in_turns(
            {
                "ours": measured,
                FLOORS[0]: lambda: _verify(prepared, next(loaded)),
                FLOORS[1]: lambda: _verify(prepared, _load(next(again))),
            },
            seconds=seconds,
        )


def _load(text: str) -> list[crypto.X509]:
    parts = text.encode().split(END)[:-1]
    return [crypto.load_certificate(crypto.FILETYPE_PEM, part + END) for part in parts]


def _prepared(bundle: str) -> crypto.X509Store:
    store = crypto.X509Store()
    for root in _load(bundle):
        store.add_cert(root)
    store.set_time(NOW)
    return store


def _verify(prepared: crypto.X509Store, chain: list[crypto.X509]) -> None:
    crypto.X509StoreContext(prepared, chain[0], chain[1:]).verify_certificate()
