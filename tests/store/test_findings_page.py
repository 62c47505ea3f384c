"""The page of findings shows what is printed."""

from tests.store.findings_page import PAGE, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "python -m tests.store.findings_page"
