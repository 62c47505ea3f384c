"""Everyone but the station: the CAs that sign, the responders that answer, the maker of firmware, and impostors."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from evse_security.lab.authority import Entity
from evse_security.lab.firmware import sign_firmware
from evse_security.lab.hierarchy import PLACES, Pki, Variant, make_pki, template_of
from evse_security.lab.keys import KeyKind, generate_key
from evse_security.lab.ocsp import ID_HASHES, ResponseTemplate

END = "-----END CERTIFICATE-----\n"
MINUTE, WEEK = timedelta(minutes=1), timedelta(days=7)

HashData = Mapping[str, str]
"""Certificate hash data as the interface's JSON has it."""


class Cast:
    """The players of a PKI at one time."""

    def __init__(self, pki: Pki, now: datetime) -> None:
        """They look at the clock once, and theirs is a little slow."""
        self.pki = pki
        self.now = now.replace(microsecond=0) - MINUTE

    def root(self, domain: str) -> str:
        """The root of a trust domain (PEM)."""
        return self.pki[f"{domain}_ROOT_CA"].pem

    def sign(self, csr: str, holder: str) -> str:
        """The chain for a signing request, leaf first: SECC_LEAF by the operator's sub-CA, CSMS_LEAF by the CSMS's."""
        return self.pki.answer(csr, holder, now=self.now)

    def issued(self, holder: str, variant: Variant = Variant.ORDINARY) -> Entity:
        """Somebody with a new key and a new certificate, below the place where that holder stands."""
        place = PLACES[holder]
        template = template_of(holder, self.pki.edition, variant, now=self.now)
        return self.pki[place.issuer or holder].issue(generate_key(KeyKind.SECP256R1), template)

    def expired_chain(self) -> str:
        """A SECC chain whose leaf expired yesterday."""
        return self.issued("SECC_LEAF", Variant.EXPIRED_LEAF).chain_pem()

    def impostor_chain(self) -> str:
        """A SECC chain, root included, of a PKI with the same names and other keys."""
        impostor = make_pki(self.pki.edition, now=self.now)
        return impostor["SECC_LEAF"].chain_pem() + impostor["V2G_ROOT_CA"].pem

    def ocsp_response(self, about: HashData, **changes: Any) -> str:
        """The answer of the responder in charge, in base64: good for a week. `changes` are fields of its template."""
        template = ResponseTemplate(
            **{
                "this_update": self.now,
                "next_update": self.now + WEEK,
                "hash_algorithm": ID_HASHES[about["hash_algorithm"]],
                **changes,
            }
        )
        identity = about["issuer_name_hash"], about["issuer_key_hash"], about["serial_number"]
        return b64encode(self.pki.ocsp_response(*identity, template)).decode("ascii")

    def forged_ocsp_response(self, about: HashData) -> str:
        """An answer in the name of the responder in charge, signed by somebody else."""
        return self.ocsp_response(about, signed_by=generate_key(KeyKind.SECP256R1))

    def signature(self, firmware: bytes, signer: Entity) -> str:
        """The manufacturer's signature of a firmware file, in base64."""
        return sign_firmware(firmware, signer.key)


def certificates(chain: str) -> list[str]:
    """The certificates of a chain, each as PEM."""
    return [block + END for block in chain.split(END)[:-1]]


def tampered(chain: str, name: str, other: str) -> str:
    """The chain with another name, of the same length, in its leaf; the signature stays."""
    leaf, *rest = certificates(chain)
    content = ssl.PEM_cert_to_DER_cert(leaf).replace(name.encode(), other.encode())
    return "".join([ssl.DER_cert_to_PEM_cert(content), *rest])
