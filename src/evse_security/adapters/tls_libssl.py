"""The functions of OpenSSL that Python's `ssl` does not have, on the very library that it uses.

An `ssl.SSLContext` is a C structure whose first own member is its `SSL_CTX *`; with that pointer all that OpenSSL
offers is within reach. Whether that is so of this interpreter is tried before, in a process of its own: there a wrong
guess costs nothing. Run as a program, this file is that trial.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from ctypes import CFUNCTYPE, POINTER, byref, c_char_p, c_int, c_long, c_size_t, c_uint, c_void_p
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import NamedTuple

TRIAL_SECONDS = 30.0

HelloCallback = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p)
"""SSL_client_hello_cb_fn: the connection, where to put an alert (int *), an argument."""
StatusCallback = CFUNCTYPE(c_int, c_void_p, c_void_p)
GO_ON, REFUSE = 1, 0
"""What a HelloCallback returns."""

_SET_GROUPS, _SET_RESPONSE, _SET_STATUS_CALLBACK, _SET_MIN_VERSION, _SET_MAX_VERSION = 92, 71, 63, 123, 124
_SET_CACHE_MODE, _CACHE_OFF = 44, 0
"""SSL_CTRL_… of OpenSSL's ssl.h; they are part of its ABI."""
_LIBSSL = re.compile(r"(/\S*/libssl[^/\s]*\.so[^/\s]*)$")

_FUNCTIONS: dict[str, tuple[object, tuple[object, ...]]] = {
    "SSL_CTX_get_options": (ctypes.c_uint64, (c_void_p,)),
    "SSL_CTX_set_client_hello_cb": (None, (c_void_p, HelloCallback, c_void_p)),
    "SSL_CTX_set_ciphersuites": (c_int, (c_void_p, c_char_p)),
    "SSL_CTX_add_server_custom_ext": (c_int, (c_void_p, c_uint, *[c_void_p] * 5)),
    "SSL_CTX_callback_ctrl": (c_long, (c_void_p, c_int, StatusCallback)),
    "SSL_CTX_add1_to_CA_list": (c_int, (c_void_p, c_void_p)),
    "SSL_client_hello_get0_ext": (c_int, (c_void_p, c_uint, c_void_p, c_void_p)),
    "SSL_get_SSL_CTX": (c_void_p, (c_void_p,)),
    "SSL_set_SSL_CTX": (c_void_p, (c_void_p, c_void_p)),
    "SSL_set_verify": (None, (c_void_p, c_int, c_void_p)),
    "SSL_CTX_ctrl": (c_long, (c_void_p, c_int, c_long, c_void_p)),
    "SSL_ctrl": (c_long, (c_void_p, c_int, c_long, c_void_p)),
    "CRYPTO_memdup": (c_void_p, (c_char_p, c_size_t, c_char_p, c_int)),
    "d2i_X509": (c_void_p, (c_void_p, POINTER(c_char_p), c_long)),
    "X509_free": (None, (c_void_p,)),
}
"""Result and arguments of what is used. libssl finds those of libcrypto, with which it is linked."""


class Verify(IntEnum):
    """Whether a client must show a certificate. These are OpenSSL's numbers; those of `ssl.CERT_…` are others."""

    NOTHING = 0
    PEER = 0x01 | 0x02
    """SSL_VERIFY_PEER, and SSL_VERIFY_FAIL_IF_NO_PEER_CERT."""


class Terms(NamedTuple):
    """What a connection is held to beyond what the context says that it began with."""

    controls: tuple[tuple[int, int, bytes | None], ...] = ()
    """Numbers of SSL_ctrl, with their arguments."""
    verify: Verify = Verify.NOTHING

    @classmethod
    def of(cls, *, version: int, groups: bytes, verify: Verify) -> Terms:
        """This version of TLS alone, these groups for the key exchange, and whether a certificate is demanded."""
        return cls(
            ((_SET_MAX_VERSION, version, None), (_SET_MIN_VERSION, version, None), (_SET_GROUPS, 0, groups)), verify
        )


def send_alert(place: int, number: int) -> None:
    """Have the handshake that is refused end with this alert; `place` is what a HelloCallback was given for it."""
    c_int.from_address(place).value = number


class Unavailable(Exception):
    """OpenSSL cannot be reached behind Python's `ssl`, and why."""


_staple = StatusCallback(lambda _connection, _argument: 0)
"""Staple what was given for the connection, if anything was (SSL_TLSEXT_ERR_OK)."""


class Libssl:
    """The library, with its functions declared."""

    def __init__(self, path: str) -> None:
        """Take the one that is loaded from there. Raises `Unavailable`."""
        try:
            library = ctypes.PyDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
            for name, (result, arguments) in _FUNCTIONS.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError) as problem:
            raise Unavailable(f"{path}: {problem}") from None
        self._library = library

    # ---- contexts

    def options(self, context: ssl.SSLContext) -> int:
        """The options as the library has them."""
        return int(self._library.SSL_CTX_get_options(pointer(context)))

    def on_hello(self, context: ssl.SSLContext, callback: Callable[[int, int, int], int]) -> object:
        """Call this for every ClientHello, before anything follows from it. What is returned must live as long."""
        kept = HelloCallback(callback)
        self._library.SSL_CTX_set_client_hello_cb(pointer(context), kept, None)
        return kept

    def set_suites(self, context: ssl.SSLContext, suites: str) -> None:
        """Set the cipher suites of TLS 1.3. Raises ssl.SSLError."""
        if self._library.SSL_CTX_set_ciphersuites(pointer(context), suites.encode()) != 1:
            raise ssl.SSLError(f"OpenSSL does not know the cipher suites {suites}")

    def know(self, context: ssl.SSLContext, number: int) -> None:
        """Have an extension of TLS 1.2 shown to callbacks and answered by an empty one (RFC 6066 §6).

        What a connection goes on with must know the same as what it began with: OpenSSL counts them. Raises
        ssl.SSLError.
        """
        if self._library.SSL_CTX_add_server_custom_ext(pointer(context), number, *[None] * 5) != 1:
            raise ssl.SSLError(f"OpenSSL does not take extension {number}")

    def keep_no_sessions(self, context: ssl.SSLContext) -> None:
        """Have no session resumed by its identifier, as TLS 1.2 does without tickets."""
        self._library.SSL_CTX_ctrl(pointer(context), _SET_CACHE_MODE, _CACHE_OFF, None)

    def let_staple(self, context: ssl.SSLContext) -> None:
        """Have the connections of a context staple the responses that they are given."""
        self._library.SSL_CTX_callback_ctrl(pointer(context), _SET_STATUS_CALLBACK, _staple)

    def name_authority(self, context: ssl.SSLContext, certificate: bytes) -> None:
        """Name a CA (certificate in DER) to clients that are asked for a certificate. Raises ssl.SSLError."""
        data = c_char_p(certificate)
        found = self._library.d2i_X509(None, byref(data), len(certificate))
        if not found:
            raise ssl.SSLError("OpenSSL does not read a root certificate")
        try:
            if self._library.SSL_CTX_add1_to_CA_list(pointer(context), found) != 1:
                raise ssl.SSLError("OpenSSL does not take a root certificate")
        finally:
            self._library.X509_free(found)

    # ---- connections, while their ClientHello is looked at

    def extension(self, connection: int, number: int) -> bytes | None:
        """The body of an extension of the ClientHello, if it is there."""
        data, length = c_void_p(), c_size_t()
        if self._library.SSL_client_hello_get0_ext(connection, number, byref(data), byref(length)) != 1:
            return None
        return ctypes.string_at(data, length.value) if length.value else b""

    def context_of(self, connection: int) -> int:
        """The address of the context that a connection has."""
        return int(self._library.SSL_get_SSL_CTX(connection) or 0)

    def go_on_with(self, connection: int, context: int, terms: Terms, response: bytes | None) -> None:
        """Serve a connection with the context at this address, and so. Raises ssl.SSLError where OpenSSL refuses."""
        library = self._library
        if not library.SSL_set_SSL_CTX(connection, context):
            raise ssl.SSLError("OpenSSL does not take the context")
        for command, number, text in terms.controls:
            if library.SSL_ctrl(connection, command, number, text) != 1:
                raise ssl.SSLError("OpenSSL does not take the version or the groups")
        if terms.verify is not Verify.NOTHING:
            library.SSL_set_verify(connection, terms.verify, None)
        if response is not None:
            self._give(connection, response)

    def _give(self, connection: int, response: bytes) -> None:
        """Give a connection a copy of its own, which it frees."""
        copy = self._library.CRYPTO_memdup(response, len(response), b"", 0)
        if not copy:
            raise ssl.SSLError("OpenSSL has no memory")
        self._library.SSL_ctrl(connection, _SET_RESPONSE, len(response), copy)


def pointer(context: ssl.SSLContext) -> int:
    """The `SSL_CTX *` of a context: what follows the head that all objects have."""
    return c_void_p.from_address(id(context) + object.__basicsize__).value or 0


@cache
def libssl() -> Libssl:
    """The library behind `ssl`, once a trial has shown that it can be used. Raises `Unavailable`."""
    if not sys.executable or sys.implementation.name != "cpython":
        raise Unavailable("there is no CPython interpreter to try it with")
    try:
        trial = subprocess.run(
            [sys.executable, "-I", "-S", __file__], capture_output=True, timeout=TRIAL_SECONDS, text=True, check=False
        )
        said = json.loads(trial.stdout) if trial.returncode == 0 else {"problem": f"status {trial.returncode}"}
    except (OSError, ValueError, subprocess.TimeoutExpired) as problem:
        raise Unavailable(f"the trial failed: {type(problem).__name__}") from None
    if said.get("openssl") != ssl.OPENSSL_VERSION:
        raise Unavailable(str(said.get("problem", "the trial found another OpenSSL than is used here")))
    return Libssl(said["path"])


# ---- the trial


def _mapped() -> Iterator[str]:
    """The libraries that are called libssl and loaded here."""
    for line in Path("/proc/self/maps").read_text("utf-8", "replace").splitlines():
        found = _LIBSSL.search(line)
        if found is not None:
            yield found[1]


def _trial() -> dict[str, str]:
    """What can be used, or why nothing."""
    found = set(_mapped())
    if len(found) != 1:
        linked = "statically (no libssl.so is loaded)" if not found else "with several"
        return {"problem": f"Python's ssl is linked {linked}; OpenSSL {ssl.OPENSSL_VERSION}"}
    [path] = found
    library = Libssl(path)
    for options in (
        ssl.OP_ALL,
        ssl.OP_ALL | ssl.OP_NO_TICKET,
        ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE,
    ):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.options = options
        if library.options(context) & 0xFFFFFFFF != int(context.options) & 0xFFFFFFFF:
            return {"problem": "the context's pointer is not where it should be"}
    if not _is_called(library):
        return {"problem": "OpenSSL did not call back with the context that it was given"}
    return {"path": path, "openssl": ssl.OPENSSL_VERSION}


def _is_called(library: Libssl) -> bool:
    """Whether a ClientHello reaches a callback, with its extensions, on a connection of the very context."""
    context, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    seen: list[bool] = []

    def hello(connection: int, _alert: int, _argument: int) -> int:
        is_ours = library.context_of(connection) == pointer(context)
        seen.append(is_ours and bool(library.extension(connection, 13)))  # signature_algorithms
        return REFUSE

    kept = library.on_hello(context, hello)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        client.wrap_bio(back, there).do_handshake()
    with suppress(ssl.SSLError):
        context.wrap_bio(there, back, server_side=True).do_handshake()
    del kept
    return seen == [True]


if __name__ == "__main__":
    try:
        print(json.dumps(_trial()))
    except (Unavailable, OSError) as why:
        print(json.dumps({"problem": str(why)}))
