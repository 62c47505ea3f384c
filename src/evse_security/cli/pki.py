"""Make a throw-away ISO 15118 PKI: V2G, MO, OEM, CSMS and MF roots, their sub-CAs, leaves and OCSP responders.

For trying things only: whoever can read the directory has the private keys of all roots.

Layouts: everest is EVerest's directory of certificates, with the whole PKI in its subdirectory lab; iso15118
is what the package iso15118 of PyPI reads where its setting PKI_PATH is DIRECTORY/ (the slash belongs to it).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evse_security.cli.voice import Unusable, answer, text_of
from evse_security.visible import printable

if TYPE_CHECKING:
    from evse_security.lab.hierarchy import Pki

# The words of evse_security.lab, which help must not wait for; a test holds them equal.
EDITIONS = {"2": "iso15118-2", "20": "iso15118-20"}
VARIANTS = (
    "ordinary",
    "expired-leaf",
    "expired-sub-ca",
    "expired-root",
    "future-leaf",
    "cross-signed",
    "same-named-roots",
)
KEYS = ("secp256r1", "secp384r1", "secp521r1", "ed25519", "ed448", "rsa2048", "rsa3072", "rsa4096")
LAYOUTS = ("everest", "iso15118")

Shelves = Mapping[str, tuple[str, str]]
"""Where the certificate and the key of each holder are, relative to the directory."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the PKI is like and where it goes."""
    parser.usage = "evse-security pki DIRECTORY [OPTIONS]"
    parser.add_argument("directory", metavar="DIRECTORY", type=Path, help="where to; made if it does not exist")
    for option, choices, default, text in (
        ("--edition", tuple(EDITIONS), "2", "the part of ISO 15118"),
        ("--variant", VARIANTS, VARIANTS[0], "what is wrong or unusual"),
        ("--key", KEYS, None, "the key of all whom ISO 15118 rules, instead of its edition's"),
        ("--layout", LAYOUTS, LAYOUTS[0], "how the files are arranged"),
    ):
        words = ", ".join(f"{word} (default)" if word == default else word for word in choices)
        metavar = option[2:].upper()
        parser.add_argument(option, choices=choices, default=default, metavar=metavar, help=f"{text}: {words}")
    parser.add_argument("--password-file", metavar="FILE", help="encrypt the leaves' keys with the password in FILE")
    parser.add_argument("--force", action="store_true", help="replace files of the same names")


def run(arguments: argparse.Namespace) -> int:
    """Make the PKI and print who is in it."""
    from evse_security.clock import system_clock
    from evse_security.lab.hierarchy import Edition, Variant, make_pki
    from evse_security.lab.keys import KeyKind

    password = password_in(arguments.password_file) if arguments.password_file else None
    pki = make_pki(
        Edition(EDITIONS[arguments.edition]),
        now=system_clock(),
        variant=Variant(arguments.variant),
        key_kind=KeyKind(arguments.key) if arguments.key else None,
    )
    shelves = _write(pki, arguments.directory, arguments.layout, password, replace=arguments.force)
    kind = [arguments.key] if arguments.key else []
    about = ", ".join([pki.edition, pki.variant, *kind, f"layout {arguments.layout}"])
    answer(printable(f"{arguments.directory}: {about}"))
    for line in tree(pki, shelves):
        answer(line)
    return 0


def password_in(path: str) -> str:
    """The password in a file, without the end of its line."""
    password = text_of(path).removesuffix("\n").removesuffix("\r")
    if not password:
        raise Unusable(f"{path} is empty")
    return password


def _write(pki: Pki, directory: Path, layout: str, password: str | None, *, replace: bool) -> Shelves:
    """Put the PKI on the disk, and say where everything is."""
    from evse_security.lab.layouts import Existing, write_everest, write_iso15118

    writers: dict[str, tuple[Callable[..., None], Callable[[Pki], Shelves]]] = {
        "everest": (write_everest, everest_shelves),
        "iso15118": (write_iso15118, iso15118_shelves),
    }
    write, shelves = writers[layout]
    try:
        write(pki, directory, key_password=password, existing=Existing.REPLACE if replace else Existing.REFUSE)
    except OSError as problem:
        if isinstance(problem, FileExistsError) and problem.errno is None:  # not the system's, but the layout's refusal
            raise Unusable(f"{directory} is not empty: take another directory, or --force") from None
        raise Unusable(f"{problem.filename or directory} cannot be written: {problem.strerror}") from None
    return shelves(pki)


# ---- the tree


def everest_shelves(pki: Pki) -> Shelves:
    """EVerest's own file where a holder has one, else that of the PKI beside it."""
    from evse_security.lab.layouts import BUNDLES, ISSUERS, LEAF_KEYS

    own = {path: holders for path, holders in BUNDLES.items() if path.startswith("ca/") or len(holders) == 1}
    certificates = {holder: path for path, holders in own.items() for holder in holders}
    keys = {holder: path for path, holder in LEAF_KEYS.items()}
    return {
        holder: (certificates.get(holder, f"{ISSUERS}/{holder}.pem"), keys.get(holder, f"{ISSUERS}/{holder}.key"))
        for holder in pki
    }


def iso15118_shelves(pki: Pki) -> Shelves:
    """The files of those who have any in this layout."""
    from evse_security.lab.layouts import JOSEV_STEMS

    return {
        holder: (f"iso15118_2/certs/{stem}Cert.pem", f"iso15118_2/private_keys/{stem}.key")
        for stem, holder in JOSEV_STEMS.items()
        if holder in pki
    }


def tree(pki: Pki, shelves: Shelves) -> Iterator[str]:
    """Who issued whom: validity, certificate and key. OCSP responders, one for each CA that issues, are left out."""
    from evse_security.lab.hierarchy import responder_of

    responders = {responder_of(holder) for holder in pki}
    shown = [holder for holder in pki if holder in shelves and holder not in responders]
    rows = list(_rows(pki, shown, None, ""))
    width = max((len(name) for name, _ in rows), default=0)
    for name, holder in rows:
        certificate = pki[holder].certificate
        validity = f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"
        yield f"{name:{width}}  {validity}  {_files(*shelves[holder])}"


def _rows(pki: Pki, shown: Sequence[str], issuer: str | None, indent: str) -> Iterator[tuple[str, str]]:
    """The branches below an issuer: (branch with the holder's name, holder)."""
    above = None if issuer is None else pki[issuer]
    below = [holder for holder in shown if pki[holder].issuer is above]
    for holder in below:
        last = holder == below[-1]
        yield f"{indent}{'└─' if last else '├─'} {holder}", holder
        yield from _rows(pki, shown, holder, indent + ("   " if last else "│  "))


def _files(certificate: str, key: str) -> str:
    """Both paths; where they differ in the suffix alone, as the shell abbreviates them."""
    stem = certificate.removesuffix(".pem")
    return f"{stem}.{{pem,key}}" if key == f"{stem}.key" else f"{certificate}  {key}"
