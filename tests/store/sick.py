"""Stores each with one thing wrong, by the code of the finding: `CASES["KeyExposed"]()` is an inspection of one."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.x509.ocsp import OCSPCertStatus

from evse_security.clock import Moment
from evse_security.keys.files import public_key_of
from evse_security.lab.keys import KeyKind
from evse_security.pki.profile import ProfileName
from evse_security.store.changes import Link
from evse_security.store.diagnosis.inspection import Inspection, Place, Rights, Surroundings, Volume
from evse_security.store.layout import KEY_SUFFIXES, Layout
from evse_security.store.surroundings import key_spans, locked, spans, to_be_found
from tests.builders import DAY, NOW, World, ocsp_answer, pem_of, signed_with_rsa, world
from tests.store.pictures import (
    BELIEVED,
    CERTS,
    CSMS_BUNDLE,
    FUTURE,
    HOUR,
    MF_BUNDLE,
    MO_BUNDLE,
    PAST,
    V2G_BUNDLE,
    Shelf,
    id_of,
    junk_block,
    limits,
    token,
)

ROOMY = Volume(CERTS, Path("/"), "ext4", False, 10**9, 10**6)
CSO = CERTS / "client/cso"
SINGLE, CHAIN = f"client/cso/SECC_LEAF_{token(1)}.pem", f"client/cso/CPO_CERT_SECC_LEAF_CHAIN_{token(1)}.pem"
KEY = f"client/cso/SECC_LEAF_{token(1)}.key"


def pki(*more: str, **changes: Any) -> World:
    """Roots of all domains, an SECC leaf and a CSMS leaf (`Other`); `more` paths."""
    return world(
        "Root > Sub1 > Sub2 > SECC", "Root > Sub1 > Sub2 > Other", "MoRoot > x", "MfRoot > y", *more, **changes
    )


def station(w: World) -> Shelf:
    """A store with which nothing is wrong: roots of all domains, an SECC leaf and a CSMS leaf."""
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem).with_leaf(w, "SECC", "Sub2", "Sub1")
    shelf = shelf.put(CSMS_BUNDLE, w["Root"].pem).with_leaf(w, "Other", "Sub2", "Sub1", kind="CSMS", number=7)
    return shelf.put(MO_BUNDLE, w["MoRoot"].pem).put(MF_BUNDLE, w["MfRoot"].pem)


def around(shelf: Shelf, **changes: Any) -> Surroundings:
    """What the disk would show around a store in memory."""
    snapshot, files = shelf.look(), shelf.files
    held = {path: stored.content or b"" for path, stored in files.items()}
    certificate_files = {file.path: file for store in snapshot.stores for file in store.files}
    found = [(file.path, block) for file, blocks in to_be_found(snapshot) for block in blocks]
    of_keys = [copy for copy in snapshot.derived if Path(copy.name.removesuffix(".der")).suffix in KEY_SUFFIXES]
    places = [Place(CSO, Rights(0o700, 0, NOW), holds_keys=True, can_write=True)]
    usual = Surroundings(
        places=tuple(places),
        files={path: Rights(stored.mode, 0, stored.modified) for path, stored in files.items()},
        volumes=(ROOMY,),
        spans={(path, block.start): next(spans(held[path], [(block.start, block.end)])) for path, block in found},
        with_keys={p: key_spans(held[p]) for p in certificate_files if b"PRIVATE KEY" in held[p]},
        locked=locked(snapshot),
        der_keys=frozenset(k.path for s in snapshot.leaves.values() for k in s.keys if held[k.path][:1] == b"\x30"),
        responses={path: held[path] for path in files if path.parent.name == "ocsp" and path.suffix == ".der"},
        copies={copy: held[copy] for copy in snapshot.derived if copy not in of_keys},
        key_copies={copy: public_key_of(held[copy], None).token for copy in of_keys},
    )
    return replace(usual, **changes)


def seen(shelf: Shelf, *, moment: Moment = BELIEVED, given: dict[str, Any] | None = None, **changes: Any) -> Inspection:
    """An inspection of a store in memory; `given` are limits, `changes` what the disk shows."""
    return Inspection(
        snapshot=shelf.look(),
        moment=moment,
        layout=Layout.of(shelf.config),
        limits=limits(**given or {}),
        surroundings=around(shelf, **changes),
        newest_by="not_after",
        profile=ProfileName.LENIENT,
        warn=30 * DAY,
    )


Case = Callable[[], Inspection]
CASES: dict[str, Case] = {}


def case(code: str) -> Callable[[Case], Case]:
    def keep(made: Case) -> Case:
        CASES[code] = made
        return made

    return keep


# ---- the time


@case("ClockNotBelieved")
def clock() -> Inspection:
    doubt = "the clock shows 1970-01-01 00:00:00Z, before this release was made"
    return seen(station(pki()), moment=Moment(NOW, doubt))


# ---- what the station is


@case("NoUsableLeaf")
def no_usable_leaf() -> Inspection:
    return seen(station(pki(SECC=PAST)))


@case("WrongBundle")
def wrong_bundle() -> Inspection:
    return seen(station(pki()).without(V2G_BUNDLE))


@case("RootMissing")
def root_missing() -> Inspection:
    return seen(station(pki()).without(V2G_BUNDLE, CSMS_BUNDLE))


@case("IssuerMissing")
def issuer_missing() -> Inspection:
    w = pki()
    return seen(
        station(w).put(CHAIN, w.pem("SECC", "Sub2")).without(f"client/csms/CSMS_LEAF_{token(7)}.pem", _csms_chain())
    )


def _csms_chain() -> str:
    return f"client/csms/CPO_CERT_CSMS_LEAF_CHAIN_{token(7)}.pem"


@case("LeafRefused")
def leaf_refused() -> Inspection:
    return seen(station(pki(Sub1=PAST)))


@case("OcspRevoked")
def revoked() -> Inspection:
    w = pki()
    answer = ocsp_answer(w, "SECC", status=OCSPCertStatus.REVOKED)
    return seen(station(w).with_ocsp("client/cso/ocsp/1_ocsp", id_of(w, "SECC"), answer))


@case("NoValidRoot")
def no_valid_root() -> Inspection:
    return seen(station(pki(MoRoot=PAST)))


# ---- who may read and write


@case("KeyExposed")
def key_exposed() -> Inspection:
    w = pki()
    return seen(station(w).put(KEY, w["SECC"].key_pem(), mode=0o644))


@case("KeyAmongCertificates")
def key_in_bundle() -> Inspection:
    w = pki()
    return seen(station(w).put(MO_BUNDLE, w["MoRoot"].pem + w["MoRoot"].key_pem()))


@case("WritableByAll")
def writable_by_all() -> Inspection:
    w = pki()
    return seen(station(w).put(V2G_BUNDLE, w["Root"].pem, mode=0o666))


@case("KeyDirectoryOpen")
def key_directory_open() -> Inspection:
    return seen(station(pki()), places=(Place(CSO, Rights(0o755, 0, NOW), holds_keys=True, can_write=True),))


@case("OtherOwner")
def other_owner() -> Inspection:
    return seen(station(pki()), files={CERTS / KEY: Rights(0o600, 1001, NOW)}, owners=frozenset({0, 1000}))


@case("WritableByGroup")
def writable_by_group() -> Inspection:
    w = pki()
    return seen(station(w).put(V2G_BUNDLE, w["Root"].pem, mode=0o664))


# ---- can it be changed


@case("DiskFull")
def disk_full() -> Inspection:
    return seen(station(pki()), volumes=(ROOMY._replace(free_bytes=1024),))


@case("DiskNearlyFull")
def disk_nearly_full() -> Inspection:
    return seen(station(pki()), volumes=(ROOMY._replace(free_inodes=100),))


@case("ReadOnly")
def read_only() -> Inspection:
    return seen(station(pki()), volumes=(ROOMY._replace(is_read_only=True),))


@case("NotWritable")
def not_writable() -> Inspection:
    places = (Place(CSO, Rights(0o700, 0, NOW), holds_keys=True, can_write=False),)
    return seen(station(pki()), places=places, user=1000, owners=frozenset({0, 1000}))


@case("StoreFull")
def store_full() -> Inspection:
    return seen(station(pki()), given={"max_entries": 10})


@case("StoreNearlyFull")
def store_nearly_full() -> Inspection:
    return seen(station(pki()), given={"max_entries": 11})


@case("NetworkFileSystem")
def network() -> Inspection:
    return seen(station(pki()), volumes=(ROOMY._replace(kind="nfs4"),))


@case("VolatileFileSystem")
def volatile() -> Inspection:
    return seen(station(pki()), volumes=(ROOMY._replace(kind="tmpfs"),))


@case("NothingInstalled")
def nothing_installed() -> Inspection:
    return seen(Shelf())


@case("DirectoryMissing")
def directory_missing() -> Inspection:
    return seen(station(pki()), places=(Place(CSO, None, holds_keys=True, can_write=False),))


# ---- what cannot be read


@case("BundleUnreadable")
def bundle_unreadable() -> Inspection:
    shelf = station(pki()).without(MF_BUNDLE)
    return seen(replace(shelf, blocked=frozenset({CERTS / MF_BUNDLE})))


@case("KeyLocked")
def key_locked() -> Inspection:
    w = pki()
    return seen(station(w).put(KEY, w["SECC"].key_pem("another"), mode=0o600))


@case("Unreadable")
def unreadable() -> Inspection:
    w = pki()
    return seen(station(w).put(MO_BUNDLE, w["MoRoot"].pem + junk_block() + w["Root"].pem))


@case("LinkBroken")
def link_broken() -> Inspection:
    return seen(replace(station(pki()), astray=frozenset({CSO / "secc.pem"})))


@case("KeyUnreadable")
def key_unreadable() -> Inspection:
    return seen(station(pki()).put("client/cso/full.key", "", mode=0o600))


@case("KeyInDer")
def key_in_der() -> Inspection:
    w = pki()
    return seen(station(w).put(KEY, _der_of(w["SECC"].key_pem()), mode=0o600))


def _der_of(pem: str) -> bytes:
    return base64.b64decode("".join(line for line in pem.splitlines() if "-----" not in line))


@case("ReadDifferently")
def read_differently() -> Inspection:
    w = pki()
    return seen(station(w).put(MO_BUNDLE, " " + w["MoRoot"].pem))


@case("HoldsNothing")
def holds_nothing() -> Inspection:
    return seen(station(pki()).put("client/cso/empty.pem", ""))


# ---- leaves and their chains


@case("LeafExpiring")
def leaf_expiring() -> Inspection:
    return seen(station(pki(SECC={"not_after": NOW + 9 * DAY})))


@case("LeafWithoutKey")
def leaf_without_key() -> Inspection:
    w = pki()
    return seen(station(w).put("client/cso/other.pem", w["Other"].pem))


@case("ChainOutOfOrder")
def out_of_order() -> Inspection:
    w = pki()
    return seen(station(w).put(CHAIN, w.pem("SECC", "Sub1", "Sub2")))


@case("ChainIncomplete")
def incomplete() -> Inspection:
    w = pki()
    return seen(station(w).put(V2G_BUNDLE, w.pem("Root", "Sub1")).put(CHAIN, w.pem("SECC", "Sub2")))


@case("ChainHoldsMore")
def holds_more() -> Inspection:
    w = pki()
    return seen(station(w).put(CHAIN, w.pem("SECC", "Sub2", "Sub1", "Root")))


@case("ProfileDeviates")
def deviates() -> Inspection:
    return seen(station(pki()))


@case("SharedKey")
def shared_key() -> Inspection:
    w = pki("Root > Sub1 > Sub2 > Old", Old={"same_as": "SECC", "not_after": NOW + 40 * DAY})
    return seen(station(w).with_leaf(w, "Old", "Sub2", "Sub1", number=2))


@case("LeafExpired")
def leaf_expired() -> Inspection:
    w = pki("Root > Sub1 > Sub2 > Old", Old=PAST)
    return seen(station(w).with_leaf(w, "Old", "Sub2", "Sub1", number=2))


@case("LeafNotYetValid")
def leaf_not_yet_valid() -> Inspection:
    w = pki("Root > Sub1 > Sub2 > New", New=FUTURE)
    return seen(station(w).with_leaf(w, "New", "Sub2", "Sub1", number=2))


@case("NotALeaf")
def not_a_leaf() -> Inspection:
    w = pki()
    return seen(station(w).put("client/cso/root.pem", w["Root"].pem))


@case("NoLeaf")
def no_leaf() -> Inspection:
    w = pki()
    return seen(station(w).without(SINGLE, CHAIN, KEY))


# ---- certificates of CAs


@case("ForgedRoot")
def forged() -> Inspection:
    return seen(station(pki(MoRoot={"signed_by": "Mallory"})))


@case("NotACa")
def not_a_ca() -> Inspection:
    w = pki("MoRoot > Contract")
    return seen(station(w).put(MO_BUNDLE, w.pem("MoRoot", "Contract")))


@case("CaExpired")
def ca_expired() -> Inspection:
    w = pki("OldRoot > z", OldRoot=PAST)
    return seen(station(w).put(MO_BUNDLE, w.pem("MoRoot", "OldRoot")))


@case("CaExpiring")
def ca_expiring() -> Inspection:
    return seen(station(pki(MoRoot={"not_after": NOW + 3 * DAY})))


@case("WeakKey")
def weak_key() -> Inspection:
    return seen(station(pki(MoRoot={"key": KeyKind.RSA1024})))


@case("WeakDigest")
def weak_digest() -> Inspection:
    w = pki(Sub1={"key": KeyKind.RSA2048})
    sha1 = pem_of(signed_with_rsa(w, "Sub2", "Sub1", "1.2.840.113549.1.1.5", hashes.SHA1()))  # noqa: S303  weak on purpose
    return seen(station(w).put(V2G_BUNDLE, w.pem("Root", "Sub1") + sha1))


@case("OrphanSubCa")
def orphan() -> Inspection:
    w = pki()
    return seen(station(w).put(MO_BUNDLE, w.pem("MoRoot", "Sub1")))


@case("Duplicate")
def duplicate() -> Inspection:
    w = pki()
    return seen(station(w).put(MO_BUNDLE, w.pem("MoRoot", "MoRoot")))


@case("NoRoot")
def no_root() -> Inspection:
    return seen(station(pki()).without(MF_BUNDLE))


# ---- keys


@case("KeyOrphan")
def key_orphan() -> Inspection:
    w = pki()
    return seen(station(w).with_key(w, "y", f"client/cso/SECC_LEAF_{token(9)}.key", age=5 * HOUR))


@case("KeyPending")
def key_pending() -> Inspection:
    w = pki()
    return seen(station(w).with_key(w, "y", f"client/cso/SECC_LEAF_{token(9)}.key", age=timedelta(minutes=5)))


# ---- OCSP


def _with_ocsp(held: bytes, holder: str = "SECC", w: World | None = None) -> Inspection:
    w = w or pki()
    return seen(station(w).with_ocsp("client/cso/ocsp/1_ocsp", id_of(w, holder), held))


@case("OcspNotDer")
def not_der() -> Inspection:
    w = pki()
    return _with_ocsp(base64.b64encode(ocsp_answer(w, "SECC")), w=w)


@case("OcspUnreadable")
def ocsp_unreadable() -> Inspection:
    return _with_ocsp(b"not found")


@case("OcspNotBelieved")
def not_believed() -> Inspection:
    w = pki()
    return _with_ocsp(ocsp_answer(w, "SECC", "MoRoot"), w=w)


@case("OcspStale")
def stale() -> Inspection:
    w = pki()
    return _with_ocsp(ocsp_answer(w, "SECC", this_update=NOW - 9 * DAY, next_update=NOW - 2 * DAY), w=w)


@case("OcspMissing")
def ocsp_missing() -> Inspection:
    return seen(station(pki(SECC={"responder_urls": ("http://ocsp.example",)})))


@case("OcspAboutNobody")
def about_nobody() -> Inspection:
    w = pki("Root > Sub1 > Gone")
    return _with_ocsp(ocsp_answer(w, "Gone"), "Gone", w)


@case("OcspHalf")
def half() -> Inspection:
    w = pki()
    return seen(station(w).with_ocsp("client/cso/ocsp/1_ocsp", id_of(w, "SECC"), None))


# ---- the audit log


@case("AuditLogBroken")
def log_broken() -> Inspection:
    return seen(station(pki()), audit_problem="audit.jsonl, line 7: 1 entry is missing before entry 8")


# ---- derived files and leftovers


@case("CopyStale")
def copy_stale() -> Inspection:
    w = pki()
    return seen(station(w).put(f"client/cso/der/{Path(SINGLE).name}.leaf.der", w["Other"].der))


@case("LinksStale")
def links_stale() -> Inspection:
    links = {CERTS / "ca/mo": (Link(CERTS / "ca/mo/0a1b2c3d.0", "root.pem"),)}
    return seen(station(pki()), links=links)


@case("Leftover")
def leftover() -> Inspection:
    return seen(station(pki()).put("client/cso/.0123456789abcdef.evse-tmp", "half"))


@case("ForeignLeftover")
def foreign_leftover() -> Inspection:
    return seen(station(pki()), strays=(CERTS / f"{V2G_BUNDLE}$",))


@case("FromFuture")
def from_future() -> Inspection:
    w = pki()
    return seen(station(w).put(MO_BUNDLE, w["MoRoot"].pem, age=-2 * DAY))
