"""What whoever connects a station to its CSMS asks before, and tells afterwards: our connector, or a user's own."""

from __future__ import annotations

from collections.abc import Callable

from evse_security.adapters.ocpp.at_desk import AtDesk
from evse_security.adapters.ocpp.events import SecurityEvent
from evse_security.adapters.ocpp.profiles import ProfileRefused
from evse_security.adapters.ocpp.root_trial import Failure, TrustedRoots, failure_of
from evse_security.adapters.ocpp.trial import ClientCertificate


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
        """Call this when a renewed client certificate is to be tried."""
        self._reconnect = reconnect

    # ---- afterwards

    async def connected(self, certificate: ClientCertificate | None, roots: TrustedRoots | None = None) -> None:
        """A connection came about with this certificate, under these roots.

        Of a renewed certificate and the one before, one goes; of a new root and the one before, the latter.
        """
        under = "" if roots is None else roots.key
        if certificate is not None:
            leaf = certificate.fingerprint
            if await self._ask(lambda: self._desk.renewals.connected(leaf, under)):
                await self.happened(SecurityEvent.DISCARDED_RENEWED_CERTIFICATE, leaf)
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
        was not even shown. Whether to try again at once, as it is the turn of the CSMS root before.
        """
        failure = failure_of(problem)
        under = "" if roots is None else roots.key
        if certificate is not None and failure is not Failure.UNVERIFIED:
            leaf = certificate.fingerprint
            await self._ask(lambda: self._desk.renewals.failed(leaf, under))
        if roots is None:
            return False
        falls_back, tells = await self._ask(lambda: self._desk.trust.failed(roots, failure))
        if tells:
            await self.happened(SecurityEvent.INVALID_CSMS_CERTIFICATE, f"not under the new CSMS root: {problem}")
        return falls_back
