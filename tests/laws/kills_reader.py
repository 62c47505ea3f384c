"""Somebody who reads all the time while others are killed, as a TLS server and OpenSSL read: files that are offered."""

from __future__ import annotations

import os
import select
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from evse_security import Station
from evse_security.vocabulary import CertificateType, EncodingFormat, GetCertificateInfoStatus
from tests.laws import children
from tests.laws import kills_stores as big
from tests.laws.stores import V2G, V2G_CA, Prepared

PAUSE = 0.05
"""Seconds between two looks: the commands shall have the processor, too."""


def listing(station: Station) -> str:
    """All that is installed, in the station's own words."""
    return repr(station.interface().get_installed_certificates(certificate_types=tuple(CertificateType)))


class Reader:
    """A process with a station of its own, that lives as long as the campaign."""

    def __init__(self, store: Prepared) -> None:
        """Start it."""
        asked, self._ask = os.pipe()
        self._told, tell = os.pipe()
        self._ends = self._ask, self._told
        self._child = children.start(lambda: self._read(store.station(), asked, tell))
        os.close(asked)
        os.close(tell)

    def _read(self, station: Station, asked: int, tell: int) -> None:
        for end in self._ends:
            os.close(end)
        while True:
            if select.select([asked], [], [], PAUSE)[0]:
                if not os.read(asked, 1):
                    return
                text = listing(station).encode()
                os.write(tell, b"%d\n" % len(text))
                sent = 0
                while sent < len(text):
                    sent += os.write(tell, text[sent:])
            look(station)

    def compare(self, truth: str) -> None:
        """Demand that it sees now what somebody sees who has just come."""
        os.write(self._ask, b".")
        size = b""
        while not size.endswith(b"\n"):
            piece = os.read(self._told, 1)
            assert piece, "the reader was offered something broken, see above"
            size += piece
        text = b""
        while len(text) < int(size):
            text += os.read(self._told, 1 << 16)
        assert text.decode() == truth, "a stale answer"

    def close(self) -> None:
        """End it, and demand that nothing it was offered was broken."""
        for end in self._ends:
            os.close(end)
        assert children.wait(self._child) == 0, "the reader was offered something broken"


class Nobody:
    """In place of a reader."""

    def __init__(self, store: Prepared) -> None:
        """Nothing is started."""

    def compare(self, truth: str) -> None:
        """Nothing is seen."""

    def close(self) -> None:
        """Nothing ends."""


def look(station: Station) -> None:
    """Ask for what a TLS server needs, and demand that it is whole: a key, its leaf, the sub-CAs, and the roots."""
    answer = station.interface().get_leaf_certificate_info(
        certificate_type=V2G, encoding=EncodingFormat.PEM, include_ocsp=True
    )
    assert answer.status is GetCertificateInfoStatus.Accepted
    assert answer.info is not None
    key, certificates = _read(answer.info.key), _read(answer.info.certificate or "")
    if key is not None and certificates is not None:
        leaf, *others = x509.load_pem_x509_certificates(certificates)
        assert load_pem_private_key(key, None).public_key() == leaf.public_key(), "another's key"
        assert [one.subject for one in others] == [big.pki()[name].certificate.subject for name in big.AUTHORITIES]
    roots = _read(station.interface().get_verify_file(certificate_type=V2G_CA))
    if roots is not None:
        found = {one.serial_number for one in x509.load_pem_x509_certificates(roots)}
        assert found >= {big.certificate(holder).serial for holder in big.installed()[V2G_CA]}, "fewer roots"


def _read(path: str) -> bytes | None:
    """What a file holds; None if it was deleted since it was offered, or nothing is offered.

    Nothing is where a file of roots has to be made and a writer, short of processor time, keeps the lock too long.
    """
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None
