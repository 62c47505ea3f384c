"""The communication check, with the time as an argument."""

from evse_security.mqtt.communication import Change, CommunicationCheck, Fault

INITIAL = Change(Fault.initial, active=True)
LOST = Change(Fault.lost, active=True)


def test_it_begins_with_a_fault_that_is_told_once() -> None:
    check = CommunicationCheck(5)
    assert check.begin() == INITIAL
    assert check.begin() is None
    assert check.until is None and check.look(100) is None


def test_who_says_true_must_say_so_again_in_time() -> None:
    check = CommunicationCheck(5)
    check.begin()
    assert check.hear(10, alive=True) == Change(Fault.initial, active=False)
    assert check.look(14.9) is None
    assert check.hear(14.9, alive=True) is None
    assert check.look(19) is None
    assert check.look(19.9) == LOST
    assert check.look(30) is None and check.until is None
    assert check.hear(31, alive=True) == Change(Fault.lost, active=False)
    assert check.look(36) == LOST


def test_who_says_false_is_not_watched() -> None:
    check = CommunicationCheck(5)
    check.begin()
    assert check.hear(1, alive=False) == Change(Fault.initial, active=False)
    assert check.until is None and check.look(1000) is None
    check.hear(1001, alive=True)
    assert check.look(1006) == LOST


def test_a_period_of_0_watches_nothing() -> None:
    check = CommunicationCheck(0)
    assert check.begin() is None
    assert check.hear(1, alive=True) is None and check.until is None


def test_a_fault_is_told_in_everests_words() -> None:
    assert LOST.to_json() == {
        "part": "mqtt",
        "text": "Bridge to implementation connection lost: Send communication_check to clear the error",
        "code": "CommunicationFault",
        "sub_type": "Bridge to implementation connection lost",
        "severity": "High",
        "state": "Active",
    }
    assert Change(Fault.lost, active=False).to_json()["state"] == "Cleared"
