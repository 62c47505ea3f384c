"""What the agent tells is understood by those who show it."""

from __future__ import annotations

from pathlib import Path

from evse_security.http.looking import Looking
from evse_security.http.metrics import Metrics
from evse_security.http.page.happenings import happenings
from tests.agents.renewal.stage import NAMED, Stage, staged
from tests.builders import NOW


def test_metrics_and_the_page_name_the_leaf_that_is_renewed(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        metrics = Metrics(stage.service, Looking(stage.service), stage.agent)
        stop = await metrics.listen()
        await stage.at(NOW)
        assert (
            b'evse_security_renewal_state{certificate_type="V2G",edition="2",state="waiting"} 1.0'
            in await metrics.text()
        )
        texts = [one.text for one in happenings(stage.service.events.recent())]
        assert any(text.startswith("leaf certificate type: V2G; edition: 2; state: waiting") for text in texts)
        assert any(text == "leaf certificate type: V2G; edition: 2; number: 1; attempt: 1" for text in texts)
        stop()

    staged(tmp_path, work, **NAMED)


def test_how_a_renewal_stands_is_told_after_a_restart(tmp_path: Path) -> None:
    async def after(stage: Stage) -> None:
        metrics = Metrics(stage.service, Looking(stage.service), stage.agent)
        stop = await metrics.listen()
        await stage.at(NOW)
        assert stage.states() == ["waiting"]
        assert (
            b'evse_security_renewal_state{certificate_type="V2G",edition="2",state="waiting"} 1.0'
            in await metrics.text()
        )
        stop()

    async def before(stage: Stage) -> None:
        await stage.at(NOW)

    staged(tmp_path, before, **NAMED)
    staged(tmp_path, after, **NAMED)
