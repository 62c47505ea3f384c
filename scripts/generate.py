"""Write what is derived from the interface, the configuration and the command line: reference pages, schemas, help.

`--check` writes nothing, shows the differences, and exits with 1 if there are any.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import inspect
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from evse_security import __version__
from evse_security.adapters.ocpp.editions import Edition
from evse_security.adapters.ocpp.requirements import REQUIREMENTS
from evse_security.adapters.ocpp.variables import VARIABLES
from evse_security.cli import top_parser
from evse_security.config import DEFAULT_PATHS, OPTIONAL_PATHS
from evse_security.configkeys import declarations, descriptions, keys
from evse_security.interface import ADDITIONS, EVERYTHING, REVISIONS
from evse_security.serve.asyncapi import asyncapi
from evse_security.serve.codec import MAX_ARRAY, MAX_STRING
from evse_security.serve.command import Command, commands
from evse_security.serve.openapi import openapi
from evse_security.serve.schema import Schema, schema
from evse_security.service.eventdata import DATA
from evse_security.service.events import EventKind
from evse_security.settings import CREDENTIAL

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
README = ROOT / "README.md"
BEGIN, END = "<!-- generated:commands -->\n", "<!-- /generated:commands -->"
NOTE = "<!-- Written by scripts/generate.py from src/evse_security/interface: change it there. -->\n"
SCHEMAS = {revision: schema(revision) for revision in EVERYTHING}


def main() -> int:
    """Write every generated file, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    stale = [path for path, text in generated() if text != (path.read_text() if path.exists() else "")]
    for path, text in generated():
        if path in stale and check:
            show_difference(path, text)
        elif path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote {path.relative_to(ROOT)}")
    if check and stale:
        print("generated files are out of date: python scripts/generate.py", file=sys.stderr)
    return int(check and bool(stale))


def generated() -> Iterator[tuple[Path, str]]:
    """Every generated file with what it should hold."""
    yield REFERENCE / "commands.md", commands_page()
    yield REFERENCE / "configuration.md", configuration_page()
    yield REFERENCE / "ocpp.md", "\n".join(ocpp_page()) + "\n"
    for revision in EVERYTHING:
        yield REFERENCE / f"schema-{revision}.json", json.dumps(SCHEMAS[revision], indent=2) + "\n"
    yield REFERENCE / "openapi.json", json.dumps(openapi(__version__), indent=2) + "\n"
    yield REFERENCE / "asyncapi.json", json.dumps(asyncapi(events()), indent=2) + "\n"
    if README.exists() and BEGIN in README.read_text():
        yield README, with_block(README.read_text(), f"```console\n$ evse-security --help\n{command_line_help()}```\n")


def with_block(text: str, block: str) -> str:
    """A page with the generated part replaced."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"README.md: {BEGIN.strip()} without {END}")
    return before + BEGIN + block + end + after


def command_line_help() -> str:
    """What `evse-security --help` prints on a terminal of 100 columns."""
    os.environ["COLUMNS"] = "100"
    return top_parser().format_help()


def show_difference(path: Path, text: str) -> None:
    """Print how a file differs from what it should be."""
    name = str(path.relative_to(ROOT))
    have = path.read_text().splitlines(keepends=True) if path.exists() else []
    sys.stdout.writelines(difflib.unified_diff(have, text.splitlines(keepends=True), name, f"{name} (generated)"))


# ---- the page of OCPP


def ocpp_page() -> Iterator[str]:
    """Requirements with what is done about them, and variables with their effects."""
    yield "<!-- Written by scripts/generate.py from src/evse_security/adapters/ocpp: change it there. -->\n"
    yield "# OCPP: requirements and variables\n"
    yield "Ids are those of OCPP 2.0.1 and 2.1; for 1.6 the rows hold for the messages of its security whitepaper that"
    yield "say the same. Tests are below `tests/adapters/ocpp`.\n"
    yield "| requirement | editions | what is done | test |"
    yield "|---|---|---|---|"
    for row in REQUIREMENTS:
        module, _, test = row.test.partition(":")
        shown = f"`{module}.py`: {test}" if row.test else "none"
        yield f"| {row.ids} | {', '.join(row.editions)} | {row.done} | {shown} |"
    yield "\n## Variables and configuration keys\n"
    yield "| component | variable | key in 1.6 | | type | editions | what it says, or does |"
    yield "|---|---|---|---|---|---|---|"
    for one in VARIABLES:
        form = f"{one.data_type}, {one.unit}" if one.unit else one.data_type
        editions = "" if one.editions == frozenset(Edition) else ", ".join(sorted(one.editions))
        yield (f"| {one.component} | {one.name} | {one.key} | {one.mutability} | {form} | {editions} | {one.effect} |")


# ---- the page of commands


def commands_page() -> str:
    """The reference of the commands, variables and types of all revisions, in Markdown."""
    return "\n".join(lines()) + "\n"


def lines() -> Iterator[str]:
    """The page line by line."""
    yield NOTE
    yield "# Commands\n"
    yield "The `evse_security` interface in its revisions. Every argument is given by name, and needed unless it says"
    schemas = ", ".join(f"[schema-{revision}.json](schema-{revision}.json)" for revision in EVERYTHING)
    yield f"otherwise. The same as JSON Schema: {schemas}."
    yield f"\n{', '.join(ADDITIONS)} is no revision of EVerest's but ours: those about CA certificates once more,"
    yield "with the trust domain OEM, for which no revision has a word. It is called by that name, as a revision is."
    yield "\nRequests are read strictly: unknown and missing fields, `null` for an absent field and values of another"
    yield "type are refused with the path of the field. Strings of undeclared length may have up to"
    yield f"{MAX_STRING:,} characters, arrays up to {MAX_ARRAY:,} members.\n"
    yield from overview()
    for name, command in every_command().items():
        yield from command_section(name, command)
    yield from variables_section()
    yield "\n## Types"
    names = {name for document in SCHEMAS.values() for name in document["$defs"]}
    for name in sorted(names):
        yield from type_section(name)


def every_command() -> dict[str, Command]:
    """Every command of any revision, as the newest has it."""
    return {name: command for revision in REVISIONS for name, command in commands(revision).items()}


def overview() -> Iterator[str]:
    """The table of all commands: which revisions have them, and whether they change the store."""
    yield f"| command | {' | '.join(EVERYTHING)} | changes the store | what it does |"
    yield f"|---|{'---|' * len(EVERYTHING)}---|---|"
    for name, command in every_command().items():
        having = ["yes" if name in commands(revision) else "" for revision in EVERYTHING]
        changes = "yes" if command.changes_the_store else ""
        yield f"| [{name}](#{name}) | {' | '.join(having)} | {changes} | {command.summary} |"


def command_section(name: str, command: Command) -> Iterator[str]:
    """One command: what it does, its arguments and its result, once for each form that it has had."""
    yield f"\n## {name}\n"
    forms = by_form(lambda document: document["properties"]["commands"]["properties"].get(name))
    changes = " Changes the store." if command.changes_the_store else ""
    for revisions, form in forms:
        parts = form["properties"]
        required = parts["arguments"].get("required", [])
        yield f"{chr(10) if form is not forms[0][1] else ''}{form['description']}{changes} ({revisions})\n"
        yield "| | | type |"
        yield "|---|---|---|"
        for argument, rule in parts["arguments"]["properties"].items():
            yield f"| argument | `{argument}`{'' if argument in required else ' (optional)'} | {in_words(rule)} |"
        yield f"| result | | {in_words(parts['result'])} |"


def variables_section() -> Iterator[str]:
    """What the module publishes by itself."""
    yield "\n## Variables\n"
    yield "| variable | revision | type | |"
    yield "|---|---|---|---|"
    for revision, document in SCHEMAS.items():
        for name, rule in document["properties"]["variables"]["properties"].items():
            yield f"| `{name}` | {revision} | {in_words(rule)} | {rule['description']} |"


def type_section(name: str) -> Iterator[str]:
    """One record or enumeration, once for each form that it has had."""
    forms = by_form(lambda document: document["$defs"].get(name))
    yield f"\n### {name}\n"
    yield forms[0][1]["description"]
    for revisions, form in forms:
        if "enum" in form:
            yield f"\n{revisions}: " + ", ".join(f"`{member}`" for member in form["enum"])
            continue
        required = form.get("required", [])
        yield f"\n{revisions}:\n"
        yield "| field | | type |"
        yield "|---|---|---|"
        for field, rule in form["properties"].items():
            yield f"| `{field}` | {'required' if field in required else 'optional'} | {in_words(rule)} |"


def by_form(part: Callable[[Schema], Schema | None]) -> list[tuple[str, Schema]]:
    """The different forms that a part of the schema has had, each with the revisions that have it so."""
    forms: list[tuple[list[str], Schema]] = []
    for revision, document in SCHEMAS.items():
        form = part(document)
        if form is None:
            continue
        same = [revisions for revisions, known in forms if shape(known) == shape(form)]
        if same:
            same[0].append(revision)
        else:
            forms.append(([revision], form))
    return [(" and ".join(filter(None, (", ".join(names[:-1]), names[-1]))), form) for names, form in forms]


def shape(form: Schema) -> Schema:
    """A form without its description."""
    return {name: rule for name, rule in form.items() if name != "description"}


def in_words(rule: Schema) -> str:
    """A schema in words, linked to its definition."""
    if "$ref" in rule:
        name = rule["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if rule["type"] == "array":
        return f"array of {in_words(rule['items'])}"
    longest = f" of at most {rule['maxLength']} characters" if "maxLength" in rule else ""
    return f"{'nothing (`null`)' if rule['type'] == 'null' else rule['type']}{longest}"


# ---- the document of the API over MQTT


def events() -> dict[str, tuple[str, Any]]:
    """What each kind of event is about, the text after its member, and of what its data is."""
    body = ast.parse(inspect.getsource(EventKind)).body[0]
    found = {}
    for declared, said in itertools.pairwise(getattr(body, "body", ())):
        match declared, said:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = inspect.cleandoc(text), DATA[EventKind(name)]
    return found


# ---- the page of the configuration


def configuration_page() -> str:
    """The reference of the configuration's keys, in Markdown."""
    station, service = (keys_table(declaration) for declaration in declarations())
    parts = [NOTE.replace("interface", "config.py"), CONFIGURATION_HEAD, *station, SERVICE_HEAD, *service]
    return "\n".join(parts) + "\n"


def keys_table(declaration: type) -> Iterator[str]:
    """The table of the keys of one declaration."""
    yield "| key | value | default | |"
    yield "|---|---|---|---|"
    for key, kind in keys(declaration).items():
        said = descriptions().get(key, "").replace("|", "\\|")
        yield f"| `{key}` | {kind.words} | {default_in_words(key)} | {said} |"


CONFIGURATION_HEAD = f"""# Configuration

Every key is a keyword of `StationConfig`, a key of the TOML file that `--config` or `EVSE_SECURITY_CONFIG` names, a
variable `EVSE_SECURITY_KEY` of the environment, and an option `--key` of `evse-security`; each of these outweighs those
before it. `evse-security config` prints what takes effect, and where each value came from. Where values are
given as text, lists are separated by commas. Relative paths start at the TOML file's directory, and otherwise at the
working directory.

`certs` names EVerest's directory of certificates; the defaults of the paths are below it.

The password of the private keys is a keyword of `StationConfig`, but neither an option nor a key of the TOML file. It
is taken from the first of

1. the file that `--private-key-password-file` names,
2. the variable `EVSE_SECURITY_PRIVATE_KEY_PASSWORD`,
3. the file that `EVSE_SECURITY_PRIVATE_KEY_PASSWORD_FILE` names,
4. the systemd credential `{CREDENTIAL}`,
5. the file that `private_key_password_file` in the TOML file names.
"""


SERVICE_HEAD = """
## The service

What `evse-security serve` does beside keeping the store. The keys are given in the same ways, but are keywords of
`ServiceConfig`.
"""


def default_in_words(key: str) -> str:
    """A key's default, as text has it."""
    paths = {**DEFAULT_PATHS, **OPTIONAL_PATHS}
    if key in paths:
        return f"`{paths[key]}`"
    value = next(each.default for declared in declarations() for each in fields(declared) if each.name == key)
    if isinstance(value, tuple):
        value = ",".join(value)
    return "" if value in (None, "") else f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    sys.exit(main())
