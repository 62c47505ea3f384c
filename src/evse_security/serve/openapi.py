"""OpenAPI 3.1 of the commands over HTTP, read off the declaration: one operation for each command of each revision, and
of what is ours beside them.

What stands beside the commands (renewal, events, metrics, health) is written down here.
"""

from __future__ import annotations

from typing import Any

from evse_security.interface import ADDITIONS, EVERYTHING, REVISIONS
from evse_security.serve.command import Command, commands
from evse_security.serve.schema import DIALECT, Schema, type_schema

READS, CHANGES = "read", "install"
"""The scopes that operations demand."""

ERRORS = {
    400: "The request is not of the command's form: `path` names the field. Nothing was done.",
    401: "No token, or one that is not valid; or no client certificate.",
    403: "The caller's scope does not include this, or a browser was sent here by another site.",
    404: "No such command or page.",
    405: "Not with this method.",
    409: "The command was refused; `reason` is the code of the cause. Nothing was changed.",
    413: "The body is larger than 2 MiB.",
    415: "The body is not `application/json`.",
    421: "The name in the Host header is not one of this station's; `http_hosts` adds names.",
    429: "No valid token, after too many failed attempts from this address; Retry-After says when to try again.",
    500: "A fault of the service, which is in its log.",
    503: "Too many callers wait, or there was no answer in time.",
}
_EVERYWHERE = (401, 403, 421, 429, 500, 503)
_OF_COMMANDS = (400, 409, 413, 415)

_ERROR: Schema = {
    "description": "Why there is no answer.",
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "string", "description": "A stable name of the reason."},
                "message": {"type": "string", "description": "The reason in words."},
                "path": {"type": "string", "description": "The field that is not of its form."},
                "reason": {"type": "string", "description": "Why a command was refused: the code of the cause."},
            },
            "required": ["code", "message"],
            "additionalProperties": False,
        }
    },
    "required": ["error"],
    "additionalProperties": False,
}

_EVENT: Schema = {
    "description": "One event; its id is its number.",
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "event": {"type": "string", "description": "The kind of the event."},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {
                "type": "object",
                "properties": {
                    "number": {"type": "integer"},
                    "time": {"type": "string", "format": "date-time"},
                    "kind": {"type": "string"},
                    "data": {"type": "object"},
                },
                "required": ["number", "time", "kind", "data"],
            },
        },
    },
    "required": ["id", "event", "data"],
}

_RENEWED: Schema = {"type": "string", "enum": ["V2G", "CSMS"]}
_EDITION: Schema = {"type": "string", "enum": ["2", "20"]}
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_RENEWAL: Schema = {
    "description": "How the renewal of one leaf stands.",
    "type": "object",
    "properties": {
        "leaf_certificate_type": _RENEWED,
        "edition": {**_EDITION, "description": "The edition of ISO 15118 of a V2G leaf."},
        "state": {"type": "string", "description": "The states are in docs/renewal.md."},
        "since": _MOMENT,
        "next_attempt": {"oneOf": [_MOMENT, {"type": "null"}], "description": "null: not before something happens."},
        "attempts": {"type": "integer", "minimum": 0},
        "reason": {"type": "string"},
    },
    "required": ["leaf_certificate_type", "state", "since", "next_attempt", "attempts", "reason"],
    "additionalProperties": False,
}


def openapi(version: str) -> Schema:
    """The whole document; `version` is that of this software."""
    schemas: dict[str, Schema] = {"Error": _ERROR}
    paths: dict[str, Schema] = {}
    for revision in EVERYTHING:
        definitions: dict[str, Schema] = {}
        for command in commands(revision).values():
            paths[f"/api/{revision}/{command.name}"] = {"post": _operation(command, revision, definitions)}
        schemas |= {f"{revision}.{name}": definitions[name] for name in sorted(definitions)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "evse-security",
            "summary": "The security module of an EV charging station over HTTP.",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "jsonSchemaDialect": DIALECT,
        # On loopback nobody is asked who they are.
        "security": [{}, {"token": []}, {"clientCertificate": []}],
        "tags": [
            *({"name": revision, "description": f"The interface, revision {revision}."} for revision in REVISIONS),
            *({"name": name, "description": "Ours: commands with the trust domain OEM."} for name in ADDITIONS),
        ],
        "paths": paths | _beside(),
        "components": {
            "schemas": schemas,
            "responses": {str(status): _json(text, _refer("schemas", "Error")) for status, text in ERRORS.items()},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "Made by `evse-security token add`."},
                "clientCertificate": {"type": "mutualTLS", "description": "A certificate by a CA of http_client_ca."},
            },
        },
    }


def _operation(command: Command, revision: str, definitions: dict[str, Schema]) -> Schema:
    prefix = f"#/components/schemas/{revision}."
    arguments: Schema = {
        "type": "object",
        "properties": {each.name: type_schema(each.hint, definitions, prefix) for each in command.arguments},
        "required": [each.name for each in command.arguments if each.required],
        "additionalProperties": False,
    }
    scope = CHANGES if command.changes_the_store else READS
    return {
        "operationId": f"{command.name}_{revision.replace('-', '_')}",
        "tags": [revision],
        "summary": command.summary,
        "description": f"Scope: {scope}.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": arguments}}},
        "responses": {
            "200": _json("The answer.", type_schema(command.result, definitions, prefix)),
            **_errors(*_OF_COMMANDS, *_EVERYWHERE),
        },
    }


def _beside() -> dict[str, Schema]:
    """What is served beside the commands."""
    health = {
        "type": "object",
        "properties": {"status": {"type": "string"}, "problems": {"type": "array", "items": {"type": "string"}}},
        "required": ["status", "problems"],
        "additionalProperties": False,
    }
    unwell = {"503": _json("It is not; `problems` says why.", health)}
    last = {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The number of the last event that was seen: later ones that are remembered come first.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
    }
    renewals = _content("application/json", {"type": "array", "items": _RENEWAL})
    events = _got("Follow what happens, as server-sent events.", _content("text/event-stream", _EVENT))
    events["get"]["parameters"] = [last]
    events["get"]["responses"] |= _errors(400)
    return {
        "/api/renewal": _got("Tell how the renewal of leaves stands.", renewals),
        "/api/renewal/{leaf_certificate_type}": {"post": _trigger()},
        "/api/events": events,
        "/openapi.json": _got("Get this document.", _content("application/json", {"type": "object"})),
        "/metrics": _got("Get measurements for Prometheus.", _content("text/plain", {"type": "string"})),
        "/healthz": _got("Tell whether the service answers.", _content("application/json", health), unwell),
        "/readyz": _got("Tell whether the station can be worked with.", _content("application/json", health), unwell),
    }


def _trigger() -> Schema:
    answer = {
        "description": "`off`: others renew these leaves, as the configuration has it, and nothing was done.",
        "type": "string",
        "enum": ["accepted", "off"],
    }
    kind = {"name": "leaf_certificate_type", "in": "path", "required": True, "schema": _RENEWED}
    edition = {
        "name": "edition",
        "in": "query",
        "description": "Of a V2G leaf: only that for this edition of ISO 15118, also where there is none yet.",
        "schema": _EDITION,
    }
    return {
        "operationId": "renew",
        "summary": "Renew a leaf now; what comes of it is told by events.",
        "description": f"Scope: {CHANGES}.",
        "parameters": [kind, edition],
        "responses": {"200": _json("The answer.", answer), **_errors(400, 404, *_EVERYWHERE)},
    }


def _got(summary: str, content: Schema, more: Schema | None = None) -> Schema:
    responses = {"200": {"description": "It is there.", "content": content}, **_errors(*_EVERYWHERE), **(more or {})}
    return {"get": {"summary": summary, "description": f"Scope: {READS}.", "responses": responses}}


def _json(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": _content("application/json", schema)}


def _content(media_type: str, schema: Schema) -> Schema:
    return {media_type: {"schema": schema}}


def _errors(*statuses: int) -> dict[str, Any]:
    return {str(status): _refer("responses", str(status)) for status in sorted(statuses)}


def _refer(kind: str, name: str) -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}
