from __future__ import annotations

import subprocess
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.x509.ocsp import (
    OCSPCertStatus,
    OCSPResponderEncoding,
    OCSPResponseStatus,
    load_der_ocsp_response,
)

from evse_security.lab.keys import KeyKind
from evse_security.lab.ocsp import unsuccessful_response
from tests.builders import DAY, NOW, World, key, ocsp_answer, world
from tests.lab.conftest import NOW_SECONDS, QUICK_KINDS, OpenSsl

FOREVER = "2000000000"  # `openssl ocsp` knows no time but the system's for thisUpdate and nextUpdate


def hierarchy(kind: KeyKind = KeyKind.SECP256R1) -> World:
    return world(
        "Root > Sub > Leaf", "Sub > Responder", Responder={"role": "responder", "key": kind}, Sub={"key": kind}
    )


def asked(openssl: OpenSsl, w: World, response: bytes, id_hash: str = "sha1") -> subprocess.CompletedProcess[str]:
    return openssl(
        "ocsp", "-respin", openssl.file("response.der", response), f"-{id_hash}",
        "-issuer", openssl.file("issuer.pem", w["Sub"].pem), "-cert", openssl.file("cert.pem", w["Leaf"].pem),
        "-CAfile", openssl.file("roots.pem", w["Root"].pem), "-verify_other", openssl.file("sub.pem", w["Sub"].pem),
        "-attime", NOW_SECONDS, "-validity_period", FOREVER,
    )  # fmt: skip


@pytest.mark.parametrize("responder", ["Responder", None], ids=["delegated", "issuer"])
@pytest.mark.parametrize("kind", QUICK_KINDS)
def test_a_response_of_every_key_kind_verifies(openssl: OpenSsl, kind: KeyKind, responder: str | None) -> None:
    w = hierarchy(kind)
    done = asked(openssl, w, ocsp_answer(w, "Leaf", responder))
    assert "Response verify OK" in done.stderr, done.stderr
    assert "cert.pem: good" in done.stdout


@pytest.mark.parametrize(
    ("changes", "id_hash"),
    [
        ({"hash_algorithm": hashes.SHA256()}, "sha256"),
        ({"hash_algorithm": hashes.SHA384()}, "sha384"),
        ({"hash_algorithm": hashes.SHA512()}, "sha512"),
        ({"responder_id": OCSPResponderEncoding.NAME}, "sha1"),
        ({"next_update": None}, "sha1"),
    ],
)
def test_every_shape_of_response_verifies(openssl: OpenSsl, changes: dict[str, Any], id_hash: str) -> None:
    w = hierarchy()
    done = asked(openssl, w, ocsp_answer(w, "Leaf", "Responder", **changes), id_hash)
    assert "Response verify OK" in done.stderr, done.stderr
    assert "cert.pem: good" in done.stdout


@pytest.mark.parametrize("status", [OCSPCertStatus.REVOKED, OCSPCertStatus.UNKNOWN])
def test_a_response_tells_the_status(openssl: OpenSsl, status: OCSPCertStatus) -> None:
    w = hierarchy()
    done = asked(openssl, w, ocsp_answer(w, "Leaf", "Responder", status=status))
    assert "Response verify OK" in done.stderr
    assert f"cert.pem: {status.name.lower()}" in done.stdout


def test_a_forged_response_is_refused(openssl: OpenSsl) -> None:
    w = hierarchy()
    done = asked(openssl, w, ocsp_answer(w, "Leaf", "Responder", signed_by=key("Mallory")))
    assert "Response Verify Failure" in done.stderr


def test_a_responder_without_the_ocsp_signing_usage_is_refused(openssl: OpenSsl) -> None:
    w = world("Root > Sub > Leaf", "Sub > Responder")
    done = asked(openssl, w, ocsp_answer(w, "Leaf", "Responder"))
    assert "Response Verify Failure" in done.stderr


def test_a_delegated_response_without_its_responders_certificate_is_refused(openssl: OpenSsl) -> None:
    w = hierarchy()
    done = asked(openssl, w, ocsp_answer(w, "Leaf", "Responder", embedded=()))
    assert "Response Verify Failure" in done.stderr


def test_a_response_about_a_serial_number_is_about_the_certificate_that_has_it(openssl: OpenSsl) -> None:
    w = hierarchy()
    about_the_leaf = load_der_ocsp_response(ocsp_answer(w, "Leaf"))
    assert about_the_leaf.serial_number == w["Leaf"].certificate.serial_number


def test_times_are_those_asked_for_to_the_second() -> None:
    w = hierarchy()
    response = load_der_ocsp_response(
        ocsp_answer(w, "Leaf", this_update=NOW - 3 * DAY, next_update=NOW - DAY, produced_at=NOW - 2 * DAY)
    )
    assert response.this_update_utc == NOW - 3 * DAY
    assert response.next_update_utc == NOW - DAY
    assert response.produced_at_utc == NOW - 2 * DAY


def test_revocation_time_is_carried() -> None:
    w = hierarchy()
    response = ocsp_answer(w, "Leaf", status=OCSPCertStatus.REVOKED, revoked_at=NOW - 5 * DAY)
    assert load_der_ocsp_response(response).revocation_time_utc == NOW - 5 * DAY


@pytest.mark.parametrize("status", [status for status in OCSPResponseStatus if status.value])
def test_an_unsuccessful_response_says_why(openssl: OpenSsl, status: OCSPResponseStatus) -> None:
    response = openssl.file("response.der", unsuccessful_response(status))
    done = openssl("ocsp", "-respin", response, "-noverify")
    assert status.name.lower().replace("_", "") in (done.stdout + done.stderr).lower()
