"""What whoever connects a station to its CSMS asks before, and tells afterwards: our connector, or a user's own."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable
from functools import partial

from evse_security.adapters.ocpp.at_desk import AtDesk
from evse_security.adapters.ocpp.events import SecurityEvent
from evse_security.adapters.ocpp.profiles import ProfileRefused
from evse_security.adapters.ocpp.root_trial import Failure, TrustedRoots
from evse_security.adapters.ocpp.trial import Blame, ClientCertificate

_NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})
_NO_MORE_FILES = frozenset({errno.EMFILE, errno.ENFILE})
"""Of this machine: neither a socket nor a key file can be opened."""


def failure_of(problem: BaseException | None) -> Failure:
    """What an exception says."""
    if problem is None:
        return Failure.UNKNOWN
    if isinstance(problem, ssl.SSLCertVerificationError):
        return Failure.UNVERIFIED
    return Failure.UNREACHED if _is_unreached(problem) else Failure.OTHER


def blame_of(problem: BaseException | None) -> Blame:
    """What it says of the client certificate: only what came over TLS is the CSMS's word; others can cut the rest."""
    if failure_of(problem) in (Failure.UNVERIFIED, Failure.UNREACHED):
        return Blame.NONE
    status = getattr(getattr(problem, "response", None), "status_code", None)  # of `websockets`
    return Blame.CERTAIN if isinstance(status, int) and 400 <= status < 500 else Blame.DOUBT


def _is_unreached(problem: BaseException) -> bool:
    """Whether there was not even a TCP connection. Of several addresses that failed asyncio makes one with a text."""
    if isinstance(problem, ConnectionRefusedError | socket.gaierror):
        return True
    if type(problem) is not OSError:
        return False
    return problem.errno in _NO_WAY | _NO_MORE_FILES or (problem.errno is None and bool(problem.args))


class Connection(AtDesk):
    """The certificates of a station, as far as connections are made with them."""

    _reconnect: Callable[[], object] | None = None

    # ---- before

    async def client_certificate(self) -> ClientCertificate | None:
        """The certificate for the next connection (security profile 3); None where there is none."""
        return await self._ask(self._desk.renewals.client_certificate)

    async def csms_trust(self) -> TrustedRoots:
        """The CSMS roots to trust at the next connection; none where none is installed.

        With AdditionalRootCertificateCheck it may be one of two, and one that is not self-signed: OpenSSL needs
        `VERIFY_X509_PARTIAL_CHAIN` for it.
        """
        return await self._ask(self._desk.trust.roots)

    async def refused_profile(
        self, current: int, wanted: int, *, has_password: bool = True, may_go_down: bool | None = None
    ) -> ProfileRefused | None:
        """Why the station must not change to a security profile; None where it may (A05).

        To ask when the CSMS sets NetworkConfigurationPriority, or SecurityProfile in 1.6, and of a lower profile at
        SetNetworkProfile already. `may_go_down` is AllowSecurityProfileDowngrade; None: as the variable says.
        """
        may = self.policy.allows_downgrade if may_go_down is None else may_go_down
        return await self._ask(
            lambda: self._desk.refused_profile(current, wanted, has_password=has_password, may_go_down=may)
        )

    def reconnect_by(self, reconnect: Callable[[], object]) -> None:
        """Call this when a renewed client certificate is to be tried, after CertificateSigned was answered.

        `Connector` does so itself. Whoever asked last is called.
        """
        self._reconnect = reconnect

    # ---- afterwards

    async def connected(self, certificate: ClientCertificate | None, roots: TrustedRoots | None = None) -> None:
        """A connection came about with this certificate, under these roots.

        Of a renewed certificate and the one before, one goes; of a new root and the one before, the latter. Raises what
        the store or the disk does: that is nothing against the connection, and this may be called again.
        """
        under = "" if roots is None else roots.key
        if certificate is not None:
            leaf = certificate.fingerprint
            tell = partial(self._desk.happened, SecurityEvent.DISCARDED_RENEWED_CERTIFICATE, leaf)
            if await self._ask(lambda: self._desk.renewals.connected(leaf, under, tell)):
                self._wake.set()
        if roots is not None:
            shown = "" if certificate is None else certificate.fingerprint
            await self._ask(lambda: self._desk.trust.connected(roots, shown))

    async def connection_failed(
        self,
        certificate: ClientCertificate | None,
        roots: TrustedRoots | None = None,
        problem: BaseException | None = None,
    ) -> bool:
        """A connection failed: the next one is tried with the other certificate or root, if there are two.

        `problem` is what was raised, `ssl.SSLCertVerificationError` where the CSMS did not verify: then the certificate
        was not even shown; nor was it where nobody was reached. Where it may have been the network, a renewed one is
        tried three times. Whether to try again at once, as it is the turn of the CSMS root before.
        """
        failure, blame = failure_of(problem), blame_of(problem)
        under = "" if roots is None else roots.key
        if certificate is not None and blame is not Blame.NONE:
            leaf = certificate.fingerprint
            await self._ask(lambda: self._desk.renewals.failed(leaf, under, blame))
        if roots is None:
            return False
        why = f"not under the new CSMS root: {problem}"
        tell = partial(self._desk.happened, SecurityEvent.INVALID_CSMS_CERTIFICATE, why)
        falls_back, tells = await self._ask(lambda: self._desk.trust.failed(roots, failure, tell))
        if tells:
            self._wake.set()
        return falls_back
