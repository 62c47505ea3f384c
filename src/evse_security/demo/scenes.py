"""The play: a table of steps, each with the answer that must come and what that means."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from evse_security.demo import acts, connections
from evse_security.demo.cast import Cast, HashData
from evse_security.demo.peers import ISO15118_2_SUITE, OCPP_SUITE
from evse_security.demo.stage import Act, Scene, Step
from evse_security.lab.hierarchy import PLACES
from evse_security.vocabulary import CaCertificateType, CertificateType

ALL_ROOTS = [kind for kind in CertificateType if kind is not CertificateType.V2GCertificateChain]
CHAINS = [CertificateType.V2GCertificateChain]
VALID = "Accepted"
"""What revision 2023-10 answers about a chain that is valid."""


def do(act: Callable[..., str], *arguments: object) -> Act:
    """An act with what it is done with."""
    return lambda stage: act(stage, *arguments)


def days_of(holder: str) -> str:
    """The whole days that are left of a validity that began a day before now."""
    return f"{PLACES[holder].days - 2} days"


TRUST = Scene(
    "Whom the station trusts",
    *(
        Step("install_ca_certificate", f"{domain} root", do(acts.install_root, domain), "Accepted", meaning)
        for domain, meaning in (
            ("V2G", "vouches for charging stations"),
            ("MO", "vouches for contracts"),
            ("CSMS", "vouches for the back end"),
            ("MF", "vouches for firmware"),
        )
    ),
    Step(
        "is_ca_certificate_installed",
        ", ".join(CaCertificateType),
        do(acts.roots_installed, list(CaCertificateType)),
        "true, true, true, true",
        "a valid root of each",
    ),
    Step("get_installed_certificates", "roots", do(acts.listed, ALL_ROOTS), "4 certificates", "each of them once"),
    *(
        Step(command, domain, do(acts.path_of_roots, command, domain), path, meaning)
        for command, domain, path, meaning in (
            ("get_verify_file", "V2G", "certs/ca/v2g/V2G_ROOT_CA.pem", "all roots in a file"),
            ("get_verify_location", "CSMS", "certs/ca/csms/CSMS_ROOT_CA.pem", "the same"),
        )
    ),
)


def renewal(leaf_type: str, name: str, holder: str, signer: str, length: int) -> tuple[Step, ...]:
    """A leaf with a new key: request, signature, installation."""
    return (
        Step("generate_certificate_signing_request", name, do(acts.request, leaf_type), "a CSR", "for a key just made"),
        Step(
            signer,
            "signs this CSR",
            do(acts.sign, leaf_type, holder),
            f"{length} certificates",
            "leaf first, without the root",
        ),
        Step(
            "update_leaf_certificate",
            f"{name} chain",
            do(acts.install_leaf, leaf_type),
            "Accepted",
            "its key is here, its root is installed",
        ),
    )


IDENTITY = Scene(
    "Who the station is",
    *renewal("V2G", "SECC", "SECC_LEAF", "(CPO Sub-CA 2)", 3),
    *renewal("CSMS", "CSMS client", "CSMS_LEAF", "(CSMS Sub-CA)", 2),
    Step(
        "delete_certificate",
        "earlier SECC leaf",
        do(acts.delete_outdated),
        "Accepted",
        "it was renewed; its key, chain and OCSP go too",
        when=acts.outdated,
    ),
    Step(
        "get_installed_certificates",
        "V2G chains",
        do(acts.listed, CHAINS),
        "3 certificates",
        "one leaf with its sub-CAs",
    ),
    *(
        Step("get_key_pair", f"SECC, {encoding}", do(acts.key_pair, encoding), "Accepted", meaning)
        for encoding, meaning in (
            ("PEM", "the new leaf with its sub-CAs, and its key"),
            ("DER", "the same as DER copies"),
        )
    ),
    *(
        Step("get_leaf_expiry_days_count", name, do(acts.days_left, leaf_type), days_of(holder), "left to renew it")
        for leaf_type, name, holder in (("V2G", "SECC", "SECC_LEAF"), ("CSMS", "CSMS client", "CSMS_LEAF"))
    ),
)

VERIFICATION = Scene(
    "Whom it believes",
    *(
        Step("verify_certificate", about, do(acts.verify, chain, leaf_type), expected, meaning)
        for about, chain, leaf_type, expected, meaning in (
            ("SECC, V2G", acts.secc_chain, "V2G", VALID, "leads to the V2G root"),
            ("firmware signer, MF", acts.firmware_signer, "MF", VALID, "leads to the MF root"),
            ("impostor, V2G", acts.impostor_chain, "V2G", "NoRootCertificateInstalled", "right names, another root"),
            ("expired, V2G", acts.expired_chain, "V2G", "Expired", "valid until yesterday"),
            ("tampered, V2G", acts.tampered_chain, "V2G", "InvalidSignature", "another name in the leaf"),
            ("SECC, CSMS", acts.secc_chain, "CSMS", "NoRootCertificateInstalled", "V2G roots vouch for no CSMS"),
            ("sub-CA, V2G", acts.sub_ca_as_leaf, "V2G", "InvalidCertificateChain", "is no leaf"),
        )
    ),
    Step("verify_certificate", "contract, MO", do(acts.verify_contract), "Valid", "Plug and Charge (2026-04)"),
)


def good(cast: Cast, about: HashData) -> str:
    """An answer that must be believed."""
    return cast.ocsp_response(about)


def old(cast: Cast, about: HashData) -> str:
    """An answer from before that one."""
    return cast.ocsp_response(about, this_update=cast.now - timedelta(hours=1))


def forged(cast: Cast, about: HashData) -> str:
    """An answer of nobody who may."""
    return cast.forged_ocsp_response(about)


STATUS = Scene(
    "Whether it is revoked",
    *(
        Step(command, "SECC chain", do(acts.questions, command), "3 questions", meaning)
        for command, meaning in (
            ("get_ocsp_request_data", "SECC leaf, sub-CA 2, sub-CA 1"),
            ("get_v2g_ocsp_request_data", "the same (2026-04)"),
        )
    ),
    Step("get_mo_ocsp_request_data", "contract", do(acts.contract_questions), "3 questions", "for Plug and Charge"),
    *(
        Step("update_ocsp_cache", about, do(acts.cache, number, answer), expected, meaning)
        for number, about, answer, expected, meaning in (
            (1, "SECC leaf", good, "cached", "signed by the responder of its CA"),
            (2, "sub-CA 2", good, "cached", "likewise"),
            (3, "sub-CA 1", good, "cached", "likewise"),
            (1, "SECC leaf, forged", forged, "refused (OcspBadSignature)", "signed by nobody who may"),
            (1, "SECC leaf, replayed", old, "refused (OcspOlder)", "a newer one is kept"),
        )
    ),
    Step("get_leaf_certificate_info", "SECC", do(acts.info, "V2G"), "3 of 3 with OCSP", "to be stapled in TLS"),
    Step("get_all_valid_certificates_info", "SECC", do(acts.all_infos, "V2G"), "1 root", "there is a leaf for it"),
)

FIRMWARE = Scene(
    "What it runs",
    Step("(manufacturer)", "signs firmware", do(acts.download), "signed", "and somebody changes a bit of a copy"),
    *(
        Step("verify_file_signature", name, do(acts.verify_firmware, name), expected, meaning)
        for name, expected, meaning in (
            (acts.GENUINE, "true", "by the key of the firmware signer"),
            (acts.TAMPERED, "false", "must not be installed"),
        )
    ),
)

DELETION = Scene(
    "What it gives up",
    *(
        Step("delete_certificate", about, act, expected, meaning)
        for about, act, expected, meaning in (
            ("MO root", do(acts.delete_root, "MORootCertificate"), "Accepted", "roots may go"),
            ("MO root, again", do(acts.delete_root, "MORootCertificate"), "NotFound", "it is gone"),
        )
    ),
    Step("is_ca_certificate_installed", "MO", do(acts.roots_installed, ["MO"]), "false", "and trusted no more"),
    Step("install_ca_certificate", "MO root", do(acts.install_root, "MO"), "Accepted", "for the next run"),
    Step(
        "delete_certificate", "CSMS leaf", do(acts.delete_leaf_in_use, "CSMS"), "Failed", "is needed to call the CSMS"
    ),
    Step("(sweep)", "garbage", do(acts.sweep), None, "unanswered requests, old leaves, leftovers"),
)

CONNECTION = Scene(
    "What it is for: TLS with the files it keeps",
    Step(
        "(car)",
        "trusts the V2G root",
        do(connections.serve_car, "V2G"),
        f"TLSv1.2 {ISO15118_2_SUITE}",
        "charging can begin",
    ),
    Step("(car)", "trusts another root", do(connections.serve_car, "MO"), "refused", "the SECC is nobody to it"),
    Step("(CSMS)", "asks who calls", do(connections.call_csms), f"TLSv1.2 {OCPP_SUITE}", "both show certificates"),
)

PLAY = (TRUST, IDENTITY, VERIFICATION, STATUS, FIRMWARE, DELETION, CONNECTION)
