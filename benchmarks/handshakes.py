"""TLS handshakes of a SECC that follows its store, beside a bare SSLContext with the same leaf and settings."""

from __future__ import annotations

import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.measure import Bound, Row, Target, in_turns, paired
from benchmarks.plan import Plan
from benchmarks.stores import Stores
from evse_security import Station, StationConfig
from evse_security.adapters.iso15118 import server_context
from evse_security.adapters.tls.libssl import libssl, pointer
from evse_security.adapters.tls.material import SUITES_2
from evse_security.lab.hierarchy import Edition, Pki, make_pki
from evse_security.lab.layouts import write_everest
from evse_security.lab.ocsp import ID_HASHES, ResponseTemplate

GROUP = "a TLS handshake (ISO 15118-2), both sides, CPU time"
TARGET = Target(Bound.SPEED, 0.9)
_SET_STATUS_TYPE, _OCSP = 65, 1
"""SSL_CTRL_SET_TLSEXT_STATUS_REQ_TYPE of a client's context, of which `ssl` knows nothing."""


def rows(plan: Plan, stores: Stores) -> Iterator[Row]:
    """Without stapling; with it, for a car that asks; each in turns with a bare context."""
    now = datetime.now(UTC).replace(microsecond=0)  # OpenSSL has no other clock
    pki = make_pki(Edition.ISO15118_2, now=now)
    with stores.scratch() as directory:
        write_everest(pki, directory / "certs")
        with Station.open(StationConfig.under(directory / "certs")) as station:
            ours, bare = server_context(station), _bare(directory / "certs/client/cso")
            yield _row(plan, "no response cached", ours, bare, _car())
            _answer(station, pki, now)
            assert all(one.response for one in ours.offers[0].chain.sent)
            asking = _car()
            libssl()._library.SSL_CTX_ctrl(pointer(asking), _SET_STATUS_TYPE, _OCSP, None)
            yield _row(plan, "stapled", ours, bare, asking)


def _row(plan: Plan, what: str, ours: ssl.SSLContext, bare: ssl.SSLContext, car: ssl.SSLContext) -> Row:
    taken = in_turns(
        {"ours": lambda: _handshake(ours, car), "bare": lambda: _handshake(bare, car)},
        seconds=4 * plan.seconds,
        clock=time.process_time,  # nothing here waits, so on a machine with other work this is the time that it takes
    )
    names = {"group": GROUP, "what": what, "size": "1 leaf", "floor_is": "a bare SSLContext"}
    return paired(taken["ours"], taken["bare"], target=TARGET, **names)


def _bare(leaves: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaves / "CPO_CERT_CHAIN.pem", leaves / "SECC_LEAF.key")
    context.options |= ssl.OP_NO_TICKET
    context.set_ciphers(SUITES_2)
    context.set_ecdh_curve("prime256v1")
    return context


def _car() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """Both sides in this process, without a network."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    waiting = [client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)


def _answer(station: Station, pki: Pki, now: datetime) -> None:
    template = ResponseTemplate(
        this_update=now - timedelta(hours=1), next_update=now + timedelta(days=1), hash_algorithm=ID_HASHES["SHA256"]
    )
    commands = station.interface()
    for asked in commands.get_v2g_ocsp_request_data().ocsp_request_data_list:
        wanted = asked.certificate_hash_data
        assert wanted is not None
        response = pki.ocsp_response(wanted.issuer_name_hash, wanted.issuer_key_hash, wanted.serial_number, template)
        commands.update_ocsp_cache(certificate_hash_data=wanted, ocsp_response=b64encode(response).decode("ascii"))
