"""Private keys in files: every form that OpenSSL writes is read, and nothing of what is read gets out."""

from __future__ import annotations

import base64
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from evse_security.errors import KeyNotGenerated
from evse_security.keys.encryption import KEY_DERIVATION_ROUNDS, MAX_ROUNDS, rounds
from evse_security.keys.files import (
    MAX_KEY_BYTES,
    MAX_PASSWORD_BYTES,
    KeyProblem,
    KeyReading,
    generate,
    public_key_of,
    to_der,
    to_pem,
)
from evse_security.keys.kinds import KeyType
from evse_security.lab.keys import KeyKind, PrivateKey
from evse_security.pki import encode
from evse_security.pki.certificate import Certificate
from evse_security.pki.der import MAX_DEPTH, Malformed
from evse_security.pki.encode import tlv
from evse_security.pki.keytoken import token_of_certificate, token_of_spki
from tests.builders import key, world

KINDS = [kind for kind in KeyKind if kind not in (KeyKind.RSA3072, KeyKind.RSA4096)]
PASSWORD = "correct horse, Batterie ü"
SECRET = PASSWORD.encode()


def salt(size: int) -> bytes:
    """Randomness that is none."""
    return bytes(range(size))


def octet_string(octets: bytes) -> bytes:
    return tlv(0x04, octets)


def spki_of(private_key: PrivateKey) -> bytes:
    return private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def written(private_key: PrivateKey, form: PrivateFormat, secret: bytes | None = None) -> bytes:
    protection = BestAvailableEncryption(secret) if secret else NoEncryption()
    return private_key.private_bytes(Encoding.PEM, form, protection)


def openssl(*arguments: str, given: bytes) -> bytes:
    return subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=True).stdout


def body(pem: bytes) -> bytes:
    return base64.b64decode(b"".join(pem.split(b"\n")[1:-2]))


def assert_reads(data: bytes, private_key: PrivateKey, password: str | None = None, *, encrypted: bool = False) -> None:
    spki = spki_of(private_key)
    reading = public_key_of(data, password)
    assert reading == KeyReading(token=token_of_spki(spki), spki=reading.spki, encrypted=encrypted)
    assert reading.spki is not None


# ---- making and writing


@pytest.mark.parametrize("kind", KeyType)
def test_what_is_generated_is_what_was_asked_for(kind: KeyType) -> None:
    made = generate(kind)
    match made:
        case ec.EllipticCurvePrivateKey():
            assert made.curve.name == kind
        case rsa.RSAPrivateKey():
            assert f"rsa{made.key_size}" == kind
            assert made.public_key().public_numbers().e == 65537
        case ed25519.Ed25519PrivateKey():
            assert kind is KeyType.ed25519
        case ed448.Ed448PrivateKey():
            assert kind is KeyType.ed448


def test_two_keys_are_two_keys() -> None:
    assert spki_of(generate(KeyType.ed25519)) != spki_of(generate(KeyType.ed25519))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("password", [None, "", PASSWORD])
def test_what_is_written_is_read_by_us_and_by_openssl(kind: KeyKind, password: str | None) -> None:
    private_key = key("Station", kind)
    data = to_pem(private_key, password)
    label = b"ENCRYPTED PRIVATE KEY" if password else b"PRIVATE KEY"
    assert data.startswith(b"-----BEGIN " + label + b"-----\n")
    assert data.endswith(b"-----END " + label + b"-----\n")
    assert_reads(data, private_key, password, encrypted=bool(password))
    public = openssl("pkey", "-passin", f"pass:{password or 'none'}", "-pubout", "-outform", "DER", given=data)
    assert public == spki_of(private_key)


def test_the_encryption_is_pbes2_with_aes_256_and_many_rounds() -> None:
    shown = openssl("asn1parse", given=to_pem(key("Station"), PASSWORD)).decode()
    for part in ("PBES2", "PBKDF2", "hmacWithSHA256", "aes-256-cbc", f":{KEY_DERIVATION_ROUNDS:06X}"):
        assert part in shown


def test_salt_and_vector_are_fresh() -> None:
    private_key = key("Station")
    assert to_pem(private_key, PASSWORD) != to_pem(private_key, PASSWORD)
    assert to_pem(private_key, PASSWORD, salt) == to_pem(private_key, PASSWORD, salt)


def test_a_password_that_openssl_would_not_take() -> None:
    private_key, longest = key("Station"), "p" * MAX_PASSWORD_BYTES
    assert_reads(to_pem(private_key, longest), private_key, longest, encrypted=True)
    with pytest.raises(KeyNotGenerated) as refused:
        to_pem(private_key, longest + "p")
    assert "ppp" not in str(refused.value) + repr(refused.value)


@pytest.mark.parametrize("password", ["\udcff\udcfe", "\ud800"])
def test_a_password_that_is_no_utf_8(password: str) -> None:
    private_key = key("Station")
    assert_reads(to_pem(private_key, password), private_key, password, encrypted=True)


def test_octets_of_a_password_from_the_environment_are_kept() -> None:
    """A Latin-1 ü comes from os.environ as a surrogate; another program with the same environment opens the file."""
    data = to_pem(key("Station"), "\udcfc")
    assert load_der_private_key(body(data), b"\xfc") is not None


# ---- reading


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("secret", [None, SECRET])
def test_every_form_is_read(kind: KeyKind, form: PrivateFormat, secret: bytes | None) -> None:
    private_key = key("Station", kind)
    if form is PrivateFormat.TraditionalOpenSSL and kind in (KeyKind.ED25519, KeyKind.ED448):
        form = PrivateFormat.PKCS8  # there is no other
    data = written(private_key, form, secret)
    assert_reads(data, private_key, PASSWORD, encrypted=secret is not None)


@pytest.mark.parametrize("kind", KINDS)
def test_der_is_read_too(kind: KeyKind) -> None:
    private_key = key("Station", kind)
    for password in (None, PASSWORD):
        assert_reads(body(to_pem(private_key, password)), private_key, PASSWORD, encrypted=password is not None)
    if kind not in (KeyKind.ED25519, KeyKind.ED448):
        assert_reads(body(written(private_key, PrivateFormat.TraditionalOpenSSL)), private_key)


@pytest.mark.parametrize("cipher", ["aes128", "aes256", "des3"])
def test_keys_encrypted_in_the_old_way(cipher: str) -> None:
    private_key = key("Station")
    plain = written(private_key, PrivateFormat.TraditionalOpenSSL)
    data = openssl("ec", f"-{cipher}", "-passout", "pass:secret", given=plain)
    assert b"Proc-Type: 4,ENCRYPTED" in data
    assert_reads(data, private_key, "secret", encrypted=True)
    assert_reads(data.replace(b"\n", b"\r\n"), private_key, "secret", encrypted=True)
    assert public_key_of(data, None) == KeyReading(problem=KeyProblem.Encrypted, encrypted=True)
    assert public_key_of(data, "wrong") == KeyReading(problem=KeyProblem.WrongPassword, encrypted=True)


@pytest.mark.parametrize("vector", ["", "00", "00" * 15, "00" * 17, "zz" * 16])
@pytest.mark.parametrize("cipher", ["AES-256-CBC", "AES-128-CBC", "DES-EDE3-CBC", "ROT-13"])
def test_an_initialisation_vector_of_a_wrong_length_is_a_damaged_key(cipher: str, vector: str) -> None:
    """`cryptography` panics on one that is too short."""
    data = (
        b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
        b"DEK-Info: %b,%b\n\n%b\n-----END EC PRIVATE KEY-----\n"
        % (cipher.encode(), vector.encode(), base64.b64encode(bytes(48)))
    )
    assert public_key_of(data, "secret") == KeyReading(problem=KeyProblem.WrongPassword, encrypted=True)
    assert to_der(data, "secret") is KeyProblem.WrongPassword


def test_the_encryption_of_the_reference_is_read() -> None:
    """PBES2 with AES-128-CBC (behaviour 12.2)."""
    private_key = key("Station")
    plain = written(private_key, PrivateFormat.PKCS8)
    data = openssl("pkcs8", "-topk8", "-v2", "aes-128-cbc", "-passout", "pass:secret", given=plain)
    assert_reads(data, private_key, "secret", encrypted=True)


def commented(pem: bytes) -> bytes:
    return b"Bag Attributes\n    friendlyName: x\n# \xff\n" + pem + b"# the end"


def indented(pem: bytes) -> bytes:
    return b"\n".join(b"  " + line + b" " for line in pem.split(b"\n"))


def in_one_line(pem: bytes) -> bytes:
    head, *lines, tail, _ = pem.split(b"\n")
    return head + b"\n" + b"".join(lines) + b"\n" + tail


def after_parameters(pem: bytes) -> bytes:
    return b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + pem


def after_a_certificate(pem: bytes) -> bytes:
    return world("Root")["Root"].pem.encode() + pem


SPELLINGS: list[Callable[[bytes], bytes]] = [
    commented,
    indented,
    in_one_line,
    after_parameters,
    after_a_certificate,
    lambda pem: pem.replace(b"\n", b"\r\n"),
    lambda pem: b"\xef\xbb\xbf" + pem,
    lambda pem: pem.rstrip(),
    lambda pem: pem.replace(b"-----\n", b"-----\n\n", 1),
    lambda pem: pem + after_a_certificate(pem),
    lambda pem: pem + to_pem(key("Another"), None),
]


@pytest.mark.parametrize("spelling", range(len(SPELLINGS)))
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_what_stands_around_a_key_does_not_matter(spelling: int, form: PrivateFormat) -> None:
    private_key = key("Station")
    assert_reads(SPELLINGS[spelling](written(private_key, form)), private_key)


def test_a_key_with_explicit_parameters_fits_its_certificate() -> None:
    """`cryptography` 44 does not read these, so OpenSSL does."""
    private_key = key("Station")
    leaf = Certificate(world("Root > Station")["Station"].der)
    explicit = openssl("ec", "-param_enc", "explicit", given=written(private_key, PrivateFormat.TraditionalOpenSSL))
    for data in (explicit, openssl("pkcs8", "-topk8", "-nocrypt", given=explicit)):
        reading = public_key_of(data, None)
        assert reading.token == token_of_certificate(leaf)
        der = to_der(data, None)
        assert isinstance(der, bytes)
        assert public_key_of(der, None).token == reading.token


def test_a_curve_that_cryptography_does_not_know() -> None:
    data = openssl("ecparam", "-name", "wap-wsg-idm-ecid-wtls7", "-genkey", "-noout", given=b"")
    public = openssl("ec", "-pubout", "-outform", "DER", given=data)
    reading = public_key_of(data, None)
    assert reading.spki == public
    plain = to_der(data, None)
    assert isinstance(plain, bytes)
    assert openssl("pkey", "-inform", "DER", "-pubout", "-outform", "DER", given=plain) == public
    assert public_key_of(plain, None) == reading
    encrypted = openssl("ec", "-aes256", "-passout", "pass:secret", given=data)
    assert public_key_of(encrypted, "secret") == KeyReading(token=reading.token, spki=public, encrypted=True)
    assert to_der(encrypted, "secret") is KeyProblem.Unsupported


def test_a_key_for_pss_only_fits_a_certificate_that_says_rsa() -> None:
    data = openssl("genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048", given=b"")
    public = openssl("pkey", "-pubout", "-outform", "DER", given=data)
    assert public_key_of(data, None).token == token_of_spki(public)


# ---- what gives no key


ENCRYPTED = to_pem(key("Station"), PASSWORD, salt)
TPM = b"-----BEGIN TSS2 PRIVATE KEY-----\nMAA=\n-----END TSS2 PRIVATE KEY-----\n"
NO_KEYS: dict[str, bytes] = {
    "nothing": b"",
    "text": b"hello",
    "zeros": bytes(100),
    "no end": to_pem(key("Station"), None).split(b"-----END")[0],
    "other end": to_pem(key("Station"), None).replace(b"END PRIVATE", b"END EC PRIVATE"),
    "not base64": to_pem(key("Station"), None).replace(b"M", b"*"),
    "cut": to_pem(key("Station"), None).replace(b"\nMIGHAgEAMBMGByqGSM49", b"\n"),
    "empty block": b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
    "a certificate": world("Root")["Root"].pem.encode(),
    "a certificate in DER": world("Root")["Root"].der,
    "a public key": openssl("pkey", "-pubout", given=to_pem(key("Station"), None)),
    "a certificate that says it is a key": encode.pem("PRIVATE KEY", world("Root")["Root"].der).encode(),
    "DER cut": body(to_pem(key("Station"), None))[:-1],
    "DER of one octet": b"\x30",
    "OpenSSH": b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
}


@pytest.mark.parametrize("data", NO_KEYS.values(), ids=NO_KEYS.keys())
@pytest.mark.parametrize("password", [None, PASSWORD])
def test_what_is_no_key(data: bytes, password: str | None) -> None:
    assert public_key_of(data, password) == KeyReading(problem=KeyProblem.NotAKey)
    assert to_der(data, password) is KeyProblem.NotAKey


def asking_for(derivation: bytes, shape: Callable[[bytes], bytes] = octet_string) -> bytes:
    """A key encrypted after this derivation, or so it says; what it hides is junk."""
    cipher = tlv(0x30, encode.oid("2.16.840.1.101.3.4.1.42"), octet_string(salt(16)))
    algorithm = tlv(0x30, encode.oid("1.2.840.113549.1.5.13"), tlv(0x30, derivation, cipher))
    return tlv(0x30, algorithm, shape(salt(64)))


def pbkdf2(count: int) -> bytes:
    prf = tlv(0x30, encode.oid("1.2.840.113549.2.9"), tlv(0x05))
    numbers = (octet_string(salt(16)), encode.integer(count), encode.integer(32), prf)
    return tlv(0x30, encode.oid("1.2.840.113549.1.5.12"), tlv(0x30, *numbers))


def scrypt(*numbers: int) -> bytes:
    cost = (encode.integer(number) for number in numbers)
    return tlv(0x30, encode.oid("1.3.6.1.4.1.11591.4.11"), tlv(0x30, octet_string(salt(16)), *cost))


LABORIOUS = [
    pbkdf2(MAX_ROUNDS + 1),
    pbkdf2(1 << 62),
    scrypt(1 << 14, 8, 9),
    scrypt(2, 1, 1 << 29),
    scrypt(1 << 40, 8, 1),
]


@pytest.mark.parametrize("derivation", LABORIOUS)
@pytest.mark.parametrize("password", [PASSWORD, None])
def test_a_key_whose_writer_wants_too_much_work_is_not_opened(derivation: bytes, password: str | None) -> None:
    data = asking_for(derivation)
    problem = KeyProblem.TooLaborious if password else KeyProblem.Encrypted
    assert public_key_of(data, password) == KeyReading(problem=problem, encrypted=True)
    assert public_key_of(encode.pem("ENCRYPTED PRIVATE KEY", data).encode(), password).problem is problem


@pytest.mark.parametrize("derivation", LABORIOUS)
def test_nor_if_it_does_not_look_encrypted(derivation: bytes) -> None:
    """As an OCTET STRING in pieces, which OpenSSL takes."""
    data = asking_for(derivation, lambda octets: tlv(0x24, octet_string(octets)))
    for password in (PASSWORD, None):
        assert public_key_of(encode.pem("ENCRYPTED PRIVATE KEY", data).encode(), password).problem is (
            KeyProblem.TooLaborious
        )


def test_parameters_that_hide_the_work_by_their_depth_are_malformed() -> None:
    derivation = pbkdf2(MAX_ROUNDS + 1)
    for _ in range(MAX_DEPTH):
        derivation = tlv(0x30, derivation)
    with pytest.raises(Malformed):
        rounds(asking_for(derivation))
    assert public_key_of(asking_for(derivation), PASSWORD).problem is KeyProblem.WrongPassword


@pytest.mark.parametrize("derivation", [pbkdf2(MAX_ROUNDS), scrypt(2, 1, 1)])
def test_as_much_work_as_is_usual_is_done(derivation: bytes) -> None:
    assert public_key_of(asking_for(derivation), PASSWORD).problem is KeyProblem.WrongPassword


def test_rounds_of_every_encryption() -> None:
    assert rounds(body(to_pem(key("Station"), PASSWORD))) == KEY_DERIVATION_ROUNDS
    assert rounds(asking_for(scrypt(1 << 14, 8, 1))) == 1 << 17
    assert rounds(body(to_pem(key("Station"), None))) == 0


def test_other_reasons() -> None:
    locked = {None: KeyProblem.Encrypted, "": KeyProblem.Encrypted, "wrong": KeyProblem.WrongPassword}
    for password, problem in locked.items():
        assert public_key_of(ENCRYPTED, password) == KeyReading(problem=problem, encrypted=True)
    assert public_key_of(TPM, PASSWORD) == KeyReading(problem=KeyProblem.BoundToTpm)
    assert to_der(TPM, PASSWORD) is KeyProblem.BoundToTpm
    assert public_key_of(bytes(MAX_KEY_BYTES + 1), None) == KeyReading(problem=KeyProblem.TooLarge)


@given(st.binary(max_size=200))
def test_junk_is_never_more_than_no_key(junk: bytes) -> None:
    for data in (junk, b"\x30" + junk, b"-----BEGIN PRIVATE KEY-----\n" + junk + b"\n-----END PRIVATE KEY-----"):
        assert public_key_of(data, PASSWORD).token is None


@given(position=st.integers(0, 10_000), octet=st.integers(0, 255))
def test_a_damaged_key_raises_nothing(position: int, octet: int) -> None:
    data = to_pem(key("Station"), None)
    at = position % len(data)
    reading = public_key_of(data[:at] + bytes((octet,)) + data[at + 1 :], None)
    assert (reading.token is None) is (reading.problem is not None)


def test_many_begin_lines_are_no_key() -> None:
    """The END of the first one only is searched for, so that this stays linear."""
    data = b"-----BEGIN PRIVATE KEY-----\n" * (MAX_KEY_BYTES // 28)
    assert public_key_of(data, None).problem is KeyProblem.NotAKey


# ---- secrecy


def test_fault_29_key_never_reaches_a_log(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    files = [*NO_KEYS.values(), ENCRYPTED, to_pem(key("Station"), None), TPM]
    said = "".join(
        repr(made)
        for data in files
        for password in (None, "wrong", PASSWORD)
        for made in (public_key_of(data, password), public_key_of(data, password).problem)
    )
    printed = capfd.readouterr()
    assert not caplog.records
    assert printed.out + printed.err == ""
    number = key("Station")
    assert isinstance(number, ec.EllipticCurvePrivateKey)
    secret = number.private_numbers().private_value.to_bytes(32)
    for form in (secret.hex(), repr(secret)[2:-1], base64.b64encode(secret).decode().rstrip("="), PASSWORD, "BEGIN"):
        assert form not in said


def test_nobody_is_asked_for_a_password_on_the_terminal(tmp_path: Path) -> None:
    """OpenSSL would, where a key is encrypted and it is given no answer; in a new session there is no terminal."""
    (tmp_path / "key").write_bytes(ENCRYPTED)
    old = openssl("ec", "-aes256", "-passout", "pass:secret", given=written(key("Station"), PrivateFormat.PKCS8))
    (tmp_path / "old").write_bytes(old)
    script = """
import sys
from pathlib import Path
from evse_security.keys.files import public_key_of
for name in ("key", "old"):
    for password in (None, "", "wrong"):
        assert public_key_of((Path(sys.argv[1]) / name).read_bytes(), password).token is None
"""
    command: list[Any] = [sys.executable, "-c", script, tmp_path]
    ran = subprocess.run(command, input=b"secret\n", capture_output=True, check=True, start_new_session=True)
    assert (ran.stdout, ran.stderr) == (b"", b"")


# ---- DER


@pytest.mark.parametrize("kind", KINDS)
def test_pkcs8_keeps_its_octets_in_der(kind: KeyKind) -> None:
    private_key = key("Station", kind)
    for password in (None, PASSWORD):
        data = to_pem(private_key, password)
        assert to_der(data, password) == body(data)
        assert to_der(body(data), password) == body(data)


def test_an_encrypted_key_needs_no_password_to_stay_encrypted() -> None:
    assert to_der(ENCRYPTED, None) == body(ENCRYPTED)
    assert to_der(ENCRYPTED, "wrong") == body(ENCRYPTED)


@pytest.mark.parametrize("kind", [KeyKind.SECP256R1, KeyKind.RSA2048])
def test_traditional_keys_become_pkcs8(kind: KeyKind) -> None:
    private_key = key("Station", kind)
    plain = written(private_key, PrivateFormat.PKCS8)
    assert to_der(written(private_key, PrivateFormat.TraditionalOpenSSL), PASSWORD) == body(plain)
    locked = written(private_key, PrivateFormat.TraditionalOpenSSL, SECRET)
    der = to_der(locked, PASSWORD, salt)
    assert der == body(to_pem(private_key, PASSWORD, salt))
    assert to_der(locked, None) is KeyProblem.Encrypted
    assert to_der(locked, "wrong") is KeyProblem.WrongPassword


def test_a_key_whose_octets_come_in_parts_is_the_same_in_der() -> None:
    """OpenSSL reads such BER, in PEM as in DER; the oldest `cryptography` does too, and then it is written anew."""
    whole = body(written(key("Station"), PrivateFormat.TraditionalOpenSSL))
    at = whole.index(b"\x04\x20")
    parts = whole[:at] + b"\x24\x22" + whole[at:]
    encoded = b"\x30" + bytes([whole[1] + 2]) + parts[2:]
    pem = encode.pem("EC PRIVATE KEY", encoded).encode()
    reading = public_key_of(pem, None)
    assert reading.token is not None
    encoded_again = to_der(pem, None)
    assert isinstance(encoded_again, bytes)
    assert public_key_of(encoded_again, None) == reading
    assert public_key_of(encoded, None) == reading


@pytest.mark.parametrize("kind", [KeyKind.SECP256R1, KeyKind.SECP521R1, KeyKind.ED25519, KeyKind.ED448])
def test_plain_key_files_are_read_as_any_others(kind: KeyKind) -> None:
    """One that begins with a plain block is read by a shorter way than one with a comment before it."""
    plain = to_pem(key("Plain", kind), None)
    reading = public_key_of(plain, None)
    assert reading.token is not None
    for at in range(0, len(plain), 3):
        for more in (b"", b"=", b"\n", b"\r\n", b":", b"A"):
            odd = plain[:at] + more + plain[at + 1 :]
            assert public_key_of(odd, None) == public_key_of(b"#\n" + odd, None)
    for same in (b"#\n" + plain, plain + b"#", plain.replace(b"\n", b"\r\n"), plain.replace(b"\n", b" \n")):
        assert public_key_of(same, None) == reading
