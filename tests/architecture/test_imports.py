"""Who may import whom, and what the pure half may not touch: read off the source, so that it stays so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import evse_security
from evse_security import errors, outcomes

SOURCE = Path(evse_security.__file__).parent
NAME = "evse_security"

BASE = "vocabulary errors clock visible"
GROUPS: dict[str, tuple[str, str]] = {
    # group: (its modules and packages, the groups that it may import besides itself)
    "vocabulary": ("vocabulary additions", ""),
    "errors": ("errors", "vocabulary"),
    "clock": ("clock", ""),
    "actor": ("actor", ""),
    "visible": ("visible", ""),
    "interface": ("interface", "vocabulary"),
    "outcomes": ("outcomes", "vocabulary errors"),
    "config": ("config configkeys settings service.config", BASE),
    "tables": ("tables", ""),
    "pki": ("pki", "vocabulary errors tables visible"),
    "rules": (
        "store store.archive store.castore store.changes store.contents store.deeds store.deletion store.diagnosis "
        "store.explanation store.info store.inventory store.journal store.kinds store.layout store.leaf "
        "store.leafstore store.limits store.listing store.overview store.parts store.reasons store.rules "
        "store.snapshot store.stamp store.trial",
        f"{BASE} config pki tables",
    ),
    "keys": ("keys", "errors pki"),
    "disk": (
        "store.allocator store.aside store.audit store.backup store.brief store.disk store.files "
        "store.firmware store.inotify store.lock store.picture store.reading store.rehash store.roots store.scan "
        "store.surroundings store.transaction store.turn store.view store.watch",
        f"{BASE} actor config pki rules keys",
    ),
    "serve": ("serve", "vocabulary errors interface"),
    "station": (
        f"station commands older withoem leaves chains cars contracts signingrequests renewal renewalfacts core doctor "
        f"recovery {NAME}",
        f"{BASE} interface outcomes config pki rules keys disk serve",
    ),
    "service": ("service", f"{BASE} actor interface config serve station"),
    "http": ("http", f"{BASE} interface serve station config service"),
    "mqtt": ("mqtt", f"{BASE} interface serve station config service"),
    "agents": ("agents", f"{BASE} actor interface pki serve station config service"),
    "adapters": ("adapters adapters.ocpp", f"{BASE} actor interface pki serve station config service agents ocpp tls"),
    "ocpp": (
        "adapters.ocpp.editions adapters.ocpp.words adapters.ocpp.refusals adapters.ocpp.messages "
        "adapters.ocpp.events adapters.ocpp.plug_and_charge adapters.ocpp.trial adapters.ocpp.policy "
        "adapters.ocpp.profiles adapters.ocpp.root_trial adapters.ocpp.uses adapters.ocpp.device_model",
        "vocabulary errors visible",
    ),
    "tls": ("adapters.tls", "vocabulary errors visible station"),
    "daemon": ("daemon", f"{BASE} config serve station service http mqtt agents adapters everest"),
    "everest": ("everest", f"{BASE} interface serve station config service mqtt"),
    "lab": ("lab", ""),
    "cli": ("cli", f"{BASE} interface config serve station service http mqtt adapters agents everest daemon lab demo"),
    "demo": ("demo", f"{BASE} interface config serve station service daemon lab cli"),
    "main": ("__main__", "cli"),
}
PURE = ("vocabulary", "errors", "interface", "outcomes", "tables", "pki", "rules", "serve", "ocpp")
"""Groups that neither look at the world nor change it."""
CRYPTOGRAPHERS = {"pki", "keys", "lab"}

IMPURE_MODULES = """
    asyncio fcntl glob io logging os pickle random secrets select shutil signal socket subprocess tempfile threading
    time uuid
"""
IMPURE_CALLS = """
    open print input now utcnow today chmod exists glob is_dir is_file is_symlink iterdir lstat mkdir read_bytes
    read_text readlink rename resolve rglob rmdir stat symlink_to touch unlink write_bytes write_text
"""

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("cli.explain", "store.explanation"): "draws those that Station.explain answers with",
    ("cli.explain", "store.trial"): "draws those that Station.explain_text answers with",
    ("cli.show", "store.overview"): "draws the records that Station.overview answers with",
    ("http.metrics", "store.overview"): "measures them",
    ("demo.play", "store.overview"): "draws them, too",
    ("demo.play", "store.reasons"): "draws them, too",
}
"""Imports that break a rule, and why they may. An entry that is no longer needed fails."""


def modules() -> dict[str, ast.Module]:
    """Every module by its name below the package; the package itself goes by the package's name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__") or NAME
        found[name] = ast.parse(path.read_text("utf-8"))
    return found


MODULES = modules()


def imports(tree: ast.AST) -> Iterator[str]:
    """The full names of all that is imported anywhere in a module, functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide who is imported"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(tree: ast.AST) -> Iterator[str]:
    """Our own modules among them."""
    for name in imports(tree):
        if name.split(".")[0] == NAME:
            below = name.removeprefix(f"{NAME}.")
            parent = below.rpartition(".")[0] or NAME
            yield below if below in MODULES else parent


def group(module: str) -> str:
    """The group of the longest name that the module's begins with."""
    listed = {member: name for name, (members, _) in GROUPS.items() for member in members.split()}
    parts = module.split(".")
    fitting = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next(listed[name] for name in fitting if name in listed and (name != "store" or module == "store"))


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_its_place(module: str) -> None:
    assert group(module) in GROUPS


def test_every_place_has_its_module() -> None:
    listed = {member for members, _ in GROUPS.values() for member in members.split()}
    assert listed <= MODULES.keys()


def test_who_imports_whom() -> None:
    forbidden = {
        (module, other)
        for module, tree in MODULES.items()
        for other in ours(tree)
        if group(other) not in (group(module), *GROUPS[group(module)][1].split())
    }
    assert forbidden == EXCEPTIONS.keys()


def test_only_some_know_cryptography() -> None:
    knowing = {
        group(module) for module, tree in MODULES.items() for name in imports(tree)
        if name.split(".")[0] in ("cryptography", "OpenSSL")
    }  # fmt: skip
    assert knowing == CRYPTOGRAPHERS


@pytest.mark.parametrize("module", [module for module in MODULES if group(module) in PURE])
def test_the_pure_half_neither_looks_nor_touches(module: str) -> None:
    """No files, clock, log or chance: these are arguments."""
    touched = {name for name in imports(MODULES[module]) if name.split(".")[0] in IMPURE_MODULES.split()}
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            touched |= {called} & set(IMPURE_CALLS.split())
    assert touched == set()


def test_the_test_sees_what_it_looks_for() -> None:
    tree = ast.parse("def f():\n    from evse_security.pki import pem\n    import os.path\n    Path().read_bytes()")
    assert list(imports(tree)) == ["evse_security.pki.pem", "os.path"]
    assert list(ours(tree)) == ["pki.pem"]
    assert [group(name) for name in ("store.rules.install", "store.disk", "pki", "cli.show")] == [
        "rules", "disk", "pki", "cli",
    ]  # fmt: skip


# ---- one row per reason


def leaves(tree: type[errors.Refusal]) -> set[type[errors.Refusal]]:
    below = tree.__subclasses__()
    return set().union(*map(leaves, below)) if below else {tree}


def test_every_refusal_has_exactly_one_answer() -> None:
    assert outcomes.ANSWERS.keys() == leaves(errors.Refusal)
    assert len(leaves(errors.Refusal)) > 30


def test_the_drawing_of_the_tree_shows_every_leaf() -> None:
    drawing = errors.__doc__ or ""
    assert {leaf.__name__ for leaf in leaves(errors.Refusal)} <= set(drawing.replace("│", " ").split())


def test_refusals_say_something_safe_to_log() -> None:
    for leaf in leaves(errors.Refusal):
        assert leaf.template, f"{leaf} says nothing"
        fields = dict.fromkeys(getattr(leaf, "__dataclass_fields__", {}), "x")
        assert str(leaf(**fields)).isprintable()
        assert leaf(**fields).code == leaf.__name__


# ---- one funnel of changes


def calls(tree: ast.AST, method: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method:
            yield node


def test_what_changes_the_store_goes_through_the_core_and_so_to_the_audit_log() -> None:
    applying = {module for module, tree in MODULES.items() if any(calls(tree, "apply"))}
    assert applying == {"core"}
    changing = [call for tree in MODULES.values() for call in calls(tree, "change")]
    assert len(changing) > 5
    assert all(len(call.args) == 2 for call in changing)  # what to decide, and as which deed
    writing = {module for module, tree in MODULES.items() if any(calls(tree, "record"))}
    assert writing == {"core"}
