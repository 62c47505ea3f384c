"""Enrolment by a program: the request on its input, the chain on its output."""

from __future__ import annotations

from collections.abc import Sequence

from evse_security.agents.enrolment.port import SECONDS, Answer, Later, Refused, Request, Signed, one_line
from evse_security.agents.enrolment.process import ProgramFailed, run

REFUSED = 77
"""The exit status that says that the CA refused (EX_NOPERM of sysexits.h). Any other but 0 is tried again."""


class CommandPort:
    """Runs a program for each request, without a shell and without our environment."""

    def __init__(self, command: Sequence[str], seconds: float = SECONDS) -> None:
        """With the program and its arguments."""
        self._command, self._seconds = tuple(command), seconds

    async def enrol(self, request: Request) -> Answer:
        environment = {
            "LEAF_CERTIFICATE_TYPE": request.wanted.kind.value,
            "ISO15118_EDITION": request.wanted.edition,
            "REQUEST_NUMBER": str(request.number),
        }
        try:
            ended = await run(self._command, request.csr.encode(), seconds=self._seconds, environment=environment)
        except ProgramFailed as problem:
            return Later(str(problem))
        if ended.code == 0:
            return Signed(ended.output.decode("utf-8", "replace"))
        last = ended.said.strip().rpartition("\n")[2]
        reason = f"{self._command[0]} ended with {ended.code}: {one_line(last)}"
        return Refused(reason) if ended.code == REFUSED else Later(reason)
