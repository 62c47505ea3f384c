"""The law of changes: in random stores, every prefix of every decision leaves a lawful store."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from evse_security.errors import Refusal
from evse_security.pki import ocsp
from evse_security.pki.certificate import Certificate
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.path import LeafStart, Policy, verify
from evse_security.store.changes import Decision
from evse_security.store.limits import with_room
from evse_security.store.rules.cache import cache
from evse_security.store.rules.delete import delete
from evse_security.store.rules.install import install
from evse_security.store.rules.renew import renew
from evse_security.store.rules.select import usable
from evse_security.store.rules.sweep import sweep
from evse_security.store.snapshot import Leaf, Snapshot, StoreForm
from evse_security.vocabulary import LeafCertificateType
from tests.builders import DAY, NOW, YEAR, World, ocsp_answer, world
from tests.store.pictures import (
    BELIEVED,
    BUNDLES,
    CSMS,
    CSMS_LEAF,
    HOUR,
    MO,
    SECC_LEAF,
    V2G,
    Shelf,
    config,
    id_of,
    limits,
    of,
    token,
)

SUB_CAS = {
    "A1": (),
    "A2": ("SubA",),
    "A3": ("SubA2", "SubA"),
    "B1": ("SubB",),
    "Ended": ("SubA2", "SubA"),
    "Same": ("SubA",),
}
LEAVES = tuple(SUB_CAS)
CAS = ("A", "SubA", "SubA2", "B", "SubB", "C")
FOREIGN = "hands off"


@functools.cache
def pki() -> World:
    return world(
        "A > A1",
        "A > SubA > A2",
        "A > SubA > SubA2 > A3",
        "B > SubB > B1",
        "A > SubA > SubA2 > Ended",
        "A > SubA > Same",
        "C >",
        Ended={"not_before": NOW - 2 * YEAR, "not_after": NOW - DAY},
        Same={"same_as": "A2"},
        A3={"not_before": NOW + DAY, "not_after": NOW + YEAR},
    )


@functools.cache
def answer(holder: str, hours: int) -> bytes:
    return ocsp_answer(pki(), holder, this_update=NOW - hours * HOUR)


class Request(NamedTuple):
    """What is asked of a rule: a command, and about whom."""

    command: str
    holder: str
    is_tight: bool


PLACES = {"SECC": "client/cso", "CSMS": "client/csms"}
CONFIGS: tuple[dict[str, Any], ...] = (
    {},
    {"secc_leaf_key_directory": "keys/secc", "csms_leaf_key_directory": "keys/csms"},
    {"secc_leaf_key_directory": "keys", "csms_leaf_key_directory": "keys"},
    {"csms_ca_bundle": "ca/v2g/V2G_ROOT_CA.pem"},
    {"additional_root_certificate_check": True},
)


@st.composite
def stores(draw: st.DrawFn) -> Shelf:
    """Stores with some of everything."""
    given_config = config(**draw(st.sampled_from(CONFIGS)))
    shelf = Shelf(given_config)
    for ca_type, bundle in BUNDLES.items():
        holders = draw(st.lists(st.sampled_from(CAS), unique=True, max_size=5)) if ca_type in (V2G, CSMS, MO) else []
        if given_config.csms_ca_bundle == given_config.v2g_ca_bundle and ca_type is CSMS:
            continue
        if draw(st.booleans()):
            for holder in holders:
                shelf = shelf.put(f"{bundle}/{draw(st.sampled_from('xyz'))}{holder}.pem", pki()[holder].pem)
        elif holders:
            shelf = shelf.put(bundle, pki().pem(*holders))
    for number, holder in enumerate(draw(st.lists(st.sampled_from(LEAVES), unique=True, max_size=5))):
        shelf = _with_leaf(draw, shelf, holder, number)
    for holder in draw(st.lists(st.sampled_from(LEAVES + CAS[1:3]), unique=True, max_size=3)):
        place = draw(st.sampled_from(["client/cso/ocsp", "client/csms/ocsp", "ca/v2g/ocsp"]))
        halves = draw(st.sampled_from([(True, True), (True, False), (False, True)]))
        shelf = shelf.with_ocsp(
            f"{place}/{holder}_ocsp",
            id_of(pki(), holder) if halves[0] else None,
            answer(holder, 2) if halves[1] else None,
        )
    if draw(st.booleans()):
        shelf = shelf.put("client/cso/.x.evse-tmp", b"left over")
    return shelf.put("client/cso/notes.txt", FOREIGN).put("client/cso/ocsp/mine.der", FOREIGN)


def _with_leaf(draw: st.DrawFn, shelf: Shelf, holder: str, number: int) -> Shelf:
    kind = draw(st.sampled_from(["SECC", "SECC", "CSMS"]))
    place, w = PLACES[kind], pki()
    keys = shelf.config.secc_leaf_key_directory if kind == "SECC" else shelf.config.csms_leaf_key_directory
    forms = draw(st.sampled_from([("single",), ("chain",), ("single", "chain"), ("single", "chain", "der")]))
    name = token(number) if draw(st.booleans()) else f"mine{number}"
    if "single" in forms:
        shelf = shelf.put(f"{place}/{kind}_LEAF_{name}.pem", w[holder].pem)
    if "chain" in forms and SUB_CAS[holder]:
        shelf = shelf.put(f"{place}/CPO_CERT_{kind}_LEAF_CHAIN_{name}.pem", w.pem(holder, *SUB_CAS[holder]))
    if "der" in forms:
        shelf = shelf.put(f"{place}/der/{kind}_LEAF_{name}.pem.leaf.der", w[holder].der)
    if draw(st.integers(0, 3)):
        age = draw(st.sampled_from([HOUR, 5 * HOUR]))
        shelf = shelf.with_key(w, holder, keys / f"{kind}_LEAF_{name}.key", age=age)
    return shelf


@st.composite
def situations(draw: st.DrawFn) -> tuple[Shelf, Request]:
    """A store, and something to ask of it that mostly makes sense there."""
    shelf = draw(stores())
    command = draw(st.sampled_from(["install", "renew", "delete", "delete", "cache", "sweep"]))
    if command == "renew":
        holder = draw(st.sampled_from([leaf for leaf in LEAVES if leaf != "Ended"]))
        root = "A" if holder != "B1" else "B"
        shelf = shelf.put(f"{BUNDLES[V2G]}/{root}.pem" if _has_a_directory(shelf) else BUNDLES[V2G], pki()[root].pem)
        shelf = shelf.with_key(pki(), holder, shelf.config.secc_leaf_key_directory / "waiting.key")
    elif command == "install":
        holder = draw(st.sampled_from(CAS))
    else:
        installed = shelf.look().certificates
        holder = draw(st.sampled_from([one for one in pki() if of(pki(), one) in installed] or ["A"]))
    return shelf, Request(command, holder, draw(st.booleans()))


def _has_a_directory(shelf: Shelf) -> bool:
    return shelf.look().cas[V2G].form is StoreForm.DIRECTORY


def decide(shelf: Shelf, request: Request) -> Decision:
    """Let the rule decide, with or without having to make room."""
    snapshot = shelf.look()
    decision = _RULES[request.command](snapshot, request.holder)
    if not request.is_tight or request.command in ("delete", "sweep"):
        return decision
    tight = limits(max_entries=max(1, len(snapshot.names)), keep_newest=1)
    protected = (token_of_certificate(of(pki(), request.holder)),) if request.command == "renew" else ()
    return with_room(decision, snapshot, tight, BELIEVED, protected)


def _install(snapshot: Snapshot, holder: str) -> Decision:
    ca_type = CSMS if holder == "C" else V2G
    return install(snapshot, of(pki(), holder), snapshot.cas[ca_type], limits(), NOW, token(77))


def _renew(snapshot: Snapshot, holder: str) -> Decision:
    chain = verify(
        of(pki(), holder),
        intermediates=[of(pki(), sub_ca) for sub_ca in SUB_CAS.get(holder, ())],
        trust=snapshot.trust((V2G,)),
        policy=Policy((SECC_LEAF,), leaf_start=LeafStart.NOW_OR_LATER),
        now=NOW,
    )
    return renew(snapshot.leaves[SECC_LEAF], chain, token(77))


def _sweep(snapshot: Snapshot, _: str) -> Decision:
    return sweep(snapshot, BELIEVED, csr_lifetime=2 * HOUR, keep_newest=1).decision


_RULES: dict[str, Callable[[Snapshot, str], Decision]] = {
    "install": _install,
    "renew": _renew,
    "delete": lambda snapshot, holder: delete(snapshot, id_of(pki(), holder)),
    "cache": lambda s, holder: cache(s, id_of(pki(), holder), answer(holder, 1), check="verified", now=NOW),
    "sweep": _sweep,
}


def offered(snapshot: Snapshot, leaf_type: LeafCertificateType) -> dict[Certificate, Leaf]:
    return {leaf.certificate: leaf for leaf in usable(snapshot.leaves[leaf_type], "not_after", Policy(()), NOW)}


def keyed(snapshot: Snapshot) -> set[tuple[LeafCertificateType, Certificate]]:
    return {(t, leaf.certificate) for t, store in snapshot.leaves.items() for leaf in store.leaves if leaf.key}


def check(before: Snapshot, now: Snapshot, after: Snapshot, request: Request) -> None:
    """What must hold of the store between `before` and `after`, whenever its writer is killed."""
    for ca_type, store in now.cas.items():  # nothing is lost that was not to go, and nothing comes that was not to come
        old, new = set(before.cas[ca_type].certificates), set(after.cas[ca_type].certificates)
        assert old & new <= set(store.certificates) <= old | new
    for leaf_type in (SECC_LEAF, CSMS_LEAF):
        old_leaves, new_leaves = offered(before, leaf_type), offered(now, leaf_type)
        for certificate, leaf in new_leaves.items():  # an offered leaf has the chain it had, or its whole new one
            wanted = old_leaves[certificate].file.certificates if certificate in old_leaves else ()
            if not wanted and request.command == "renew" and certificate not in old_leaves:
                wanted = leaf.certificate, *(of(pki(), sub_ca) for sub_ca in SUB_CAS[request.holder])
            assert set(wanted) <= set(leaf.file.certificates)
        kept = old_leaves.keys() & offered(after, leaf_type).keys()
        assert kept <= new_leaves.keys()  # and one that is to stay is offered all the time
    there = {(t, leaf.certificate) for t, store in now.leaves.items() for leaf in store.leaves}
    assert keyed(before) & there <= keyed(now)  # no leaf loses its key before it goes
    assert offered(before, CSMS_LEAF).keys() <= offered(now, CSMS_LEAF).keys()  # M04.FR.06
    for cert_id, entries in now.ocsp_by_id.items():  # no response is ever beside another's name
        for entry in entries:
            assert entry.answer is not None
            assert ocsp.about(ocsp.peek(answers(entry.response_path.name)), cert_id) is not None


def answers(name: str) -> bytes:
    """The response that a file of this name is about: all of one certificate say the same."""
    by_digest = {id_of(pki(), holder).digest: holder for holder in pki()}
    stem = name.removesuffix("_ocsp.der")
    return answer(by_digest.get(stem, stem), 1)


@settings(max_examples=400)
@given(situations())
def test_every_prefix_of_every_decision_is_lawful(situation: tuple[Shelf, Request]) -> None:
    shelf, request = situation
    try:
        decision = decide(shelf, request)
    except Refusal:
        return
    steps = shelf.steps(decision.changes)
    before, after = shelf.look(), steps[-1].look()
    for step in steps:
        check(before, step.look(), after, request)
        for name in ("client/cso/notes.txt", "client/cso/ocsp/mine.der"):
            assert step.text(name) == FOREIGN


@settings(max_examples=200)
@given(situations())
def test_what_was_decided_and_done_is_done(situation: tuple[Shelf, Request]) -> None:
    shelf, request = situation
    try:
        done = shelf.applied(decide(shelf, request).changes)
        again = decide(done, request)
    except Refusal:
        return
    if request.command == "delete":  # it was a sub-CA of a CA store, and the chains of leaves hold it still
        assert not [s for s in done.look().cas.values() if of(pki(), request.holder) in s.certificates]
    elif request.command == "cache":
        assert done.applied(again.changes).names() == done.names()
    else:
        assert again == Decision()


@settings(max_examples=200)
@given(situations(), st.integers(0, 20))
def test_a_command_that_was_interrupted_can_be_given_again(situation: tuple[Shelf, Request], at: int) -> None:
    shelf, request = situation
    try:
        decision = decide(shelf, request)
        whole = shelf.applied(decision.changes).look()
        if request.command == "delete" and whole.identified(id_of(pki(), request.holder)):
            return  # a sub-CA that was in a CA store and is in chains: asked for again, it takes those, too
        halfway = shelf.applied(decision.changes[:at])
        finished = halfway.applied(decide(halfway, request).changes).look()
    except Refusal:
        return
    for ca_type, store in whole.cas.items():
        assert set(finished.cas[ca_type].certificates) <= set(store.certificates)
    assert offered(finished, SECC_LEAF).keys() == offered(whole, SECC_LEAF).keys()


def test_the_law_is_put_to_decisions_of_every_kind() -> None:
    w: Any = pki()
    shelf = Shelf().put(BUNDLES[V2G], w["A"].pem).with_leaf(w, "A2", "SubA", age=HOUR).with_leaf(w, "Ended", number=2)
    shelf = shelf.with_key(w, "A3", "client/cso/k.key").with_key(
        w, "B1", f"client/cso/SECC_LEAF_{token(5)}.key", age=DAY
    )
    about = {"install": "B", "renew": "A3", "delete": "A2", "cache": "A2", "sweep": "A"}
    assert all(decide(shelf, Request(command, holder, False)).changes for command, holder in about.items())
