"""What we keep, used by `openssl` itself: the library that the station's TLS servers and clients are made with."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from evse_security.lab.ocsp import ResponseTemplate, ocsp_response
from tests.builders import DAY, csms, world
from tests.conformance.kit import NAMED, PASSWORD, Bench, bench, tree
from tests.conformance.test_commands_ocsp import told

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LONG = {"not_before": datetime(2020, 1, 1, tzinfo=UTC), "not_after": datetime(2050, 1, 1, tzinfo=UTC)}
"""`openssl s_server` reads the machine's clock, which no test can set: these are valid at any time."""
W = world(
    "V2GRoot > Sub1 > Sub2 > x",
    "CSMSRoot > CSMSSub > y",
    "Sub2 > Responder",
    V2GRoot=LONG,
    Sub1=NAMED | LONG,
    Sub2=NAMED | LONG,
    CSMSRoot=LONG,
    CSMSSub=LONG,
    Responder={"role": "responder", **LONG},
)


def run(*arguments: str | Path, given: str = "", env: Mapping[str, str] | None = None) -> str:
    """Run `openssl`, which must succeed."""
    done = subprocess.run(
        ["openssl", *map(str, arguments)],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", **(env or {})},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def living(root: Path, **config: Any) -> Bench:
    """A station with a V2G and a CSMS leaf, everything written by itself."""
    b = bench(root, now=NOW, **config)
    assert b.install(W["V2GRoot"].pem) == "Accepted"
    assert b.install(W["CSMSRoot"].pem, "CSMS") == "Accepted"
    for kind, authority in (("V2G", "Sub2"), ("CSMS", "CSMSSub")):
        chain = csms(W, authority).answer(b.request(kind), responder_urls=("http://ocsp.example/",), **LONG)
        assert b.update(chain, kind) == "Accepted"
    return b


@pytest.fixture(params=["plain", "encrypted"])
def station(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return living(tmp_path, **({"private_key_password": PASSWORD} if request.param == "encrypted" else {}))


def test_every_file_is_what_its_name_says(station: Bench) -> None:
    secret = {"PASSWORD": PASSWORD}
    station.ask("get_verify_location", certificate_type="V2G")
    for path in (station.root / name for name in tree(station.root)):
        if ".key" in path.name:
            form = "DER" if path.suffix == ".der" else "PEM"
            text = run("pkey", "-in", path, "-inform", form, "-noout", "-check", "-passin", "env:PASSWORD", env=secret)
            assert "Key is valid" in text
        elif path.suffix == ".pem":
            run("x509", "-in", path, "-noout")
            assert run("x509", "-in", path) in path.read_text()
        else:
            run("x509", "-in", path, "-inform", "DER", "-noout")


@pytest.mark.parametrize("kind", ["secp256r1", "secp384r1", "secp521r1", "ed25519", "ed448", "rsa2048"])
def test_requests(tmp_path: Path, kind: str) -> None:
    b = bench(tmp_path, csr_key_type=kind, csr_dns_names=("secc.example",))
    (tmp_path / "csr.pem").write_text(b.request(organization="Bäder & Söhne"))
    text = run(
        "req", "-in", tmp_path / "csr.pem", "-verify", "-noout", "-text", "-nameopt", "utf8,sep_comma_plus_space"
    )
    assert re.search(r"verif(y|ication).*OK", text, re.IGNORECASE)
    assert "O=Bäder & Söhne" in text
    assert "DC=CPO" in text
    assert "CA:FALSE" in text
    assert "DNS:secc.example" in text


@pytest.mark.parametrize("kind", ["V2G", "CSMS"])
def test_chains_verify_against_the_verify_file(station: Bench, kind: str) -> None:
    info = station.info(kind)["info"]
    roots = station.ask("get_verify_file", certificate_type=kind)
    at = ("-attime", str(int(NOW.timestamp())), "-x509_strict")
    run("verify", *at, "-CAfile", roots, "-no-CApath", "-untrusted", info["certificate"], info["certificate_single"])
    run("verify", *at, "-CAfile", roots, "-no-CApath", "-untrusted", info["certificate"], info["certificate"])


def test_chains_verify_against_the_verify_location(tmp_path: Path) -> None:
    twins = world("V2GRoot > a", V2GRoot=LONG)["V2GRoot"].pem
    (tmp_path / "ca/v2g").mkdir(parents=True)
    (tmp_path / "ca/v2g/by_hand.der").write_bytes(W["CSMSRoot"].der)
    b = bench(tmp_path, now=NOW, v2g_ca_bundle="ca/v2g")
    for root in (twins, W["V2GRoot"].pem):
        assert b.install(root) == "Accepted"
    chain = csms(W, "Sub2").answer(b.request(), **LONG)
    assert b.update(chain) == "Accepted"
    location = b.ask("get_verify_location", certificate_type="V2G")
    info = b.info()["info"]
    run("verify", "-CApath", location, "-no-CAfile", "-untrusted", info["certificate"], info["certificate"])
    (tmp_path / "sub.pem").write_text(W["CSMSSub"].pem)
    run("verify", "-CApath", location, "-no-CAfile", tmp_path / "sub.pem")
    run("verify", "-CAfile", b.ask("get_verify_file", certificate_type="V2G"), "-no-CApath", tmp_path / "sub.pem")


def test_hash_data_is_that_of_openssl_ocsp(station: Bench) -> None:
    info = station.info()["info"]
    chain = Path(info["certificate"]).read_text().split("-----END CERTIFICATE-----\n")
    for number, part in enumerate([*chain[:-1], W["V2GRoot"].pem]):
        (station.root / f"{number}.crt").write_text(part if number == 3 else part + "-----END CERTIFICATE-----\n")
    for number, asked in enumerate(station.ask("get_v2g_ocsp_request_data")["ocsp_request_data_list"]):
        files = ("-issuer", station.root / f"{number + 1}.crt", "-cert", station.root / f"{number}.crt")
        text = run("ocsp", "-sha256", *files, "-req_text")
        data = asked["certificate_hash_data"]
        assert re.search(r"Issuer Name Hash: (\w+)", text)[1].lower() == data["issuer_name_hash"]  # type: ignore[index]
        assert re.search(r"Issuer Key Hash: (\w+)", text)[1].lower() == data["issuer_key_hash"]  # type: ignore[index]
        serial = re.search(r"Serial Number: (\w+)", text)[1]  # type: ignore[index]
        assert int(serial, 16) == int(data["serial_number"], 16)
    assert number == 2


def answered(b: Bench, responder: str) -> Path:
    """The file of a kept answer about the leaf."""
    [leaf, *_] = b.ask("get_v2g_ocsp_request_data")["ocsp_request_data_list"]
    certificate = x509.load_pem_x509_certificate(Path(b.info()["info"]["certificate_single"]).read_bytes())
    template = ResponseTemplate(this_update=NOW, next_update=NOW + 7 * DAY)
    response = ocsp_response(certificate, W["Sub2"], W[responder], template)
    b.ask("update_ocsp_cache", certificate_hash_data=leaf["certificate_hash_data"], ocsp_response=told(response))
    return Path(b.info(ocsp=True)["info"]["ocsp"][0]["ocsp_path"])


@pytest.mark.parametrize("responder", ["Sub2", "Responder"])
def test_cached_answers_verify(station: Bench, responder: str) -> None:
    response = answered(station, responder)
    sub_cas = station.put("subs.pem", W.pem("Sub2", "Sub1"))
    issuer = station.put("issuer.pem", W["Sub2"].pem)
    about = ("-issuer", issuer, "-cert", station.info()["info"]["certificate_single"])
    roots = ("-CAfile", station.ask("get_verify_file", certificate_type="V2G"), "-verify_other", sub_cas)
    text = run("ocsp", "-respin", response, *about, *roots, "-attime", str(int(NOW.timestamp())), "-resp_text")
    assert "Response verify OK" in text
    assert "Cert Status: good" in text


# ---- TLS


@contextmanager
def serving(*arguments: str | Path, env: Mapping[str, str] | None = None) -> Iterator[int]:
    """`openssl s_server` on a port of its own choice."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-naccept", "1", "-quiet", *map(str, arguments)]
    server = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", **(env or {})},
    )
    try:
        yield port
    finally:
        server.kill()
        server.communicate()


def shake_hands(port: int, *arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Connect once the server listens; what the client says of the connection."""
    for _ in range(200):
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-verify_return_error", *map(str, arguments)],
            input="Q\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={"PATH": "/usr/bin:/bin:/usr/local/bin", **(env or {})},
        )
        if "connect:errno" not in done.stderr:
            return done.stdout + done.stderr
    raise AssertionError("the server never listened")


VERSIONS = ["-tls1_2", "-tls1_3"]


def own_files(b: Bench, kind: str, encoding: str = "PEM") -> tuple[list[str | Path], dict[str, str]]:
    """The options for the files that the station names for a leaf, and the environment with the password."""
    info = b.info(kind, encoding)["info"]
    chain = b.info(kind)["info"]["certificate"]  # openssl reads chains in PEM only
    given = ["-pass", "env:PASSWORD"] if "password" in info else []
    form = ["-certform", encoding, "-keyform", encoding]
    files = ["-key", info["key"], "-cert", info["certificate_single"], "-cert_chain", chain]
    return [*form, *files, *given], {"PASSWORD": info["password"]} if given else {}


def trusting(b: Bench, kind: str) -> list[str]:
    return ["-no-CApath", "-CAfile", b.ask("get_verify_file", certificate_type=kind)]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("encoding", ["PEM", "DER"])
def test_a_handshake_with_the_files_of_the_leaf(station: Bench, version: str, encoding: str) -> None:
    own, secret = own_files(station, "V2G", encoding)
    with serving(*own, version, env=secret) as port:
        said = shake_hands(port, version, "-showcerts", *trusting(station, "V2G"))
    assert "Verify return code: 0 (ok)" in said
    sent = set(re.findall("-----BEGIN.*?-----END CERTIFICATE-----\n", said, re.DOTALL))
    chain = Path(station.info()["info"]["certificate"]).read_text()
    assert "".join(sorted(sent, key=chain.index)) == chain
    assert W["V2GRoot"].pem not in sent
    assert re.search(r"subject=.*DC ?= ?CPO", said)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_station_as_client_of_its_csms(station: Bench, version: str) -> None:
    server_side, secret = own_files(station, "V2G")
    client_side, _ = own_files(station, "CSMS")
    demand = ["-Verify", "3", "-verify_return_error", *trusting(station, "CSMS")]
    with serving(*server_side, *demand, version, env=secret) as port:
        said = shake_hands(port, *client_side, *trusting(station, "V2G"), version, env=secret)
    assert "Verify return code: 0 (ok)" in said
    assert "alert" not in said


@pytest.mark.parametrize("version", VERSIONS)
def test_a_cached_answer_is_stapled(station: Bench, version: str) -> None:
    response = answered(station, "Sub2")
    own, secret = own_files(station, "V2G")
    with serving(*own, "-status_file", response, version, env=secret) as port:
        said = shake_hands(port, version, "-status", *trusting(station, "V2G"))
    assert "OCSP Response Status: successful" in said
    assert "Cert Status: good" in said
