"""Enrolment by the Certificate Management Protocol (RFC 9810, RFC 9483), with the program `openssl cmp` as the client.

A key update (`kur`) where a leaf of the same subject is in use, signed with it; else the PKCS #10 request itself
(`p10cr`), protected by the shared secret, or signed with the leaf in use. No secret is on a command line.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult

from evse_security.agents.enrolment.files import certificates_in, chain_before
from evse_security.agents.enrolment.port import SECONDS, Answer, Credentials, Later, Refused, Request, Signed, one_line
from evse_security.agents.enrolment.process import MOST_SAID, Ended, ProgramFailed, run
from evse_security.agents.enrolment.server import Proxy, checked_url, proxy_for
from evse_security.errors import InvalidConfiguration
from evse_security.pki import pem
from evse_security.pki.certificate import Certificate
from evse_security.pki.enrolled import asks_for_subject_of, chain_for

_OUR_FAULT = ("systemUnavail", "systemFailure", "transactionIdInUse", "badTime")
"""Failures (PKIFailureInfo, RFC 9810 §5.2.3) that may be otherwise later."""
_ERROR = "CMP error: "


@dataclass(frozen=True, slots=True)
class CmpServer:
    """Where to enrol, whom to trust there, and which secret is shared."""

    url: SplitResult
    program: str
    ca: Path | None
    reference: str
    secret_file: Path | None
    proxy: Proxy | None

    @classmethod
    def at(cls, url: str, ca: Path | None, reference: str, secret_file: Path | None, proxy: str) -> CmpServer:
        """A CMP server by its URL. Raises `InvalidConfiguration`."""
        parts = checked_url(url, ("http", "https"))
        program = shutil.which("openssl")
        if program is None:
            raise InvalidConfiguration("enrolment_url", "cmp needs the program openssl, which is not there")
        if secret_file is not None and not reference:
            raise InvalidConfiguration("enrolment_user", "cmp needs the reference of the shared secret")
        if secret_file is None and ca is None:
            raise InvalidConfiguration("enrolment_ca", "cmp without a shared secret must know whom to trust")
        if parts.scheme == "https" and ca is None:
            ca = _system_ca()
        return cls(parts, program, ca, reference, secret_file, proxy_for(parts, proxy))


def _system_ca() -> Path:
    found = ssl.get_default_verify_paths().cafile
    if found is None:
        raise InvalidConfiguration("enrolment_ca", "is needed: this system keeps no CA certificates in one file")
    return Path(found)


class CmpPort:
    """Enrols at a CMP server."""

    def __init__(self, server: CmpServer, seconds: float = SECONDS) -> None:
        """With the longest that an enrolment may take."""
        self._server, self._seconds = server, seconds

    async def enrol(self, request: Request) -> Answer:
        if self._server.secret_file is None and request.leaf is None:
            return Refused("cmp needs a shared secret for the first leaf: no leaf is in use to sign with")
        directory = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="evse-security-cmp-"))
        try:
            return await self._enrolled(request, directory)
        except (OSError, ValueError) as problem:
            return Later(f"no request could be sent: {one_line(str(problem))}")
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    async def _enrolled(self, request: Request, directory: Path) -> Answer:
        with _descriptors() as passwords:
            old = await asyncio.to_thread(_prepare, request, directory)
            arguments = self._arguments(request, old, passwords)
            proxy = self._server.proxy
            environment = {} if proxy is None else {"http_proxy": proxy.url, "https_proxy": proxy.url}
            try:
                ended = await run(
                    arguments,
                    seconds=self._seconds,
                    environment=environment,
                    directory=directory,
                    descriptors=passwords,
                )
            except ProgramFailed as problem:
                return Later(str(problem))
        if ended.code != 0:
            return self._refusal(ended)
        received = await asyncio.to_thread(_received, directory)
        return Signed(chain_for(request.csr, received, old[1:]))

    def _arguments(self, request: Request, old: Sequence[Certificate], passwords: list[int]) -> list[str]:
        """The command line of one enrolment. Passwords that it names by descriptors are added to the list."""
        updates = bool(old) and request.key is not None and asks_for_subject_of(request.csr, old[0])
        with_leaf = request.leaf is not None and (updates or self._server.secret_file is None)
        arguments = [self._server.program, "cmp", "-config", "", "-batch", "-csr", "request.pem"]
        arguments += ["-certout", "leaf.pem", "-extracertsout", "more.pem", "-cacertsout", "ca.pem"]
        arguments += ["-server", self._server.url.geturl()]
        arguments += ["-msg_timeout", str(int(self._seconds / 4) or 1), "-total_timeout", str(int(self._seconds))]
        if self._server.ca is not None:
            arguments += ["-trusted", str(self._server.ca)]
        if self._server.url.scheme == "https":
            arguments += ["-tls_used", "-tls_trusted", str(self._server.ca)]
        if with_leaf and request.leaf is not None:
            arguments += _signed_with(request.leaf, passwords)
        else:
            arguments += ["-ref", self._server.reference, "-secret", f"file:{self._server.secret_file}"]
        if updates:
            arguments += ["-cmd", "kur", "-newkey", str(request.key)]
            arguments += _password("-newkeypass", request.key_password, passwords)
        else:
            arguments += ["-cmd", "p10cr"]
        return arguments

    def _refusal(self, ended: Ended) -> Answer:
        """What the program says: a rejection by the server, or that there is no answer."""
        told = ended.said + ended.output[-MOST_SAID:].decode("utf-8", "replace")
        errors = [line.partition(_ERROR)[2] for line in told.splitlines() if _ERROR in line]
        rejections = [line for line in errors if "PKIStatus: rejection" in line or "certificate not accepted" in line]
        why = rejections[-1] if rejections else "; ".join(errors[-4:]) or "no reason was given"
        reason = f"{self._server.url.hostname}: {one_line(why)}"
        rejected = bool(rejections) and not any(word in rejections[-1] for word in _OUR_FAULT)
        return Refused(reason) if rejected else Later(reason)


def _prepare(request: Request, directory: Path) -> Sequence[Certificate]:
    """Write the request down, and read the chain before. Raises OSError."""
    (directory / "request.pem").write_text(request.csr)
    return chain_before(request.leaf)


def _signed_with(leaf: Credentials, passwords: list[int]) -> list[str]:
    return ["-cert", str(leaf.chain), "-key", str(leaf.key), *_password("-keypass", leaf.password, passwords)]


def _password(option: str, password: str | None, passwords: list[int]) -> list[str]:
    """An option that names a pipe with a password in it; it is read once."""
    if password is None:
        return []
    reading, writing = os.pipe()
    passwords.append(reading)
    try:
        os.set_blocking(writing, False)  # a password longer than a pipe is refused
        os.write(writing, f"{password}\n".encode())
    finally:
        os.close(writing)
    return [option, f"fd:{reading}"]


@contextmanager
def _descriptors() -> Iterator[list[int]]:
    opened: list[int] = []
    try:
        yield opened
    finally:
        for one in opened:
            os.close(one)


def _received(directory: Path) -> Sequence[Certificate]:
    """The certificates that came: the leaf, those beside it, those above it."""
    paths = (directory / name for name in ("leaf.pem", "more.pem", "ca.pem"))
    return [one for path in paths if path.exists() for one in certificates_in(path)][: pem.MAX_CHAIN]
