"""The signing request of the station for a leaf of its own: PKCS #10, version 1 (RFC 2986).

Written by hand down to the DER, since the kinds of strings and their lengths are part of the contract: `cryptography`
counts octets of UTF-8 where RFC 5280 Appendix A.1 counts characters.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from evse_security.errors import AttributeNotEncodable, KeyNotGenerated
from evse_security.pki import der, encode, names
from evse_security.pki.algorithm import Digest, PrivateKey
from evse_security.visible import NO_TEXT

MAX_CHARACTERS = 64
"""ub-organization-name and ub-common-name (RFC 5280 Appendix A.1)."""

_PRINTABLE_STRING, _UTF8_STRING, _IA5_STRING = 0x13, 0x0C, 0x16
_COUNTRY, _ORGANIZATION = "2.5.4.6", "2.5.4.10"
_EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
_KEY_USAGE, _ALTERNATIVE_NAME, _BASIC_CONSTRAINTS = "2.5.29.15", "2.5.29.17", "2.5.29.19"
_DNS_NAME, _IP_ADDRESS, _ATTRIBUTES = 0x82, 0x87, 0xA0  # [2], [7] of GeneralName; [0] of CertificationRequestInfo

_SIGN = b"\x07\x80"  # digitalSignature alone: 7 unused bits
_SIGN_AND_AGREE = b"\x03\x88"  # digitalSignature and keyAgreement: 3 unused bits

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*", re.ASCII)
_MAX_HOST = 253


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSubject:
    """Whose certificate is asked for, in the order it is written: C, O, CN and, for an SECC, DC=CPO.

    An empty country leaves C out: callers pass on a setting that may be unset, and neither OCPP nor RFC 5280 demands
    one. Organization and common name must be there: OCPP reads from them whose station it is, and which one
    (A00.FR.501–514). A domain component of None is left out.
    """

    country: str
    organization: str
    common: str
    domain_component: str | None = None


def signing_request(
    subject: RequestSubject,
    signer: PrivateKey,
    *,
    dns_names: Sequence[str] = (),
    ip_addresses: Sequence[str] = (),
) -> str:
    """A request in PEM for a certificate about the public key of `signer`, signed with it.

    Asked for are a keyUsage fit for the key, basicConstraints CA:FALSE (critical), and the alternative names if any.
    Raises AttributeNotEncodable for what RFC 5280 cannot carry, KeyNotGenerated for a kind of key that is unknown here.
    """
    name = _name(subject)
    extensions = _extensions(signer, _alternative_names(dns_names, ip_addresses))
    asked = encode.tlv(der.SEQUENCE, encode.oid(_EXTENSION_REQUEST), encode.tlv(der.SET, extensions))
    spki = signer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    info = encode.tlv(der.SEQUENCE, encode.integer(0), name, spki, encode.tlv(_ATTRIBUTES, asked))
    algorithm, signature = _sign(signer, info)
    request = encode.tlv(der.SEQUENCE, info, algorithm, encode.tlv(der.BIT_STRING, b"\0", signature))
    return encode.pem("CERTIFICATE REQUEST", request)


# ---- subject


def _name(subject: RequestSubject) -> bytes:
    """The Name, one attribute per RelativeDistinguishedName."""
    rdns = []
    if subject.country:
        rdns.append(_rdn(_COUNTRY, _PRINTABLE_STRING, _country(subject.country)))
    rdns.append(_rdn(_ORGANIZATION, _UTF8_STRING, _directory_string("organization", subject.organization)))
    rdns.append(_rdn(names.COMMON_NAME, _UTF8_STRING, _directory_string("common", subject.common)))
    if subject.domain_component is not None:
        rdns.append(_rdn(names.DOMAIN_COMPONENT, _IA5_STRING, _domain_component(subject.domain_component)))
    return encode.tlv(der.SEQUENCE, *rdns)


def _rdn(attribute: str, string: int, octets: bytes) -> bytes:
    pair = encode.tlv(der.SEQUENCE, encode.oid(attribute), encode.tlv(string, octets))
    return encode.tlv(der.SET, pair)


def _country(text: str) -> bytes:
    if re.fullmatch(r"[A-Za-z]{2}", text, re.ASCII) is None:
        raise AttributeNotEncodable("country", "a code of two letters is needed (ISO 3166-1), or none at all")
    return text.encode("ascii")


def _directory_string(attribute: str, text: str) -> bytes:
    """A UTF8String of 1 to 64 characters that can be shown on one line."""
    if len(text) > MAX_CHARACTERS:
        raise AttributeNotEncodable(attribute, f"{len(text)} characters, at most {MAX_CHARACTERS} fit")
    if not text.strip():
        raise AttributeNotEncodable(attribute, "empty; X.520 has no empty attribute, and OCPP demands this one")
    _refuse_controls(attribute, text)
    return text.encode("utf-8")


def _domain_component(text: str) -> bytes:
    if not text.strip() or not text.isascii():
        raise AttributeNotEncodable("domain component", "ASCII text is needed (RFC 4519 §2.4)")
    _refuse_controls("domain component", text)
    return text.encode("ascii")


def _refuse_controls(attribute: str, text: str) -> None:
    """Refuse control characters (NUL above all), line and paragraph separators, and halves of surrogate pairs."""
    for place, character in enumerate(text):
        if unicodedata.category(character) in NO_TEXT:
            raise AttributeNotEncodable(attribute, f"the character U+{ord(character):04X} at {place} is not text")


# ---- extensions


def _extensions(signer: PrivateKey, alternative_names: bytes) -> bytes:
    """The requested Extensions.

    keyAgreement goes with EC keys alone: Ed25519 and Ed448 must not have it (RFC 8410 §5, RFC 9295 §3), and RSA keys
    cannot (RFC 3279 §2.3.1). RSA keys are not meant to encipher either: key transport is not to be negotiated any more
    (RFC 9325 §4.1), and a client's key never did.
    """
    usage = _SIGN_AND_AGREE if isinstance(signer, ec.EllipticCurvePrivateKey) else _SIGN
    extensions = [
        _extension(_KEY_USAGE, encode.tlv(der.BIT_STRING, usage)),
        _extension(_BASIC_CONSTRAINTS, encode.tlv(der.BOOLEAN, b"\xff"), encode.tlv(der.SEQUENCE)),  # cA: the default
    ]
    if alternative_names:
        extensions.append(_extension(_ALTERNATIVE_NAME, encode.tlv(der.SEQUENCE, alternative_names)))
    return encode.tlv(der.SEQUENCE, *extensions)


def _extension(identifier: str, *critical_and_value: bytes) -> bytes:
    *critical, value = critical_and_value
    return encode.tlv(der.SEQUENCE, encode.oid(identifier), *critical, encode.tlv(der.OCTET_STRING, value))


def _alternative_names(dns_names: Sequence[str], ip_addresses: Sequence[str]) -> bytes:
    """The GeneralNames without their SEQUENCE (RFC 5280 §4.2.1.6); empty where there are none."""
    hosts = (encode.tlv(_DNS_NAME, _host(name)) for name in dns_names)
    addresses = (encode.tlv(_IP_ADDRESS, _address(address)) for address in ip_addresses)
    return b"".join((*hosts, *addresses))


def _host(name: str) -> bytes:
    if len(name) > _MAX_HOST or _HOST.fullmatch(name) is None:
        problem = "not a host name; international ones are written as xn--… (RFC 5280 §7.2)"
        raise AttributeNotEncodable(f"dNSName {name[:_MAX_HOST]!r}", problem)
    return name.encode("ascii")


def _address(text: str) -> bytes:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or "%" in text:
        raise AttributeNotEncodable(f"iPAddress {text[:64]!r}", "not an IPv4 or IPv6 address without zone")
    return address.packed


# ---- signature


def _sign(signer: PrivateKey, info: bytes) -> tuple[bytes, bytes]:
    """AlgorithmIdentifier and signature; the digest goes with the strength of the key (RFC 5758 §3.2, RFC 8410 §6)."""
    if isinstance(signer, ec.EllipticCurvePrivateKey):
        algorithm, digest = _ecdsa(signer.key_size)
        return _algorithm(algorithm), signer.sign(info, ec.ECDSA(digest))
    if isinstance(signer, rsa.RSAPrivateKey):
        null = encode.tlv(0x05)  # RFC 4055 §5: the parameters must be there, and NULL
        return _algorithm("1.2.840.113549.1.1.11", null), signer.sign(info, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(signer, ed25519.Ed25519PrivateKey):
        return _algorithm("1.3.101.112"), signer.sign(info)
    if isinstance(signer, ed448.Ed448PrivateKey):
        return _algorithm("1.3.101.113"), signer.sign(info)
    raise KeyNotGenerated(f"no signing requests with a {type(signer).__name__}")


def _ecdsa(bits: int) -> tuple[str, Digest]:
    """ECDSA with the digest that is as strong as the curve: ISO 15118-2 pairs 256 bits, ISO 15118-20 521 and 512."""
    if bits <= 256:
        return "1.2.840.10045.4.3.2", hashes.SHA256()
    return ("1.2.840.10045.4.3.3", hashes.SHA384()) if bits <= 384 else ("1.2.840.10045.4.3.4", hashes.SHA512())


def _algorithm(identifier: str, *parameters: bytes) -> bytes:
    return encode.tlv(der.SEQUENCE, encode.oid(identifier), *parameters)
