"""What must hold of a store whose power was cut, whatever reached the disk."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key, load_pem_private_key
from cryptography.x509 import ocsp
from OpenSSL import crypto

from evse_security import Station
from evse_security.additions import CA_TYPES
from evse_security.interface import WITH_OEM
from evse_security.keys.files import public_key_of
from evse_security.pki.certificate import Certificate
from evse_security.store.layout import BUNDLE_DIRECTORY, DER_DIRECTORY, TEMPORARY_SUFFIX
from evse_security.store.lock import LOCK_FILE
from evse_security.store.snapshot import Leaf
from evse_security.vocabulary import CertificateInfo, EncodingFormat
from tests.builders import NOW
from tests.laws.powercut_model import State
from tests.laws.powercut_record import Peculiarity, is_bundle
from tests.laws.powercut_runs import Episode, Known, attempted, known
from tests.laws.stores import CSMS, V2G, Prepared, pki, tree

REMADE = frozenset({DER_DIRECTORY, BUNDLE_DIRECTORY})
"""Directories of copies that are made again from what they were made of, and are compared before they are offered."""


class Lost(AssertionError):
    """A law is broken."""


def demand(holds: object, law: str) -> None:
    if not holds:
        raise Lost(law)


# ---- what is there


def nothing_is_lost(found: Known, before: Known, after: Known) -> None:
    """All that was there before and after is there; nothing else is."""
    for part in ("roots", "leaves", "certificates", "responses"):
        was, is_now, comes = (getattr(one.facts, part) for one in (before, found, after))
        demand(was & comes <= is_now, f"{part} are lost")
        demand(is_now <= was | comes, f"{part} come from nowhere")
    demand(before.keys & after.keys <= found.keys, "a key is lost")
    demand(found.keys <= before.keys | after.keys, "a key comes back")
    demand(before.offered & after.offered <= found.offered, "no leaf is offered")
    demand(keyless(found) <= keyless(before), "a leaf is there without its key")


def keyless(one: Known) -> frozenset[tuple[str, str]]:
    return one.facts.certificates - {(kind, leaf) for kind, leaf, _ in one.facts.leaves}


def nothing_is_half(state: State, whole: frozenset[bytes], peculiarity: Peculiarity) -> None:
    """No file has bytes that nobody wrote as a whole.

    Except for what was being written, for copies that are made again, and for bundles that are added to in place.
    """
    for path, node in state.paths():
        in_place = peculiarity is Peculiarity.MOUNTED_BUNDLES and is_bundle(Path(path))
        if node in state.files and not (path.endswith(TEMPORARY_SUFFIX) or _is_remade(path) or in_place):
            demand(state.files[node].content in whole, f"{path} is half")


def nothing_is_undone(state: State, live: State) -> None:
    """Between two commands every file is as it was, whatever is lost of what can be made again, or left over."""
    lasting, now = _lasting(state), _lasting(live)
    demand(lasting == now, f"{sorted(name for name in lasting | now if lasting.get(name) != now.get(name))} undone")


def _lasting(state: State) -> dict[str, bytes | str]:
    passing = (TEMPORARY_SUFFIX, LOCK_FILE)
    files = ((path, what) for path, what in state.tree().items() if not path.endswith(passing))
    return {path: what for path, what in files if not str(what).startswith("directory") and not _is_remade(path)}


def _is_remade(path: str) -> bool:
    return Path(path).parent.name in REMADE


# ---- keys


def keys_are_guarded(state: State, deleted: frozenset[bytes]) -> None:
    """Whatever a file is called: a key in it is for its owner alone, and is none of those that were deleted."""
    for path, node in state.paths():
        version = state.files.get(node)
        if version is not None and (b"PRIVATE KEY" in version.content or version.content.startswith(b"\x30")):
            token = _key_in(version.content)
            demand(token is None or not version.mode & 0o077, f"others may read the key in {path}")
            demand(token not in deleted, f"a deleted key is in {path}")


@cache
def _key_in(content: bytes) -> bytes | None:
    return public_key_of(content, None).token


# ---- what is offered


def leaves_are_whole(station: Station) -> None:
    """What a TLS server gets is whole and belongs together."""
    interface = station.interface()
    for encoding in (EncodingFormat.PEM, EncodingFormat.DER):
        for kind in (V2G, CSMS):
            one = interface.get_leaf_certificate_info(certificate_type=kind, encoding=encoding, include_ocsp=True)
            if one.info is not None:
                leaf_is_whole(one.info, encoding)
        every = interface.get_all_valid_certificates_info(certificate_type=V2G, encoding=encoding, include_ocsp=True)
        for info in every.info:
            leaf_is_whole(info, encoding)


def leaf_is_whole(info: CertificateInfo, encoding: EncodingFormat) -> None:
    load = load_pem_private_key if encoding is EncodingFormat.PEM else load_der_private_key
    key = load(Path(info.key).read_bytes(), None).public_key()
    for name, count in ((info.certificate, info.certificate_count), (info.certificate_single, 1)):
        if name is not None:
            chain = _certificates(Path(name).read_bytes())
            demand(chain[0].public_key() == key, "the key offered is another leaf's")
            demand(len(chain) == count, "the chain offered is short")
    for response in info.ocsp or ():
        if response.ocsp_path is not None:
            ocsp.load_der_ocsp_response(Path(response.ocsp_path).read_bytes())


def _certificates(content: bytes) -> list[x509.Certificate]:
    if not content.startswith(b"\x30"):
        return x509.load_pem_x509_certificates(content)
    found = []
    while content:
        length = 4 + int.from_bytes(content[2:4])
        found.append(x509.load_der_x509_certificate(content[:length]))
        content = content[length:]
    return found


def roots_are_whole(station: Station, found: Known) -> None:
    """Whom OpenSSL trusts by what consumers get: the installed roots, and nobody else."""
    interface = station.interface(WITH_OEM)
    for kind in CA_TYPES:
        installed = {digest for domain, digest in found.facts.roots if domain == kind}
        roots = [root for digest, root in _roots().items() if digest in installed]
        file = interface.get_verify_file(certificate_type=kind)
        location = interface.get_verify_location(certificate_type=kind)
        demand(bool(roots) == bool(file) == bool(location), "roots are not offered")
        if file:
            offered = {
                Certificate(c.public_bytes(Encoding.DER)).fingerprint for c in _certificates(Path(file).read_bytes())
            }
            demand(offered <= installed, "a file of roots holds others")
        for path in {file, location} - {""}:
            demand(all(_trusts(Path(path), root) for root in roots), "OpenSSL does not find a root")


@cache
def _roots() -> dict[str, crypto.X509]:
    """The roots there are, by fingerprint."""
    return {
        Certificate(entity.der).fingerprint: crypto.load_certificate(crypto.FILETYPE_ASN1, entity.der)
        for entity in pki().values()
        if entity.issuer is None
    }


def _trusts(path: Path, root: crypto.X509) -> bool:
    store = crypto.X509Store()
    store.load_locations(None, str(path)) if path.is_dir() else store.load_locations(str(path))
    store.set_time(NOW)
    try:
        crypto.X509StoreContext(store, root).verify_certificate()
    except crypto.X509StoreContextError:
        return False
    return True


# ---- and then


def _leaves(store: Prepared) -> list[Leaf]:
    return [leaf for kind in store.snapshot().leaves.values() for leaf in kind.leaves]


def _without(seen: Known, fingerprints: Collection[str]) -> list[set[tuple[object, ...]]]:
    """The roots, the leaves that are offered and all leaves, but for those with these fingerprints."""
    return [{one for one in found if one[1] not in fingerprints} for found in seen.facts[:3]]


def life_goes_on(store: Prepared, station: Station, found: Known, episode: Episode) -> None:
    """A command does what it did where nothing befell it, or had done so already; then a sweep does the rest."""
    old = {leaf.certificate.fingerprint for leaf in _leaves(store) if leaf.certificate.expired(NOW)}
    wanted = _without(episode.after, old)  # a full store sweeps them, and leftovers make it full
    done = _without(found, old) == wanted
    acknowledged = attempted(episode.run, station, store)
    after = known(store, station)
    if episode.acknowledged:
        demand(acknowledged or done, f"{episode.name} does not work any more")
        demand(_without(after, old) == wanted or done, f"{episode.name} does not do what it did")
    station.sweep()
    swept = known(store)
    demand(not [name for name in tree(store.root) if name.endswith(TEMPORARY_SUFFIX)], "leftovers stay")
    demand(swept.facts.roots == after.facts.roots and swept.offered == after.offered, "a sweep takes what is needed")


class Cut(NamedTuple):
    """When the power went: what is known of before and after, and which command is given next.

    Both are the same between two commands. `before` is None while a command is being done that will be refused: where a
    step fails it may be anywhere between what was and what is not to be.
    """

    before: Known | None
    after: Known
    live: State | None
    """What is seen while there is power, between two commands."""
    next: Episode
    deleted_keys: frozenset[bytes]
    """Those that must not be there any more."""


def check(store: Prepared, state: State, cut: Cut, whole: frozenset[bytes], peculiarity: Peculiarity) -> None:
    """All laws, of a state that is made in the store's directory. Raises `Lost`."""
    nothing_is_half(state, whole, peculiarity)
    if cut.live is not None:
        nothing_is_undone(state, cut.live)
    station = store.station()
    found = known(store, station)  # before anything tidies up
    keys_are_guarded(state, cut.deleted_keys)
    if cut.before is not None:
        nothing_is_lost(found, cut.before, cut.after)
        known_problems = {*cut.before.facts.problems, *cut.after.facts.problems}
        mounted = peculiarity is Peculiarity.MOUNTED_BUNDLES
        demand(mounted or known_problems.issuperset(found.facts.problems), "half a file is read")
    leaves_are_whole(station)
    if "max_store_entries" not in store.overrides:  # else what is made for consumers would take the last places
        roots_are_whole(station, found)
    demand(known(store, station)[:2] == found[:2], "looking changes the store")
    life_goes_on(store, station, found, cut.next)
