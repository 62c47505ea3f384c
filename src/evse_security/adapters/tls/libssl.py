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
from collections.abc import Callable, Iterator, Sequence
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
_SET_RESPONSES = 143
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
_TO_STAPLE_EACH: dict[str, tuple[object, tuple[object, ...]]] = {
    "d2i_OCSP_RESPONSE": (c_void_p, (c_void_p, POINTER(c_char_p), c_long)),
    "OCSP_RESPONSE_free": (None, (c_void_p,)),
    "OPENSSL_sk_new_null": (c_void_p, ()),
    "OPENSSL_sk_push": (c_int, (c_void_p, c_void_p)),
    "OPENSSL_sk_pop_free": (None, (c_void_p, c_void_p)),
}
"""What is used besides, where a response for each certificate can be stapled: from OpenSSL 3.6 on."""


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
    staples_each: bool = False
    """Whether each certificate may have its OCSP response, as in TLS 1.3 (RFC 8446 §4.4.2.1)."""

    @classmethod
    def of(cls, *, version: int, groups: bytes, verify: Verify, staples_each: bool) -> Terms:
        """This version of TLS alone, these groups for the key exchange, and whether a certificate is demanded."""
        versions = (_SET_MAX_VERSION, version, None), (_SET_MIN_VERSION, version, None)
        return cls((*versions, (_SET_GROUPS, 0, groups)), verify, staples_each)


def send_alert(place: int, number: int) -> None:
    """Have the handshake that is refused end with this alert; `place` is what a HelloCallback was given for it."""
    c_int.from_address(place).value = number


class Unavailable(Exception):
    """OpenSSL cannot be reached behind Python's `ssl`, and why."""


_staple = StatusCallback(lambda _connection, _argument: 0)
"""Staple what was given for the connection, if anything was (SSL_TLSEXT_ERR_OK)."""


class Libssl:
    """The library, with its functions declared."""

    def __init__(self, path: str, *, staples_each: bool = False) -> None:
        """Take the one that is loaded from there; it may be able to staple each response. Raises `Unavailable`."""
        self.staples_each = staples_each
        """Whether TLS 1.3 gets a response for each certificate, and not for the leaf alone."""
        functions = _FUNCTIONS | _TO_STAPLE_EACH if staples_each else _FUNCTIONS
        try:
            library = ctypes.PyDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
            for name, (result, arguments) in functions.items():
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

    def takes_each(self, connection: int) -> bool:
        """Whether a connection takes a response for each certificate; here it is given none."""
        return bool(self._library.SSL_ctrl(connection, _SET_RESPONSES, 0, None) == 1)

    def context_of(self, connection: int) -> int:
        """The address of the context that a connection has."""
        return int(self._library.SSL_get_SSL_CTX(connection) or 0)

    def go_on_with(self, connection: int, context: int, terms: Terms, responses: Sequence[bytes | None]) -> None:
        """Serve a connection with the context at this address, and so. Raises ssl.SSLError where OpenSSL refuses.

        Of the OCSP responses, leaf first, that of the leaf is stapled; or each, if the terms allow it and OpenSSL can.
        """
        library = self._library
        if not library.SSL_set_SSL_CTX(connection, context):
            raise ssl.SSLError("OpenSSL does not take the context")
        for command, number, text in terms.controls:
            if library.SSL_ctrl(connection, command, number, text) != 1:
                raise ssl.SSLError("OpenSSL does not take the version or the groups")
        if terms.verify is not Verify.NOTHING:
            library.SSL_set_verify(connection, terms.verify, None)
        if terms.staples_each and self.staples_each:
            self._give_each(connection, responses)
        elif responses[0] is not None:
            self._give(connection, responses[0])

    def _give(self, connection: int, response: bytes) -> None:
        """Give a connection a copy of its own, which it frees."""
        copy = self._library.CRYPTO_memdup(response, len(response), b"", 0)
        if not copy:
            raise ssl.SSLError("OpenSSL has no memory")
        self._library.SSL_ctrl(connection, _SET_RESPONSE, len(response), copy)

    def _give_each(self, connection: int, responses: Sequence[bytes | None]) -> None:
        """Give a connection a stack of responses, which it frees: one for each certificate, null where none is."""
        library, given = self._library, False
        stack = library.OPENSSL_sk_new_null()
        try:
            for response in responses:
                found = None
                if response is not None:
                    found = library.d2i_OCSP_RESPONSE(None, byref(c_char_p(response)), len(response))
                    if not found:
                        raise ssl.SSLError("OpenSSL does not read an OCSP response")
                if library.OPENSSL_sk_push(stack, found) <= 0:
                    library.OCSP_RESPONSE_free(found)
                    raise ssl.SSLError("OpenSSL has no memory")
            given = library.SSL_ctrl(connection, _SET_RESPONSES, 0, stack) == 1
            if not given:
                raise ssl.SSLError("OpenSSL does not take the responses")
        finally:
            if not given:
                library.OPENSSL_sk_pop_free(stack, ctypes.cast(library.OCSP_RESPONSE_free, c_void_p))


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
    return Libssl(said["path"], staples_each=bool(said["staples_each"]))


# ---- the trial


def _mapped() -> Iterator[str]:
    """The libraries that are called libssl and loaded here."""
    for line in Path("/proc/self/maps").read_text("utf-8", "replace").splitlines():
        found = _LIBSSL.search(line)
        if found is not None:
            yield found[1]


def _trial() -> dict[str, str | bool]:
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
    seen = _heard(library)
    if seen is None:
        return {"problem": "OpenSSL did not call back with the context that it was given"}
    return {"path": path, "openssl": ssl.OPENSSL_VERSION, "staples_each": seen}


def _heard(library: Libssl) -> bool | None:
    """Whether a connection takes a response for each certificate.

    None where no ClientHello reaches a callback, with its extensions, on a connection of the very context.
    """
    context, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    seen: list[bool] = []

    def hello(connection: int, _alert: int, _argument: int) -> int:
        is_ours = library.context_of(connection) == pointer(context)
        if is_ours and library.extension(connection, 13):  # signature_algorithms
            seen.append(library.takes_each(connection))
        return REFUSE

    kept = library.on_hello(context, hello)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        client.wrap_bio(back, there).do_handshake()
    with suppress(ssl.SSLError):
        context.wrap_bio(there, back, server_side=True).do_handshake()
    del kept
    return seen[0] if len(seen) == 1 else None


if __name__ == "__main__":
    try:
        print(json.dumps(_trial()))
    except (Unavailable, OSError) as why:
        print(json.dumps({"problem": str(why)}))
