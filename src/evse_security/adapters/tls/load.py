"""A chain of the store in a context of `ssl`, exactly as it was verified."""

from __future__ import annotations

import os
import ssl

from evse_security.chains import Chain


def load_chain(context: ssl.SSLContext, chain: Chain) -> None:
    """Have a context send this chain, with its key. Raises OSError (ssl.SSLError is one) and ValueError.

    `ssl` reads files only; the one in the store may hold the root too, or lack sub-CAs that are installed elsewhere. So
    the certificates go through a file in memory. The key's file is read by OpenSSL alone.
    """
    descriptor = os.memfd_create("chain", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(chain.pem.encode("ascii"))
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", chain.key, lambda: chain.password or "")
    finally:
        os.close(descriptor)
