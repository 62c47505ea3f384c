"""Certificates in text and files: nothing that is good is hidden by what is not."""

from __future__ import annotations

import base64
import random
import ssl
import subprocess
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import crypto

from evse_security.errors import MalformedCertificate, NoCertificate, NotExactlyOne, TooLarge
from evse_security.lab.keys import key_pem
from evse_security.pki import der, encode, pem
from evse_security.pki.certificate import MAX_CERTIFICATE_BYTES, Certificate
from tests.builders import as_version_1, key, pem_of, signing_request, world

MADE = world("Root > Sub > Leaf", "Other >")
ROOT, SUB, LEAF = (Certificate(MADE[holder].der) for holder in ("Root", "Sub", "Leaf"))
BODY = base64.b64encode(ROOT.der).decode()
KEY, REQUEST = key_pem(key("Root")), signing_request(key("Root"))
ENCRYPTED = (
    "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: A,B\n\nAAAA\n-----END EC PRIVATE KEY-----\n"
)
CRL = encode.pem("X509 CRL", b"0\x00")


def block(label: str, body: str) -> str:
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"


def found(text: str | bytes) -> list[Certificate]:
    data = text.encode() if isinstance(text, str) else text
    return [one.certificate for one in pem.blocks(data) if one.certificate is not None]


def problems(text: str | bytes) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    return [one.problem for one in pem.blocks(data) if one.problem is not None]


GOOD: dict[str, str | bytes] = {
    "one": ROOT.pem,
    "CRLF": ROOT.pem.replace("\n", "\r\n"),
    "CR": ROOT.pem.replace("\n", "\r"),
    "byte order mark": "\ufeff" + ROOT.pem,
    "no last newline": ROOT.pem.rstrip(),
    "blanks behind lines": ROOT.pem.replace("\n", " \t\n"),
    "blank lines": "\n\n" + ROOT.pem.replace("\n", "\n\n"),
    "indented": textwrap.indent(ROOT.pem, "\t  "),
    "unwrapped": block("CERTIFICATE", BODY),
    "76 columns": block("CERTIFICATE", "\n".join(textwrap.wrap(BODY, 76))),
    "one line": ROOT.pem.replace("\n", ""),
    "X509 CERTIFICATE": block("X509 CERTIFICATE", BODY),
    "TRUSTED CERTIFICATE": block("TRUSTED CERTIFICATE", base64.b64encode(ROOT.der + b"\x30\x00").decode()),
    "comments": f"# the root of Test\n{ROOT.pem}# its end\n",
    "a comment that begins like DER": f"0A:BC is its serial\n{ROOT.pem}",
    "subject and issuer as openssl s_client writes them": f" 0 s:CN = Root\n   i:CN = Root\n{ROOT.pem}",
    "a comment that quotes another": ROOT.pem + textwrap.indent(SUB.pem, "# "),
    "a comment that quotes boundaries": "say -----BEGIN CERTIFICATE----- first\n" + ROOT.pem,
    "not UTF-8": b"M\xfcller\n" + ROOT.pem.encode(),
    "headers": block("CERTIFICATE", "X-Note: a\nSubject: CN=Root\n\n" + BODY),
    "NUL bytes behind": ROOT.pem.encode() + bytes(100),
    "NUL bytes before": bytes(100) + b"\n" + ROOT.pem.encode(),
    "NUL bytes within": ROOT.pem.replace("\n", "\0\n").encode(),
    "a key before": KEY + ROOT.pem,
    "a key behind": ROOT.pem + KEY,
    "an encrypted key before": ENCRYPTED + ROOT.pem,
    "a signing request before": REQUEST + ROOT.pem,
    "a revocation list before": CRL + ROOT.pem,
    "a key without end before": KEY.partition("-----END")[0] + ROOT.pem,
    "an end without beginning before": "-----END CERTIFICATE-----\n" + ROOT.pem,
    "DER": ROOT.der,
    "DER and more": ROOT.der + b"\n",
    "DER of indefinite length": b"\x30\x80" + der.read(ROOT.der).value + b"\0\0",
}


@pytest.mark.parametrize("how", GOOD)
def test_a_certificate_is_read_from(how: str) -> None:
    [certificate] = found(GOOD[how])
    assert certificate.fingerprint == ROOT.fingerprint or how == "DER of indefinite length"
    assert problems(GOOD[how]) == []


BAD = {
    "no base64": block("CERTIFICATE", "!!!!"),
    "literal backslashes": block("CERTIFICATE", "\\n".join(textwrap.wrap(BODY, 64))),
    "half a group": block("CERTIFICATE", BODY.rstrip("=")[:-1]),
    "no certificate": block("CERTIFICATE", "AAAA"),
    "nothing": block("CERTIFICATE", ""),
    "truncated": block("CERTIFICATE", base64.b64encode(ROOT.der[:-9]).decode()),
    "header without a blank line": block("CERTIFICATE", "Note: a\n" + BODY),
    "END of another": ROOT.pem.replace("END CERTIFICATE", "END X509 CERTIFICATE"),
    "too large": block("CERTIFICATE", base64.b64encode(ROOT.der + bytes(MAX_CERTIFICATE_BYTES)).decode()),
    "a key inside": ROOT.pem.partition("-----END")[0] + KEY + "-----END CERTIFICATE-----\n",
    "no END": ROOT.pem.partition("-----END")[0],
    "an END that is cut": ROOT.pem.rstrip("-\n") + "\n",
}


@pytest.mark.parametrize("how", BAD)
def test_one_bad_block_hides_no_other(how: str) -> None:
    text = SUB.pem + BAD[how] + LEAF.pem
    assert found(text) == [SUB, LEAF]
    assert len(problems(text)) == 1
    assert found(SUB.pem + BAD[how]) == [SUB]
    with pytest.raises(MalformedCertificate):
        pem.chain(text, "the chain")


def test_files_put_together_without_a_newline_between() -> None:
    text = "".join(certificate.pem.rstrip() for certificate in (LEAF, SUB, ROOT))
    assert found(text) == [LEAF, SUB, ROOT]
    assert problems(text) == []


NONE: dict[str, str | bytes] = {
    "empty": "",
    "blank": " \n",
    "text": "no certificate",
    "base64 alone": BODY,
    "lower-case label": ROOT.pem.replace("CERTIFICATE", "certificate"),
    "key": KEY,
    "request": REQUEST,
    "PKCS #7": block("PKCS7", BODY),
    "attribute certificate": block("ATTRIBUTE CERTIFICATE", BODY),
    "four dashes": ROOT.pem.replace("-----", "----"),
    "UTF-16": ROOT.pem.encode("utf-16"),
    "one octet": b"0",
}


@pytest.mark.parametrize("what", NONE)
def test_no_certificate_in(what: str) -> None:
    text = NONE[what]
    assert (found(text), problems(text)) == ([], [])
    if isinstance(text, str):
        with pytest.raises(NoCertificate, match="no certificate in the chain"):
            pem.chain(text, "the chain")


def test_blocks_keep_their_place() -> None:
    parts = ["# a\n", SUB.pem.rstrip(), "\n# b\n", BAD["no base64"].rstrip(), "\n", KEY, LEAF.pem.rstrip(), "\n# c"]
    data = "".join(parts).encode()
    places = [data[one.start : one.end].decode() for one in pem.blocks(data)]
    assert places == [parts[1], parts[3], parts[6]]


def test_the_place_of_a_block_without_end_reaches_to_what_follows_it() -> None:
    cut = SUB.pem.partition("-----END")[0]
    data = (cut + KEY + LEAF.pem + cut).encode()
    places = [data[one.start : one.end].decode() for one in pem.blocks(data)]
    assert places == [cut, LEAF.pem.rstrip(), cut]


def test_all_certificates_of_a_file_are_read_in_order() -> None:
    certificates = [LEAF, ROOT, SUB, LEAF]
    assert found("".join(certificate.pem for certificate in certificates)) == certificates


def test_what_we_write_we_read() -> None:
    for certificate in (ROOT, Certificate(as_version_1(MADE["Other"]))):
        assert pem.single(certificate.pem, "it") == certificate
        assert certificate.pem == pem_of(certificate.der)


def _work(text: str) -> int:
    """How many bytes the search for boundaries goes over: those of the text, and of what it is split into."""
    data = text.encode()
    return len(data) + sum(one.end - one.start for one in pem.blocks(data))


@pytest.mark.parametrize(
    "unit",
    [
        "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----",
        "-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n-----END X509 CERTIFICATE-----\n",
        "-----BEGIN " + "A" * 64 + "\n",
        " \t" * 20,
        "-",
        "a: b\n",
    ],
)
def test_fault_10_hostile_text_costs_no_more_than_its_length(unit: str) -> None:
    """Each byte belongs to one block at most, and 100,000 boundaries are told apart in one go.

    A search that went over the rest of the text for each of them would take hours here.
    """
    text = unit * 100_000
    assert _work(text) <= 2 * len(text)
    assert _work("-----BEGIN CERTIFICATE-----\n" + text) <= 2 * (len(text) + 28)


def test_hostile_headers_cost_no_more_than_their_length() -> None:
    assert problems(block("CERTIFICATE", "a: b\n" * 100_000 + "AAA")) == ["the body is not base64"]
    assert problems(block("CERTIFICATE", ":" + "\n \t" * 100_000)) == [problems(block("CERTIFICATE", ""))[0]]


def test_fault_10_arguments_have_a_limit() -> None:
    with pytest.raises(TooLarge, match="the chain exceeds the limit of 1048576"):
        pem.chain("x" * (pem.MAX_TEXT_BYTES + 1), "the chain")
    with pytest.raises(NoCertificate):
        pem.chain("x" * pem.MAX_TEXT_BYTES, "the chain")


def test_fault_11_a_chain_has_a_limit() -> None:
    assert len(pem.chain(LEAF.pem * pem.MAX_CHAIN, "the chain")) == pem.MAX_CHAIN
    with pytest.raises(TooLarge, match="the number of certificates in the chain exceeds the limit of 100"):
        pem.chain(LEAF.pem * (pem.MAX_CHAIN + 1), "the chain")


def test_exactly_one_certificate() -> None:
    assert pem.single(KEY + ROOT.pem, "the certificate") == ROOT
    with pytest.raises(NotExactlyOne, match="2 found"):
        pem.single(ROOT.pem * 2, "the certificate")
    with pytest.raises(NoCertificate):
        pem.single(KEY, "the certificate")


def test_text_that_no_encoding_has_is_text() -> None:
    assert pem.chain("\ud800\n" + ROOT.pem, "the chain") == (ROOT,)


def test_der_in_an_argument_is_no_certificate() -> None:
    with pytest.raises(NoCertificate):
        pem.chain(ROOT.der.decode("latin-1"), "the chain")


@given(st.lists(st.sampled_from([ROOT.pem, SUB.pem, KEY, *BAD.values(), "#\n", "\r\n", "\ufeff"]), max_size=8))
def test_good_blocks_are_found_among_all_others(parts: list[str]) -> None:
    certificates = {ROOT.pem: ROOT, SUB.pem: SUB}
    wanted = [certificates[part] for part in parts if part in certificates]
    assert found("".join(parts)) == wanted


@given(st.binary(max_size=300))
def test_any_octets_are_blocks_or_none(data: bytes) -> None:
    end = 0
    for one in pem.blocks(data):
        assert end <= one.start <= one.end <= len(data)
        assert bool(one.problem or (one.flaw and not one.certificate)) is (one.certificate is None)
        end = one.end


MORE_TOLERANT = {
    "CR",
    "byte order mark",
    "indented",
    "one line",
    "blank lines",
    "NUL bytes before",
    "NUL bytes within",
    "headers",
    "a comment that quotes another",
    "a key without end before",
    "TRUSTED CERTIFICATE",
}
"""What one or another version of OpenSSL does not read; it need not be followed there."""


@pytest.mark.parametrize("how", sorted(GOOD.keys() - {"DER", "DER and more", "DER of indefinite length"}))
def test_what_openssl_reads_from_text_is_read_here(how: str) -> None:
    text = GOOD[how]
    try:
        known = crypto.load_certificate(crypto.FILETYPE_PEM, text.encode() if isinstance(text, str) else text)
    except crypto.Error:
        assert how in MORE_TOLERANT
    else:
        assert crypto.dump_certificate(crypto.FILETYPE_ASN1, known) == found(text)[0].der


def test_what_openssl_writes_with_trust_is_read(tmp_path: Path) -> None:
    (tmp_path / "in").write_text(ROOT.pem)
    arguments = ["openssl", "x509", "-in", str(tmp_path / "in"), "-trustout", "-addtrust", "serverAuth"]
    text = subprocess.run(arguments, capture_output=True, check=True).stdout.decode()
    assert "TRUSTED CERTIFICATE" in text
    assert found(text) == [ROOT]


SUB_LINES = SUB.pem.splitlines()
FIRST, LAST, SUB_BODY = SUB_LINES[0], SUB_LINES[-1], "\n".join(SUB_LINES[1:-1])
HIDING = {
    **{f"a comment of {length} characters before BEGIN": "#" * length + SUB.pem for length in (1, 253, 254, 255, 508)},
    "a vertical tab before BEGIN": "\v" + SUB.pem,
    "a NUL byte before BEGIN": "\0" + SUB.pem,
    "a lower-case label": SUB.pem.replace("CERTIFICATE", "certificate"),
    "a BEGIN in a comment of another's": block("CERTIFICATE", f"X: {FIRST}\n\n{BODY}"),
    "a BEGIN that has no label": "-----BEGIN" + ROOT.pem,
}
"""What we do not read, though others may, in one version or another."""
UNUSUAL = {
    "BEGIN directly behind END": ROOT.pem.rstrip() + SUB.pem,
    "an indented BEGIN": "  " + SUB.pem,
    "an indented END": f"{FIRST}\n{SUB_BODY}\n  {LAST}\n",
    "an indented body": f"{FIRST}\n{textwrap.indent(SUB_BODY, chr(9))}\n{LAST}\n",
    "a blank line in the body": SUB.pem.replace("-----END", "\n-----END"),
    "headers": f"{FIRST}\nX-Note: a\n\n{SUB_BODY}\n{LAST}\n",
    "text behind END": SUB.pem.rstrip() + " its end\n",
    "a key without END": KEY.partition("-----END")[0] + SUB.pem,
    "a key that is not base64": block("EC PRIVATE KEY", "AAAAA") + SUB.pem,
    "one label behind another": "-----BEGIN FOO-----" + SUB.pem,
    "unwrapped": block("CERTIFICATE", base64.b64encode(SUB.der).decode()),
    "a byte order mark": "\ufeff" + SUB.pem,
    "CR": SUB.pem.replace("\n", "\r"),
    "many blanks behind BEGIN": SUB.pem.replace(FIRST, FIRST + " " * 300),
}
"""What we read, and others may not."""
STRICT = {
    "as it is written": SUB.pem,
    "CRLF": SUB.pem.replace("\n", "\r\n"),
    "blanks behind lines": SUB.pem.replace("\n", " \t\n"),
    "no last newline": SUB.pem.rstrip(),
    "76 columns": block("CERTIFICATE", "\n".join(textwrap.wrap(base64.b64encode(SUB.der).decode(), 76))),
    "ragged": block("CERTIFICATE", "\n".join(f"{line[:50]}\n{line[50:]}" for line in SUB_LINES[1:-1]).rstrip()),
    "X509 CERTIFICATE": SUB.pem.replace("CERTIFICATE", "X509 CERTIFICATE"),
    "a key before": KEY + SUB.pem,
    "long comments": f"{'#' * 254}\n{'=' * 1000}\n{SUB.pem}{'#' * 508}",
    "an END alone": f"{LAST}\n{SUB.pem}",
}


def flaws(text: str) -> set[pem.Flaw]:
    return {one.flaw for one in pem.blocks(text.encode()) if one.flaw is not None}


@pytest.mark.parametrize("how", HIDING)
def test_what_others_may_find_and_we_do_not_is_told(how: str) -> None:
    assert pem.Flaw.HIDDEN in flaws(ROOT.pem + HIDING[how] + ROOT.pem)
    assert SUB not in found(ROOT.pem + HIDING[how])


@pytest.mark.parametrize("how", UNUSUAL)
def test_what_we_read_and_others_may_not_is_told_and_read(how: str) -> None:
    assert flaws(f"{LEAF.pem}{UNUSUAL[how]}\n{ROOT.pem}") == {pem.Flaw.FORM}
    assert SUB in found(ROOT.pem + UNUSUAL[how])


def test_the_place_of_a_flaw_is_where_the_block_begins() -> None:
    text = f"{ROOT.pem}# {SUB.pem}  {LEAF.pem}"
    [_, hidden, _] = pem.blocks(text.encode())
    assert text[hidden.start : hidden.end] == "-----BEGIN"
    assert (hidden.certificate, hidden.problem, hidden.flaw) == (None, None, pem.Flaw.HIDDEN)


@pytest.mark.parametrize("how", [*STRICT, *UNUSUAL, *HIDING])
def test_openssl_reads_the_same_certificates_from_a_text_without_a_flaw(how: str, tmp_path: Path) -> None:
    text = LEAF.pem + {**STRICT, **UNUSUAL, **HIDING}[how]
    (tmp_path / "bundle.pem").write_bytes(text.encode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(tmp_path / "bundle.pem")
        read = {*context.get_ca_certs(binary_form=True)}
    except ssl.SSLError:
        read = set()
    same = read == {one.der for one in found(text) if one != LEAF}
    assert same or flaws(text)
    assert not (how in STRICT and flaws(text))


def test_a_byte_order_mark_is_no_flaw_where_a_file_begins(tmp_path: Path) -> None:
    text = "\ufeff" + SUB.pem
    assert (flaws(text), flaws(f"\n{text}")) == (set(), {pem.Flaw.FORM})
    (tmp_path / "bundle.pem").write_bytes(text.encode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(tmp_path / "bundle.pem")
    assert context.get_ca_certs(binary_form=True) == [SUB.der]


def test_an_argument_with_flaws_is_read() -> None:
    for text in UNUSUAL.values():
        assert SUB in pem.chain(text, "the chain")


# ---- plain blocks


EDITS = (b"\n", b"\r\n", b" ", b"\t", b"=", b"==", b"A", b"AAAA", b"-", b":", b"\0", b"_", b"\xef\xbb\xbf", b"\n\n")


def edited(text: bytes, chance: random.Random) -> bytes:
    """A text with something put in, left out or put in the place of something else, more often at its seams."""
    at = chance.randrange(len(text))
    if chance.random() < 0.5:
        at = max(text.find(chance.choice((b"-----", b"\n", b"=\n")), at), 0)
    more = chance.choice((*EDITS, b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"))
    return text[:at] + chance.choice((more, b"")) + text[at + chance.choice((0, 0, 1, 2, 26)) :]


@pytest.mark.parametrize("seed", range(8))
def test_plain_blocks_are_read_as_any_others(seed: int) -> None:
    """A text of nothing but plain blocks is read by a shorter way than one with a comment in it."""
    chance = random.Random(seed)
    texts = [text.encode() for text in (LEAF.pem + SUB.pem, ROOT.pem, LEAF.pem[:-1], SUB.pem.replace("\n", "\r\n"))]
    comment = b"#\n"
    for _ in range(250):
        text = chance.choice(texts)
        for _ in range(chance.choice((0, 1, 1, 2))):
            text = edited(text, chance)
        if text.startswith(b"\xef\xbb\xbf"):  # which is a mark at the start alone
            continue
        moved = [
            one._replace(start=one.start - len(comment), end=one.end - len(comment))
            for one in pem.blocks(comment + text)
        ]
        assert list(pem.blocks(text)) == moved


def test_blocks_that_are_no_certificates_are_told_in_a_plain_text_too() -> None:
    [good, bad] = pem.blocks((LEAF.pem + block("CERTIFICATE", "AAAA")).encode())
    assert (good.certificate, good.problem) == (LEAF, None)
    assert (bad.certificate, bad.problem) == (None, "Certificate: unexpected tag 0x00")


@pytest.mark.parametrize("at", [1, 5, -3, -2])
def test_two_lines_in_one_are_a_flaw_in_every_release_of_python(at: int) -> None:
    """Possessive quantifiers of Python before 3.11.5 took them (python/cpython#106052), the END among them."""
    lines = LEAF.pem.splitlines()
    joined = lines.index(lines[at])
    text = "\n".join((*lines[:joined], lines[joined] + lines[joined + 1], *lines[joined + 2 :], ""))
    assert flaws(text) == {pem.Flaw.FORM}
    assert flaws(f"# comment\n{text}") == {pem.Flaw.FORM}
