"""What must hold of a chain, as data: one row per rule with its source."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, StrEnum
from typing import NamedTuple

from evse_security.errors import ProfileViolated
from evse_security.pki import der, names
from evse_security.pki.certificate import Certificate
from evse_security.pki.remembered import remembered
from evse_security.vocabulary import LeafCertificateType

MAX_SUB_CAS = 2
MAX_CERTIFICATE_BYTES_2 = 800


class ProfileName(StrEnum):
    """The profiles to choose from."""

    LENIENT = "lenient"
    ISO15118 = "iso15118"


class Edition(Enum):
    """Which ISO 15118 a chain belongs to, told by the key of its leaf."""

    ISO15118_2 = "ISO 15118-2 Annex F"
    ISO15118_20 = "ISO 15118-20 Annex B"


class Algorithms(NamedTuple):
    """What keys and signatures of a certificate are made with (dotted identifiers)."""

    key: str
    curve: str | None
    signature: str


class Rule(NamedTuple):
    """One rule: which editions and certificates it binds, and what must be true of those."""

    text: str
    editions: frozenset[Edition]
    leaf_types: frozenset[LeafCertificateType]
    binds: Callable[[int, int], bool]
    holds: Callable[[Certificate], bool]


_EC, _P256, _P521, _ED448 = "1.2.840.10045.2.1", "1.2.840.10045.3.1.7", "1.3.132.0.35", "1.3.101.113"
_ECDSA_SHA256, _ECDSA_SHA512 = "1.2.840.10045.4.3.2", "1.2.840.10045.4.3.4"


class LeafKey(NamedTuple):
    """A kind of key that leaves of an edition have."""

    edition: Edition
    algorithm: str
    curve: str | None
    key_type: str
    """As a station's configuration calls it."""
    strength: str
    """As overviews call it."""


LEAF_KEYS = (
    LeafKey(Edition.ISO15118_2, _EC, _P256, "secp256r1", "EC 256"),
    LeafKey(Edition.ISO15118_20, _EC, _P521, "secp521r1", "EC 521"),
    LeafKey(Edition.ISO15118_20, _ED448, None, "ed448", "Ed448 456"),
)
"""Which edition has leaves with which keys (-2 Annex F, -20 Annex B)."""
_LEAF_KEY = {(one.algorithm, one.curve): one for one in LEAF_KEYS}
EDITION_OF_KEY_TYPE = {one.key_type: one.edition for one in LEAF_KEYS}
EDITION_OF_STRENGTH = {one.strength: one.edition for one in LEAF_KEYS}
"""For what knows a key by its overview alone."""
_BOTH = frozenset(Edition)
_ONLY_2, _ONLY_20 = frozenset({Edition.ISO15118_2}), frozenset({Edition.ISO15118_20})
_V2G, _V2G_MO = (
    frozenset({LeafCertificateType.V2G}),
    frozenset({LeafCertificateType.V2G, LeafCertificateType.MO}),
)


def algorithms(certificate: Certificate) -> Algorithms:
    """Read which algorithms a certificate names; empty where they cannot be read."""
    try:
        return Algorithms(*_key_algorithm(certificate.spki), _identifier(certificate.signature_algorithm))
    except (ValueError, IndexError):
        return Algorithms("", None, "")


def edition_of(leaf: Certificate) -> Edition | None:
    """Which ISO 15118 has leaves with such keys; None where none has."""
    key = leaf_key_of(leaf)
    return None if key is None else key.edition


def leaf_key_of(leaf: Certificate) -> LeafKey | None:
    """The kind of key that a leaf has, if it is one that leaves of an edition have."""
    used = algorithms(leaf)
    return _LEAF_KEY.get((used.key, used.curve))


def serves(leaf: Certificate, edition: Edition | None) -> bool:
    """Whether a leaf is one of an edition; None: of any. What no edition has is shown to cars of ISO 15118-2."""
    return edition is None or (edition_of(leaf) or Edition.ISO15118_2) is edition


def edition_of_key(spki: bytes) -> Edition | None:
    """Which ISO 15118 has leaves with a key (SubjectPublicKeyInfo in DER); None where none has."""
    try:
        key = _LEAF_KEY.get(_key_algorithm(spki))
    except (ValueError, IndexError):
        return None
    return None if key is None else key.edition


@remembered(64, longest=512)
def _key_algorithm(spki: bytes) -> tuple[str, str | None]:
    kind, *parameters = der.sequence(der.sequence(spki, "key")[0].encoded, "AlgorithmIdentifier")
    curve = der.oid(parameters[0]) if parameters and parameters[0].tag == der.OID else None
    return der.oid(kind), curve


@remembered(64, longest=128)
def _identifier(algorithm: bytes) -> str:
    return der.oid(der.sequence(algorithm, "AlgorithmIdentifier")[0])


def _uses(*usages: str) -> Callable[[Certificate], bool]:
    return lambda certificate: certificate.key_usage is not None and certificate.key_usage >= set(usages)


def _domain_component(fits: Callable[[str], bool]) -> Callable[[Certificate], bool]:
    return lambda certificate: names.has(certificate.subject, names.DOMAIN_COMPONENT, fits)


def _made_with(keys: set[tuple[str, str | None]], signatures: set[str]) -> Callable[[Certificate], bool]:
    def holds(certificate: Certificate) -> bool:
        used = algorithms(certificate)
        return (used.key, used.curve) in keys and used.signature in signatures

    return holds


def _leaf(depth: int, _length: int) -> bool:
    return depth == 0


def _cas(depth: int, _length: int) -> bool:
    return depth > 0


def _all_but_root(depth: int, length: int) -> bool:
    return depth < length - 1


def _every(_depth: int, _length: int) -> bool:
    return True


RULES = (
    Rule("keyUsage of a CA holds keyCertSign and cRLSign", _BOTH, _V2G_MO, _cas, _uses("keyCertSign", "cRLSign")),
    Rule("keyUsage of the leaf holds digitalSignature", _BOTH, _V2G_MO, _leaf, _uses("digitalSignature")),
    Rule("keyUsage of the SECC leaf holds keyAgreement", _ONLY_2, _V2G, _leaf, _uses("keyAgreement")),
    Rule("the SECC leaf has DC=CPO", _ONLY_2, _V2G, _leaf, _domain_component(lambda text: text == "CPO")),
    Rule(
        "the SECC leaf has a DC that ends in CSO",
        _ONLY_20,
        _V2G,
        _leaf,
        _domain_component(lambda text: text.endswith("CSO")),
    ),
    Rule("sub-CAs and leaf name an OCSP responder", _BOTH, _V2G, _all_but_root, lambda c: bool(c.ocsp_urls)),
    Rule(
        "keys are secp256r1, signatures ECDSA with SHA-256",
        _ONLY_2,
        _V2G_MO,
        _every,
        _made_with({(_EC, _P256)}, {_ECDSA_SHA256}),
    ),
    Rule(
        "keys are secp521r1 or Ed448, signatures ECDSA with SHA-512 or Ed448",
        _ONLY_20,
        _V2G_MO,
        _every,
        _made_with({(_EC, _P521), (_ED448, None)}, {_ECDSA_SHA512, _ED448}),
    ),
    Rule(
        f"a certificate has at most {MAX_CERTIFICATE_BYTES_2} bytes",
        _ONLY_2,
        _V2G_MO,
        _all_but_root,
        lambda c: len(c.der) <= MAX_CERTIFICATE_BYTES_2,
    ),
)
"""The rules that bind each certificate. `binds` is asked with its depth (0 = leaf) and the length of the path."""


def check(profile: ProfileName, path: tuple[Certificate, ...], leaf_types: Iterable[LeafCertificateType]) -> None:
    """Hold a path (leaf first, anchor last) against a profile. Raises `ProfileViolated` with the first broken rule."""
    types = frozenset(leaf_types) & _V2G_MO
    if profile is ProfileName.LENIENT or not types:
        return
    edition = edition_of(path[0])
    if edition is None:
        raise ProfileViolated(path[0].name, "the leaf's key is secp256r1 (-2), secp521r1 or Ed448 (-20)")
    if len(path) - 2 > MAX_SUB_CAS:
        raise ProfileViolated(path[0].name, f"at most two sub-CAs ({edition.value})")
    for rule in RULES:
        if edition not in rule.editions or not types <= rule.leaf_types:
            continue
        for depth, certificate in enumerate(path):
            if rule.binds(depth, len(path)) and not rule.holds(certificate):
                raise ProfileViolated(certificate.name, f"{rule.text} ({edition.value})")
