"""The module on everestpy, EVerest's own library, where that is asked for: a thin layer over the same commands.

An exception that leaves a handler ends the module and EVerest with it, so none does: what cannot be done is answered
with the interface's word for no.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from functools import partial
from types import NoneType
from typing import Any

from evse_security import vocabulary
from evse_security.errors import EvseSecurityError, InvalidConfiguration
from evse_security.everest.run import Opened, Parts
from evse_security.everest.surroundings import FRAMEWORK, Surroundings
from evse_security.everest.wire import IMPLEMENTATION
from evse_security.interface import NEWEST, REVISIONS
from evse_security.serve.command import commands, newest_revision_with, variables
from evse_security.service.service import Service
from evse_security.service.spate import Spate

log = logging.getLogger(__name__)

LONGEST_CALL = 290.0
"""Seconds after which a call is given up: its caller waits for 300."""

NO: Mapping[Any, Any] = {
    NoneType: None,
    bool: False,
    int: 0,
    str: "",
    vocabulary.InstallCertificateResult: "WriteError",
    vocabulary.CertificateValidationResult: "Unknown",
    vocabulary.DeleteCertificateResult: "Failed",
    vocabulary.GetInstalledCertificatesResult: {"status": "NotFound", "certificate_hash_data_chain": []},
    vocabulary.OCSPRequestDataList: {"ocsp_request_data_list": []},
    vocabulary.GetCertificateSignRequestResult: {"status": "GenerationError"},
    vocabulary.GetCertificateInfoResult: {"status": "Rejected"},
    vocabulary.GetCertificateFullInfoResult: {"status": "Rejected", "info": []},
    vocabulary.GetKeyPairResult: {"status": "Rejected"},
}
"""What each type of result has to say no with."""


async def serve_through_everestpy(surroundings: Surroundings, parts: Parts) -> None:
    """Be the module through everestpy, until EVerest says that it shall end."""
    try:
        framework = importlib.import_module("everest.framework")
    except ImportError as problem:
        where = surroundings.prefix / "lib" / "everest" / "everestpy"
        raise InvalidConfiguration(FRAMEWORK, f"everestpy cannot be used ({problem}); is {where} there?") from None
    async with Opened(surroundings, parts) as opened:
        module = await asyncio.to_thread(lambda: framework.Module(framework.RuntimeSession()))
        setup = await asyncio.to_thread(module.say_hello)
        service = await opened.begin(setup.configs.module or {})
        await opened.beside(_be(module, service))


async def _be(module: Any, service: Service) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    if hasattr(module, "shutdown_handler"):  # since 2026-07
        module.shutdown_handler(lambda *_: loop.call_soon_threadsafe(ended.set))
    names = tuple(module.implementations[IMPLEMENTATION].commands)
    failures = Spate(partial(log.warning, "%d more calls failed"))
    for name in names:
        revision = revision_with(name, names)
        module.implement_command(IMPLEMENTATION, name, handler(loop, service, name, revision, failures))
    await asyncio.to_thread(module.init_done)
    log.info("the module is ready (through everestpy)")
    publishing = asyncio.create_task(_publish(module, service))
    try:
        await ended.wait()
    finally:
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)


def revision_with(name: str, names: Iterable[str]) -> str:
    """The revision of a command, of which everestpy says only the names: the newest with all of them, or with it."""
    fitting = (revision for revision in reversed(REVISIONS) if set(names) <= set(commands(revision)))
    return next(fitting, newest_revision_with(name))


def handler(
    loop: asyncio.AbstractEventLoop, service: Service, name: str, revision: str, failures: Spate
) -> Callable[[Mapping[str, Any]], Any]:
    """What answers a command. EVerest calls it in threads of its own; it never raises.

    `failures`: those of all commands, of which the log tells some.
    """
    command = commands(revision).get(name)
    no = None if command is None else NO[command.result]

    async def answer(arguments: Mapping[str, Any]) -> Any:
        try:
            return await service.call(name, arguments, caller="everest", revision=revision)
        except EvseSecurityError as problem:
            if failures.takes(loop.time()):
                log.warning("call of %s: %s: %s", name, problem.code, problem)
            return no

    def handle(arguments: Mapping[str, Any]) -> Any:
        try:
            return asyncio.run_coroutine_threadsafe(answer(arguments), loop).result(LONGEST_CALL)
        except BaseException:
            if failures.takes(loop.time()):
                log.exception("%s failed", name)
            return no

    return handle


async def _publish(module: Any, service: Service) -> None:
    published = variables(NEWEST)
    async with aclosing(service.events.listen(after=0)) as events:
        async for event in events:
            if event.kind.value in published:
                value = dict(event.data)
                await asyncio.to_thread(module.publish_variable, IMPLEMENTATION, event.kind.value, value)
