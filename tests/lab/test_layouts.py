from __future__ import annotations

import json
import ssl
import stat
from pathlib import Path
from typing import Protocol

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from evse_security.lab.hierarchy import Edition, Pki, Variant, make_pki
from evse_security.lab.layouts import INDEX, Existing, load, save, write_everest, write_iso15118
from tests.builders import NOW, key, key_source, signing_request
from tests.lab.conftest import OpenSsl


class Writer(Protocol):
    def __call__(self, pki: Pki, directory: Path, *, existing: Existing = ...) -> None: ...


WRITERS: list[Writer] = [save, write_everest, write_iso15118]


def some_pki(variant: Variant = Variant.ORDINARY, edition: Edition = Edition.ISO15118_2) -> Pki:
    return make_pki(edition, now=NOW, variant=variant, keys=key_source)


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("variant", Variant)
def test_a_saved_pki_is_restored_whole(tmp_path: Path, variant: Variant) -> None:
    before = some_pki(variant, Edition.ISO15118_20)
    save(before, tmp_path)
    after = load(tmp_path)
    assert (after.edition, after.variant, list(after)) == (before.edition, before.variant, list(before))
    for holder, entity in before.items():
        assert [one.der for one in after[holder].path()] == [one.der for one in entity.path()]
        assert after[holder].key_pem() == entity.key_pem()


def test_a_restored_pki_goes_on_signing(tmp_path: Path, openssl: OpenSsl) -> None:
    write_everest(some_pki(), tmp_path / "certs")
    restored = load(tmp_path / "certs" / "lab")
    answer = restored.answer(signing_request(key("station")), "SECC_LEAF", now=NOW)
    root = (tmp_path / "certs" / "ca/v2g/V2G_ROOT_CA.pem").read_text()
    assert openssl.verify(answer, roots=root, sub_cas=answer) == ""


def test_what_was_not_saved_to_its_end_is_no_pki(tmp_path: Path) -> None:
    save(some_pki(), tmp_path)
    (tmp_path / INDEX).unlink()
    with pytest.raises(FileNotFoundError):
        load(tmp_path)


@pytest.mark.parametrize("index", [[], {"format": 99}, {}])
def test_another_format_is_refused_by_name(tmp_path: Path, index: object) -> None:
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises(ValueError, match="no index of a PKI in format 1"):
        load(tmp_path)


def test_a_key_of_a_foreign_kind_is_refused_by_its_path(tmp_path: Path) -> None:
    save(some_pki(), tmp_path)
    foreign = x25519.X25519PrivateKey.generate()
    pem = foreign.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "SECC_LEAF.key").write_bytes(pem)
    with pytest.raises(ValueError, match=r"SECC_LEAF\.key holds a key of a kind"):
        load(tmp_path)


@pytest.mark.parametrize("write", WRITERS)
def test_private_keys_are_for_their_owner_alone(tmp_path: Path, write: Writer) -> None:
    target = tmp_path / "new"
    write(some_pki(), target)
    private = [path for path in target.rglob("*") if path.suffix in (".key", ".txt")]
    assert private
    assert {mode(path) for path in private} == {0o600}
    assert {mode(path.parent) for path in private} == {0o700}
    assert all("PRIVATE KEY" not in path.read_text(errors="replace") for path in target.rglob("*.[pd]e[mr]"))


@pytest.mark.parametrize("write", WRITERS)
def test_a_directory_that_holds_something_is_left_as_it_is(tmp_path: Path, write: Writer) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is not empty"):
        write(some_pki(), tmp_path)
    assert files(tmp_path) == {"mine.txt": b"mine"}


@pytest.mark.parametrize("write", WRITERS)
def test_files_are_replaced_only_on_request_and_strangers_stay(tmp_path: Path, write: Writer) -> None:
    write(some_pki(), tmp_path / "one")
    (tmp_path / "one" / "mine.txt").write_text("mine")
    again = some_pki()
    write(again, tmp_path / "one", existing=Existing.REPLACE)
    write(again, tmp_path / "two")
    assert files(tmp_path / "one") == {**files(tmp_path / "two"), "mine.txt": b"mine"}


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("not ours")
    target = tmp_path / "pki"
    target.mkdir()
    (target / "SECC_LEAF.key").symlink_to(elsewhere)
    save(some_pki(), target, existing=Existing.REPLACE)
    assert elsewhere.read_text() == "not ours"
    assert not (target / "SECC_LEAF.key").is_symlink()


def test_a_write_that_fails_leaves_nothing_half_written_behind(tmp_path: Path) -> None:
    (tmp_path / "CSMS_LEAF.key").mkdir()
    with pytest.raises(OSError, match="CSMS_LEAF"):
        save(some_pki(), tmp_path, existing=Existing.REPLACE)
    assert not (tmp_path / INDEX).exists()
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("edition", Edition)
def test_everests_directory_serves_tls_and_verifies(tmp_path: Path, openssl: OpenSsl, edition: Edition) -> None:
    write_everest(some_pki(edition=edition), tmp_path / "certs", key_password="secret")
    certs = tmp_path / "certs"
    for leaf, chain, root in (
        ("cso/SECC_LEAF", "cso/CPO_CERT_CHAIN.pem", "v2g/V2G_ROOT_CA.pem"),
        ("csms/CSMS_LEAF", "csms/CPO_CERT_CSMS_LEAF_CHAIN.pem", "csms/CSMS_ROOT_CA.pem"),
    ):
        chain_text = (certs / "client" / chain).read_text()
        roots = (certs / "ca" / root).read_text()
        leaf_text = (certs / "client" / f"{leaf}.pem").read_text()
        assert chain_text.startswith(leaf_text)
        assert openssl.verify(leaf_text, roots=roots, sub_cas=chain_text) == ""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certs / "client" / chain, certs / "client" / f"{leaf}.key", "secret")
        with pytest.raises(ssl.SSLError):
            context.load_cert_chain(certs / "client" / chain, certs / "client" / f"{leaf}.key", "wrong")


@pytest.mark.parametrize(
    ("variant", "holders"),
    [
        (Variant.ORDINARY, ["V2G_ROOT_CA"]),
        (Variant.SAME_NAMED_ROOTS, ["V2G_ROOT_CA_2", "V2G_ROOT_CA"]),
        (Variant.CROSS_SIGNED, ["V2G_ROOT_CA_2", "CPO_SUB_CA1_CROSS", "V2G_ROOT_CA"]),
    ],
)
def test_the_v2g_bundle_holds_what_the_variant_adds(tmp_path: Path, variant: Variant, holders: list[str]) -> None:
    pki = some_pki(variant)
    write_everest(pki, tmp_path)
    bundle = x509.load_pem_x509_certificates((tmp_path / "ca/v2g/V2G_ROOT_CA.pem").read_bytes())
    assert bundle == [pki[holder].certificate for holder in holders]


# What PyPI iso15118 0.31.2 opens: of each of these a certificate in DER and a key, of some a certificate in PEM.
STEMS = (
    "contractLeaf", "moSubCA2", "moSubCA1", "moRootCA", "seccLeaf", "cpoSubCA2", "cpoSubCA1", "v2gRootCA",
    "cpsLeaf", "cpsSubCA2", "cpsSubCA1", "oemLeaf", "oemSubCA2", "oemSubCA1", "oemRootCA",
)  # fmt: skip
PEM_FILES = ("seccLeafCert.pem", "v2gRootCACert.pem", "cpoCertChain.pem", "oemRootCACert.pem", "oemCertChain.pem")
PASSWORD_FILES = {
    "seccLeaf": "seccLeafPassword.txt",
    "oemLeaf": "oemLeafPassword.txt",
    "contractLeaf": "contractLeafPassword.txt",
    "cpsLeaf": "cpsLeafPassword.txt",
    "moSubCA2": "moSubCA2LeafPassword.txt",
}


@pytest.mark.parametrize("password", [None, "geheim"])
def test_iso15118_finds_every_file_it_opens(tmp_path: Path, password: str | None) -> None:
    write_iso15118(some_pki(), tmp_path, key_password=password)
    certs, keys = tmp_path / "iso15118_2" / "certs", tmp_path / "iso15118_2" / "private_keys"
    for name in PEM_FILES:
        assert x509.load_pem_x509_certificates((certs / name).read_bytes())
    for stem in STEMS:
        known = (keys / PASSWORD_FILES[stem]).read_bytes().strip() if stem in PASSWORD_FILES else b""
        private_key = load_pem_private_key((keys / f"{stem}.key").read_bytes(), known or None)
        certificate = x509.load_der_x509_certificate((certs / f"{stem}Cert.der").read_bytes())
        assert private_key.public_key() == certificate.public_key()


@pytest.mark.parametrize(
    ("chain", "leaf", "root"),
    [("cpoCertChain.pem", "seccLeaf", "v2gRootCACert.pem"), ("oemCertChain.pem", "oemLeaf", "oemRootCACert.pem")],
)
def test_iso15118s_chains_serve_tls_and_verify(
    tmp_path: Path, openssl: OpenSsl, chain: str, leaf: str, root: str
) -> None:
    write_iso15118(some_pki(), tmp_path / "pki", key_password="geheim")
    certs, keys = tmp_path / "pki" / "iso15118_2" / "certs", tmp_path / "pki" / "iso15118_2" / "private_keys"
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certs / chain, keys / f"{leaf}.key", "geheim")
    chain_text = (certs / chain).read_text()
    assert len(x509.load_pem_x509_certificates(chain_text.encode())) == 3
    assert openssl.verify(chain_text, roots=(certs / root).read_text(), sub_cas=chain_text) == ""
