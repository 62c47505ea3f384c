"""Private keys as files: making them, writing them as PEM or DER, and reading which public key they belong to.

What is read here never leaves but as a public key, as DER that the caller asked for, or as a `KeyProblem`: no
exception, log line or repr carries any of it.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import NamedTuple, cast

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from OpenSSL import crypto

from evse_security.errors import KeyNotGenerated
from evse_security.keys.encryption import MAX_ROUNDS, encrypted, rounds
from evse_security.keys.kinds import KeyType
from evse_security.pki import base64text, der, encode
from evse_security.pki.algorithm import PrivateKey
from evse_security.pki.keytoken import token_of_spki

MAX_KEY_BYTES = 64 * 1024
"""Largest key file that is read. An encrypted RSA key of 16,384 bits has 13 KiB."""
MAX_PASSWORD_BYTES = 1023
"""Longest password that OpenSSL opens a PEM file with (PEM_BUFSIZE is 1,024)."""

_BEGIN = re.compile(rb"-----BEGIN ((?:[A-Z0-9]+ )?PRIVATE KEY)-----")
_PLAIN = re.compile(rb"-----BEGIN PRIVATE KEY-----\r?\n(?P<body>" + base64text.LINES + rb")-----END PRIVATE KEY-----")
"""How nearly all key files begin: without headers."""
_TPM_LABEL = b"TSS2 PRIVATE KEY"  # draft-bottomley-tpm2-keys
_UNLABELLED = ""
_KEPT = frozenset({_UNLABELLED, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"})
"""Forms that `to_der` leaves as they are."""

_ENCRYPTED_SHAPE = (der.SEQUENCE, der.OCTET_STRING)
_LABELS: dict[tuple[int, ...], str] = {
    _ENCRYPTED_SHAPE: "ENCRYPTED PRIVATE KEY",
    (der.INTEGER, der.OCTET_STRING): "EC PRIVATE KEY",  # RFC 5915 §3
    (der.INTEGER, der.OCTET_STRING | 0x20): "EC PRIVATE KEY",  # the same in BER: an octet string in parts
    (der.INTEGER, der.INTEGER): "RSA PRIVATE KEY",  # RFC 8017 Appendix A.1.2
}
"""What keys in DER would be called in PEM, by what they begin with."""

_Loaded = PrivateKeyTypes | crypto.PKey

_GENERATORS: dict[KeyType, Callable[[], PrivateKey]] = {
    KeyType.secp256r1: partial(ec.generate_private_key, ec.SECP256R1()),
    KeyType.secp384r1: partial(ec.generate_private_key, ec.SECP384R1()),
    KeyType.secp521r1: partial(ec.generate_private_key, ec.SECP521R1()),
    KeyType.ed25519: ed25519.Ed25519PrivateKey.generate,
    KeyType.ed448: ed448.Ed448PrivateKey.generate,
    KeyType.rsa2048: partial(rsa.generate_private_key, 65537, 2048),
    KeyType.rsa3072: partial(rsa.generate_private_key, 65537, 3072),
    KeyType.rsa4096: partial(rsa.generate_private_key, 65537, 4096),
}


class KeyProblem(StrEnum):
    """Why a file gives no key."""

    Encrypted = "encrypted, and no password is configured"
    WrongPassword = "encrypted, and the configured password does not open it"
    NotAKey = "no private key, or a damaged one"
    BoundToTpm = "bound to a TPM, which is not supported"
    TooLarge = "too large for a private key"
    TooLaborious = f"encrypted with more than {MAX_ROUNDS} rounds of key derivation"
    Unsupported = "encrypted in a way that DER does not have, and of a kind that cannot be encrypted anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReading:
    """The public side of a private key file, or why there is none. Exactly one of `token` and `problem` is None.

    `token` is what `pki.keytoken.token_of_certificate` gives for the certificates of this key.
    """

    token: bytes | None = None
    spki: bytes | None = None
    """SubjectPublicKeyInfo, DER."""
    encrypted: bool = False
    """Whether the file needs a password."""
    problem: KeyProblem | None = None


def generate(kind: KeyType) -> PrivateKey:
    """A new key pair from the system's randomness."""
    return _GENERATORS[kind]()


# ---- writing


def to_pem(key: PrivateKey, password: str | None, random: Callable[[int], bytes] = os.urandom) -> bytes:
    """A key file's content: PKCS #8 in PEM, encrypted if there is a password (an empty one is none).

    `random` gives that many random octets. Raises KeyNotGenerated if nobody could open the file with that password.
    """
    plain, secret = _pkcs8(key), _secret(password)
    if secret is None:
        return encode.pem("PRIVATE KEY", plain).encode("ascii")
    if len(secret) > MAX_PASSWORD_BYTES:
        raise KeyNotGenerated(f"OpenSSL opens no key with a password of more than {MAX_PASSWORD_BYTES} bytes")
    return encode.pem("ENCRYPTED PRIVATE KEY", encrypted(plain, secret, random)).encode("ascii")


def to_der(data: bytes, password: str | None, random: Callable[[int], bytes] = os.urandom) -> bytes | KeyProblem:
    """The key of a file in DER: PKCS #8, and encrypted if it is so in the file.

    What is PKCS #8 or DER already keeps its octets, and if encrypted needs no password. Older forms of PEM are written
    anew, and encrypted with `password` if they were encrypted; those that only OpenSSL reads (explicit curves, odd
    ones) stay what they are. `random` gives that many random octets.
    """
    block = _block(data)
    if isinstance(block, KeyProblem):
        return block
    if block.encrypted and block.encoded:
        return block.encoded
    key = _load(block, password)
    if isinstance(key, KeyProblem):
        return key
    if block.label in _KEPT:
        return block.encoded
    if isinstance(key, crypto.PKey):
        return block.encoded or KeyProblem.Unsupported
    secret = _secret(password) if block.encrypted else None
    return _pkcs8(key) if secret is None else encrypted(_pkcs8(key), secret, random)


# ---- reading


def public_key_of(data: bytes, password: str | None) -> KeyReading:
    """Which public key the private key in a file belongs to, or why that cannot be told. Never raises.

    Read is the first private key of the file, as OpenSSL does who uses it: PKCS #8 or traditional, encrypted or not,
    in PEM with anything before and after it, or in DER. A password is used where one is needed only; an empty one is
    none.
    """
    block = _block(data)
    if isinstance(block, KeyProblem):
        return KeyReading(problem=block)
    key = _load(block, password)
    if isinstance(key, KeyProblem):
        return KeyReading(problem=key, encrypted=block.encrypted)
    spki = _spki(key)
    return KeyReading(token=token_of_spki(spki), spki=spki, encrypted=block.encrypted)


class _Block(NamedTuple):
    """The first private key of a file. `encoded` is its DER, empty where the PEM itself is encrypted (RFC 1421)."""

    label: str
    encrypted: bool
    encoded: bytes
    pem: Callable[[], bytes]
    may_be_laborious: bool = True


def _block(data: bytes) -> _Block | KeyProblem:
    """Find the first private key of a file."""
    if len(data) > MAX_KEY_BYTES:
        return KeyProblem.TooLarge
    plain = _PLAIN.match(data)
    if plain is not None:
        return _block_of("PRIVATE KEY", binascii.a2b_base64(plain["body"]))
    if data[:1] == b"\x30":
        return _block_of(_UNLABELLED, data)
    begin = _BEGIN.search(data)
    if begin is None:
        return KeyProblem.NotAKey
    if begin[1] == _TPM_LABEL:
        return KeyProblem.BoundToTpm
    end = data.find(b"-----END " + begin[1] + b"-----", begin.end())
    lines = [line.strip() for line in data[begin.end() : max(end, begin.end())].split(b"\n")]
    headers = [line for line in lines if b":" in line]
    try:
        body = base64.b64decode(b"".join(line for line in lines if b":" not in line), validate=True)
    except binascii.Error:
        return KeyProblem.NotAKey
    label = begin[1].decode("ascii")
    if any(header.startswith(b"Proc-Type:") and header.endswith(b"ENCRYPTED") for header in headers):
        return _Block(label, True, b"", partial(_with_headers, headers, label, body))
    return _block_of(label, body)


def _block_of(label: str, encoded: bytes) -> _Block:
    """Tell from its shape whether a key is encrypted: EncryptedPrivateKeyInfo is algorithm and octets (RFC 5958 §3)."""
    try:
        whole = der.expect(der.read(encoded), der.SEQUENCE, "private key")
        shape = tuple(span[0] for span in der.spans(encoded, whole.content, whole.content_end))
    except der.Malformed:
        shape = ()
    shown = label or _LABELS.get(shape[:2], "PRIVATE KEY")
    plain = shape[:1] == (der.INTEGER,)  # a version where an encrypted key has its algorithm
    return _Block(label, shape == _ENCRYPTED_SHAPE, encoded, partial(_pem, shown, encoded), not plain)


def _pem(label: str, encoded: bytes) -> bytes:
    return encode.pem(label, encoded).encode("ascii")


def _with_headers(headers: list[bytes], label: str, encoded: bytes) -> bytes:
    """Put the headers of RFC 1421 §4.6 behind the first line, and the blank line that ends them."""
    first, rest = _pem(label, encoded).split(b"\n", 1)
    return b"\n".join((first, *headers, b"", rest))


def _load(block: _Block, password: str | None) -> _Loaded | KeyProblem:
    """Open a key: by `cryptography`, or by OpenSSL where that one does not know the curve or the form."""
    secret = _secret(password) if block.encrypted else None
    if block.encrypted and secret is None:
        return KeyProblem.Encrypted
    with suppress(Exception):  # damaged and foreign keys raise every class of error
        if block.may_be_laborious and block.encoded and rounds(block.encoded) > MAX_ROUNDS:
            return KeyProblem.TooLaborious
        with suppress(Exception):
            return _by_cryptography(block, secret)
        return _by_openssl(block, secret)
    return KeyProblem.WrongPassword if block.encrypted else KeyProblem.NotAKey


def _by_cryptography(block: _Block, secret: bytes | None) -> _Loaded:
    if block.encoded:
        return load_der_private_key(block.encoded, secret)
    # PEM that is itself encrypted is OpenSSL's: `cryptography` panics on an initialisation vector that is too short.
    return cast(PrivateKeyTypes, _by_openssl(block, secret).to_cryptography_key())


def _by_openssl(block: _Block, secret: bytes | None) -> crypto.PKey:
    # Without a passphrase, OpenSSL would ask for one on the terminal.
    return crypto.load_privatekey(crypto.FILETYPE_PEM, block.pem(), secret or b"")


def _spki(key: _Loaded) -> bytes:
    if isinstance(key, crypto.PKey):
        return crypto.dump_publickey(crypto.FILETYPE_ASN1, key)
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _pkcs8(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _secret(password: str | None) -> bytes | None:
    """The octets of a password; those that were no UTF-8 in a file or the environment come back as they were."""
    if not password:
        return None
    try:
        return password.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # whose object would carry the password further
        return password.encode("utf-8", "surrogatepass")
