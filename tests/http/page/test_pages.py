"""What the pages answer: to forms, to callers who may not, to names that would act, to what is too much."""

import base64
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from evse_security.http.page.forms import LARGEST
from evse_security.http.scopes import Caller, Scope
from evse_security.lab.authority import name
from evse_security.service.renewals import RenewalState
from tests.builders import World, world
from tests.http.page.site import Client, Site, furnish, page, put
from tests.http.page.worlds import station_pki


@pytest.fixture(scope="module")
def w() -> World:
    return station_pki()


@pytest.fixture
def site(tmp_path: Path, w: World) -> Iterator[Site]:
    furnish(tmp_path, w)
    with page(tmp_path) as found:
        yield found


@pytest.fixture
def client(site: Site) -> Client:
    return Client(site)


def fingerprint(w: World, holder: str) -> str:
    return sha256(w[holder].der).hexdigest()


def hidden(text: str, field: str) -> str:
    found = re.search(rf'name="{field}" value="([^"]*)"', text)
    assert found is not None, field
    return found[1]


def every_page(w: World) -> list[str]:
    leaf = fingerprint(w, "Older")
    return [
        "/", "/domain/V2G", f"/domain/V2G?below={fingerprint(w, 'SubCA2')}", f"/certificate/{leaf}",
        f"/certificate/{leaf}/delete", "/findings", "/happenings", "/install", "/request", "/verify",
    ]  # fmt: skip


def test_what_cars_are_shown_is_told(client: Client, w: World) -> None:
    text = client.get("/").text
    assert "Shown to cars" in text
    told = text.partition('id="cars"')[2].partition("</section>")[0]
    assert "<strong>ISO 15118-2</strong> over TLS 1.2" in told
    assert "<strong>ISO 15118-20</strong> over TLS 1.3: none, as no leaf with secp521r1 or Ed448 verifies now" in told


def test_every_page_is_whole_and_nothing_in_it_needs_an_exception_from_the_policy(client: Client, w: World) -> None:
    for path in every_page(w):
        answer = client.get(path)
        assert answer.status_code == 200, path
        text = answer.text
        assert text.startswith("<!doctype html>") and '<html lang="en">' in text
        assert len(re.findall("<h1>", text)) == 1
        assert not re.search(r"<style|<script(?! src=)| style=| on[a-z]+=|javascript:|https?://", text), path
        ids = re.findall(r' id="([^"]*)"', text)
        assert len(ids) == len(set(ids)), path
        fields = re.findall(r"<(?:input|textarea)(?![^>]*hidden)[^>]* id=\"([^\"]*)\"", text)
        assert set(fields) <= set(re.findall(r'<label for="([^"]*)"', text)), path
        assert client.request("HEAD", path).status_code == 200


def test_what_nobody_has_is_a_page_too(client: Client) -> None:
    for path in (f"/certificate/{'0' * 64}", "/certificate/x/delete", "/domain/XX", "/domain/V2G?below=x"):
        answer = client.get(path)
        assert (answer.status_code, "Not found" in answer.text) == (404, True)
    assert client.get("/domain/V2G?from=junk").status_code == 200
    assert client.get("/domain/V2G?from=99999999").status_code == 200


def test_names_cannot_act(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\u202eKO\u0007&\"'"
    w = world("Evil", Evil={"subject": name(CN=evil, O="{{ 7*7 }}")})
    put(tmp_path, "ca/v2g/V2G_ROOT_CA.pem", w.pem("Evil"))
    with page(tmp_path) as site:
        client = Client(site)
        paths = ["/", "/domain/V2G", "/findings", f"/certificate/{fingerprint(w, 'Evil')}"]
        texts = [client.get(path).text for path in [*paths, paths[-1] + "/delete"]]
        texts.append(client.post("/install", data={"text": w.pem("Evil")}).text)
        texts.append(client.post("/verify", data={"text": w.pem("Evil"), "type": "V2G"}).text)
    for text in texts:
        assert "<script>alert" not in text
        assert not re.search("[\u202e\u0007]", text)
        assert "&lt;script&gt;alert" in text or "Evil" not in text


def test_files_with_names_that_would_act_are_shown_as_they_are(tmp_path: Path, w: World) -> None:
    put(tmp_path, "client/cso/a\u202e<b>.key", w["Waiting"].key_pem(), 0o600)
    with page(tmp_path) as site:
        client = Client(site)
        text = client.get("/").text
    assert "a\\u202e&lt;b&gt;.key" in text


# ---- who may


def test_who_may_only_read_sees_everything_but_no_button_and_changes_nothing(
    site: Site, client: Client, w: World
) -> None:
    before = sorted(site.certs.rglob("*"))
    site.may(Scope.read)
    text = client.get("/").text
    assert "SECC" in text
    assert not re.search(r'href="/(install|request)"', text)
    leaf = f"/certificate/{fingerprint(w, 'SECC')}"
    assert "/delete" not in client.get(leaf).text
    assert client.get("/verify").status_code == 200
    new = {"text": w.pem("NewRoot"), "as": "install_ca_certificate:V2G"}
    for path, data in (
        ("/install", new),
        ("/install/confirm", new),
        ("/request", {"certificate_type": "V2G", "common": "x", "organization": "x", "country": "DE"}),
        (f"{leaf}/delete", {"digest": "x"}),
    ):
        answer = client.post(path, data=data)
        assert (answer.status_code, "scope install" in answer.text) == (403, True)
        assert path == "/install/confirm" or client.get(path).status_code == 403
    assert sorted(site.certs.rglob("*")) == before


def test_who_came_with_a_token_can_go(site: Site, client: Client) -> None:
    assert "Log out" not in client.get("/").text
    site.app.caller = Caller("http:token:laptop", Scope.read)
    text = client.get("/").text
    assert "You are http:token:laptop, with the scope read." in text
    assert re.search(r'<form method="post" action="/logout">\s*<button>Log out', text)


# ---- installing


def test_what_is_confirmed_is_what_was_previewed_to_the_byte(site: Site, client: Client, w: World) -> None:
    text = "remarks, ümlauts\r\n" + w.pem("NewRoot").replace("\n", "\r\n") + "\n more "
    shown = client.post("/install", files={"file": ("root.pem", text.encode(), "application/x-pem-file")}).text
    carried = hidden(shown, "certificates")
    assert base64.b64decode(carried).decode() == text
    digits = re.sub(r"\s", "", shown)
    assert fingerprint(w, "NewRoot").upper() in digits
    confirmed = {
        "certificates": carried,
        "as": "install_ca_certificate:MF",
        "fingerprint": hidden(shown, "fingerprint"),
    }
    answer = client.post("/install/confirm", data=confirmed)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/certificate/{fingerprint(w, 'NewRoot')}?said=installed"
    landed = client.get(answer.headers["location"]).text
    assert "Installed." in landed and "Root in MF" in landed
    assert w.pem("NewRoot") in (site.certs / "ca/mf/MF_ROOT_CA.pem").read_text()
    audit = client.get("/happenings").text
    assert "install_ca_certificate" in audit and "http:local" in audit


def test_an_oem_root_is_installed_drawn_and_deleted(site: Site, client: Client, w: World) -> None:
    assert "Car makers" not in client.get("/").text  # nobody uses that here
    shown = client.post("/install", data={"text": w.pem("NewRoot")}).text
    confirmed = {"certificates": hidden(shown, "certificates"), "fingerprint": hidden(shown, "fingerprint")}
    landed = client.post("/install/confirm", data={**confirmed, "as": "install_ca_certificate:OEM"})
    assert landed.status_code == 303
    assert "Root in OEM" in client.get(landed.headers["location"]).text
    assert w.pem("NewRoot") in (site.certs / "ca/oem/OEM_ROOT_CA.pem").read_text()
    assert "Car makers" in client.get("/").text
    assert "CA certificate of OEM: Installed" in client.get("/happenings").text
    place = f"/certificate/{fingerprint(w, 'NewRoot')}/delete"
    asked = client.get(place).text
    assert client.post(place, data={"digest": hidden(asked, "digest")}).status_code == 303
    assert "Car makers" not in client.get("/").text


def test_a_certificate_in_der_is_taken_too(client: Client, w: World) -> None:
    answer = client.post("/install", files={"file": ("root.der", w["NewRoot"].der, "application/octet-stream")})
    assert "NewRoot" in answer.text


def test_what_is_refused_after_all_says_why_and_changes_nothing(site: Site, client: Client, w: World) -> None:
    bundle = (site.certs / "ca/v2g/V2G_ROOT_CA.pem").read_text()
    carried = base64.b64encode(w.pem("Expired").encode()).decode()
    answer = client.post(
        "/install/confirm", data={"certificates": carried, "as": "install_ca_certificate:V2G", "fingerprint": "x"}
    )
    assert answer.status_code == 409
    assert "Nothing was installed" in answer.text and "NotACa" in answer.text
    assert (site.certs / "ca/v2g/V2G_ROOT_CA.pem").read_text() == bundle


def test_several_ca_certificates_are_offered_one_by_one(client: Client, w: World) -> None:
    shown = client.post("/install", data={"text": w.pem("NewRoot", "Lonely")}).text
    assert "One by one" in shown
    alone = [base64.b64decode(found).decode() for found in re.findall(r'name="certificates" value="([^"]*)"', shown)]
    assert alone == [w.pem("NewRoot"), w.pem("Lonely")]
    again = client.post("/install", data={"certificates": base64.b64encode(alone[0].encode()).decode()}).text
    assert again.count('name="as"') == 5


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"data": {"text": "  "}}, "Choose a file or paste"),
        ({"data": {"text": "nonsense"}}, "cannot be read: no certificate in the file"),
        ({"data": {"text": "x"}, "files": {"file": ("a.pem", b"y")}}, "not both"),
        ({"files": {"file": ("a.pem", b"\xff\xfe\x00")}}, "neither PEM nor DER"),
        ({"files": {"file": ("a.pem", b"x" * (LARGEST + 1))}}, "256 KiB"),
        ({"data": {"text": "x" * (LARGEST + 1)}}, "256 KiB"),
        ({"data": {"certificates": "%%%"}}, "did not arrive whole"),
        ({"data": {"certificates": base64.b64encode(b"\xff").decode()}}, "did not arrive whole"),
    ],
)
def test_forms_that_cannot_be_used_are_asked_for_again(client: Client, given: dict[str, Any], said: str) -> None:
    answer = client.post("/install", **given)
    assert (answer.status_code, said in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/install/confirm", {}),
        ("/install/confirm", {"certificates": "eA==", "as": "delete_certificate:V2G"}),
        ("/install/confirm", {"certificates": "eA==", "as": "update_leaf_certificate:MO"}),
        ("/request", {}),
        ("/request", {"certificate_type": "MO\u0000"}),
        ("/verify", {}),
        ("/verify", {"text": "x"}),
    ],
)
def test_forms_that_no_page_of_ours_sends_are_refused(client: Client, path: str, data: dict[str, str]) -> None:
    assert client.post(path, data=data).status_code == 400


def test_bodies_that_are_no_forms_are_refused(client: Client) -> None:
    multipart = {"content-type": "multipart/form-data; boundary=x"}
    assert client.post("/install", content=b"junk", headers=multipart).status_code == 400
    assert client.post("/install", content=b"\xff" * 100, headers={"content-type": "text/plain"}).status_code == 400
    many = b"&".join(b"a%d=1" % n for n in range(1000))
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post("/verify", content=many, headers=form).status_code == 400


# ---- requesting and deleting


def test_a_request_is_made_and_then_pending(site: Site, client: Client) -> None:
    subject = {"certificate_type": "CSMS", "common": "CS-1 <x>", "organization": "Op & Co", "country": "DE"}
    answer = client.post("/request", data=subject)
    found = re.search(r'href="data:application/pkcs10;base64,([^"]*)" download="CSMS-20300101-000000.csr"', answer.text)
    assert found is not None
    csr = x509.load_pem_x509_csr(base64.b64decode(found[1]))
    assert csr.is_signature_valid
    assert "CS-1 <x>" in csr.subject.rfc4514_string().replace("\\", "")
    assert [key.suffix for key in (site.certs / "client/csms").glob("CSMS_LEAF_M*")] == [".key"]
    assert "<strong>CSMS</strong>, made" in client.get("/").text


def test_a_request_that_cannot_be_made_says_why_and_keeps_what_was_typed(client: Client) -> None:
    subject = {"certificate_type": "V2G", "common": "EVSE", "organization": "Op", "country": "Germany"}
    answer = client.post("/request", data=subject)
    assert answer.status_code == 409
    assert "AttributeNotEncodable" in answer.text
    assert 'value="Germany"' in answer.text and "checked" in answer.text


def test_the_overview_tells_how_renewals_stand_and_begins_one(site: Site, client: Client) -> None:
    for state in RenewalState:
        site.renewals.state = state
        shown = client.get("/").text
        assert "&lt;no answer&gt;" in shown and "next: 2030-01-01 00:00 UTC" in shown
        assert ("Renew the V2G leaf for ISO 15118-2 now" in shown) is (state is not RenewalState.off)
        assert "Renew the CSMS leaf now" not in shown
    answer = client.post("/renew", data={"leaf": "V2G"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/?said=renewing#renewal")
    assert site.renewals.triggers == [("V2G", "http:local")]
    assert "The renewal begins" in client.get("/?said=renewing").text
    assert client.post("/renew", data={"leaf": "CSMS"}).status_code == 409
    assert client.post("/renew", data={"leaf": "MO"}).status_code == 400


def test_who_may_only_read_renews_nothing(site: Site, client: Client) -> None:
    site.may(Scope.read)
    assert "Renew the V2G leaf for ISO 15118-2 now" not in client.get("/").text
    assert client.post("/renew", data={"leaf": "V2G"}).status_code == 403
    assert not site.renewals.triggers


def test_only_the_list_that_was_seen_is_deleted(site: Site, client: Client, w: World) -> None:
    path = f"/certificate/{fingerprint(w, 'SECC')}/delete"
    shown = client.get(path).text
    assert "SECC_LEAF_1.key" in shown and "gone for good" in shown
    digest = hidden(shown, "digest")
    put(site.certs, "client/cso/copy.pem", w.pem("SECC"))  # somebody else changes the store meanwhile
    again = client.post(path, data={"digest": digest})
    assert (again.status_code, "the list has changed" in again.text) == (409, True)
    assert (site.certs / "client/cso/SECC_LEAF_1.pem").exists()
    answer = client.post(path, data={"digest": hidden(again.text, "digest")})
    assert (answer.status_code, answer.headers["location"]) == (303, "/?said=deleted")
    assert not list(site.certs.glob("client/cso/*_1.*")) and not (site.certs / "client/cso/copy.pem").exists()
    assert client.get(path).status_code == 404


def test_what_must_stay_has_no_button(client: Client, w: World) -> None:
    path = f"/certificate/{fingerprint(w, 'CSMSLeaf')}/delete"
    shown = client.get(path).text
    assert "It must stay" in shown and "<form" not in shown
    assert client.post(path, data={"digest": "x"}).status_code == 409


def test_a_certificate_without_its_issuer_cannot_be_named(tmp_path: Path, w: World) -> None:
    put(tmp_path, "ca/v2g/V2G_ROOT_CA.pem", w.pem("LonelySub"))
    with page(tmp_path) as site:
        client = Client(site)
        answer = client.get(f"/certificate/{fingerprint(w, 'LonelySub')}/delete")
    assert (answer.status_code, "only together with its issuer" in answer.text) == (409, True)


# ---- the rest


def test_a_clock_that_is_lost_is_said_first(tmp_path: Path, w: World) -> None:
    furnish(tmp_path, w)
    lost = w["V2GRoot"].certificate.not_valid_before_utc.replace(year=1970)
    with page(tmp_path, clock=lambda: lost) as site:
        client = Client(site)
        text = client.get("/").text
    assert "The clock is not believed:" in text and "before this release was made" in text
    assert "days left" not in text and 'class="bar' not in text


def test_events_and_changes_are_seen_at_once(site: Site, client: Client, w: World) -> None:
    assert "Nothing has happened" in client.get("/happenings/list").text
    carried = base64.b64encode(w.pem("NewRoot").encode()).decode()
    client.post("/install/confirm", data={"certificates": carried, "as": "install_ca_certificate:MO"})
    assert "CA certificate of MO: Installed" in client.get("/happenings/list?few=1").text
    assert "NewRoot" in client.get("/").text


def test_a_busy_station_says_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evse_security.service.service.MOST_WAITING", 0)
    answer = client.get("/")
    assert (answer.status_code, "Try again in a moment" in answer.text) == (503, True)


def test_findings_among_many_files_are_looked_for_on_their_own_page(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert re.search(r"All findings \(\d+\)", client.get("/").text)
    monkeypatch.setattr("evse_security.http.page.looking.MANY_FILES", 3)
    assert "Look for what is wrong" in client.get("/").text


def test_a_station_without_audit_log_says_so(tmp_path: Path) -> None:
    with page(tmp_path, audit_log=None) as site:
        client = Client(site)
        assert "none is kept" in client.get("/happenings").text
    with page(tmp_path) as site:
        client = Client(site)
        assert "Nothing was changed yet" in client.get("/happenings").text
