"""A station that enrols itself with a CSMS over TLS, both in this program. Needs the extra `evse-security[ocpp]`."""

import asyncio
import ssl
import tempfile
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from ocpp.routing import on
from ocpp.v201 import ChargePoint, call, call_result
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from evse_security import CaCertificateType, LeafCertificateType, Station, StationConfig
from evse_security.adapters.ocpp import CertificateHandlers201, CertificatePolicy, Certificates, Edition
from evse_security.adapters.ocpp.connector import Connector, Endpoint
from evse_security.lab.authority import LEAF, ROOT_CA, name, self_signed
from evse_security.lab.keys import KeyKind, generate_key

VALID = {"not_before": datetime(2026, 1, 1, tzinfo=UTC), "not_after": datetime(2050, 1, 1, tzinfo=UTC)}
ROOT = self_signed(generate_key(KeyKind.SECP256R1), replace(ROOT_CA, subject=name(CN="Example Root"), **VALID))
BOOT = call.BootNotification(charging_station={"model": "M", "vendor_name": "V"}, reason="PowerUp")
ENROL = frozenset({LeafCertificateType.CSMS})


class Csms(ChargePoint):
    """The other side: it signs what it is asked to sign."""

    async def start(self):
        with suppress(ConnectionClosed):
            await super().start()

    @on("BootNotification")
    def on_boot(self, **_):
        return call_result.BootNotification(current_time=datetime.now(UTC).isoformat(), interval=300, status="Accepted")

    @on("SignCertificate")
    def on_sign(self, csr, **_):
        print("CSMS: asked to sign", x509.load_pem_x509_csr(csr.encode()).subject.rfc4514_string())
        signed = call.CertificateSigned(certificate_chain=ROOT.answer(csr, replace(LEAF, **VALID)))
        self.signing = asyncio.create_task(self.call(signed))
        return call_result.SignCertificate(status="Accepted")


class MyStation(CertificateHandlers201, ChargePoint):
    """Yours, with one base class more."""


async def main(folder: Path) -> None:
    server = ROOT.issue(ROOT.key, replace(LEAF, alternative_names=(x509.DNSName("localhost"),), **VALID))
    (folder / "server.pem").write_text(server.pem + server.key_pem())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "server.pem")
    async with serve(lambda ws: Csms("CS1", ws).start(), "127.0.0.1", 0, ssl=tls, subprotocols=["ocpp2.0.1"]) as csms:
        with Station.open(StationConfig.under(folder / "certs")) as store:
            store.interface().install_ca_certificate(certificate=ROOT.pem, certificate_type=CaCertificateType.CSMS)
            policy = CertificatePolicy(edition=Edition.V201, organization="O", serial_number="CS1", enrol=ENROL)
            certificates = Certificates(store, policy=policy, directory=folder / "state")

            async def speak(connection) -> None:
                station = MyStation("CS1", connection, certificates=certificates)
                await asyncio.gather(station.start(), station.call(BOOT))

            endpoint = Endpoint(url=f"wss://localhost:{csms.sockets[0].getsockname()[1]}/CS1", profile=2)
            connecting = asyncio.create_task(Connector(endpoint, certificates, speak).run())
            while await certificates.client_certificate() is None:
                await asyncio.sleep(0.1)
            for root in (tree for domain in store.overview().domains for tree in domain.trees):
                print("station has", *(f"{one.name} ({one.because})" for one in (root, *root.children)), sep="\n  ")
            connecting.cancel()
            await asyncio.wait({connecting})
            certificates.close()


with tempfile.TemporaryDirectory() as place:
    asyncio.run(main(Path(place)))
