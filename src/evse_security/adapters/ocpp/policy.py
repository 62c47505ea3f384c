"""How a station handles certificates towards its CSMS: whose they are, which edition's rules, how often it asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from evse_security.adapters.ocpp.editions import TAKEOVER, Edition, Takeover
from evse_security.adapters.ocpp.profiles import HIGHEST, LOWEST
from evse_security.adapters.ocpp.uses import SigningUse, uses
from evse_security.errors import InvalidConfiguration
from evse_security.visible import is_line
from evse_security.vocabulary import LeafCertificateType

RANGES = {
    "days": range(1, 3651),
    "wait": range(1, 30 * 86_400),
    "repeats": range(1000),
    "max_chain_size": range(1, 10_001),
    "ocsp_refresh": range(60, 7 * 86_400 + 1),
    "security_profile": range(LOWEST, HIGHEST + 1),
}
LONGEST_NAME, COUNTRY = 64, 2
"""Characters of an organization or a common name (RFC 5280 has 64), and of a country."""
_TYPES: Mapping[str, tuple[type, str]] = {
    "Edition": (Edition, f"an Edition: {', '.join(Edition)}"),
    "Takeover | None": (Takeover, f"a Takeover, or None: {', '.join(Takeover)}"),
    "str": (str, "a text"),
    "int": (int, "a whole number"),
    "bool": (bool, "True or False"),
}
"""What a field may be, by how it is declared, and that in words."""
WRITABLE = frozenset(
    {
        "wait",
        "repeats",
        "organization",
        "secc_id",
        "country",
        "security_profile",
        "allows_downgrade",
        "plug_and_charge",
        "secc_installation",
        "contract_installation",
        "central_validation",
        "offline_validation",
    }
)
"""What a CSMS may set. What else is remembered of an earlier edition is not used."""


@dataclass(frozen=True, kw_only=True)
class CertificatePolicy:
    """The rules of one station. Raises `InvalidConfiguration` naming the field."""

    edition: Edition
    organization: str
    """O of signing requests: OrganizationName, CpoName."""
    serial_number: str
    """CN of the client certificate: the station's serial number."""
    secc_id: str = ""
    """CN of the SECC leaf (SeccId); empty: as the leaf before, or none is asked for."""
    secc_ids: Mapping[int, str] = field(default_factory=dict)
    """Where each EVSE has a SECC of its own: their names by EVSE, for the device model alone. We renew `secc_id`."""
    identity: str = ""
    """Who the station is to its CSMS (Identity), for the device model; empty: that says nothing of it."""
    country: str = ""
    takeover: Takeover | None = None
    """When a renewed client certificate is used; None: as the edition demands."""
    enrol: frozenset[SigningUse | LeafCertificateType] = field(default=frozenset())
    """Leaves that are asked for though there is none before; others wait for a trigger."""
    combined: bool = False
    """Whether one certificate serves the CSMS and cars (SignCombinedCertificate), with the serial number as its CN."""
    v2g20_key_type: str = ""
    """Key of leaves of ISO 15118-20 in OCPP 2.1, `secp521r1` or `ed448`; empty: as `csr_key_type` if that is one."""
    days: int = 30
    """A leaf is renewed so many days before its end (A02: a month at the latest)."""
    wait: int = 30
    """CertSigningWaitMinimum, in seconds; doubled after each attempt."""
    repeats: int = 3
    """CertSigningRepeatTimes. After those it is tried once a day."""
    max_chain_size: int = 10_000
    """MaxCertificateChainSize, CertificateSignedMaxChainSize: characters."""
    ocsp_refresh: int = 7 * 86_400
    """Seconds after which the status of a V2G certificate is asked for again at the latest (M06.FR.10)."""
    security_profile: int = 0
    """The security profile that your connector uses (SecurityProfile); 0: the device model says nothing of it."""
    allows_downgrade: bool = False
    """AllowSecurityProfileDowngrade (2.1): profile 3 may be left for 2."""
    plug_and_charge: bool = True
    """PnCEnabled, ISO15118PnCEnabled: contracts are authorized."""
    secc_installation: bool = True
    """V2GCertificateInstallationEnabled: SECC leaves are asked for."""
    contract_installation: bool = True
    """ContractCertificateInstallationEnabled: cars' requests for contracts are passed on."""
    central_validation: bool = True
    """CentralContractValidationAllowed: a contract that this station cannot judge goes to the CSMS as it is."""
    offline_validation: bool = False
    """ContractValidationOffline: without the CSMS this station judges contracts itself."""

    def __post_init__(self) -> None:
        """1. Types. 2. What each field may be. 3. What they may be together."""
        for one in fields(self):
            self._check_type(one.name, str(one.type))  # 1
        for name, allowed in RANGES.items():
            if getattr(self, name) not in allowed:
                raise InvalidConfiguration(name, f"must be from {allowed.start} to {allowed.stop - 1}")
        for name in ("organization", "serial_number"):
            if not getattr(self, name):
                raise InvalidConfiguration(name, "must not be empty: OCPP reads from it whose station it is")
        self._check_names()  # 2
        if self.v2g20_key_type not in ("", "secp521r1", "ed448"):
            raise InvalidConfiguration("v2g20_key_type", "must be secp521r1 or ed448")
        if self.combined and self.edition is Edition.V16:
            raise InvalidConfiguration("combined", "OCPP 1.6 has no certificate for the CSMS and for cars")  # 3
        may_be = uses(self.edition, combined=self.combined)
        for use in self.enrol:
            if use not in may_be:
                raise InvalidConfiguration("enrol", f"{use!r} is none of what is asked for: {', '.join(may_be)}")

    def _check_names(self) -> None:
        for name in ("organization", "serial_number", "secc_id"):
            _check_line(name, getattr(self, name))
        for number, secc_id in self.secc_ids.items():
            if not isinstance(number, int):
                raise InvalidConfiguration("secc_ids", f"{number!r} is no number of an EVSE")
            _check_line("secc_ids", secc_id)
        if self.country and not (self.country.isascii() and self.country.isalpha() and len(self.country) == COUNTRY):
            raise InvalidConfiguration("country", "must be a code of two letters (ISO 3166-1), or empty")

    def _check_type(self, name: str, declared: str) -> None:
        """A text where a number is meant, or "no" for False, would be found out when it is too late."""
        value, (wanted, words) = getattr(self, name), _TYPES.get(declared, (object, ""))
        is_left_out = value is None and declared.endswith("| None")
        if not (isinstance(value, wanted) or is_left_out) or (wanted is int and isinstance(value, bool)):
            raise InvalidConfiguration(name, f"must be {words}")

    @property
    def takes_over(self) -> Takeover:
        """When a renewed client certificate is used."""
        return self.takeover or TAKEOVER[self.edition]

    @property
    def uses(self) -> tuple[SigningUse, ...]:
        """What certificates are asked for."""
        return uses(self.edition, combined=self.combined and self.secc_installation)

    @property
    def speaks_plug_and_charge(self) -> bool:
        """Whether there are messages about SECC leaves: 1.6 has them in DataTransfer, which is off without it."""
        return self.edition is not Edition.V16 or self.plug_and_charge

    def asks_for(self, use: SigningUse) -> bool:
        """Whether leaves of a use are asked for at all (A02, A03)."""
        return not use.is_secc or (self.secc_installation and self.speaks_plug_and_charge)

    def common_name(self, use: SigningUse) -> str:
        """Whose name stands in a leaf."""
        return self.serial_number if use.is_client else self.secc_id

    def changed(self, name: str, text: str) -> CertificatePolicy:
        """With one value set by the CSMS. Raises `InvalidConfiguration`."""
        declared = {one.name: one.default for one in fields(self)}
        if isinstance(declared[name], bool):
            if text.lower() not in ("true", "false"):
                raise InvalidConfiguration(name, "must be true or false")
            return replace(self, **{name: text.lower() == "true"})  # type: ignore[arg-type]
        if not isinstance(declared[name], int):
            return replace(self, **{name: text})  # type: ignore[arg-type]
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise InvalidConfiguration(name, "must be a whole number")
        return replace(self, **{name: int(text)})  # type: ignore[arg-type]


def _check_line(name: str, text: object) -> None:
    if not isinstance(text, str) or len(text) > LONGEST_NAME or (text and not is_line(text)):
        raise InvalidConfiguration(name, f"must be a line of at most {LONGEST_NAME} characters")
