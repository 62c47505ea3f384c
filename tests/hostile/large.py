"""The largest inputs: what each place takes, of 100 MiB or whatever else is too much, and what is answered."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from evse_security import CertificateHashData, CommandRefused, MalformedRequest, Station, StationConfig
from evse_security.errors import EvseSecurityError, InvalidConfiguration
from evse_security.serve.text import parse
from evse_security.settings import settings
from evse_security.vocabulary import HashAlgorithm
from tests.builders import NOW, world
from tests.hostile import home as homes

MIB = 1 << 20
LARGE = 100 * MIB
BEGIN = "-----BEGIN CERTIFICATE-----\n"


class Large(NamedTuple):
    """An input. `made` makes it, below a directory; `tried` is what is measured, and says what came of it."""

    made: Callable[[Path], Any]
    tried: Callable[[Any], str]


# ---- arguments


def _repeated(piece: str) -> str:
    return piece * (LARGE // len(piece))


TEXTS: dict[str, Callable[[], str]] = {
    "letters": lambda: "A" * LARGE,
    "blanks": lambda: " " * LARGE,
    "letters not of ASCII": lambda: "é" * (LARGE // 2),
    "BEGIN lines": lambda: _repeated(BEGIN),
    "certificates": lambda: _repeated(homes.pki()["Sub1"].pem),
    "slashes": lambda: _repeated("a/"),
    "base64 in lines": lambda: _repeated("A" * 64 + "\n"),
    "half a surrogate pair": lambda: "\ud800" * (LARGE // 4),
}


def _with(text: str) -> dict[str, dict[str, Any]]:
    """Every command that takes text, with this in all its places."""
    data = {"hash_algorithm": "SHA256", **dict.fromkeys(("issuer_name_hash", "issuer_key_hash", "serial_number"), text)}
    return {
        "install_ca_certificate": {"certificate": text, "certificate_type": "V2G"},
        "update_leaf_certificate": {"certificate_chain": text, "certificate_type": "V2G"},
        "verify_certificate": {"certificate_chain": text, "certificate_types": ["V2G"]},
        "get_mo_ocsp_request_data": {"certificate_chain": text},
        "delete_certificate": {"certificate_hash_data": data},
        "update_ocsp_cache": {"certificate_hash_data": data, "ocsp_response": text},
        "verify_file_signature": {
            "file_path": text, "signing_certificate": homes.pki()["Signer"].pem, "signature": homes.signature(),
        },
        "verify_file_signature, of the signature": {
            "file_path": "/dev/null", "signing_certificate": homes.pki()["Signer"].pem, "signature": text,
        },
        "generate_certificate_signing_request": {
            "certificate_type": "V2G", "country": "DE", "organization": text, "common": text, "use_tpm": False,
        },
        "is_ca_certificate_installed": {"certificate_type": text},
    }  # fmt: skip


def _station(directory: Path, **config: Any) -> Station:
    return Station(StationConfig.under(directory / "certs", clock=lambda: NOW, **config))


def _made_text(text: Callable[[], str], directory: Path) -> tuple[Station, str]:
    station = _station(directory)
    for called, arguments in _with("").items():  # what is imported when it is first needed
        with suppress(EvseSecurityError):
            station.dispatch(called.partition(",")[0], arguments)
    return station, text()


def _dispatched(called: str, prepared: tuple[Station, str]) -> str:
    station, text = prepared
    try:
        return str(station.dispatch(called.partition(",")[0], _with(text)[called]))
    except (MalformedRequest, CommandRefused) as refusal:
        return str(refusal)


def _typed(called: str, prepared: tuple[Station, str]) -> str:
    station, text = prepared
    arguments = _with(text)[called]
    data = arguments.get("certificate_hash_data")
    if data is not None:
        algorithm = HashAlgorithm(data["hash_algorithm"])
        arguments["certificate_hash_data"] = CertificateHashData(**{**data, "hash_algorithm": algorithm})
    try:
        return str(getattr(station.interface(), called.partition(",")[0])(**arguments))
    except (MalformedRequest, CommandRefused) as refusal:
        return str(refusal)


# ---- JSON, and configurations

JSON: dict[str, Callable[[], str]] = {
    "a string": lambda: '"' + "A" * LARGE + '"',
    "brackets": lambda: "[" * LARGE,
    "brackets, 100,000 deep": lambda: "[" * 100_000 + "]" * 100_000,
    "objects, 100,000 deep": lambda: '{"a":' * 100_000 + "1" + "}" * 100_000,
    "a number": lambda: "9" * LARGE,
    "a number of a MiB": lambda: "9" * MIB,
    "numbers": lambda: "[" + "1," * (LARGE // 2) + "1]",
    "names": lambda: "{" + ",".join(f'"{n}":{n}' for n in range(LARGE // 40)) + "}",
    "blanks": lambda: " " * LARGE,
}
TOML: dict[str, bytes] = {
    "letters": b"a" * LARGE,
    "brackets": b"a = " + b"[" * 60_000,
    "digits": b"a = " + b"9" * 60_000,
    "tables within tables": b"a" + b".a" * 30_000 + b" = 1",
    "a little of that in each line": b"".join(b"a%d" % n + b".a" * 100 + b" = 1\n" for n in range(300)),
}


def _parsed(text: str) -> str:
    try:
        return str(type(parse(text, "arguments")))
    except MalformedRequest as refusal:
        return str(refusal)


def _made_file(content: bytes, directory: Path) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "file"
    file.write_bytes(content)
    _configured(os.devnull)
    return str(file)


def _configured(file: str) -> str:
    try:
        return str(settings(options={"config": file, "certs": "/nowhere"}, environment={}).station_config())
    except InvalidConfiguration as refusal:
        return str(refusal)


# ---- files in a store


FILES: dict[str, tuple[str, Callable[[Path], object]]] = {}


def _file(what: str, place: str, content: Callable[[], bytes], size: int | None = None) -> None:
    def write(root: Path) -> None:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        with open(root / place, "wb") as file:
            file.write(content())
            if size is not None:
                file.truncate(size)

    FILES[what] = (place, write)


_CERTIFICATES = ("client/cso/x.pem", "ca/v2g/V2G_ROOT_CA.pem")
_OTHERS = ("client/cso/x.key", "client/cso/ocsp/x.hash", "client/cso/ocsp/x.der")
_BLOCK = b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"

for _place in (*_CERTIFICATES, *_OTHERS):
    _file(f"{_place}: 1 GiB of nothing", _place, bytes, 1 << 30)
    _file(f"{_place}: 100 MiB of letters", _place, lambda: b"A" * LARGE)
for _place in _CERTIFICATES:
    _file(f"{_place}: 16 MiB of BEGIN lines", _place, lambda: BEGIN.encode() * (16 * MIB // len(BEGIN)))
    _file(f"{_place}: 16 MiB of blocks", _place, lambda: _BLOCK * 280_000)
    _file(f"{_place}: 16 MiB of BEGINs in one line", _place, lambda: b" x-----BEGIN" * (16 * MIB // 12))
    _file(f"{_place}: 16 MiB of one certificate", _place, lambda: homes.pki()["Sub1"].pem.encode() * 20_000)
    _file(f"{_place}: 16 MiB of nothing", _place, bytes, 16 * MIB)


def _made_store(write: Callable[[Path], object], directory: Path) -> Station:
    root = directory / "certs"
    write(root)
    station = _station(directory)
    _station(directory / "other").overview()
    return station


def _read(station: Station) -> str:
    overview = station.overview()
    return f"{len(overview.problems)} problems, {sum(len(domain.trees) for domain in overview.domains)} trees"


# ---- stores of many files, and of certificates of one name


@cache
def _namesakes(number: int) -> tuple[str, str]:
    """Roots of one name without key identifiers, and a chain of CAs of that name."""
    from evse_security.lab.authority import name

    bare: dict[str, Any] = dict.fromkeys(("subject_key_identifier", "authority_key_identifier"))
    bare["subject"] = name(CN="Same")
    roots = world(*(f"R{n} >" for n in range(number)), **{f"R{n}": bare for n in range(number)})
    cas = [f"C{n}" for n in range(98)]
    chain = world(" > ".join(("R", *cas, "L")), R=bare, L=bare, **dict.fromkeys(cas, bare))
    return roots.pem(*roots), chain.pem("L", *cas)


def _made_namesakes(number: int, directory: Path) -> tuple[Station, str]:
    roots, chain = _namesakes(number)
    place = directory / "certs/ca/v2g/V2G_ROOT_CA.pem"
    place.parent.mkdir(parents=True)
    place.write_text(roots)
    return _station(directory), chain


def _with_namesakes(called: str, prepared: tuple[Station, str]) -> str:
    station, chain = prepared
    more: dict[str, dict[str, Any]] = {
        "verify_certificate": {"certificate_types": ["V2G"]},
        "update_leaf_certificate": {"certificate_type": "V2G"},
    }
    if called == "get_installed_certificates":
        return str(station.dispatch(called, {"certificate_types": ["V2GRootCertificate"]})["status"])
    return str(station.dispatch(called, {"certificate_chain": chain, **more.get(called, {})}))[:60]


def _many(number: int, place: str, content: bytes, root: Path) -> None:
    for n in range(number):
        path = root / place.format(n)
        if n == 0 or "{}/" in place:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


STORES: dict[str, Callable[[Path], None]] = {
    "50,000 files that are none of ours": partial(_many, 50_000, "client/cso/garbage{}.txt", b"x"),
    "50,000 .pem files of garbage": partial(_many, 50_000, "client/cso/{}.pem", b"x"),
    "50,000 .key files of garbage": partial(_many, 50_000, "client/cso/{}.key", b"x"),
    "10,000 directories": partial(_many, 10_000, "client/cso/{}/x.key", b"x"),
}


_OF_NAMESAKES = (
    "verify_certificate", "update_leaf_certificate", "get_mo_ocsp_request_data", "get_installed_certificates",
)  # fmt: skip


def cases() -> Iterator[tuple[str, Large]]:
    """All of them, by name."""
    for what, text in TEXTS.items():
        for called in _with(""):
            yield f"{called}, typed, {what}", Large(partial(_made_text, text), partial(_typed, called))
            yield f"{called}, JSON, {what}", Large(partial(_made_text, text), partial(_dispatched, called))
    for what, text in JSON.items():
        yield f"JSON text: {what}", Large(lambda _, text=text: text(), _parsed)  # type: ignore[misc]
    for what, content in TOML.items():
        yield f"configuration file: {what}", Large(partial(_made_file, content), _configured)
    for what, (_, write) in FILES.items():
        yield f"store: {what}", Large(partial(_made_store, write), _read)
    for number in (20, 100):
        for called in _OF_NAMESAKES:
            made = partial(_made_namesakes, number)
            yield f"{called}, {number} roots of one name", Large(made, partial(_with_namesakes, called))


def stores() -> Iterator[tuple[str, Large]]:
    """Stores of more files than any has: they are read, in time by their number."""
    for what, write in STORES.items():
        yield f"store: {what}", Large(partial(_made_store, write), _read)
