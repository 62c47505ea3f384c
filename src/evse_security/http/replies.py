"""JSON over HTTP: answers, and errors with their status."""

from __future__ import annotations

import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from evse_security.errors import CommandRefused, EvseSecurityError, MalformedRequest, ServiceBusy
from evse_security.serve.dispatch import error_reply

_STATUS: dict[type[EvseSecurityError], int] = {MalformedRequest: 400, CommandRefused: 409, ServiceBusy: 503}
_CODES = {
    400: "MalformedRequest",
    404: "NotFound",
    405: "MethodNotAllowed",
    413: "BodyTooLarge",
}


class Json(Response):
    """A JSON answer, escaped to ASCII."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":"), allow_nan=False).encode("ascii")


def error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Json:
    """An error in the form of `serve.dispatch.error_reply`."""
    return Json({"error": {"code": code, "message": message}}, status, headers)


def of_other_form(request: Request, media_type: str) -> Response | None:
    """The answer to a body that is not what its route takes; None to one that says it is."""
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return None if sent == media_type else error(415, "UnsupportedMediaType", f"expected {media_type}")


def refused(problem: EvseSecurityError) -> Json:
    """What a caller is told instead of the answer to a command."""
    status = _STATUS.get(type(problem), 500)
    return Json(error_reply(problem), status, {"retry-after": "1"} if status == 503 else None)


async def on_http_exception(_: Request, problem: Exception) -> Response:
    """What the router and routes raise."""
    if not isinstance(problem, HTTPException):
        raise problem
    code = _CODES.get(problem.status_code, "Refused")
    return error(problem.status_code, code, problem.detail, dict(problem.headers or {}))
