"""Calls of the commands of both revisions, with arguments of any kind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

from hypothesis import strategies as st

from evse_security.lab.authority import name
from evse_security.pki import pem
from evse_security.pki.hashdata import certificate_id
from evse_security.serve.command import commands
from tests.builders import pem_of, world
from tests.hostile import home as homes
from tests.hostile import pki
from tests.hostile.home import home
from tests.hostile.trees import altered_octets

NEW, OLD, OEM = "2026-04", "2023-10", "2026-04-oem"
CALLED = [(revision, called) for revision in (OLD, NEW, OEM) for called in commands(revision)]
"""Sixteen commands of today's revision, thirteen of the older one, and five that know OEM roots."""


class Way(Enum):
    """How a command is called."""

    JSON = "JSON"
    TEXT = "JSON as text"
    TYPED = "typed"
    CLI = "command line"


@dataclass(frozen=True)
class Call:
    """A command with arguments as JSON has them."""

    revision: str
    command: str
    arguments: Any
    way: Way


# ---- texts


JUNK = st.one_of(
    st.text(st.characters(), max_size=60),  # lone surrogates, NUL and all
    st.sampled_from(["", "\0", "\ud800", "\udcff", "a\0b", "\n", "%s%n{}{0}", "../" * 20, "é" * 300, "\x1b[2J"]),
    st.sampled_from(["/dev/zero", "/dev/stdin", "/proc/self/mem", "/", ".", "@/etc/passwd", "-", "@-"]),
)


@cache
def signers() -> tuple[pki.Signer, ...]:
    return tuple((entity.der, (entity.issuer or entity).key) for entity in homes.pki().values())


@cache
def _good() -> tuple[str, ...]:
    w = homes.pki()
    chains = (("SECC", "Sub2", "Sub1"), ("Next", "Sub2", "Sub1"), ("Next", "Sub2"), ("Contract", "MOSub"), ("Signer",))
    single = ("NewRoot", "NewSub", "Sub2", "V2GRoot")
    return (*(w.pem(*chain) for chain in chains), *(w[holder].pem for holder in single))


def _sub_cas(leaf: bytes) -> str:
    return pem_of(leaf) + homes.pki().pem("Sub2", "Sub1", "MOSub")


_signed = pki.certificates_signed_again(signers)
TEXTS = st.one_of(
    st.deferred(lambda: st.sampled_from(_good())),
    _signed.map(pem_of),
    _signed.map(_sub_cas),
    st.deferred(lambda: altered_octets(st.sampled_from([text.encode() for text in _good()]))).map(
        lambda octets: octets.decode("latin-1")
    ),
    JUNK,
)
RESPONSES = st.one_of(st.deferred(lambda: st.sampled_from(homes.responses())), JUNK)


@cache
def hash_data() -> tuple[dict[str, str], ...]:
    w, found = homes.pki(), []
    for holder in ("V2GRoot", "Sub1", "Sub2", "SECC", "MOSub", "Client", "NewRoot"):
        one, issuer = (pem.single(entity.pem, "it") for entity in (w[holder], w[holder].issuer or w[holder]))
        data = certificate_id(one, issuer).hash_data
        found.append({field: str(getattr(data, field)) for field in data.__slots__})
    return tuple(found)


HEX = st.one_of(JUNK, st.text("0123456789abcdefABCDEF-", max_size=41))
HASH_DATA = st.one_of(
    st.deferred(lambda: st.sampled_from(hash_data())),
    st.fixed_dictionaries(
        {"hash_algorithm": st.sampled_from(["SHA256", "SHA384", "SHA512"])}
        | dict.fromkeys(("issuer_name_hash", "issuer_key_hash", "serial_number"), HEX)
    ),
)
KINDS = st.sampled_from(["V2G", "MO", "CSMS", "MF", "OEM"])
LISTED = ["V2GRootCertificate", "MORootCertificate", "CSMSRootCertificate", "V2GCertificateChain", "MFRootCertificate"]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "certificate": TEXTS,
    "certificate_chain": TEXTS,
    "signing_certificate": TEXTS,
    "certificate_type": KINDS,
    "certificate_types": st.lists(st.one_of(KINDS, st.sampled_from([*LISTED, "OEMRootCertificate"])), max_size=5),
    "certificate_hash_data": HASH_DATA,
    "ocsp_response": RESPONSES,
    "file_path": st.one_of(st.deferred(lambda: st.just(str(home().root / "firmware.bin"))), JUNK),
    "signature": st.one_of(st.deferred(lambda: st.just(homes.signature())), JUNK),
    "encoding": st.sampled_from(["PEM", "DER"]),
    "include_ocsp": st.booleans(),
    "use_tpm": st.booleans(),
    "country": st.one_of(st.just("DE"), JUNK),
    "organization": st.one_of(st.just("Operator"), JUNK),
    "common": st.one_of(st.just("DE*ABC*E1"), JUNK),
}
"""Values by the name of the argument. A new argument belongs in here: a test tells."""

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), JUNK,
    st.sampled_from([10**400, -1, 1e308, [], {}, [[]], [None], {"": None}, {"\ud800": 1}, "V2G", ["V2G"] * 1001]),
    st.integers(1, 3000).map(lambda depth: json.loads("[" * min(depth, 900) + "]" * min(depth, 900))),
)  # fmt: skip


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """A command with sensible arguments, of which none or some are changed into anything."""
    revision, called = draw(st.sampled_from(CALLED))
    arguments: Any = {one.name: draw(VALUES[one.name]) for one in commands(revision)[called].arguments}
    way = draw(st.sampled_from((Way.JSON, Way.JSON, Way.TEXT, Way.TYPED, Way.TYPED, Way.CLI)))
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2)))):
        arguments = _mutilated(draw, arguments)
    return Call(revision, called, arguments, way)


def _mutilated(draw: st.DrawFn, value: Any) -> Any:
    """One thing in a JSON value is another, too much, or not there."""
    if not value or not isinstance(value, dict | list) or not draw(st.integers(0, 9)):
        return draw(ODD)
    value = value.copy()
    at = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
    match draw(st.sampled_from(("inside", "inside", "odd", "gone", "more"))):
        case "inside":
            value[at] = _mutilated(draw, value[at])
        case "odd":
            value[at] = draw(ODD)
        case "gone":
            del value[at]
        case _ if isinstance(value, dict):
            value[draw(JUNK)] = draw(ODD)
        case _:
            value.append(draw(ODD))
    return value


@st.composite
def namesakes(draw: st.DrawFn) -> str:
    """Chains of CAs of one name, with key identifiers or without, in any order: each may have issued each."""
    named: dict[str, Any] = {"subject": name(CN="Sub1", O="Test")}
    if draw(st.booleans()):
        named |= {"subject_key_identifier": None, "authority_key_identifier": None}
    number = draw(st.integers(2, 6))
    path = "R > " + " > ".join(f"C{n}" for n in range(number)) + " > L"
    made = world(path, R=named, **{f"C{n}": named for n in range(number)})
    order = draw(st.lists(st.sampled_from(sorted(made)), min_size=1, max_size=99))
    return homes.pki()["SECC"].pem + made.pem(*order)
