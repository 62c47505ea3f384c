"""Changing the security profile: what a station needs before it may (A05, and SecurityProfile in 1.6)."""

from __future__ import annotations

from dataclasses import dataclass

from evse_security.errors import EvseSecurityError

LOWEST, HIGHEST = 0, 3


@dataclass(eq=False)
class ProfileRefused(EvseSecurityError):
    """A security profile that this station must not change to."""

    template = "security profile {wanted}: {problem}"
    wanted: int
    problem: str

    @property
    def code(self) -> str:
        """OCPP's word."""
        return "InvalidValue"


def refused_profile(
    current: int, wanted: int, *, has_root: bool, has_leaf: bool, has_password: bool = True, may_go_down: bool = False
) -> ProfileRefused | None:
    """Why a profile is refused; None where it is not.

    1. Never down, unless AllowSecurityProfileDowngrade says so, and then from 3 to 2 alone. 2. Passwords need one.
    3. TLS needs a CSMS root. 4. Client certificates need one.
    """
    if not LOWEST <= wanted <= HIGHEST:
        return ProfileRefused(wanted, "there is none of this number")
    if wanted < current and not (may_go_down and wanted >= 2):
        return ProfileRefused(wanted, f"lower than {current}, which is used")  # 1
    if wanted in (1, 2) and not has_password:
        return ProfileRefused(wanted, "no password is set")  # 2
    if wanted >= 2 and not has_root:
        return ProfileRefused(wanted, "no valid CSMS root certificate is installed")  # 3
    if wanted == 3 and not has_leaf:
        return ProfileRefused(wanted, "no valid client certificate is installed")  # 4
    return None
