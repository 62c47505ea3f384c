"""The page in a real Chromium, by clicking and by keyboard, served as it will be: with the guard and the events."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.builders import World, csms
from tests.http.page.site import furnish, put, served
from tests.http.page.test_pages import fingerprint
from tests.http.page.worlds import station_pki

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
OPTIONS = """
    --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync
"""

pytestmark = pytest.mark.skipif(not os.access(CHROMIUM, os.X_OK), reason="no chromium to click in")


@pytest.fixture(scope="module")
def w() -> World:
    return station_pki()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS.split())
        yield found
        found.close()


@pytest.fixture
def certs(tmp_path: Path, w: World) -> Path:
    furnish(tmp_path, w)
    return tmp_path


@pytest.fixture
def page(certs: Path, browser: Browser) -> Iterator[Page]:
    """The first page, of which every complaint of the browser (a broken policy, a script's fault) is a failure."""
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        refused = re.search(r"status of (400|409)", message.text)  # which a refusal is answered with
        if message.type in ("error", "warning") and refused is None:
            complaints.append(message.text)

    with served(certs) as address:
        context = browser.new_context(base_url=address)
        context.set_default_timeout(10_000)
        found = context.new_page()
        found.on("console", hear)
        found.on("pageerror", lambda error: complaints.append(str(error)))
        found.goto("/")
        yield found
        context.close()
    assert complaints == []


def test_a_renewal_is_begun_with_a_button(page: Page) -> None:
    section = page.get_by_role("region", name="Renewal")
    expect(section.get_by_text("not due yet")).to_be_visible()
    section.get_by_role("button", name="Renew the V2G leaf for ISO 15118-2 now").click()
    expect(page.get_by_text("The renewal begins")).to_be_visible()


def test_a_root_is_pasted_previewed_and_installed_and_other_windows_hear_of_it(page: Page, w: World) -> None:
    other = page.context.new_page()
    with other.expect_response("**/api/events"):
        other.goto("/")
    page.get_by_role("link", name="Install", exact=True).click()
    page.get_by_label("or paste them").fill(w.pem("NewRoot"))
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("NewRoot").first).to_be_visible()
    shown = re.sub(r"\s", "", page.locator(".fingerprint").inner_text()).lower()
    assert shown == fingerprint(w, "NewRoot")
    page.get_by_label("as CA certificate of CSMS").check()
    expect(page.get_by_text("A backend whose chain leads to it is trusted")).to_be_visible()
    page.get_by_role("button", name="Install these certificates").click()
    expect(page.get_by_role("status")).to_contain_text("Installed.")
    expect(page.get_by_role("heading", name="Root in CSMS")).to_contain_text("trusted")
    expect(other.locator("#changed")).to_be_visible()
    expect(other.locator(".happenings").first).to_contain_text("CA certificate of CSMS: Installed")
    other.get_by_role("link", name="Show it as it is now").click()
    expect(other.get_by_role("link", name="NewRoot")).to_be_visible()


def test_a_chain_that_is_refused_says_why(page: Page, w: World) -> None:
    page.goto("/install")
    page.get_by_label("or paste them").fill(w.pem("LonelyLeaf", "LonelySub"))
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("no certificate of the issuer CN=Lonely").first).to_be_visible()
    expect(page.get_by_role("button", name="Install these certificates")).to_have_count(0)


def test_a_request_is_downloaded_signed_and_its_answer_uploaded(page: Page, w: World, tmp_path: Path) -> None:
    page.get_by_role("link", name="Signing request").click()
    page.get_by_label("V2G: towards vehicles").check()
    page.get_by_label("Common name").fill("DE*EVSE*1")
    page.get_by_role("button", name="Make key and request").click()
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download").click()
    csr = tmp_path / downloading.value.suggested_filename
    downloading.value.save_as(csr)
    said = subprocess.run(
        ["openssl", "req", "-in", csr, "-noout", "-verify", "-subject", "-nameopt", "RFC2253"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "OK" in said.stderr + said.stdout
    assert "CN=DE*EVSE*1" in said.stdout and "O=Operator" in said.stdout and "DC=CPO" in said.stdout
    page.goto("/")
    expect(page.locator(".pending li")).to_have_count(2)

    answer = tmp_path / "answer.pem"
    answer.write_text(csms(w, "SubCA2").answer(csr.read_text()) + w.pem("SubCA1"))
    page.goto("/install")
    page.get_by_label("File with certificates").set_input_files(answer)
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_label("as V2G leaf of this station")).to_be_checked()
    page.get_by_role("button", name="Install these certificates").click()
    expect(page.get_by_role("heading", name="Leaf in V2G")).to_be_visible()
    page.goto("/")
    expect(page.locator(".pending li")).to_have_count(1)


def test_a_leaf_is_deleted_with_all_that_was_listed(page: Page, certs: Path) -> None:
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_text("another leaf is newer, the one in CPO_CERT_SECC_LEAF_CHAIN_1.pem")).to_be_visible()
    page.get_by_role("link", name="Delete…").click()
    listed = [path.name for path in map(Path, page.locator(".files li").all_inner_texts())]
    assert sorted(listed) == ["CPO_CERT_SECC_LEAF_CHAIN_2.pem", "SECC_LEAF_2.key", "SECC_LEAF_2.pem"]
    page.get_by_role("button", name="Delete all of this").click()
    expect(page.get_by_role("status").first).to_contain_text("Deleted")
    expect(page.get_by_role("link", name="Older")).to_have_count(0)
    assert not list(certs.glob("client/cso/*_2.*"))


def test_a_chain_is_verified_and_its_reason_read(page: Page, w: World) -> None:
    page.get_by_role("link", name="Verify").click()
    page.get_by_label("V2G:").check()
    page.get_by_label("or paste them").fill(w.pem("Expired", "SubCA2", "SubCA1"))
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_role("heading", name="Verdict")).to_contain_text("Expired")
    expect(page.get_by_role("alert")).to_contain_text("expired on 2029-11-22")
    page.get_by_label("or paste them").fill(w.pem("Fresh", "SubCA2", "SubCA1"))
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_role("heading", name="Verdict")).to_contain_text("Valid")


def focused(page: Page) -> str:
    """What has the focus, which must be seen: its name, when it has its outline."""
    page.wait_for_function(
        "(() => { const s = getComputedStyle(document.activeElement);"
        " return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2; })()"
    )
    return str(
        page.evaluate(
            "(() => { const e = document.activeElement;"
            " return e.name === 'as' ? e.labels[0].textContent : e.id || e.textContent.trim(); })()"
        )
    )


def tab_to(page: Page, name: str, most: int = 40) -> None:
    for _ in range(most):
        page.keyboard.press("Tab")
        if focused(page).startswith(name):
            return
    raise AssertionError(f"{name} is not reached by keyboard")


def test_everything_can_be_done_by_keyboard(page: Page, w: World) -> None:
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    tab_to(page, "Install")
    page.keyboard.press("Enter")
    page.wait_for_url("**/install")
    tab_to(page, "text")
    page.keyboard.insert_text(w.pem("NewRoot"))
    tab_to(page, "Preview")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Preview")).to_be_visible()
    tab_to(page, "as CA certificate of V2G")
    page.keyboard.press("ArrowDown")
    assert focused(page).startswith("as CA certificate of MO")
    tab_to(page, "Install these certificates")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Root in MO")).to_be_visible()


def test_it_works_without_scripts_and_fits_a_phone_in_the_dark(certs: Path, browser: Browser, w: World) -> None:
    put(certs, "ca/mf/MF_ROOT_CA.pem", w.pem("NewRoot"))
    with served(certs) as address:
        context = browser.new_context(
            base_url=address, java_script_enabled=False, viewport={"width": 390, "height": 844}, color_scheme="dark"
        )
        page = context.new_page()
        for path in ("/", f"/certificate/{fingerprint(w, 'SECC')}", "/install", "/findings", "/happenings"):
            page.goto(path)
            width = page.locator("html").bounding_box()
            assert width is not None and width["width"] <= 390, path
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        page.goto(f"/certificate/{fingerprint(w, 'NewRoot')}")
        page.get_by_role("link", name="Delete…").click()
        page.get_by_role("button", name="Delete all of this").click()
        expect(page.get_by_role("status").first).to_contain_text("Deleted")
        context.close()
