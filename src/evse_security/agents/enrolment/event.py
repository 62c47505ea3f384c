"""Enrolment by event: the request is published, and whoever speaks to a CA or CSMS brings the answer."""

from __future__ import annotations

from evse_security.agents.enrolment.port import Answer, Published, Request
from evse_security.service.eventdata import SigningRequest
from evse_security.service.events import EventKind, Events
from evse_security.service.renewals import named


class EventPort:
    """Publishes requests over MQTT, server-sent events and the Python API, as an OCPP module needs them."""

    def __init__(self, events: Events) -> None:
        """With the stream on which they go out."""
        self._events = events

    async def enrol(self, request: Request) -> Answer:
        data: SigningRequest = {
            **named(request.wanted),
            "csr": request.csr,
            "number": request.number,
            "attempt": request.attempt,
        }
        self._events.publish(EventKind.certificate_signing_request, data)
        return Published()
