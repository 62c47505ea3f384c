"""Warm reading: every reading command on a store in which nothing changes."""

from __future__ import annotations

import gc
import pickle
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final, NamedTuple

from benchmarks.measure import Bound, Call, Row, Target, in_turns, paired
from benchmarks.plan import Plan
from benchmarks.stores import SETTLE, Stores, config_under
from evse_security import (
    CaCertificateType,
    CertificateType,
    EncodingFormat,
    GetInstalledCertificatesResult,
    LeafCertificateType,
    OCSPRequestDataList,
    Station,
)
from evse_security.lab.hierarchy import Pki

GROUP = "warm reading"
PER_CERTIFICATE = 15e-6
OWN_COST = 100e-6
GROWTH = Target(Bound.RATIO, 1.5)
V2G: Final = LeafCertificateType.V2G
ROOTS = (CertificateType.V2GRootCertificate, CertificateType.MORootCertificate, CertificateType.CSMSRootCertificate)


class Commands(NamedTuple):
    """The reading commands of one station by name: those whose answer is as long on every store, and the others."""

    steady: dict[str, Call]
    growing: dict[str, Call]

    def that_write_nothing(self) -> list[Call]:
        """All of them but those that make copies in DER."""
        return [call for what, call in (*self.steady.items(), *self.growing.items()) if "DER" not in what]


def commands_of(station: Station, pki: Pki) -> Commands:
    """Each reading command with its usual arguments, in its newest revision (the oldest where it is gone since)."""
    today, older = station.interface("2026-04"), station.interface("2023-10")
    pem, der, trusted = EncodingFormat.PEM, EncodingFormat.DER, CaCertificateType.V2G
    leaf, contract = pki["SECC_LEAF"].chain_pem(), pki["CONTRACT_LEAF"].chain_pem()
    steady: dict[str, Call] = {
        "get_key_pair": lambda: older.get_key_pair(certificate_type=V2G, encoding=pem),
        "get_key_pair (DER)": lambda: older.get_key_pair(certificate_type=V2G, encoding=der),
        "get_leaf_certificate_info": lambda: today.get_leaf_certificate_info(
            certificate_type=V2G, encoding=pem, include_ocsp=True
        ),
        "get_all_valid_certificates_info": lambda: today.get_all_valid_certificates_info(
            certificate_type=V2G, encoding=pem, include_ocsp=True
        ),
        "get_leaf_expiry_days_count": lambda: today.get_leaf_expiry_days_count(certificate_type=V2G),
        "is_ca_certificate_installed": lambda: today.is_ca_certificate_installed(certificate_type=trusted),
        "get_verify_file": lambda: today.get_verify_file(certificate_type=trusted),
        "get_verify_location": lambda: today.get_verify_location(certificate_type=trusted),
        "get_installed_certificates (roots)": lambda: today.get_installed_certificates(certificate_types=ROOTS),
        "get_mo_ocsp_request_data": lambda: today.get_mo_ocsp_request_data(certificate_chain=contract),
        "verify_certificate": lambda: today.verify_certificate(certificate_chain=leaf, certificate_types=(V2G,)),
    }
    growing: dict[str, Call] = {
        "get_installed_certificates (all)": lambda: today.get_installed_certificates(
            certificate_types=tuple(CertificateType)
        ),
        "get_v2g_ocsp_request_data": today.get_v2g_ocsp_request_data,
        "get_ocsp_request_data": older.get_ocsp_request_data,
    }
    return Commands(steady, growing)


def certificates_in(answer: object) -> int:
    """How many certificates an answer names."""
    if isinstance(answer, GetInstalledCertificatesResult):
        chains = answer.certificate_hash_data_chain
        return sum(1 + len(chain.child_certificate_hash_data or ()) for chain in chains)
    assert isinstance(answer, OCSPRequestDataList)
    return len(answer.ocsp_request_data_list)


def rows(plan: Plan, stores: Stores) -> Iterator[Row]:
    """Growth from the smallest store, own cost at the largest, and the cost of each certificate in an answer."""
    with ExitStack() as stack:
        stations = {
            size: stack.enter_context(Station.open(config_under(stack.enter_context(stores.store(size)))))
            for size in plan.leaves
        }
        commands = {size: commands_of(station, stores.pki) for size, station in stations.items()}
        # What a store holds is not collected over and over while another is measured; answers are, as in real life.
        for each in commands.values():
            for call in (*each.steady.values(), *each.growing.values()):
                call()
        time.sleep(SETTLE)  # copies in DER were made
        gc.collect()
        gc.freeze()
        for what in commands[plan.leaves[0]].steady:
            yield from _steady(what, {size: each.steady[what] for size, each in commands.items()}, plan.seconds)
        for what in commands[plan.leaves[0]].growing:
            yield from _growing(what, {size: each.growing[what] for size, each in commands.items()}, plan.seconds)
    gc.unfreeze()


def _rebuilding(call: Call) -> Call:
    """What an answer's own bytes cost: building an equal one from its serialised form."""
    serialised = pickle.dumps(call())
    return lambda: pickle.loads(serialised)  # noqa: S301  # our own


def _steady(what: str, calls: dict[int, Call], seconds: float) -> Iterator[Row]:
    largest = max(calls)
    timed = {str(size): call for size, call in calls.items()}
    samples = in_turns({**timed, "answer": _rebuilding(calls[largest])}, seconds=seconds)
    smallest = str(min(calls))
    for size in calls:
        yield paired(
            samples[str(size)],
            samples[smallest],
            group=GROUP,
            what=what,
            size=f"{size} leaves",
            floor_is=f"the same at {smallest}",
            target=GROWTH if size == largest else None,
        )
    yield paired(
        samples[str(largest)],
        samples["answer"],
        group=GROUP,
        what=f"{what}, own cost",
        size=f"{largest} leaves",
        floor_is="the answer's bytes",
        target=None if what == "verify_certificate" else Target(Bound.ABOVE_FLOOR, OWN_COST),
    )


def _growing(what: str, calls: dict[int, Call], seconds: float) -> Iterator[Row]:
    for size, call in calls.items():
        count = certificates_in(call())
        samples = in_turns({"measured": call, "answer": _rebuilding(call)}, seconds=seconds)
        yield paired(
            samples["measured"],
            samples["answer"],
            group=GROUP,
            what=f"{what}, {count} certificates",
            size=f"{size} leaves",
            floor_is="the answer's bytes",
            target=Target(Bound.MEASURED, PER_CERTIFICATE * count),
        )
