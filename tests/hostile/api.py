"""Messages to EVerest API v1, altered; and what holds of them before and after a command sees them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from evse_security.errors import MalformedRequest
from evse_security.mqtt.connection import is_topic
from evse_security.serve.codec import object_decoder
from evse_security.serve.command import Command, commands
from evse_security.serve.everest_api import (
    REVISION,
    arguments,
    error_answer,
    in_request,
    read_request,
    wanted_leaf,
)
from tests.hostile.target import Target
from tests.hostile.trees import altered_octets

MESSAGES = [
    b'{"headers":{"replyTo":"my/reply/1"},"payload":"V2G"}',
    b'{"headers":{"replyTo":"r"},"payload":{"leaf_certificate_type":"V2G","edition":"20"}}',
    b'{"headers":{"replyTo":"r","replyErrors":true},"payload":["V2GRootCertificate"]}',
    b'{"headers":{"replyTo":"r"},"payload":{"certificate_type":"V2G","encoding":"PEM","include_ocsp":false}}',
    b'{"headers":{},"payload":{"certificate_hash_data":{"hash_algorithm":"SHA256","issuer_name_hash":"0",'
    b'"issuer_key_hash":"0","serial_number":"1"},"ocsp_response":"MAA="}}',
]
WORDS = (
    b'"headers":', b'"payload":', b'"replyTo":"+"', b'"\\u0000"', b'"\\ud800"', b"null", b"[", b"{" * 2000, b"[" * 2000,
    b"NaN", b"1e400", b"9" * 6000, b"\xff\xfe", b"\xef\xbb\xbf", b"\0",
)  # fmt: skip
DECODERS = {
    name: object_decoder(
        {each.name: each.hint for each in command.arguments},
        frozenset(each.name for each in command.arguments if each.required),
    )
    for name, command in commands(REVISION).items()
}


def check_message(message: bytes) -> None:
    """A message is a request, or what is wrong with it is said at which path."""
    try:
        request = read_request(message)
        is_topic(request.reply_to)
        request.wants_errors(unless_said=True)
    except MalformedRequest as refusal:
        _check_refusal(refusal, ("message", "headers"))
        return
    for command in commands(REVISION).values():
        try:
            decode(command, arguments(command, request))
        except MalformedRequest as refusal:
            _check_refusal(refusal, ("payload",))
    try:
        wanted_leaf(request)
    except MalformedRequest as refusal:
        _check_refusal(refusal, ("payload",))


def decode(command: Command, given: dict[str, Any]) -> None:
    """Read the arguments as dispatch does, and refuse them as the API does."""
    try:
        DECODERS[command.name](given)
    except MalformedRequest as refusal:
        raise in_request(command, refusal) from None


def _check_refusal(refusal: MalformedRequest, parts: tuple[str, ...]) -> None:
    assert refusal.path.startswith(parts)
    assert str(refusal).isprintable() and len(str(refusal)) < 1000
    assert json.loads(error_answer(refusal))["error"]["path"] == refusal.path


TARGETS = {"messages to the API": Target(altered_octets(st.sampled_from(MESSAGES), WORDS), check_message)}
