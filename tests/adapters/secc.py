"""A station with leaves of ISO 15118-2 and -20, the SECC that serves them, and cars that nobody here wrote.

The times are those of the machine: OpenSSL's programs have no other clock.
"""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography.x509.ocsp import OCSPCertStatus

from evse_security import Station, StationConfig
from evse_security.adapters.iso15118 import SeccContext
from evse_security.errors import CommandRefused
from evse_security.lab.authority import Entity, name, self_signed
from evse_security.lab.hierarchy import Edition, Pki, Variant, make_pki, template_of
from evse_security.lab.keys import KeyKind
from evse_security.lab.ocsp import ID_HASHES, ResponseTemplate
from tests.agents.stations import put
from tests.builders import key_source

NOW = datetime.now(UTC).replace(microsecond=0)
GREETING = b"the SECC is here\n"
HOUR = timedelta(hours=1)
P256, P521, ED448 = KeyKind.SECP256R1, KeyKind.SECP521R1, KeyKind.ED448


@cache
def pki(kind: KeyKind) -> Pki:
    """The hierarchy of the edition that has such keys; every one of this process has its own V2G root."""
    edition = Edition.ISO15118_2 if kind is P256 else Edition.ISO15118_20
    return make_pki(edition, now=NOW, key_kind=kind, keys=lambda use, holder: key_source(use, f"{kind} {holder}"))


def under_another_root(kind: KeyKind, common_name: str) -> tuple[Entity, Entity]:
    """A V2G root of that name, and the SECC leaf that it issued itself."""
    edition = Edition.ISO15118_2 if kind is P256 else Edition.ISO15118_20
    subject = name(CN=common_name, DC="V2G")
    root = self_signed(
        key_source(kind, common_name),
        replace(template_of("V2G_ROOT_CA", edition, Variant.ORDINARY, now=NOW), subject=subject),
    )
    template = template_of("SECC_LEAF", edition, Variant.ORDINARY, now=NOW)
    return root, root.issue(key_source(kind, f"SECC under {common_name}"), template)


class Site:
    """A station's directory, and a place for what cars bring."""

    def __init__(self, directory: Path) -> None:
        self.certs, self.cars = directory / "certs", directory / "cars"
        self.cars.mkdir(parents=True)
        self.now = NOW
        self.roots: list[Entity] = []

    def open(self) -> Station:
        return Station.open(StationConfig.under(self.certs, clock=lambda: self.now))

    def trust(self, *roots: Entity) -> None:
        self.roots += roots
        put(self.certs, "ca/v2g/V2G_ROOT_CA.pem", "".join(root.pem for root in self.roots))

    def install(self, leaf: Entity, called: str) -> None:
        """The key before the certificate, as everybody should."""
        put(self.certs, f"client/cso/{called}.key", leaf.key_pem()).chmod(0o600)
        put(self.certs, f"client/cso/{called}.pem", leaf.chain_pem())

    def stock(self, *kinds: KeyKind) -> None:
        """The SECC leaf and the V2G root of these hierarchies."""
        self.trust(*(pki(kind)["V2G_ROOT_CA"] for kind in kinds))
        for kind in kinds:
            self.install(pki(kind)["SECC_LEAF"], f"SECC_{kind}")

    def root_file(self, root: Entity) -> str:
        return self.car_file("root.pem", root.pem)

    def car_file(self, name: str, content: str) -> str:
        path = self.cars / name
        path.write_text(content)
        return str(path)

    def oem_roots(self, kind: KeyKind = P521) -> Path:
        return Path(self.car_file("oem_roots.pem", pki(kind)["OEM_ROOT_CA"].pem))

    def car(self, kind: KeyKind = P521) -> list[str]:
        """The options by which s_client shows the certificate of a car."""
        leaf = pki(kind)["OEM_LEAF"]
        chain, key = self.car_file("car.pem", leaf.chain_pem()), self.car_file("car.key", leaf.key_pem())
        return ["-cert", chain, "-cert_chain", chain, "-key", key]


def answer(
    station: Station,
    kind: KeyKind,
    since: datetime = NOW - HOUR,
    until: datetime = NOW + 7 * 24 * HOUR,
    status: OCSPCertStatus = OCSPCertStatus.GOOD,
    of: int | None = None,
) -> None:
    """Have all OCSP responders say the same of the SECC chain, or that of one certificate: 0 is the leaf."""
    template = ResponseTemplate(this_update=since, next_update=until, status=status, hash_algorithm=ID_HASHES["SHA256"])
    commands = station.interface()
    questions = commands.get_v2g_ocsp_request_data().ocsp_request_data_list
    for asked in questions if of is None else questions[of : of + 1]:
        wanted = asked.certificate_hash_data
        assert wanted is not None
        response = pki(kind).ocsp_response(
            wanted.issuer_name_hash, wanted.issuer_key_hash, wanted.serial_number, template
        )
        with suppress(CommandRefused):  # asked about another hierarchy
            commands.update_ocsp_cache(certificate_hash_data=wanted, ocsp_response=b64encode(response).decode("ascii"))


@contextmanager
def listening(context: ssl.SSLContext) -> Iterator[int]:
    """A SECC that greets whoever gets through its TLS, on a port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(8) as cars:
        accepting = threading.Thread(target=_accept, args=(server, context, cars))
        accepting.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            accepting.join()


def _accept(server: socket.socket, context: ssl.SSLContext, cars: ThreadPoolExecutor) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            cars.submit(_greet, connection, context)


def _greet(connection: socket.socket, context: ssl.SSLContext) -> None:
    with connection:
        connection.settimeout(20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
            secured.sendall(GREETING)
            secured.unwrap()


def s_client(port: int, *options: str, ending: str | None = None) -> str:
    """What OpenSSL's client says of a connection; it waits for the other side to end it, unless told to."""
    program = shutil.which("openssl") or pytest.skip("no openssl here")
    waiting = ["-ign_eof"] if ending is None else []
    ran = subprocess.run(
        [program, "s_client", "-connect", f"127.0.0.1:{port}", "-status", *waiting, *options],
        input=ending or "",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.stdout + ran.stderr


def gets_through(said: str) -> bool:
    return GREETING.decode() in said


def nothing_stapled(said: str) -> bool:
    """In the words of OpenSSL before 3.6, and of later ones."""
    return re.search(r"^OCSP responses?: no ", said, re.MULTILINE) is not None


def secc(context: SeccContext) -> list[str]:
    """The editions that it would serve, newest leaf first."""
    return [offer.edition.name for offer in context.offers]
