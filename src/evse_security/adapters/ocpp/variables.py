"""What a station's device model says of its certificates: variables of 2.x, configuration keys of 1.6. A table.

Those that a CSMS may write take effect at once, and stay; of what is its own the station's program hears (`changed`).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace

from evse_security.adapters.ocpp.desk import Desk
from evse_security.adapters.ocpp.device_model import DataType, Mutability, Served
from evse_security.adapters.ocpp.editions import Edition
from evse_security.adapters.ocpp.policy import COUNTRY, LONGEST_NAME, RANGES

SECURITY, ISO15118 = "SecurityCtrlr", "ISO15118Ctrlr"
SHORTEST_PASSWORD, LONGEST_PASSWORD = 16, 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One variable: its names, what follows from it, and which field of the policy it shows and sets."""

    component: str = ""
    """Empty: 2.x has none."""
    name: str = ""
    key: str = ""
    """Its name in 1.6; empty: that has none."""
    effect: str
    field: str = ""
    """The field of the policy whose value it is."""
    read: Callable[[Desk], str] | None = None
    """Where it is no field of the policy."""
    mutability: Mutability = Mutability.read_only
    data_type: DataType = DataType.string
    unit: str = ""
    lowest: int | None = None
    highest: int | Callable[[Desk], int] | None = None
    options: tuple[str, ...] = ()
    editions: frozenset[Edition] = frozenset(Edition)
    optional: bool = False
    """Whether it is there only if the policy has a value for it."""
    by_program: bool = False
    """Whether it may be written only where the station's own program is told: nobody else could act on it."""


def _switch(component: str, name: str, key: str, field: str, effect: str) -> Variable:
    boolean, settable = DataType.boolean, Mutability.read_write
    return Variable(
        component=component, name=name, key=key, field=field, effect=effect, mutability=settable, data_type=boolean
    )


def _text(
    component: str, name: str, key: str, field: str, effect: str, *, lowest: int = 0, highest: int = LONGEST_NAME
) -> Variable:
    return Variable(
        component=component,
        name=name,
        key=key,
        field=field,
        effect=effect,
        mutability=Mutability.read_write,
        lowest=lowest,
        highest=highest,
    )


def _number(name: str, key: str, field: str, effect: str, *, unit: str = "", settable: bool = True) -> Variable:
    allowed = RANGES[field]
    return Variable(
        component=SECURITY,
        name=name,
        key=key,
        field=field,
        effect=effect,
        mutability=Mutability.read_write if settable else Mutability.read_only,
        data_type=DataType.integer,
        unit=unit,
        lowest=allowed.start,
        highest=allowed.stop - 1,
    )


def _entries(desk: Desk) -> str:
    return str(desk.station.inventory().ca_count)


def _most(desk: Desk) -> int:
    config = desk.station.config
    return config.certificate_store_max_length or config.max_store_entries


VARIABLES = (
    Variable(
        component=SECURITY,
        name="AdditionalRootCertificateCheck",
        key="AdditionalRootCertificateCheck",
        effect="a new CSMS root must be signed by the installed one (M05.FR.09)",
        read=lambda desk: str(desk.station.config.additional_root_certificate_check).lower(),
        data_type=DataType.boolean,
    ),
    Variable(
        component=SECURITY,
        name="AllowSecurityProfileDowngrade",
        effect="security profile 3 may be left for 2 (`refused_profile`)",
        field="allows_downgrade",
        mutability=Mutability.read_write,
        data_type=DataType.boolean,
        editions=frozenset({Edition.V21}),
    ),
    Variable(
        component=SECURITY,
        name="BasicAuthPassword",
        key="AuthorizationKey",
        effect="your program is told, and connects with it from then on; no answer, event or file has it (A01)",
        mutability=Mutability.write_only,
        lowest=SHORTEST_PASSWORD,
        highest=LONGEST_PASSWORD,
        by_program=True,
    ),
    Variable(
        component=SECURITY,
        name="CertificateEntries",
        effect="how many CA certificates are installed, as its maxLimit counts them: one more is refused (M05.FR.06)",
        read=_entries,
        data_type=DataType.integer,
        lowest=0,
        highest=_most,
    ),
    Variable(
        key="CertificateStoreMaxLength",
        effect="how many CA certificates may be installed: one more is refused (M05.FR.06)",
        read=lambda desk: str(_most(desk)),
        data_type=DataType.integer,
    ),
    _number(
        "MaxCertificateChainSize",
        "CertificateSignedMaxChainSize",
        "max_chain_size",
        "characters of a signed chain: a longer one is refused (A02.FR.16)",
        settable=False,
    ),
    _number(
        "CertSigningWaitMinimum",
        "CertSigningWaitMinimum",
        "wait",
        "seconds before a signing request is repeated, doubled each time (A02.FR.17)",
        unit="s",
    ),
    _number("CertSigningRepeatTimes", "CertSigningRepeatTimes", "repeats", "how often it is repeated (A02.FR.18)"),
    _text(SECURITY, "OrganizationName", "CpoName", "organization", "O of signing requests", lowest=1),
    Variable(
        component=SECURITY,
        name="Identity",
        effect="who the station is to its CSMS",
        field="identity",
        optional=True,
    ),
    Variable(
        component=SECURITY,
        name="SecurityProfile",
        effect="the profile that your connector uses; 2.x changes it with SetNetworkProfile (`refused_profile`)",
        field="security_profile",
        data_type=DataType.integer,
        lowest=1,
        highest=3,
        optional=True,
    ),
    Variable(
        key="SecurityProfile",
        effect="the profile that your connector uses: never lower, none without its certificates (A05); your program "
        "is told, and connects anew",
        field="security_profile",
        mutability=Mutability.read_write,
        data_type=DataType.integer,
        lowest=0,
        highest=3,
        optional=True,
        by_program=True,
    ),
    _text(ISO15118, "SeccId", "", "secc_id", "CN of the SECC leaf"),
    _text(ISO15118, "CountryName", "", "country", "C of signing requests", highest=COUNTRY),
    _text(ISO15118, "OrganizationName", "", "organization", "O of signing requests", lowest=1),
    _switch(
        ISO15118,
        "PnCEnabled",
        "ISO15118PnCEnabled",
        "plug_and_charge",
        "off: `authorize` refuses; in 1.6 nothing of Plug & Charge is sent or answered in DataTransfer either",
    ),
    _switch(
        ISO15118,
        "V2GCertificateInstallationEnabled",
        "",
        "secc_installation",
        "off: no SECC leaf is asked for, a combined one neither; triggers are Rejected (of the combined one "
        "NotImplemented), a request that waits is dropped",
    ),
    _switch(
        ISO15118,
        "ContractCertificateInstallationEnabled",
        "",
        "contract_installation",
        "off: `ev_certificates` refuses, so that no Get15118EVCertificate is sent (M01, M02)",
    ),
    _switch(
        ISO15118,
        "CentralContractValidationAllowed",
        "CentralContractValidationAllowed",
        "central_validation",
        "off: `authorize` refuses a contract that this station cannot judge or name by hash data, and sends none (C07)",
    ),
    _switch(
        ISO15118,
        "ContractValidationOffline",
        "ContractValidationOffline",
        "offline_validation",
        "off: `is_valid_offline` holds for no contract (C07)",
    ),
    Variable(
        component=ISO15118,
        name="CertificateStatusSource",
        effect="whom `chain_statuses` has the CSMS ask (M07)",
        read=lambda _: "OCSP",
        data_type=DataType.option_list,
        options=("OCSP",),
        editions=frozenset({Edition.V21}),
    ),
)


def served(desk: Desk, *, told: bool = False, values_of: Container[str] | None = None) -> tuple[Served, ...]:
    """The variables that this edition has, as they are now. `told`: the station's own program hears of what is set.

    `values_of`: names in small letters of those whose values are wanted, as some take long; None: all.
    """
    return tuple(one for row in VARIABLES for one in _served(desk, row, told=told, values_of=values_of))


def _served(desk: Desk, row: Variable, *, told: bool, values_of: Container[str] | None) -> Iterator[Served]:
    policy = desk.renewals.policy
    name = row.key if policy.edition is Edition.V16 else row.name
    absent = row.optional and not getattr(policy, row.field)
    is_secret = row.mutability is Mutability.write_only
    if not name or policy.edition not in row.editions or absent or (is_secret and not told):
        return
    stays = row.by_program and not told
    one = Served(
        component=row.component,
        variable=row.name,
        key=row.key,
        value=_value(desk, row) if values_of is None or name.lower() in values_of else "",
        mutability=Mutability.read_only if stays else row.mutability,
        data_type=row.data_type,
        unit=row.unit,
        lowest=row.lowest,
        highest=row.highest(desk) if callable(row.highest) else row.highest,
        options=row.options,
        writes=row.field,
    )
    yield one
    if row.field == "secc_id":
        for evse, secc in policy.secc_ids.items():
            yield replace(one, value=secc, mutability=Mutability.read_only, writes="", evse=evse)


def _value(desk: Desk, one: Variable) -> str:
    if one.read is not None:
        return one.read(desk)
    found = getattr(desk.renewals.policy, one.field) if one.field else ""
    return str(found).lower() if isinstance(found, bool) else str(found)
