"""What a station asks its CSMS about: the status of V2G certificates. Its methods wait for the store."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from evse_security.adapters.ocpp.editions import Edition, Payload
from evse_security.adapters.ocpp.messages import certificate_status
from evse_security.agents.schedule import SHORTEST_PAUSE, History, due
from evse_security.errors import CommandRefused, EvseSecurityError
from evse_security.station import OcspQuestion, Station

log = logging.getLogger(__name__)

_LONGEST_RESULT = 18_000


class Asked(NamedTuple):
    """One GetCertificateStatus."""

    question: OcspQuestion
    payload: Payload


class StatusQuestions:
    """Which certificates to ask about (M06), each by itself: one that fails does not hold up the others."""

    def __init__(self, station: Station, edition: Edition) -> None:
        """Nothing was asked yet."""
        self._station, self._edition = station, edition
        self._history = History()

    def due(self, elapsed: float, refresh: float) -> tuple[tuple[Asked, ...], float]:
        """What to ask now, and in how many seconds to look again. `elapsed`: seconds that no step of a clock touches.

        At half of a response's life, and `refresh` seconds after its beginning at the latest (M06.FR.10, M07.FR.09).
        """
        questions = self._station.ocsp_questions()
        self._history.forget_others(questions)
        plan = due(questions, self._history, self._station.time().now, elapsed, refresh)
        found = []
        for task in plan.tasks:
            payload = certificate_status(task.question.request_data, self._edition)
            if payload is None:
                self._history.failed(task.question, elapsed)
            else:
                found.append(Asked(task.question, payload))
        return tuple(found), max(plan.wait, SHORTEST_PAUSE)

    def demand(self) -> None:
        """A V2G leaf was installed: ask about all at once, intermediates included (M06.FR.06)."""
        self._history.certificates.clear()
        self._history.demanded.update(one.fingerprint for one in self._station.ocsp_questions())

    def answered(self, asked: Asked, answer: Mapping[str, Any], elapsed: float) -> str | None:
        """Cache what the CSMS answered, once it is verified. Returns why not."""
        problem = self._cached(asked, answer)
        if problem is None:
            self._history.answered(asked.question, elapsed)
        else:
            self._history.failed(asked.question, elapsed)
            log.warning("no status of %s: %s", asked.question.name, problem)
        return problem

    def failed(self, asked: Asked, elapsed: float) -> None:
        """The CSMS gave no answer."""
        self._history.failed(asked.question, elapsed)

    def _cached(self, asked: Asked, answer: Mapping[str, Any]) -> str | None:
        result, wanted = answer.get("ocspResult"), asked.question.request_data.certificate_hash_data
        if answer.get("status") != "Accepted" or not isinstance(result, str) or wanted is None:
            return "the CSMS has none"
        if len(result) > _LONGEST_RESULT:
            return "the response is too long"
        try:
            self._station.interface().update_ocsp_cache(certificate_hash_data=wanted, ocsp_response=result)
        except CommandRefused as refused:
            return str(refused.reason)
        except EvseSecurityError as problem:
            return str(problem)
        return None
