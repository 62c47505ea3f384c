"""What can be done on the stage. Each act returns the answer in a few words, to be held against the expected one."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evse_security.demo.cast import Cast, HashData, certificates, tampered
from evse_security.demo.stage import Missing, Stage

STATION = "DEDMOE000001"
"""The station's common name."""
ANOTHER = "DEDMOE999999"
GENUINE, TAMPERED = "update.bin", "tampered.bin"
"""Names of firmware files."""


# ---- roots


def install_root(stage: Stage, domain: str) -> str:
    """Install a root; one that is there already is accepted without a change."""
    before = stage.updates
    root = stage.cast.root(domain)
    answer: str = stage.call("install_ca_certificate", certificate=root, certificate_type=domain)
    if answer == "Accepted" and stage.updates == before:
        stage.notes.append("installed already, no second copy")
    return answer


def roots_installed(stage: Stage, domains: Sequence[str]) -> str:
    """Whether each domain has a valid root."""
    answers = [stage.call("is_ca_certificate_installed", certificate_type=domain) for domain in domains]
    return ", ".join(str(answer).lower() for answer in answers)


def path_of_roots(stage: Stage, command: str, domain: str) -> str:
    """The path that TLS stacks verify others with."""
    path = stage.call(command, certificate_type=domain)
    return stage.told(path) if path else "no path"


def listed(stage: Stage, kinds: Sequence[str]) -> str:
    """How many certificates are installed in chains of these kinds."""
    chains = _chains(stage, kinds)
    return f"{sum(1 + len(chain.get('child_certificate_hash_data', ())) for chain in chains)} certificates"


def _chains(stage: Stage, kinds: Sequence[str]) -> list[dict[str, Any]]:
    reply = stage.call("get_installed_certificates", certificate_types=list(kinds))
    found: list[dict[str, Any]] = reply["certificate_hash_data_chain"]
    return found


# ---- the station's own leaves


def request(stage: Stage, leaf_type: str) -> str:
    """Have a key made and a signing request for it."""
    csr = stage.call(
        "generate_certificate_signing_request",
        certificate_type=leaf_type,
        country="DE",
        organization="Demo Charging",
        common=STATION,
    )
    stage.keep(f"{leaf_type} signing request", csr)
    return "a CSR" if csr.startswith("-----BEGIN CERTIFICATE REQUEST-----") else "no CSR"


def sign(stage: Stage, leaf_type: str, holder: str) -> str:
    """Have a signing request answered by the CA in charge."""
    chain = stage.cast.sign(stage.kept(f"{leaf_type} signing request"), holder)
    stage.keep(f"{leaf_type} chain", chain)
    return f"{len(certificates(chain))} certificates"


def install_leaf(stage: Stage, leaf_type: str) -> str:
    """Install the answer to a signing request."""
    chain = stage.kept(f"{leaf_type} chain")
    answer: str = stage.call("update_leaf_certificate", certificate_chain=chain, certificate_type=leaf_type)
    return answer


def identity(stage: Stage, leaf_type: str) -> Any:
    """The hash data of the leaf in use."""
    return leaf_info(stage, leaf_type)["ocsp"][0]["hash"]


def outdated(stage: Stage) -> list[Any]:
    """The hash data of the SECC leaves that are not in use any more."""
    chains = _chains(stage, ["V2GCertificateChain"])
    leaves = [chain["certificate_hash_data"] for chain in chains]
    return [leaf for leaf in leaves if leaf != identity(stage, "V2G")] if len(leaves) > 1 else []


def delete_outdated(stage: Stage) -> str:
    """Delete the SECC leaves that are not in use any more."""
    answers = {stage.call("delete_certificate", certificate_hash_data=leaf) for leaf in outdated(stage)}
    return ", ".join(sorted(answers))


def key_pair(stage: Stage, encoding: str) -> str:
    """Whether the SECC's key pair is that of the leaf just installed."""
    pair = pair_of_secc(stage, encoding)
    newest = certificates(secc_chain(stage))[0]
    content = Path(pair["certificate"]).read_bytes()
    is_newest = content.startswith(newest.encode() if encoding == "PEM" else ssl.PEM_cert_to_DER_cert(newest))
    return "Accepted" if is_newest else "Accepted, but another leaf"


def pair_of_secc(stage: Stage, encoding: str) -> dict[str, Any]:
    """The paths of the SECC's certificate and key. Raises `Missing`."""
    reply = stage.call("get_key_pair", certificate_type="V2G", encoding=encoding)
    if "key_pair" not in reply:
        raise Missing(f"get_key_pair answered {reply['status']}")
    found: dict[str, Any] = reply["key_pair"]
    return found


def days_left(stage: Stage, leaf_type: str) -> str:
    """The time until a leaf expires."""
    return f"{stage.call('get_leaf_expiry_days_count', certificate_type=leaf_type)} days"


# ---- verifying

Chain = Callable[[Stage], str]
"""Finds or makes a chain to verify."""


def secc_chain(stage: Stage) -> str:
    """The chain that the station shows to cars."""
    chain: str = stage.kept("V2G chain")
    return chain


def tampered_chain(stage: Stage) -> str:
    """The station's chain, with another station's name put into the leaf."""
    return tampered(secc_chain(stage), STATION, ANOTHER)


def sub_ca_as_leaf(stage: Stage) -> str:
    """A chain that begins with a CA certificate."""
    return "".join(certificates(secc_chain(stage))[1:])


def expired_chain(stage: Stage) -> str:
    """A chain whose leaf expired yesterday."""
    return stage.cast.expired_chain()


def impostor_chain(stage: Stage) -> str:
    """A chain of an impostor, who has our names and other keys."""
    return stage.cast.impostor_chain()


def contract_chain(stage: Stage) -> str:
    """The chain that a car shows for Plug and Charge; the same one in all of this run."""
    if "contract chain" not in stage.props:
        stage.keep("contract chain", stage.cast.issued("CONTRACT_LEAF").chain_pem())
    chain: str = stage.kept("contract chain")
    return chain


def firmware_signer(stage: Stage) -> str:
    """The certificate of the one who signs firmware."""
    signer = stage.keep("firmware signer", stage.cast.issued("FIRMWARE_LEAF"))
    return str(signer.pem)


def verify(stage: Stage, chain: Chain, leaf_type: str) -> str:
    """Verify a chain."""
    answer: str = stage.call("verify_certificate", certificate_chain=chain(stage), certificate_type=leaf_type)
    return answer


def verify_contract(stage: Stage) -> str:
    """Verify a contract, which the newest revision alone has a word for."""
    answer: str = stage.call(
        "verify_certificate",
        revision="2026-04",
        certificate_chain=contract_chain(stage),
        certificate_types=["MO"],
    )
    return answer


# ---- OCSP


def questions(stage: Stage, command: str, **arguments: Any) -> str:
    """What to ask OCSP responders."""
    asked = stage.call(command, **arguments)["ocsp_request_data_list"]
    for number, question in enumerate(asked):
        stage.keep(f"question {number + 1} of {command}", question)
    return f"{len(asked)} questions"


def contract_questions(stage: Stage) -> str:
    """What to ask about a contract."""
    return questions(stage, "get_mo_ocsp_request_data", certificate_chain=contract_chain(stage))


def cache(stage: Stage, number: int, answer: Callable[[Cast, HashData], str]) -> str:
    """Have one of the questions answered, and cache the answer."""
    about = stage.kept(f"question {number} of get_ocsp_request_data")["certificate_hash_data"]
    stage.call("update_ocsp_cache", certificate_hash_data=about, ocsp_response=answer(stage.cast, about))
    return "cached"


def info(stage: Stage, leaf_type: str) -> str:
    """The status of the leaf in use, and how many of its chain have an OCSP response."""
    found = leaf_info(stage, leaf_type)
    answered = [one for one in found["ocsp"] if "ocsp_path" in one and Path(one["ocsp_path"]).is_file()]
    return f"{len(answered)} of {found['certificate_count']} with OCSP"


def leaf_info(stage: Stage, leaf_type: str) -> dict[str, Any]:
    """What the station tells about its leaf in use, OCSP responses included. Raises `Missing`."""
    reply = stage.call("get_leaf_certificate_info", certificate_type=leaf_type, encoding="PEM", include_ocsp=True)
    if "info" not in reply:
        raise Missing(f"get_leaf_certificate_info answered {reply['status']}")
    found: dict[str, Any] = reply["info"]
    return found


def all_infos(stage: Stage, leaf_type: str) -> str:
    """Of how many roots there is a leaf to use."""
    reply = stage.call(
        "get_all_valid_certificates_info", certificate_type=leaf_type, encoding="PEM", include_ocsp=False
    )
    return f"{len(reply['info'])} root" if reply["status"] == "Accepted" else str(reply["status"])


# ---- firmware


def download(stage: Stage) -> str:
    """Get a signed firmware file from its maker, and the same with one bit changed."""
    content = b"firmware of a charging station\n" * 4096
    stage.home.firmware.mkdir(exist_ok=True)
    (stage.home.firmware / GENUINE).write_bytes(content)
    (stage.home.firmware / TAMPERED).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    stage.keep("firmware signature", stage.cast.signature(content, stage.kept("firmware signer")))
    return "signed"


def verify_firmware(stage: Stage, name: str) -> str:
    """Verify a firmware file's signature."""
    answer = stage.call(
        "verify_file_signature",
        file_path=str(stage.home.firmware / name),
        signing_certificate=stage.kept("firmware signer").pem,
        signature=stage.kept("firmware signature"),
    )
    return str(answer).lower()


# ---- deleting


def delete_root(stage: Stage, kind: str) -> str:
    """Delete the root of a kind; noted, so that it can be deleted twice."""
    found = _chains(stage, [kind])
    if found:
        stage.keep(f"{kind} to delete", found[0]["certificate_hash_data"])
    answer: str = stage.call("delete_certificate", certificate_hash_data=stage.kept(f"{kind} to delete"))
    return answer


def delete_leaf_in_use(stage: Stage, leaf_type: str) -> str:
    """Try to delete the leaf in use."""
    answer: str = stage.call("delete_certificate", certificate_hash_data=identity(stage, leaf_type))
    return answer


def sweep(stage: Stage) -> str:
    """Collect garbage."""
    report = stage.station.sweep()
    if report.kept_because is not None:
        stage.notes.append(report.kept_because)
    return f"{len(report.removed)} files removed"
