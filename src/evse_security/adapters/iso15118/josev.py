"""PyPI `iso15118` (Josev) in the same process: its SECC serves TLS from the store, and believes contracts as we do.

Josev 0.31 has no setting for this, so the functions that it calls are replaced where it calls them. As ours always
gives a context, the branch in which its server goes on in plain text for want of one is never taken; as ours verifies
contracts, its own that lets forged chains with Ed448 pass is never asked; and hash data is as OCPP writes it.
"""

from __future__ import annotations

import importlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from evse_security.adapters.iso15118.contracts import ExiLimit, exi_from_ocpp, verify_contract
from evse_security.adapters.tls.server import SeccContext
from evse_security.contracts import ContractReport
from evse_security.errors import EvseSecurityError, InvalidConfiguration, Revoked
from evse_security.pki.profile import MAX_SUB_CAS
from evse_security.station import Station
from evse_security.visible import printable
from evse_security.vocabulary import CertificateValidationResult, OCSPRequestData

log = logging.getLogger(__name__)

SERVER, STATES, ERRORS = (
    "iso15118.secc.transport.tcp_server",
    "iso15118.secc.states.iso15118_2_states",
    "iso15118.shared.exceptions",
)


class _Place(NamedTuple):
    """Where Josev calls what is replaced: a name in a module, or of a class in it."""

    module: str
    name: str

    def owner(self) -> Any:
        """What has the name. Raises `InvalidConfiguration` where it is not there: this version is not known here."""
        owner: Any = importlib.import_module(self.module)
        *way, last = self.name.split(".")
        for one in way:
            owner = getattr(owner, one, None)
        if not callable(getattr(owner, last, None)):
            raise InvalidConfiguration("iso15118", f"has no {self.module}.{self.name}: this version is not known here")
        return owner


def serve_josev(context: SeccContext, station: Station) -> Callable[[], None]:
    """Have Josev's SECC in this process use this context and this station's verdicts. Returns how to undo that.

    Call it before the SECC starts. Josev enforces TLS by its own SECC_ENFORCE_TLS. A contract that is not valid here
    ends the session, whatever `is_authorized` would say. Raises `InvalidConfiguration` where Josev is not installed, or
    does not call what it is known to call.
    """
    try:
        errors = importlib.import_module(ERRORS)
        ours: dict[_Place, Callable[..., Any]] = {
            _Place(SERVER, "get_ssl_context"): _contexts(context),
            _Place(STATES, "verify_certs"): _verifying(station, errors),
            _Place(STATES, "get_certificate_hash_data"): _hash_data(station),
            _Place(STATES, "PaymentDetails._mobility_operator_root_cert_path"): lambda _state: None,
        }
        owners = {place: place.owner() for place in ours}
    except ImportError as missing:
        raise InvalidConfiguration("iso15118", f"cannot be imported: {missing}") from None
    before = {place: getattr(owner, place.name.rpartition(".")[2]) for place, owner in owners.items()}

    def put(functions: Mapping[_Place, Callable[..., Any]]) -> None:
        for place, function in functions.items():
            setattr(owners[place], place.name.rpartition(".")[2], function)

    put(ours)
    return lambda: put(before)


def _contexts(context: SeccContext) -> Callable[[bool], ssl.SSLContext]:
    def made(server_side: bool) -> ssl.SSLContext:  # noqa: FBT001  as Josev calls it
        if not server_side:
            raise ValueError("this is the context of a SECC")
        return context

    return made


# ---- contracts


def _verifying(station: Station, errors: Any) -> Callable[..., None]:
    def verify_certs(leaf: bytes, sub_cas: Sequence[bytes], *_others: object, **_more: object) -> None:
        """Raises what Josev has for it. None of these is the CertSignatureError with which it would go on."""
        report = verify_contract(station, _pem(leaf, sub_cas))
        if report.is_valid:
            return
        log.warning("a contract is refused: %s", printable(f"{report.emaid}: {report.reason}"))
        if isinstance(report.reason, Revoked):
            raise errors.CertRevokedError(report.emaid)
        if report.result is CertificateValidationResult.Expired:
            raise errors.CertExpiredError(report.emaid)
        raise errors.CertChainLengthError(MAX_SUB_CAS, len(sub_cas))  # answered FAILED_CertChainError

    return verify_certs


def _hash_data(station: Station) -> Callable[..., list[dict[str, str]] | None]:
    def get_certificate_hash_data(chain: Any, _root: bytes | None) -> list[dict[str, str]] | None:
        """OCPP's hash data of all that name a responder; None where there is none, as Josev has it."""
        if chain is None:
            return None
        report = verify_contract(station, _pem(chain.certificate, chain.sub_certificates.certificates))
        return hash_data_for_ocpp(report) or None

    return get_certificate_hash_data


def hash_data_for_ocpp(report: ContractReport) -> list[dict[str, str]]:
    """The hash data of a contract as Josev gives it to `is_authorized`, but written as OCPP has it: hexadecimal."""
    return [_in_words(one) for one in report.ocsp_request_data]


def _in_words(one: OCSPRequestData) -> dict[str, str]:
    data = one.certificate_hash_data
    hashes = {} if data is None else {
        "hash_algorithm": str(data.hash_algorithm),
        "issuer_name_hash": data.issuer_name_hash,
        "issuer_key_hash": data.issuer_key_hash,
        "serial_number": data.serial_number,
    }  # fmt: skip
    return {**hashes, "responder_url": one.responder_url or ""}


def _pem(leaf: bytes, sub_cas: Sequence[bytes]) -> str:
    return "".join(ssl.DER_cert_to_PEM_cert(one) for one in (leaf, *sub_cas))


# ---- CertificateInstallation


@dataclass(eq=False)
class NoContract(EvseSecurityError):
    """The CSMS did not answer a car that asks for its contract."""

    status: str
    template = "the CSMS has no contract for this car: it answered {status}"


async def pass_on(
    ask: Callable[..., AsyncIterator[Mapping[str, Any]]],
    request: str,
    namespace: str,
    limits: tuple[ExiLimit, ExiLimit] = (ExiLimit.REQUEST_201, ExiLimit.RESPONSE_201),
) -> str:
    """What the CSMS answers a car that asks for its contract, octet by octet: for Josev's `get_15118_ev_certificate`.

    `ask` is `Certificates.ev_certificates` of the OCPP adapter. What this raises, `NoContract` among it, Josev answers
    with FAILED_NoCertificateAvailable. It asks only with USE_CPO_BACKEND=True; else it makes contracts up.
    """
    exi_from_ocpp(request, limits[0])
    async for answer in ask(request, schema=namespace):
        response, status = answer.get("exiResponse"), str(answer.get("status"))
        if status != "Accepted" or not isinstance(response, str):
            raise NoContract(status)
        exi_from_ocpp(response, limits[1])
        return response  # a car of ISO 15118-2 takes one contract
    raise NoContract("nothing")
