"""`evse-security doctor`: what is wrong with a directory, and mending it."""

import base64
import errno
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from evse_security.cli.doctor import as_typed
from evse_security.lab.hierarchy import Pki
from evse_security.lab.ocsp import ResponseTemplate, ocsp_response
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import certificate_id
from tests.builders import DAY, NOW
from tests.cli.conftest import Ran, Run

STEM = "SECC_LEAF_M01_D01_Y2030_H00_M00_S00_i1_r1"


@pytest.fixture
def well(certs: Path, pki: Pki) -> Path:
    """A directory with which nothing is wrong."""
    for directory in ("client/cso", "client/csms"):
        (certs / directory).chmod(0o700)
    for holder, issuer in (
        ("SECC_LEAF", "CPO_SUB_CA2"),
        ("CPO_SUB_CA2", "CPO_SUB_CA1"),
        ("CPO_SUB_CA1", "V2G_ROOT_CA"),
    ):
        keep_response(certs, pki, holder, issuer)
    return certs


def keep_response(certs: Path, pki: Pki, holder: str, issuer: str, *, as_text: bool = False) -> Path:
    """Cache an OCSP response, in DER or as EVerest's module leaves it."""
    subject = pki[holder].certificate
    template = ResponseTemplate(this_update=NOW, next_update=NOW + 7 * DAY, hash_algorithm=SHA256())
    response = ocsp_response(subject, pki[issuer], pki[issuer], template)
    place = certs / "client/cso/ocsp"
    place.mkdir(exist_ok=True)
    cert_id = certificate_id(Certificate(pki[holder].der), Certificate(pki[issuer].der))
    (place / f"{holder}_ocsp.hash").write_bytes(cert_id.lines)
    path = place / f"{holder}_ocsp.der"
    path.write_bytes(base64.b64encode(response) if as_text else response)
    return path


def shown(directory: Path) -> dict[Path, tuple[int, int, int]]:
    """All files with mode, size and time."""
    found = {path: path.lstat() for path in directory.rglob("*")}
    return {path: (one.st_mode, one.st_size, one.st_mtime_ns) for path, one in found.items()}


def codes(ran: Ran) -> list[str]:
    """The codes of the findings that are about the store, not about the machine that the tests run on."""
    found = re.findall(r"^(?:error|warning|note) (\w+):", ran.out, re.MULTILINE)
    return [code for code in found if code not in MACHINE]


MACHINE = {"VolatileFileSystem", "NetworkFileSystem", "DiskFull", "DiskNearlyFull"}


def test_nothing_is_wrong(run: Run, well: Path) -> None:
    ran = run("--certs", well, "doctor")
    assert (codes(ran), ran.err) == ([], "")


def test_looking_changes_nothing(run: Run, well: Path) -> None:
    before = shown(well)
    run("--certs", well, "doctor")
    assert shown(well) == before


def test_a_key_that_everybody_may_read(run: Run, well: Path) -> None:
    key = well / "client/cso/SECC_LEAF.key"
    key.chmod(0o644)
    ran = run("--certs", well, "doctor")
    assert ran.code == 3
    assert ran.out.splitlines()[:6] == [
        "1 error",
        "error KeyExposed: private key open to everybody (mode 0644)",
        f"   in {key}",
        "   means: Whoever may read the key can pretend to be the station.",
        f"   mend: chmod 0600 {key}",
    ]


def do_as_told(run: Run, told: Ran) -> None:
    for command in re.findall(r"^   mend: (.*)$", told.out, re.MULTILINE):
        program, *words = shlex.split(command)
        if program == "evse-security":
            assert run(*words).code == 0
        else:
            subprocess.run([program, *words], check=True)


def test_the_commands_mend(run: Run, well: Path) -> None:
    """Chmod by the shell, the rest by our own command line, as they are printed."""
    (well / "client/cso/SECC_LEAF.key").chmod(0o644)
    chain = well / "client/cso/CPO_CERT_CHAIN.pem"
    blocks = re.findall(r"-----BEGIN.*?-----END CERTIFICATE-----\n", chain.read_text(), re.DOTALL)
    chain.write_text("".join([blocks[0], *reversed(blocks[1:])]))
    ran = run("--certs", well, "doctor")
    assert codes(ran) == ["KeyExposed", "ChainOutOfOrder"]
    do_as_told(run, ran)
    ran = run("--certs", well, "doctor")  # of the chain as it was there is a file left, which is none of ours
    assert codes(ran) == ["Duplicate"]
    do_as_told(run, ran)
    assert codes(run("--certs", well, "doctor")) == []


def test_warnings_and_errors_have_their_exit_codes(run: Run, well: Path) -> None:
    (well / "client/cso").chmod(0o755)
    assert run("--certs", well, "doctor").code == 1
    (well / "client/cso/SECC_LEAF.key").chmod(0o604)
    assert run("--certs", well, "doctor").code == 3


def test_the_days_of_warning_can_be_chosen(run: Run, well: Path) -> None:
    assert codes(run("--certs", well, "doctor", "--days", "100")) == ["LeafExpiring"]
    assert run("--certs", well, "doctor", "--days", "-1").code == 2


def test_an_empty_store_may_be_the_wrong_one(run: Run, tmp_path: Path) -> None:
    ran = run("--certs", tmp_path / "certs", "doctor")
    assert ran.code == 1
    assert codes(ran)[0] == "NothingInstalled"
    assert set(codes(ran)) == {"NothingInstalled", "DirectoryMissing", "NoLeaf", "NoRoot"}
    assert not list(tmp_path.iterdir())


def test_json_says_the_same(run: Run, well: Path) -> None:
    (well / "client/cso/SECC_LEAF.key").chmod(0o644)
    ran = run("--certs", well, "doctor", "--json")
    assert ran.code == 3
    assert (ran.json["worst"], ran.json["mended"]) == ("error", None)
    assert ran.json["findings"][0] == {
        "code": "KeyExposed",
        "severity": "error",
        "what": "private key open to everybody (mode 0644)",
        "means": "Whoever may read the key can pretend to be the station.",
        "paths": [str(well / "client/cso/SECC_LEAF.key")],
        "certificate": None,
        "reason": None,
        "mend": [["chmod", "0600", str(well / "client/cso/SECC_LEAF.key")]],
        "advice": None,
        "mender": "doctor --fix",
    }


# ---- what the disk shows


def test_links_that_lead_nowhere_and_bundles_being_written(run: Run, well: Path) -> None:
    (well / "client/cso/secc.pem").symlink_to("gone.pem")
    (well / "ca/v2g/V2G_ROOT_CA.pem$").write_text("half")
    assert codes(run("--certs", well, "doctor")) == ["LinkBroken", "ForeignLeftover"]


def test_a_bundle_that_is_a_link_to_what_everybody_may_write(run: Run, well: Path, tmp_path: Path) -> None:
    bundle, outside = well / "ca/mo/MO_ROOT_CA.pem", tmp_path / "roots.pem"
    bundle.rename(outside)
    bundle.symlink_to(outside)
    outside.chmod(0o666)
    ran = run("--certs", well, "doctor", "--fix")
    assert codes(ran) == ["WritableByAll"]
    assert stat.S_IMODE(outside.stat().st_mode) == 0o666


def test_a_bundle_that_leads_nowhere_is_an_error(run: Run, well: Path) -> None:
    bundle = well / "ca/mo/MO_ROOT_CA.pem"
    bundle.unlink()
    bundle.symlink_to("/nonexistent/bundle.pem")
    ran = run("--certs", well, "doctor")
    assert codes(ran) == ["LinkBroken", "NoRoot"]
    assert ran.code == 3


def test_lines_of_bad_blocks_are_counted_in_the_file(run: Run, well: Path) -> None:
    bundle = well / "ca/mo/MO_ROOT_CA.pem"
    good = bundle.read_text()
    bundle.write_text(good + "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
    ran = run("--certs", well, "doctor")
    first = good.count("\n") + 1
    assert f"warning Unreadable: at line {first} (byte {len(good)}): " in ran.out
    assert f"   mend: sed -i.bad {first},{first + 2}d {bundle}\n" in ran.out
    subprocess.run(["sed", "-i.bad", f"{first},{first + 2}d", bundle], check=True)
    assert bundle.read_text() == good
    assert codes(run("--certs", well, "doctor")) == []


def test_bad_blocks_of_a_file_are_cut_out_by_one_command(run: Run, well: Path) -> None:
    """The second of two commands would find its lines elsewhere, and cut good certificates out."""
    bundle, bad = well / "ca/mo/MO_ROOT_CA.pem", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    roots = [(well / f"ca/{each}_ROOT_CA.pem").read_text() for each in ("mf/MF", "csms/CSMS")]
    whole = bad + bundle.read_text() + bad + roots[0] + bad + roots[1]
    bundle.write_text(whole)
    told = run("--certs", well, "doctor")
    assert codes(told) == ["Unreadable"]
    do_as_told(run, told)
    assert bundle.read_text() == whole.replace(bad, "")
    assert bundle.with_name("MO_ROOT_CA.pem.bad").read_text() == whole
    assert codes(run("--certs", well, "doctor")) == []


def test_what_is_twice_in_files_with_more_is_cut_out(run: Run, well: Path) -> None:
    bundle, link = well / "ca/mo/MO_ROOT_CA.pem", well / "MO.pem"
    roots = [bundle.read_text(), *((well / f"ca/{each}_ROOT_CA.pem").read_text() for each in ("mf/MF", "csms/CSMS"))]
    whole = f"one\n{roots[0]}two\n{roots[1]}{roots[0]}three\n{roots[1]}{roots[2]}{roots[0]}"
    bundle.rename(link)
    bundle.symlink_to(link)
    link.write_text(whole)
    told = run("--certs", well, "doctor")
    assert codes(told) == ["Duplicate"]
    assert "note Duplicate: 2 certificates are there more than once: CN=" in told.out
    do_as_told(run, told)
    assert link.read_text() == f"one\n{roots[0]}two\n{roots[1]}three\n{roots[2]}"
    assert link.with_name("MO.pem.twice").read_text() == whole
    assert bundle.is_symlink()
    assert codes(run("--certs", well, "doctor")) == []


def test_what_is_twice_in_two_files_of_a_directory(run: Run, well: Path) -> None:
    bundle = well / "ca/mo/MO_ROOT_CA.pem"
    roots = [bundle.read_text(), *((well / f"ca/{each}_ROOT_CA.pem").read_text() for each in ("mf/MF", "csms/CSMS"))]
    bundle.unlink()
    bundle.mkdir()
    (bundle / "a.pem").write_text(roots[0] + roots[1])
    (bundle / "b.pem").write_text(roots[2] + roots[1])
    told = run("--certs", well, "doctor")
    assert codes(told) == ["Duplicate"]
    do_as_told(run, told)
    assert [(bundle / name).read_text() for name in ("a.pem", "b.pem")] == [roots[0] + roots[1], roots[2]]


def test_links_to_a_file_are_not_taken_for_copies_of_it(run: Run, well: Path) -> None:
    """Who removes the file for the sake of the link, or cuts lines out through the link, has neither."""
    bundle, leaves = well / "ca/v2g/V2G_ROOT_CA.pem", well / "client/cso"
    root, other = bundle.read_text(), (well / "ca/mf/MF_ROOT_CA.pem").read_text()
    bundle.unlink()
    bundle.mkdir()
    for name, content in (("a", root), ("b", other + root), ("c", root)):
        (bundle / f"{name}.pem").write_text(content)
    for path in (*bundle.iterdir(), *leaves.glob("*.pem")):
        for name in (f"0{path.name}", f"z{path.name}"):
            path.with_name(name).symlink_to(path.name)
    told = run("--certs", well, "doctor")
    assert codes(told) == ["Duplicate"]
    do_as_told(run, told)
    assert (bundle / "b.pem").read_text() == other + root
    assert [path.name for path in bundle.glob("?.pem")] == ["b.pem"]
    assert set(codes(run("--certs", well, "doctor"))) == {"LinkBroken"}


def test_a_bundle_that_is_a_link_is_not_counted_anew_either(run: Run, well: Path) -> None:
    """Of lines that were cut out of a file another finding must not copy what is there by then as a root."""
    right, wrong = well / "ca/v2g/V2G_ROOT_CA.pem", well / "ca/mo/MO_ROOT_CA.pem"
    root, other = right.read_text(), wrong.read_text()
    chain = (well / "client/cso/CPO_CERT_CHAIN.pem").read_text()
    below = [f"-----BEGIN{block}" for block in chain.split("-----BEGIN")[1:]]
    right.write_text((well / "ca/mf/MF_ROOT_CA.pem").read_text() + below[-1])
    bad = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    wrong.rename(well / "MO.pem")
    wrong.symlink_to(well / "MO.pem")
    (well / "MO.pem").write_text(f"{bad}{root}{other}")
    for path in (*(well / "client/cso").glob("*.pem"), *(well / "client/cso").glob("*.key")):
        path.unlink()
    told = run("--certs", well, "doctor")
    assert {"Unreadable", "OrphanSubCa"} <= set(codes(told))
    found = next(one for one in told.out.split("\nwarning ") if one.startswith("OrphanSubCa"))
    assert "mend:" not in found.partition("\nnote ")[0]


def test_a_key_that_is_moved_by_hand_stays_in_no_copy(run: Run, well: Path) -> None:
    bundle, secret = well / "ca/mo/MO_ROOT_CA.pem", (well / "client/cso/SECC_LEAF.key").read_text()
    bad = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    bundle.write_text(f"{bundle.read_text()}{bad}{secret[:-1]} it is\n")
    told = run("--certs", well, "doctor")
    assert {"KeyAmongCertificates", "Unreadable"} <= set(codes(told))
    assert "   mend: sed -i" not in told.out


@pytest.mark.parametrize("name", ["SECC_LEAF.key", "-a 'b' \"c\" $HOME `id`\n.key"])
def test_a_key_in_der_is_neither_lost_where_openssl_fails_nor_decrypted(
    run: Run, well: Path, tmp_path: Path, name: str
) -> None:
    key, options = well / "client/cso" / name, ("-topk8", "-outform", "DER", "-passout", "pass:secret-of-tests")
    (well / "client/cso/SECC_LEAF.key").rename(key)
    locked = subprocess.run(["openssl", "pkcs8", *options, "-in", key], check=True, capture_output=True).stdout
    opened = subprocess.run(["openssl", "pkey", "-outform", "DER", "-in", key], check=True, capture_output=True).stdout
    full = tmp_path / "full/openssl"
    full.parent.mkdir()
    full.write_text(f'#!/bin/sh\nexec {shutil.which("openssl")} "$@" >/dev/full\n')
    full.chmod(0o755)
    password = {"EVSE_SECURITY_PRIVATE_KEY_PASSWORD": "secret-of-tests"}
    no_room = f"{full.parent}:"
    for content, ends, path in ((locked, 0, no_room), (locked, 1, ""), (opened, 0, no_room), (opened, 1, "")):
        key.write_bytes(content)
        told = run("--certs", well, "doctor", environment=password)
        assert codes(told) == ["KeyInDer"]
        for mend in re.findall(r"^   mend: (.*)$", told.out, re.MULTILINE):
            line = ["bash", "-c", mend]
            found, nothing = os.environ | {"PATH": path + os.environ["PATH"]}, subprocess.DEVNULL
            ran = subprocess.run(line, check=False, env=found, stdin=nothing, capture_output=True, cwd=tmp_path)
            assert (ran.returncode == 0, ran.stdout) == (ends, b"")
        assert (key.read_bytes() == content) is not bool(ends)
        assert (b"ENCRYPTED" in key.read_bytes()) is (content is locked and bool(ends))
        assert sorted(key.parent.glob("*key*")) == [key]
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert codes(run("--certs", well, "doctor", environment=password)) == ([] if ends else ["KeyInDer"])


def test_a_root_in_the_wrong_bundle_among_others(run: Run, well: Path) -> None:
    right, wrong = well / "ca/v2g/V2G_ROOT_CA.pem", well / "ca/mo/MO_ROOT_CA.pem"
    root, other = right.read_text(), wrong.read_text()
    whole = f"ours\n{other}theirs\n{root}"
    wrong.write_text(whole)
    right.write_text((well / "ca/mf/MF_ROOT_CA.pem").read_text())
    told = run("--certs", well, "doctor")
    assert "WrongBundle" in codes(told)
    do_as_told(run, told)
    assert wrong.read_text() == whole
    assert right.read_text().endswith(root)
    assert [path for path in wrong.parent.iterdir() if path.suffix != ".lock"] == [wrong]
    assert codes(run("--certs", well, "doctor")) == []


def test_lines_are_cut_out_of_a_file_by_one_command_at_a_time(run: Run, well: Path) -> None:
    bundle, bad = well / "ca/mo/MO_ROOT_CA.pem", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    root, other = bundle.read_text(), (well / "ca/mf/MF_ROOT_CA.pem").read_text()
    bundle.write_text(bad + root + root + other)
    told = run("--certs", well, "doctor")
    assert codes(told) == ["Unreadable", "Duplicate"]
    assert "   advice: mend first what is said of this file above; then look again" in told.out
    do_as_told(run, told)
    assert bundle.read_text() == root + root + other
    do_as_told(run, run("--certs", well, "doctor"))
    assert bundle.read_text() == root + other
    assert codes(run("--certs", well, "doctor")) == []


@pytest.mark.parametrize("content", [b"<html>404 Not Found</html>\n", b"\xff\0" * 200])
def test_a_bundle_that_holds_something_else(run: Run, well: Path, content: bytes) -> None:
    (well / "ca/mo/MO_ROOT_CA.pem").write_bytes(content)
    ran = run("--certs", well, "doctor")
    assert codes(ran) == ["BundleUnreadable"]
    assert "the bundle holds something else than certificates" in ran.out
    (well / "ca/mo/MO_ROOT_CA.pem").write_bytes(b"\n")
    assert codes(run("--certs", well, "doctor")) == ["NoRoot"]


def test_leaves_below_a_directory_that_cannot_be_entered_are_not_called_missing(run: Run, well: Path) -> None:
    (well / "client").rename(well / "aside")
    (well / "client").symlink_to("client")  # as closed to root as one of mode 0 is to others
    ran = run("--certs", well, "doctor")
    assert ran.code == 3
    assert codes(ran) == ["Unreadable", "Unreadable"]


def test_root_and_key_are_both_missing(run: Run, well: Path) -> None:
    (well / "ca/v2g/V2G_ROOT_CA.pem").unlink()
    assert "RootMissing" in codes(run("--certs", well, "doctor"))
    (well / "client/cso/SECC_LEAF.key").unlink()
    assert {"LeafWithoutKey", "NoRoot", "NoUsableLeaf"} <= set(codes(run("--certs", well, "doctor")))


def test_a_private_key_in_a_bundle(run: Run, well: Path) -> None:
    bundle = well / "ca/mo/MO_ROOT_CA.pem"
    secret = (well / "client/cso/SECC_LEAF.key").read_text()
    bundle.write_text(bundle.read_text() + secret)
    ran = run("--certs", well, "doctor")
    assert codes(ran) == ["KeyAmongCertificates"]
    assert secret.splitlines()[1] not in ran.out


def test_private_keys_are_moved_out_of_files_of_certificates(run: Run, well: Path, pki: Pki) -> None:
    """The key of a leaf to where keys are looked for, so that it can go on being used until it is replaced."""
    key, leaf, bundle = well / "client/cso/SECC_LEAF.key", well / "client/cso/SECC_LEAF.pem", well / "MO roots.pem"
    secret, certificate, root = key.read_text(), leaf.read_text(), (well / "ca/mo/MO_ROOT_CA.pem").read_text()
    key.unlink()
    leaf.write_text(certificate + secret)
    others = [pki[name].key_pem(None) for name in ("OEM_LEAF", "CPO_SUB_CA1")]
    (well / "ca/mo/MO_ROOT_CA.pem").unlink()
    (well / "ca/mo/MO_ROOT_CA.pem").symlink_to(bundle)
    bundle.write_text(f"{others[0]}# ours\n{root}{others[1]}{root}")
    bundle.chmod(0o644)
    told = run("--certs", well, "doctor")
    assert codes(told)[:3] == ["NoUsableLeaf", "KeyAmongCertificates", "KeyAmongCertificates"]
    moves = [line[9:] for line in told.out.splitlines() if line.startswith("   mend: sh ")]
    for move in moves:
        assert subprocess.run(["sh", "-c", move], check=True, capture_output=True).stdout == b""
    assert (leaf.read_text(), bundle.read_text()) == (certificate, f"# ours\n{root}{root}")
    places = [well / "client/cso/SECC_LEAF.pem.key", well / "MO roots.pem.key", well / "MO roots.pem.2.key"]
    assert [place.read_text() for place in places] == [secret, *others]
    assert [stat.S_IMODE(place.stat().st_mode) for place in (*places, bundle)] == [0o600] * 3 + [0o644]
    for move in moves:  # once more by mistake: nothing is lost
        assert subprocess.run(["sh", "-c", move], check=False).returncode != 0
    assert [place.read_text() for place in places] == [secret, *others]
    assert bundle.read_text() == f"# ours\n{root}{root}"
    assert codes(run("--certs", well, "doctor")) == ["Duplicate"]


def test_a_key_that_has_not_its_own_lines_is_left_to_people(run: Run, well: Path) -> None:
    bundle, secret = well / "ca/mo/MO_ROOT_CA.pem", (well / "client/cso/SECC_LEAF.key").read_text()
    bundle.write_text(f"{bundle.read_text()}{secret[:-1]} it is\n")
    told = run("--certs", well, "doctor")
    assert codes(told) == ["KeyAmongCertificates", "ReadDifferently"]
    assert "   mend: " not in told.out
    assert "   advice: move the key to a file of its own with mode 0600, and " in told.out


def test_an_encrypted_key_that_the_password_does_not_open(run: Run, well: Path, pki: Pki) -> None:
    (well / "client/cso/SECC_LEAF.key").write_text(pki["SECC_LEAF"].key_pem("secret-of-the-tests"))
    ran = run("--certs", well, "doctor", environment={"EVSE_SECURITY_PRIVATE_KEY_PASSWORD": "wrong-one"})
    assert codes(ran)[:2] == ["KeyLocked", "NoUsableLeaf"]
    assert "the configured password does not open it" in ran.out
    assert "wrong-one" not in ran.out
    told = re.findall(r"^   mend: (.*)$", ran.out, re.MULTILINE)
    assert told[1:] == [
        f"evse-security --certs {well} config",
        f"evse-security --certs {well} call generate_certificate_signing_request --certificate-type V2G"
        " --country DE --organization 'EVSE Security Lab' --common DEEVSE000001 --no-use-tpm",
    ]
    do_as_told(run, replace(ran, out="".join(f"   mend: {one}\n" for one in told[1:])))
    for password, opens in (("secret-of-the-tests", True), ("wrong-one", False)):
        assert (subprocess.run([*asked(told[0], password)], check=False).returncode == 0) is opens


def asked(command: str, password: str) -> list[str]:
    """The command as one who types the password on a terminal."""
    typing = (
        "import os, pty, sys\n"
        "child, terminal = pty.fork()\n"
        "if not child: os.execvp('sh', ['sh', '-c', sys.argv[1]])\n"
        "os.read(terminal, 100)\n"
        "os.write(terminal, (sys.argv[2] + chr(10)).encode())\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    return [sys.executable, "-c", typing, command, password]


def test_an_encrypted_key_without_a_password(run: Run, well: Path, pki: Pki) -> None:
    key = well / "client/cso/SECC_LEAF.key"
    key.write_text(pki["SECC_LEAF"].key_pem("secret-of-the-tests"))
    ran = run("--certs", well, "doctor")
    assert f"   mend: openssl pkey -noout -in {key}\n   advice: the command asks for a password: " in ran.out
    assert "   mend: evse-security config" not in ran.out


def test_everybody_may_write(run: Run, well: Path) -> None:
    (well / "ca/csms").chmod(0o777)
    (well / "ca/mo/MO_ROOT_CA.pem").chmod(0o646)
    assert codes(run("--certs", well, "doctor")) == ["WritableByAll", "WritableByAll"]


@pytest.mark.parametrize("above", [".", "client"])
def test_everybody_may_put_another_store_in_the_place_of_this_one(run: Run, well: Path, above: str) -> None:
    (well / above).chmod(0o1777)  # as /tmp is: who made the store is safe
    assert codes(run("--certs", well, "doctor")) == []
    (well / above).chmod(0o777)
    ran = run("--certs", well, "doctor")
    assert codes(ran) == ["WritableByAll"]
    do_as_told(run, ran)
    assert codes(run("--certs", well, "doctor")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_of_others(run: Run, well: Path) -> None:
    os.chown(well / "client/cso/SECC_LEAF.pem", 4711, -1)
    ran = run("--certs", well, "doctor")
    assert codes(ran) == ["OtherOwner"]
    assert "owned by user 4711" in ran.out


def test_files_from_the_future(run: Run, well: Path) -> None:
    later = (NOW + DAY).timestamp()
    for path in well.rglob("*"):
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    os.utime(well / "ca/mo/MO_ROOT_CA.pem", (later, later))
    assert codes(run("--certs", well, "doctor")) == ["FromFuture"]


def test_a_hashed_directory_whose_links_are_wrong(run: Run, well: Path) -> None:
    bundle = well / "ca/mo/MO_ROOT_CA.pem"
    root = bundle.read_text()
    bundle.unlink()
    bundle.mkdir()
    (bundle / "root.pem").write_text(root)
    assert codes(run("--certs", well, "doctor")) == []  # nobody has hashed it
    (bundle / "00000000.0").symlink_to("root.pem")
    assert codes(run("--certs", well, "doctor")) == ["LinksStale"]
    assert run("--certs", well, "doctor", "--fix").code in (0, 1)
    assert codes(run("--certs", well, "doctor")) == []


# ---- --fix


def sicken(well: Path, pki: Pki) -> None:
    """Everything that is safe to mend."""
    (well / "client/cso").chmod(0o755)
    (well / "client/cso/SECC_LEAF.key").chmod(0o644)
    (well / "ca/mo/MO_ROOT_CA.pem").chmod(0o646)
    (well / "client/cso/.0123456789abcdef.evse-tmp").write_text("half")
    orphan = well / f"client/cso/{STEM}.key"
    orphan.write_text(pki["OEM_LEAF"].key_pem(None))
    orphan.chmod(0o600)
    old = (NOW - DAY).timestamp()
    os.utime(orphan, (old, old))
    keep_response(well, pki, "SECC_LEAF", "CPO_SUB_CA2", as_text=True)
    copies = well / "client/cso/der"
    copies.mkdir()
    (copies / "SECC_LEAF.pem.leaf.der").write_bytes(b"stale")


SICK = ["KeyExposed", "WritableByAll", "KeyDirectoryOpen", "KeyOrphan", "OcspNotDer", "CopyStale", "Leftover"]


def test_fix_mends_what_is_safe(run: Run, well: Path, pki: Pki) -> None:
    sicken(well, pki)
    assert codes(run("--certs", well, "doctor")) == SICK
    ran = run("--certs", well, "doctor", "--fix")
    assert codes(ran) == []
    assert f"mended: {well}/client/cso/SECC_LEAF.key: mode 0644 made 0600\n" in ran.out
    assert f"mended: {well}/client/cso/ocsp/SECC_LEAF_ocsp.der: made DER of base64\n" in ran.out
    assert stat.S_IMODE((well / "client/cso").stat().st_mode) == 0o700
    assert (well / "client/cso/der/SECC_LEAF.pem.leaf.der").read_bytes() == pki["SECC_LEAF"].der
    assert run("--certs", well, "show").code == 0


def test_fix_keeps_the_files_as_they_were(run: Run, well: Path, pki: Pki) -> None:
    sicken(well, pki)
    ran = run("--certs", well, "doctor", "--fix")
    kept = well.with_name("certs.before-fix-20300101T000000Z")
    assert f"kept as they were: {kept}\n" in ran.out
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    key = kept / f"client/cso/{STEM}.key"
    assert key.read_text() == pki["OEM_LEAF"].key_pem(None)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert (kept / "client/cso/der/SECC_LEAF.pem.leaf.der").read_bytes() == b"stale"
    assert sorted(path.name for path in kept.rglob("*") if path.is_file()) == [
        ".0123456789abcdef.evse-tmp",
        "SECC_LEAF.pem.leaf.der",
        f"{STEM}.key",
        "SECC_LEAF_ocsp.der",
    ]


def test_fix_can_be_rehearsed(run: Run, well: Path, pki: Pki) -> None:
    sicken(well, pki)
    before = shown(well)
    ran = run("--certs", well, "doctor", "--fix", "--dry-run")
    assert codes(ran) == SICK
    assert ran.code == 3
    assert ran.out.count("would be mended: ") == 7
    assert shown(well) == before
    assert list(well.parent.glob("*.before-fix-*")) == []


def test_where_nothing_is_to_be_mended_nothing_is_kept(run: Run, well: Path) -> None:
    ran = run("--certs", well, "doctor", "--fix")
    assert ran.out.splitlines()[0] == "nothing to mend"
    assert list(well.parent.glob("*.before-fix-*")) == []


def test_where_nothing_can_be_kept_nothing_is_mended(run: Run, well: Path, pki: Pki, tmp_path: Path) -> None:
    sicken(well, pki)
    taken = tmp_path / "taken"
    taken.mkdir()
    ran = run("--certs", well, "doctor", "--fix", "--backup", taken)
    assert (ran.code, ran.out) == (1, "")
    why = f"{os.strerror(errno.EEXIST)}; nothing is mended before the files are kept as they are"
    assert ran.err == f"evse-security: {taken} could not be written: {why}\n"
    assert codes(run("--certs", well, "doctor")) == SICK


def test_fix_is_in_the_audit_log(run: Run, well: Path, pki: Pki) -> None:
    sicken(well, pki)
    run("--certs", well, "doctor", "--fix")
    logs = [path.read_text() for path in well.rglob("audit*") if path.is_file() and path.stat().st_size]
    assert any('"mend"' in text for text in logs)


def test_a_clock_that_is_not_believed_comes_first_and_nothing_is_swept(
    capsys: pytest.CaptureFixture[str], well: Path, pki: Pki
) -> None:
    from evse_security import Station
    from evse_security.cli import main

    sicken(well, pki)
    boot = datetime(1970, 1, 1, tzinfo=UTC)
    main(
        ["--certs", str(well), "doctor", "--fix"],
        environment={},
        opener=lambda config: Station.open(replace(config, clock=lambda: boot)),
    )
    out = capsys.readouterr().out
    assert re.findall(r"^error (\w+)", out, re.MULTILINE)[0] == "ClockNotBelieved"
    assert (well / f"client/cso/{STEM}.key").exists()
    assert (well / "client/cso/.0123456789abcdef.evse-tmp").exists()
    assert stat.S_IMODE((well / "client/cso/SECC_LEAF.key").stat().st_mode) == 0o600


def test_backup_and_dry_run_belong_to_fix(run: Run, well: Path) -> None:
    assert run("--certs", well, "doctor", "--dry-run").code == 2
    assert run("--certs", well, "doctor", "--backup", "x").code == 2


def test_the_mode_of_what_a_link_leads_to_is_not_changed(run: Run, well: Path, tmp_path: Path) -> None:
    key, outside = well / "client/cso/SECC_LEAF.key", tmp_path / "outside.key"
    key.rename(outside)
    outside.chmod(0o644)
    key.symlink_to(outside)
    ran = run("--certs", well, "doctor", "--fix")
    assert codes(ran) == ["KeyExposed"]
    assert ran.out.startswith("nothing to mend\n")
    assert f"private key open to everybody (mode 0644), a link to {outside}\n" in ran.out
    assert "chmod" not in ran.out
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644


def test_what_cannot_be_mended_is_said_and_the_rest_is_done(run: Run, well: Path) -> None:
    (well / "client/cso").rename(well / "client/elsewhere")
    (well / "client/cso").symlink_to("elsewhere")
    (well / "client/cso").chmod(0o755)
    (well / "client/cso/SECC_LEAF.key").chmod(0o644)
    ran = run("--certs", well, "doctor", "--fix")
    assert f"evse-security: not mended: {well}/client/cso could not be written: {os.strerror(errno.ELOOP)}\n" == ran.err
    assert f"mended: {well}/client/cso/SECC_LEAF.key: mode 0644 made 0600\n" in ran.out
    assert codes(ran) == ["KeyDirectoryOpen"]


def test_a_store_all_over_the_machine_needs_to_be_told_where(run: Run, well: Path, pki: Pki) -> None:
    sicken(well, pki)
    somewhere = ["--mf-ca-bundle", "/proc/nowhere/MF.pem"]
    ran = run("--certs", well, "doctor", "--fix", *somewhere)
    assert (ran.code, ran.out) == (1, "")
    assert "say where" in ran.err
    assert run("--certs", well, "doctor", "--fix", "--backup", well.parent / "kept", *somewhere).out.startswith(
        "mended"
    )
    assert (well.parent / "kept").is_dir()


def test_an_audit_log_that_somebody_altered(run: Run, well: Path) -> None:
    run("--certs", well, "call", "install_ca_certificate", "--certificate", "nothing", "--certificate-type", "V2G")
    log = well / "audit/audit.jsonl"
    assert codes(run("--certs", well, "doctor")) == []
    log.write_text(log.read_text().replace("refused", "done"))
    ran = run("--certs", well, "doctor")
    assert (ran.code, codes(ran)) == (1, ["AuditLogBroken"])
    assert "line 1: entry 1 was edited" in ran.out
    shutil.rmtree(log.parent)
    assert codes(run("--certs", well, "doctor")) == []
    log.parent.touch()
    assert codes(run("--certs", well, "doctor")) == ["AuditLogBroken"]


def test_nothing_is_kept_where_the_store_would_read_it(run: Run, well: Path, pki: Pki) -> None:
    sicken(well, pki)
    for inside in ("client/cso/kept", "ca/v2g/V2G_ROOT_CA.pem/kept"):
        ran = run("--certs", well, "doctor", "--fix", "--backup", well / inside)
        assert (ran.code, ran.out) == (1, "")
        assert "it lies in the store" in ran.err
    assert not (well / "client/cso/kept").exists()


# ---- commands that can be copied


@pytest.mark.parametrize(
    "name", ["plain.pem", "two words.pem", "it's.pem", "$(reboot).pem", "\x1b[2J\n.pem", "\udcff.pem", "ü.pem"]
)
def test_a_shell_takes_the_words_as_they_are(name: str) -> None:
    typed = as_typed(("printf", "%s", name), ())
    assert typed.isprintable()
    said = subprocess.run(["bash", "-c", typed], check=True, capture_output=True).stdout
    assert said == os.fsencode(name)


def test_our_commands_lead_to_the_same_station_from_elsewhere(
    run: Run, well: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (well / "client/cso/ocsp/SECC_LEAF_ocsp.hash").unlink()
    monkeypatch.chdir(well.parent)
    assert f"   mend: evse-security --certs {well} doctor --fix\n" in run("--certs", well.name, "doctor").out
    places = ("--mo-ca-bundle", f"{well.name}/ca/mo/MO_ROOT_CA.pem", "--oem-ca-bundle", "none")
    options = f"--certs {well} --mo-ca-bundle {well}/ca/mo/MO_ROOT_CA.pem --oem-ca-bundle none"
    assert f"   mend: evse-security {options} doctor --fix\n" in run("--certs", well, *places, "doctor").out


def test_our_commands_lead_to_the_same_station(run: Run, well: Path, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(f'certs = "{well}"\n')
    (well / "client/cso/ocsp/SECC_LEAF_ocsp.hash").unlink()
    ran = run("--config", tmp_path / "s.toml", "doctor", "--keep-newest", "3", "--no-additional-root-certificate-check")
    options = f"--config {tmp_path}/s.toml --keep-newest 3 --no-additional-root-certificate-check"
    assert f"   mend: evse-security {options} doctor --fix\n" in ran.out
    told = run("--config", tmp_path / "s.toml", "doctor", "--json", *options.split()[2:]).json["findings"]
    assert ["evse-security", *options.split(), "doctor", "--fix"] in [one for each in told for one in each["mend"]]
