"""The commands of both revisions with arguments of any kind, and what holds of their answers and of the store."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import replace
from typing import Any

from OpenSSL import crypto

from evse_security import CertificateHashData, CommandRefused, MalformedRequest, Station, StationConfig
from evse_security.cli import main
from evse_security.pki import pem
from evse_security.serve.command import commands
from evse_security.serve.text import parse as parse_json
from tests.builders import NOW
from tests.conformance.kit import as_json
from tests.hostile import home as homes
from tests.hostile.arguments import NEW, OEM, TEXTS, Call, Way, calls, namesakes
from tests.hostile.home import PASSWORD, fit_for_strangers, home, is_of
from tests.hostile.target import Target

CHANGES = frozenset({"install_ca_certificate", "delete_certificate", "update_leaf_certificate", "update_ocsp_cache"})
MAKES_KEYS = "generate_certificate_signing_request"


# ---- calling


def check_call(call: Call) -> None:
    """An answer in the interface's words or a documented refusal; only what was Accepted changed the store."""
    try:
        _check_call(call)
    finally:
        home().restored()


def _check_call(call: Call) -> None:
    with home().listening():
        answer = _answered(call)
        changed = home().restored()
    if changed:
        assert call.command in CHANGES | {MAKES_KEYS}
        done = answer in ("Accepted", None) or (isinstance(answer, dict) and answer.get("status") == "Accepted")
        assert done or (call.command == MAKES_KEYS and isinstance(answer, str)), answer
    if call.way in (Way.JSON, Way.TEXT) and answer == "Accepted" and call.command == "install_ca_certificate":
        _can_be_taken_back(call.arguments["certificate"], call.arguments["certificate_type"])
    if answer in ("Valid", "Accepted") and call.command in ("verify_certificate", "update_leaf_certificate"):
        assert _openssl_agrees(call.arguments["certificate_chain"])


def _answered(call: Call) -> Any:
    """The answer, checked against the declaration; the refusal where it was refused."""
    try:
        answer = _WAYS[call.way](call)
    except (MalformedRequest, CommandRefused) as refusal:
        assert PASSWORD not in str(refusal)
        assert "-----BEGIN" not in str(refusal)
        return refusal
    if call.way is Way.CLI:
        return answer
    assert is_of(commands(call.revision)[call.command].result, answer), answer
    return answer


def _by_json(call: Call) -> Any:
    return home().station.dispatch(call.command, call.arguments, revision=call.revision)


def _by_text(call: Call) -> Any:
    arguments = parse_json(json.dumps(call.arguments), "arguments")
    return json.loads(json.dumps(home().station.dispatch(call.command, arguments, revision=call.revision)))


def _typed(call: Call) -> Any:
    wanted = {one.name for one in commands(call.revision)[call.command].arguments}
    if not isinstance(call.arguments, dict) or call.arguments.keys() != wanted:
        return _by_json(call)
    arguments = dict(call.arguments)
    if "certificate_hash_data" in arguments:
        with suppress(TypeError):
            arguments["certificate_hash_data"] = CertificateHashData(**arguments["certificate_hash_data"])
    answer = getattr(home().station.interface(call.revision), call.command)(**arguments)  # type: ignore[call-overload]
    return as_json(answer)


def _by_cli(call: Call) -> Any:
    out, err = io.StringIO(), io.StringIO()
    argv = ["--certs", str(home().root), "call", call.command, "--revision", call.revision]
    argv.append("--json=" + json.dumps(call.arguments))
    with redirect_stdout(out), redirect_stderr(err):
        code = main(argv, environment={}, opener=opened)
    assert all(fit_for_strangers(line) for line in err.getvalue().splitlines())
    if code == 2:
        return MalformedRequest("", err.getvalue())
    assert code in (0, 1)
    if not out.getvalue():
        return CommandRefused(call.command, MalformedRequest("", err.getvalue()))
    answer = json.loads(out.getvalue())
    assert is_of(commands(call.revision)[call.command].result, answer), answer
    return answer


_WAYS = {Way.JSON: _by_json, Way.TEXT: _by_text, Way.TYPED: _typed, Way.CLI: _by_cli}


@contextmanager
def opened(config: StationConfig) -> Iterator[Station]:
    with Station.open(replace(config, clock=lambda: NOW, private_key_password=PASSWORD)) as station:
        yield station


# ---- what follows of an answer


def _can_be_taken_back(text: str, kind: str) -> None:
    """What can be installed can be listed and looked at, and deleted by what the list says of it."""
    station = home().station
    again = {"certificate": text, "certificate_type": kind}
    assert station.dispatch("install_ca_certificate", again, revision=OEM) == "Accepted"
    asked = {"certificate_types": [f"{kind}RootCertificate"]}
    listed = station.dispatch("get_installed_certificates", asked, revision=OEM)
    assert is_of(commands(OEM)["get_installed_certificates"].result, listed), listed
    assert str(station.overview().domains)
    new = pem.single(text, "it")
    found = [one for chain in listed["certificate_hash_data_chain"] for one in _of_chain(chain)]
    known = [one for one in found if one["serial_number"] == new.serial_text]
    assert station.dispatch("delete_certificate", {"certificate_hash_data": known[0]}) in ("Accepted", "Failed")


def _of_chain(chain: dict[str, Any]) -> list[dict[str, Any]]:
    return [chain["certificate_hash_data"], *chain.get("child_certificate_hash_data", ())]


def _openssl_agrees(text: str) -> bool:
    """Whether OpenSSL, trusting what is installed, finds a path as well."""
    leaf, *sent = (crypto.load_certificate(crypto.FILETYPE_ASN1, one.der) for one in pem.chain(text, "it"))
    store = crypto.X509Store()
    for holder in ("V2GRoot", "MORoot", "CSMSRoot", "MFRoot"):
        store.add_cert(crypto.X509.from_cryptography(homes.pki()[holder].certificate))
    store.set_time(max(NOW, pem.chain(text, "it")[0].not_before))
    installed = [crypto.X509.from_cryptography(homes.pki()[holder].certificate) for holder in ("Sub1", "MOSub")]
    try:
        crypto.X509StoreContext(store, leaf, [*sent, *installed]).verify_certificate()
    except crypto.X509StoreContextError:
        return False
    return True


def check_chain(text: str) -> None:
    """A chain of whatever is verified for all domains and installed, and asked about."""
    for called, more in (
        ("verify_certificate", {"certificate_types": ["V2G"]}),
        ("verify_certificate", {"certificate_types": ["V2G", "MO", "MF"]}),
        ("update_leaf_certificate", {"certificate_type": "V2G"}),
        ("get_mo_ocsp_request_data", {}),
    ):
        check_call(Call(NEW, called, {"certificate_chain": text, **more}, Way.JSON))
    for kind in ("V2G", "CSMS", "OEM"):
        check_call(Call(OEM, "install_ca_certificate", {"certificate": text, "certificate_type": kind}, Way.JSON))


TARGETS = {
    "call": Target(calls(), check_call),
    "chain": Target(TEXTS, check_chain, 60),
    "chain of namesakes": Target(namesakes(), check_chain, 10),
}
