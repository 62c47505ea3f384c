"""Connections over TLS, with the files that the station keeps. Each returns what was agreed on, or "refused"."""

from __future__ import annotations

import os
import ssl

from evse_security.demo import peers
from evse_security.demo.acts import leaf_info, pair_of_secc
from evse_security.demo.stage import Missing, Stage


def serve_car(stage: Stage, domain: str) -> str:
    """Let a car that trusts one root connect to the station."""
    pair = pair_of_secc(stage, "PEM")
    server = peers.secc(peers.Files(pair["certificate"], pair["key"], pair.get("password")))
    return _shaken(server, peers.car(stage.cast.root(domain)))


def call_csms(stage: Stage) -> str:
    """Connect to the CSMS as an OCPP client: both ends show a certificate."""
    server = stage.cast.issued("CSMS_SERVER")
    both = server.chain_pem() + server.key_pem()
    with open(os.open(stage.home.tls_server, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(both)
    own = leaf_info(stage, "CSMS")
    roots = stage.call("get_verify_file", certificate_type="CSMS")
    if not roots:
        raise Missing("get_verify_file named no path")
    return _shaken(
        peers.csms(peers.Files(stage.home.tls_server, stage.home.tls_server), stage.cast.root("CSMS")),
        peers.ocpp_client(peers.Files(own["certificate"], own["key"], own.get("password")), roots),
        "localhost",
    )


def _shaken(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None = None) -> str:
    try:
        return peers.handshake(server, client, name)
    except ssl.SSLCertVerificationError:
        return "refused"
