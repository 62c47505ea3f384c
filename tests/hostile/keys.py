"""Key files with one thing or several changed, and what holds of them."""

from __future__ import annotations

from base64 import b64encode
from functools import cache

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import strategies as st

from evse_security.keys.files import KeyProblem, public_key_of, to_der, to_pem
from evse_security.lab.keys import KeyKind
from evse_security.lab.resign import contents
from tests.builders import key
from tests.hostile.target import Target
from tests.hostile.trees import altered_octets, altered_trees

PASSWORD = "tr0ub4dor & 3"
"""Of all keys here; nothing that is said may hold it."""
WORDS = (
    b"-----BEGIN PRIVATE KEY-----\n",
    b"-----BEGIN TSS2 PRIVATE KEY-----\n",
    b"-----END EC PRIVATE KEY-----\n",
    b"-----BEGIN EC PARAMETERS-----\n",
    b"Proc-Type: 4,ENCRYPTED\n",
    b"DEK-Info: AES-256-CBC,00\n",
    b"\xef\xbb\xbf",
)


@cache
def encodings() -> tuple[bytes, ...]:
    """Keys of all kinds in DER, plain and encrypted."""
    kinds = (KeyKind.SECP256R1, KeyKind.SECP521R1, KeyKind.RSA2048, KeyKind.ED448)
    keys = [key("holder", kind) for kind in kinds]
    plain = [one.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()) for one in keys]
    older = [one.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()) for one in keys[:3]]
    hidden = BestAvailableEncryption(PASSWORD.encode())
    return (*plain, *older, keys[0].private_bytes(Encoding.DER, PrivateFormat.PKCS8, hidden))


@cache
def texts() -> tuple[bytes, ...]:
    """The same in PEM."""
    holder = key("holder")
    hidden = BestAvailableEncryption(PASSWORD.encode())
    forms = (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)
    made = [holder.private_bytes(Encoding.PEM, form, kind) for form in forms for kind in (NoEncryption(), hidden)]
    return (*made, to_pem(holder, PASSWORD, lambda n: b"\x07" * n))


LABELS = (b"PRIVATE KEY", b"EC PRIVATE KEY", b"RSA PRIVATE KEY", b"ENCRYPTED PRIVATE KEY")


def as_pem(label: bytes, encoded: bytes) -> bytes:
    return b"-----BEGIN %s-----\n%s\n-----END %s-----\n" % (label, b64encode(encoded), label)


trees = altered_trees(st.deferred(lambda: st.sampled_from(encodings())))
files = st.one_of(
    trees,
    st.builds(as_pem, st.sampled_from(LABELS), trees),
    altered_octets(st.deferred(lambda: st.sampled_from(texts())), WORDS),
)


@cache
def secrets() -> tuple[bytes, ...]:
    """What no message may hold: the password, and the numbers that are the keys."""
    numbers = [contents(contents(encoded))[-32:] for encoded in encodings()]
    return (PASSWORD.encode(), *numbers)


def check_key_file(content: bytes) -> None:
    """A file gives the public side of a key or a reason; what is read with a password is so without one, or says so."""
    for password in (None, PASSWORD, "wrong"):
        reading = public_key_of(content, password)
        assert (reading.token is None) != (reading.problem is None)
        assert (reading.token is None) == (reading.spki is None)
        assert not any(secret in repr(reading).encode("latin-1", "replace") for secret in secrets())
        written = to_der(content, password, lambda n: b"\x07" * n)
        if isinstance(written, KeyProblem):
            continue
        again = public_key_of(written, password)
        assert again.token == reading.token or reading.problem is not None
    load_pem_private_key(texts()[0], None)  # and the next one is read as ever


TARGETS = {"key file": Target(files, check_key_file, 100)}
