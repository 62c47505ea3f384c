"""Logging in with a real Chromium: what browsers send and keep, headers of ours included."""

import shutil
from pathlib import Path

import pytest
from playwright.async_api import async_playwright
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from evse_security.http.scopes import Scope
from evse_security.service.config import ServiceConfig
from tests.http.kit import ANYWHERE, Running, served, tokens

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip
PAGE = """<!doctype html><title>Station</title><h1>%s</h1>
<script>document.title = "inline scripts run"</script>
<form method="post" action="/logout"><button>Log out</button></form>"""


async def page(request: Request) -> Response:
    return HTMLResponse(PAGE % request.state.caller.name)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
def test_logging_in_and_out(tmp_path: Path) -> None:
    path, given = tokens(tmp_path)

    async def work(running: Running) -> None:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            tab = await browser.new_page()
            await tab.goto(running.url)
            assert tab.url == f"{running.url}/login"
            await tab.get_by_label("Token").fill("wrong")
            await tab.get_by_role("button", name="Log in").click()
            assert "not valid" in (await tab.get_by_role("alert").inner_text())
            await tab.get_by_label("Token").fill(given[Scope.install])
            await tab.keyboard.press("Enter")
            await tab.get_by_role("heading", name="http:token:install").wait_for()
            assert await tab.title() == "Station"  # the policy keeps inline scripts from running
            assert await tab.evaluate("document.cookie") == ""
            asked = "fetch('/api/2026-04/get_v2g_ocsp_request_data', {method: 'POST', body: '{}', "
            asked += "headers: {'content-type': 'application/json'}}).then(answer => answer.status)"
            assert await tab.evaluate(asked) == 200
            first = "new Promise(done => new EventSource('/api/events').onopen = () => done('open'))"
            assert await tab.evaluate(first) == "open"
            await tab.get_by_role("button", name="Log out").click()
            await tab.get_by_role("heading", name="Log in").wait_for()
            await tab.goto(running.url)
            assert tab.url == f"{running.url}/login"
            await browser.close()

    config = ServiceConfig(http_listen=(ANYWHERE,), http_tokens=path)
    served(tmp_path / "certs", work, config=config, pages=[Route("/", page)])


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
def test_a_page_of_another_site_gets_nothing_done(tmp_path: Path) -> None:
    evil = """<!doctype html><title>x</title><form id="f" method="post" enctype="text/plain"
        action="%s/api/2026-04/install_ca_certificate"><input name="x"><button>Win</button></form>"""

    async def work(running: Running) -> None:
        asked: list[str] = []

        async with async_playwright() as playwright:
            flags = [*FLAGS, "--host-resolver-rules=MAP rebound.example 127.0.0.1"]
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
            tab = await browser.new_page()
            tab.on("response", lambda answer: asked.append(f"{answer.status} {answer.request.method}"))
            await tab.route("http://evil.example/", lambda route: route.fulfill(
                body=evil % running.url, content_type="text/html"))  # fmt: skip
            await tab.goto("http://evil.example/")
            await tab.get_by_role("button", name="Win").click()
            await tab.wait_for_url(f"{running.url}/**")
            assert "CrossSite" in await tab.inner_text("body")
            assert asked[-1] == "403 POST"
            await tab.goto("http://evil.example/")
            blocked = f"fetch('{running.url}/metrics', {{mode: 'no-cors'}}).then(() => 'got it', () => 'refused')"
            assert await tab.evaluate(blocked) == "refused"
            # A name that leads here, as with DNS rebinding.
            answer = await tab.goto(f"http://rebound.example:{running.port}/metrics")
            assert answer is not None
            assert answer.status == 421
            await browser.close()

    served(tmp_path, work)
