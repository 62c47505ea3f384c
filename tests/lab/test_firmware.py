from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from evse_security.lab.firmware import SignatureScheme, natural_scheme, sign_firmware
from evse_security.lab.keys import KeyKind
from tests.builders import key
from tests.lab.conftest import OpenSsl

FIRMWARE = bytes(range(256)) * 300
DIGEST_OPTIONS = {
    SignatureScheme.RSASSA_PKCS1_V1_5: (),
    SignatureScheme.RSASSA_PSS: ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"),
    SignatureScheme.ECDSA: (),
}
SIGNERS = [
    (KeyKind.RSA2048, SignatureScheme.RSASSA_PKCS1_V1_5),
    (KeyKind.RSA2048, SignatureScheme.RSASSA_PSS),
    (KeyKind.SECP256R1, SignatureScheme.ECDSA),
    (KeyKind.SECP521R1, SignatureScheme.ECDSA),
    (KeyKind.ED25519, SignatureScheme.EDDSA),
    (KeyKind.ED448, SignatureScheme.EDDSA),
]


def verifies(openssl: OpenSsl, kind: KeyKind, scheme: SignatureScheme, firmware: bytes, signature: str) -> bool:
    public = key("maker", kind).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    files = [openssl.file("key.pem", public), openssl.file("sig", b64decode(signature)), openssl.file("fw", firmware)]
    arguments: tuple[str, ...]
    if scheme is SignatureScheme.EDDSA:
        arguments = (
            "pkeyutl",
            "-verify",
            "-rawin",
            "-pubin",
            "-inkey",
            files[0],
            "-sigfile",
            files[1],
            "-in",
            files[2],
        )
    else:
        arguments = ("dgst", "-sha256", *DIGEST_OPTIONS[scheme], "-verify", files[0], "-signature", files[1], files[2])
    return openssl(*arguments).returncode == 0


@pytest.mark.parametrize(("kind", "scheme"), SIGNERS)
def test_signed_firmware_verifies_and_changed_firmware_does_not(
    openssl: OpenSsl, kind: KeyKind, scheme: SignatureScheme
) -> None:
    signature = sign_firmware(FIRMWARE, key("maker", kind), scheme)
    assert verifies(openssl, kind, scheme, FIRMWARE, signature)
    assert not verifies(openssl, kind, scheme, FIRMWARE[:-1] + b"!", signature)


def test_a_file_is_signed_as_its_content(openssl: OpenSsl, tmp_path: Path) -> None:
    path = tmp_path / "firmware.bin"
    path.write_bytes(FIRMWARE)
    signature = sign_firmware(path, key("maker"))
    assert verifies(openssl, KeyKind.SECP256R1, SignatureScheme.ECDSA, FIRMWARE, signature)


@pytest.mark.parametrize(("kind", "scheme"), SIGNERS[1:])
def test_each_key_has_the_scheme_that_comes_to_it_naturally(kind: KeyKind, scheme: SignatureScheme) -> None:
    assert natural_scheme(key("maker", kind)) is scheme


@pytest.mark.parametrize(
    ("kind", "scheme"),
    [
        (KeyKind.SECP256R1, SignatureScheme.RSASSA_PSS),
        (KeyKind.RSA2048, SignatureScheme.ECDSA),
        (KeyKind.ED448, SignatureScheme.ECDSA),
        (KeyKind.SECP256R1, SignatureScheme.EDDSA),
    ],
)
def test_a_scheme_that_the_key_cannot_make_is_refused(kind: KeyKind, scheme: SignatureScheme) -> None:
    with pytest.raises(ValueError, match="makes no"):
        sign_firmware(FIRMWARE, key("maker", kind), scheme)
