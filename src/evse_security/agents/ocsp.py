"""Keeps OCSP responses about the SECC chains at hand (M06): asks for them, or tells those who can what to ask."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Literal, NamedTuple

from evse_security.agents import responder, schedule
from evse_security.agents.patience import ask, wait
from evse_security.agents.responder import NoAnswer, Unreachable
from evse_security.agents.schedule import History, Task
from evse_security.errors import CommandRefused, EvseSecurityError
from evse_security.serve.codec import encoder
from evse_security.service.eventdata import OcspFailure, OcspNews
from evse_security.service.events import Event, EventKind
from evse_security.service.service import Called, Service
from evse_security.station import Inventory, Moment, OcspQuestion, OcspState, Station
from evse_security.vocabulary import (
    CertificateStoreUpdate,
    CertificateStoreUpdateOperation,
    LeafCertificateType,
    OCSPRequestDataList,
)

log = logging.getLogger(__name__)

REVOKED = "revoked"
FIRST_REMINDER, LONGEST_REMINDER = 600.0, 86_400.0
"""Seconds after which is told again what to ask, where nobody answers; doubled each time. OCPP waits for a day."""
GLANCE = 10.0
"""Seconds between glances at whether anything has changed."""
DOUBTFUL = 60.0
"""Seconds between looks at a clock that is not believed."""

_INSTALLED, _V2G = CertificateStoreUpdateOperation.Installed, LeafCertificateType.V2G
_encode_requests = encoder(OCSPRequestDataList)
_encode_update = encoder(CertificateStoreUpdate)
_OTHER_NAME = frozenset({"OcspUnsuccessful", "OcspUnknown", "OcspOtherCertificate"})
"""Refusals that may be for the digest by which the certificate was named."""


class OcspAgent:
    """Asks responders itself (`ocsp = "fetch"`), or publishes what is to be asked (`csms`)."""

    name = "ocsp"

    def __init__(self, service: Service) -> None:
        """For a service whose configuration says which of the two."""
        self._service, self._config = service, service.config
        self._fetches = service.config.ocsp == "fetch"
        self._history = History() if self._fetches else History(FIRST_REMINDER, LONGEST_REMINDER)
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leaf_came = False
        self._told: dict[str, OcspState | None] = {}
        """What was cached about each certificate when it was looked at last."""
        self._doubt: str | None = None
        self._withdraws = False
        self._seen: Inventory | None = None
        service.observe(self._observe)

    async def run(self, ready: Callable[[], None]) -> None:
        """Work until cancelled. Raises `InvalidConfiguration` for a proxy that is none."""
        self._proxy_for = responder.proxy_of(self._config.ocsp_proxy)
        self._loop, self._busy = asyncio.get_running_loop(), set[str]()
        stop = self._service.events.hear(self._hear)
        try:
            async with asyncio.TaskGroup() as asking:
                ready()
                while True:
                    self._wake.clear()
                    await self._wait(await self._step(asking))
        finally:
            stop()

    async def _wait(self, seconds: float) -> None:
        """Wait so long, or until something happens; what other processes cache is seen by glancing at the store."""
        until = self._elapsed() + seconds
        while (left := until - self._elapsed()) > 0:
            await wait(self._wake, min(left, GLANCE))
            if self._wake.is_set() or await ask(self._service, Station.inventory, caller=self.name) is not self._seen:
                return

    # ---- what happens meanwhile, told in other threads

    def _hear(self, event: Event) -> None:
        if event.kind is EventKind.certificate_store_update:
            if event.data.get("operation") == _INSTALLED and event.data.get("leaf_certificate_type") == _V2G:
                self._leaf_came = True
        elif event.kind is not EventKind.clock:
            return
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    def _observe(self, called: Called) -> None:
        if called.command == "update_ocsp_cache":
            self._wake.set()

    # ---- one look

    async def _step(self, asking: asyncio.TaskGroup) -> float:
        """Look, tell what changed, begin what is due. Returns after how many seconds to look again."""
        leaf_came, self._leaf_came = self._leaf_came, False
        moment, questions, self._withdraws, self._seen = await ask(self._service, _look, caller=self.name)
        self._tell_changes(questions)
        self._history.forget_others(questions)
        if leaf_came:  # M06.FR.06, .07: intermediates, too
            self._history.demanded.update(question.fingerprint for question in questions)
        if self._is_doubtful(moment):
            return DOUBTFUL
        elapsed, refresh = self._elapsed(), float(self._config.ocsp_refresh)
        if not self._fetches:
            plan = schedule.due(questions, self._history, moment.now, elapsed, refresh)
            self._publish_requests(plan.tasks)
            return plan.wait
        busy = frozenset(self._busy)
        plan = schedule.plan(questions, self._history, now=moment.now, elapsed=elapsed, refresh=refresh, busy=busy)
        for task in plan.tasks:
            hosts = set(map(schedule.host_of, task.responders))
            self._busy |= hosts
            asking.create_task(self._ask(task, hosts))
        return plan.wait

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time()

    def _is_doubtful(self, moment: Moment) -> bool:
        """Whether the clock is not believed, which is said once: nobody can tell what is current."""
        if moment.doubt is not None and self._doubt is None:
            log.warning("no OCSP responder is asked: %s", moment.doubt)
            self._publish({"state": "waiting", "text": f"nothing is asked: {moment.doubt}"})
        self._doubt = moment.doubt
        return moment.doubt is not None

    def _publish_requests(self, tasks: tuple[Task, ...]) -> None:
        if not tasks:
            return
        data = tuple(task.question.request_data for task in tasks)
        self._service.events.publish(
            EventKind.ocsp_request_data, _encode_requests(OCSPRequestDataList(ocsp_request_data_list=data))
        )
        for task in tasks:
            self._history.failed(task.question, self._elapsed())
            self._history.demanded.discard(task.question.fingerprint)

    # ---- telling what is cached, whoever cached it

    def _tell_changes(self, questions: tuple[OcspQuestion, ...]) -> None:
        """Tell of responses that came since the last look; of revocations also those that were there at the start."""
        for question in questions:
            state, is_known = question.cached, question.fingerprint in self._told
            before = self._told.get(question.fingerprint)
            self._told[question.fingerprint] = state
            was_revoked = before is not None and before.status == REVOKED
            if state is not None and state.status == REVOKED:
                if not was_revoked:
                    self._tell_revoked(question, state)
            elif state is not None and is_known and (before is None or state.this_update != before.this_update):
                self._publish(_news(question, "cached", state))
                if was_revoked and self._withdraws:
                    self._tell_update(_INSTALLED)
        asked = {question.fingerprint for question in questions}
        self._told = {one: state for one, state in self._told.items() if one in asked}

    def _tell_revoked(self, question: OcspQuestion, state: OcspState) -> None:
        log.error("%s, serial %s, is revoked", question.name, question.serial)
        text = f"{question.name}, serial {question.serial}, is revoked"
        self._publish({**_news(question, "revoked", state), "withdrawn": self._withdraws, "text": text})
        if self._withdraws:
            self._tell_update(CertificateStoreUpdateOperation.Deleted)

    def _tell_update(self, operation: CertificateStoreUpdateOperation) -> None:
        """What V2G leaf is offered has changed, as if files had: consumers ask for it again then, and only then."""
        update = CertificateStoreUpdate(operation=operation, leaf_certificate_type=_V2G)
        self._service.events.publish(EventKind.certificate_store_update, _encode_update(update))

    def _publish(self, data: OcspNews) -> None:
        self._service.events.publish(EventKind.ocsp, data)

    # ---- asking

    async def _ask(self, task: Task, hosts: set[str]) -> None:
        """Ask the responders of a certificate one after the other until an answer is cached."""
        failures: list[OcspFailure] = []
        try:
            for url in task.responders:
                failure = await self._ask_one(task.question, url)
                if failure is None:
                    self._history.answered(task.question, self._elapsed())
                    return
                failures.append({"responder": url, "reason": failure[0], "text": failure[1]})
            self._history.failed(task.question, self._elapsed())
            why = ", ".join(f"{one['responder']}: {one['text']}" for one in failures)
            log.info("no OCSP response about %s: %s", task.question.name, why)
            self._publish({**_news(task.question, "failed", None), "failures": failures})
        finally:
            self._busy -= hosts
            self._wake.set()

    async def _ask_one(self, question: OcspQuestion, url: str) -> tuple[str, str] | None:
        """Ask one responder in every way until an answer is cached. Why none was, as code and words."""
        failure = "NoAnswer", "the certificate cannot be named in a question"
        refused_name = False
        for method, request in _ways(question):
            if refused_name and method == "GET":
                continue
            try:
                response = await responder.ask(url, request, method, self._proxy_for)
            except Unreachable as problem:
                self._history.unreachable(url, self._elapsed())
                return "Unreachable", str(problem)
            except NoAnswer as problem:
                failure = "NoAnswer", f"{method}: {problem}"
                continue
            self._history.reached(url)
            refusal = await self._cache(question, response)
            if refusal is None:
                return None
            failure = refusal.code, str(refusal)
            refused_name = refusal.code in _OTHER_NAME
        return failure

    async def _cache(self, question: OcspQuestion, response: bytes) -> EvseSecurityError | None:
        """Have a response verified and kept. Why it was not."""
        encoded = _encode_requests(OCSPRequestDataList(ocsp_request_data_list=(question.request_data,)))
        [data] = encoded["ocsp_request_data_list"]
        arguments = {
            "certificate_hash_data": data["certificate_hash_data"],
            "ocsp_response": b64encode(response).decode("ascii"),
        }
        try:
            await self._service.call("update_ocsp_cache", arguments, caller=self.name)
        except CommandRefused as refused:
            return refused.reason
        except EvseSecurityError as problem:  # the service is busy, or JSON cannot name it (a serial of 21 octets)
            return problem
        return None


class _Look(NamedTuple):
    moment: Moment
    questions: tuple[OcspQuestion, ...]
    withdraws: bool
    """Whether revoked leaves are no longer offered."""
    inventory: Inventory
    """Another one where anything has changed."""


def _look(station: Station) -> _Look:
    seen = station.inventory()  # first: what changes meanwhile is looked at again
    return _Look(station.time(), station.ocsp_questions(), station.config.revoked_leaves == "withdraw", seen)


def _ways(question: OcspQuestion) -> Iterator[tuple[str, bytes]]:
    """POST, then GET for who knows only that (RFC 5019 §5); then by the other digests."""
    for number, request in enumerate(question.requests):
        yield "POST", request
        if number == 0:
            yield "GET", request


def _news(question: OcspQuestion, what: Literal["cached", "revoked", "failed"], state: OcspState | None) -> OcspNews:
    news: OcspNews = {
        "state": what,
        "certificate": question.name,
        "serial": question.serial,
        "fingerprint": question.fingerprint,
        "leaf": question.is_leaf,
    }
    if state is not None:
        news["status"], news["this_update"] = str(state.status), _iso(state.this_update)
        news["next_update"] = None if state.next_update is None else _iso(state.next_update)
    return news


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
