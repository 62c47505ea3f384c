"""The certificates of a station towards its CSMS, for a program with an event loop: the one object that users make."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from evse_security.adapters.ocpp import firmware as firmware_files
from evse_security.adapters.ocpp.asking import Asked, StatusQuestions
from evse_security.adapters.ocpp.cars import CarMessages
from evse_security.adapters.ocpp.connection import Connection
from evse_security.adapters.ocpp.desk import Desk, Then
from evse_security.adapters.ocpp.editions import Payload
from evse_security.adapters.ocpp.events import SecurityEvent, Waiting
from evse_security.adapters.ocpp.policy import CertificatePolicy
from evse_security.adapters.ocpp.renewals import LONGEST_LOOK, Looked, Outgoing
from evse_security.adapters.ocpp.sending import Declined, NotDelivered, Send, Unanswered, asked
from evse_security.adapters.ocpp.serving import Changed, DeviceModel
from evse_security.adapters.ocpp.turns import InTurn
from evse_security.errors import InvalidConfiguration, MalformedRequest
from evse_security.service.state import Claim
from evse_security.station import Station

log = logging.getLogger(__name__)

RETRY = 60.0
"""Seconds after which what was not delivered is tried again, if nothing happens before."""


class Certificates(Connection, CarMessages):
    """What the handlers of a station share. Made once, before the connection, and kept over all of them.

    Store and disk are worked on in a thread, one thing after another; nothing here blocks the event loop.
    """

    def __init__(
        self,
        station: Station,
        *,
        policy: CertificatePolicy,
        directory: str | Path | None = None,
        secc_refused: Callable[[], object] | None = None,
        changed: Changed | None = None,
        executor: Executor | None = None,
    ) -> None:
        """Of an open station. In `directory` is kept what must outlive a restart; None: nothing does.

        `secc_refused` is called when the CSMS rejects a request for an SECC leaf, as OCPP recommends to do without Plug
        & Charge then (A02.FR.21). Hubject's rules do not: whether to is the program's to decide.
        `changed` hears of variables that the CSMS has set, by name and value; only where it is given there are those
        on which your program alone can act (SecurityProfile in 1.6, the password). Both may be coroutine functions.
        `executor` does the work of many stations in one process; None: this one has a thread of its own.
        Raises `InvalidConfiguration` where another process has this `directory`, or others here that were not closed,
        and `NotReadable` where what it remembers cannot be read for now: it may be tried again.
        """
        place = None if directory is None else Path(directory)
        self._claim = Claim(place)
        if not self._claim.take():
            raise InvalidConfiguration("directory", f"{place} is in use by another process, or was not closed in this")
        worker = InTurn(executor) if executor else ThreadPoolExecutor(1, thread_name_prefix="evse-security-ocpp")
        try:
            super().__init__(Desk(station, policy, place), worker)
        except BaseException:
            self._claim.release()
            raise
        self._questions = StatusQuestions(station, self._desk.edition)
        self._secc_refused = secc_refused
        self._then: dict[str, Then] = {}
        self.device_model = DeviceModel(self._desk, self._ask, changed=changed, wake=self._wake.set)
        self._working: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Let what has begun end. Connections must be gone by then."""
        self._worker.shutdown(cancel_futures=True)
        self._claim.release()

    @property
    def actions(self) -> frozenset[str]:
        """The messages that concern certificates in this edition."""
        return self._desk.actions

    # ---- what the CSMS asks

    async def answer(self, action: str, payload: Mapping[str, Any]) -> Payload | None:
        """The answer to a message; None where it is not about certificates. Call `after` once it has been sent."""
        found = await self._ask(lambda: self._desk.answer(action, payload))
        self._then[action] = Then() if found is None else found.then  # one after another, says OCPP
        return None if found is None else found.payload

    def after(self, action: str) -> None:
        """The answer was sent: what follows from it may begin."""
        then = self._then.pop(action, Then())
        if then.sign is not None:
            self._worker.submit(self._desk.renewals.trigger, then.sign)
        if then.renewed is not None and then.renewed.is_secc:
            self._worker.submit(self._questions.demand)
        if then.renewed is not None and then.renewed.is_client and self._reconnect is not None:
            self._reconnect()
        self._wake.set()  # a refusal has its event, too

    # ---- what the station says

    def online(self, send: Send) -> None:
        """The CSMS can be spoken to: a connection is there, and its BootNotification was accepted."""
        self._rest()
        self._send = send
        self._working = asyncio.create_task(self._work(send), name="certificates towards the CSMS")

    def offline(self) -> None:
        """It cannot any more. What waits, waits; what an answer that was not sent would have led to does not happen."""
        self._rest()
        self._then.clear()

    def _rest(self) -> None:
        self._send = None
        if self._working is not None:
            self._working.cancel()
            self._working = None

    async def _work(self, send: Send) -> None:
        """Send what is to be sent, again and again, as long as there is this connection.

        Cancelling alone does not end it: `asyncio.wait_for` of Python 3.11, in `ocpp`, loses that now and then.
        """
        while self._send is send:
            self._wake.clear()
            try:
                pause = await self._round(send)
            except NotDelivered as problem:
                log.info("%s", problem)
                pause = RETRY
            except Exception:  # the next round may do better, and nobody else would begin one
                log.exception("a round of messages to the CSMS failed")
                pause = RETRY
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _round(self, send: Send) -> float:
        """1. Events, in their order. 2. Signing requests. 3. Status of V2G certificates.

        A CSMS that does not answer to events, though it is there, keeps no leaf from being renewed.
        """
        unheard: Unanswered | None = None
        try:
            await self._send_events(send)
        except Unanswered as silence:
            unheard = silence
        looked: Looked = await self._ask(self._desk.renewals.look)
        for problem in looked.problems:
            await self.happened(SecurityEvent.CSR_GENERATION_FAILED, problem)
        for request in looked.requests:
            await self._sign(send, request)
        questions, wait = await self._ask(self._due_questions)
        for one in questions:
            await self._status(send, one)
        if unheard is not None:
            raise unheard
        return min(looked.wait, wait)

    def _due_questions(self) -> tuple[tuple[Asked, ...], float]:
        if not self.policy.speaks_plug_and_charge:
            return (), LONGEST_LOOK
        return self._questions.due(time.monotonic(), self.policy.ocsp_refresh)

    async def _send_events(self, send: Send) -> None:
        while True:
            waiting: tuple[Waiting, ...] = await self._ask(lambda: self._desk.memory.waiting)
            if not waiting:
                return
            with suppress(Declined):  # it has heard of it
                await send("SecurityEventNotification", waiting[0].payload)
            await self._ask(partial(self._sent, waiting[0]))

    def _sent(self, event: Waiting) -> None:
        waiting = self._desk.memory.waiting
        place = waiting.index(event) if event in waiting else len(waiting)
        self._desk.memory.queue((*waiting[:place], *waiting[place + 1 :]))

    async def _sign(self, send: Send, request: Outgoing) -> None:
        problem: str | None = None
        is_refused = False
        try:
            is_pnc = request.use.is_secc
            answer = await asked(send, self.edition, "SignCertificate", request.payload, plug_and_charge_only=is_pnc)
            if answer.get("status") != "Accepted":
                problem, is_refused = f"the CSMS answers {answer.get('status')!s:.50}", is_pnc
        except NotDelivered as lost:
            if self._send is send and not lost.is_gone:  # else it goes out on the next connection
                await self._ask(lambda: self._desk.renewals.unsent(request.use))
            raise
        except (Declined, MalformedRequest) as declined:
            problem = str(declined)
        await self._ask(lambda: self._desk.renewals.asked(request.use, problem))
        if is_refused and self._secc_refused is not None:
            heard = self._secc_refused()
            if inspect.isawaitable(heard):
                await heard

    async def _status(self, send: Send, question: Asked) -> None:
        try:
            answer = await asked(
                send, self.edition, "GetCertificateStatus", question.payload, plug_and_charge_only=True
            )
        except (Declined, MalformedRequest, NotDelivered) as problem:
            log.warning("no status of %s: %s", question.question.name, problem)
            await self._ask(lambda: self._questions.failed(question, time.monotonic()))
            if isinstance(problem, NotDelivered):
                raise
            return
        await self._ask(lambda: self._questions.answered(question, answer, time.monotonic()))

    # ---- firmware

    async def firmware_is_signed(
        self, path: Path, firmware: Mapping[str, Any], *, most: int = firmware_files.MOST_BYTES
    ) -> bool:
        """Whether a downloaded file is what its UpdateFirmware says it is; if not, the CSMS is told why (L01).

        `firmware` is that of the message, on the wire or as a handler of `ocpp` gets it. A file of more than `most`
        bytes is not read. The certificate is judged anew: much may have happened since the request.
        """
        station = self._desk.station
        flaw = await self._ask(lambda: firmware_files.of_certificate(station, firmware))
        if flaw is None:  # beside the worker: others need not wait for gigabytes
            flaw = await asyncio.to_thread(firmware_files.of_file, station, path, firmware, most)
        if flaw is not None:
            log.warning("%s is not installed: %s", path.name, flaw.info)
            await self.happened(flaw.event, flaw.info)
        return flaw is None
