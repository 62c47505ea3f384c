"""The commands over HTTP: one route for each command of each revision."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from evse_security.errors import EvseSecurityError
from evse_security.http.replies import Json, error, of_other_form, refused
from evse_security.http.scopes import Caller, Scope
from evse_security.interface import EVERYTHING
from evse_security.serve.command import Command, commands
from evse_security.serve.secrets import without_secrets
from evse_security.serve.text import parse
from evse_security.service.room import Room
from evse_security.service.service import Service

AT_ONCE = 4
"""Requests whose values are in memory at the same time, of large ones, up to 50 MiB, one; commands have one worker."""
PATIENCE = 30.0
"""Seconds after which a caller is told that there is no answer."""

JSON = "application/json"


def routes(service: Service) -> list[Route]:
    """One route for each command."""
    room = Room(AT_ONCE)
    return [
        Route(f"/api/{revision}/{command.name}", _answering(service, command, revision, room), methods=["POST"])
        for revision in EVERYTHING
        for command in commands(revision).values()
    ]


def _answering(
    service: Service, command: Command, revision: str, room: Room
) -> Callable[[Request], Awaitable[Response]]:
    """What answers the requests for one command."""
    needed = Scope.install if command.changes_the_store else Scope.read
    remove_secrets = without_secrets(command.result)

    async def answer(request: Request) -> Response:
        caller: Caller = request.state.caller
        if not caller.may(needed):
            return error(
                403, "NotAllowed", f"{command.name} needs the scope {needed}; {caller.name} has {caller.scope}"
            )
        other = of_other_form(request, JSON)
        if other is not None:
            return other
        body = await request.body()
        try:
            async with asyncio.timeout(PATIENCE):
                give_back = await room.take(len(body))
                try:
                    arguments = parse(body, "arguments")
                    reply = await service.call(command.name, arguments, caller=caller.name, revision=revision)
                finally:
                    give_back()
        except EvseSecurityError as problem:
            return refused(problem)
        except TimeoutError:
            return error(503, "NoAnswer", "no answer in time; whether it will be done is not known")
        if remove_secrets is not None and not caller.may(Scope.admin):
            reply = remove_secrets(reply)
        return Json(reply)

    return answer
