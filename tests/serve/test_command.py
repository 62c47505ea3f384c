"""What is read off the declaration."""

import pytest

from evse_security.errors import MalformedRequest
from evse_security.interface import EVERYTHING
from evse_security.serve.command import commands, newest_revision_with, variables

READING = {
    "verify_certificate",
    "get_installed_certificates",
    "get_ocsp_request_data",
    "get_v2g_ocsp_request_data",
    "get_mo_ocsp_request_data",
    "is_ca_certificate_installed",
    "get_key_pair",
    "get_leaf_certificate_info",
    "get_all_valid_certificates_info",
    "get_verify_file",
    "get_verify_location",
    "get_leaf_expiry_days_count",
    "verify_file_signature",
}


@pytest.mark.parametrize("revision", EVERYTHING)
def test_commands_say_what_they_do_and_whether_they_change_the_store(revision: str) -> None:
    for name, command in commands(revision).items():
        assert command.name == name
        assert command.summary.endswith(".")
        assert command.changes_the_store == (name not in READING), name
        assert all(argument.required for argument in command.arguments)


def test_variables_are_read_too() -> None:
    assert not variables("2023-10")
    (update,) = variables("2026-04").values()
    assert (update.name, update.hint.__name__) == ("certificate_store_update", "CertificateStoreUpdate")
    assert update.summary.endswith(".")


@pytest.mark.parametrize("read", [commands, variables])
def test_a_revision_that_does_not_exist_is_refused(read: object) -> None:
    assert callable(read)
    with pytest.raises(ValueError, match=r"^revision: no such revision of the interface; there are 2023-10, 2026-04,"):
        read("2025-01")
    with pytest.raises(MalformedRequest):
        read("")


def test_what_was_read_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        commands("2023-10")["reboot"] = commands("2023-10")["get_key_pair"]  # type: ignore[index]


def test_the_newest_revision_with_a_command() -> None:
    assert newest_revision_with("get_key_pair") == "2023-10"
    assert newest_revision_with("verify_certificate") == "2026-04"
    assert newest_revision_with("get_verify_location") == "2026-04"
    assert newest_revision_with("reboot") == "2026-04"
