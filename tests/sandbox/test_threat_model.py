"""The page about threats says what the tests do."""

from tests.sandbox.docker.attacks.page import PAGE, renewed


def test_the_page_counts_the_attacks_and_defences_that_there_are():
    page = PAGE.read_text()
    assert page == renewed(page), "run: python -m tests.sandbox.docker.attacks.page"


def test_the_page_is_found_from_the_sandbox_s_own_and_says_where_to_report():
    root = PAGE.parents[1]
    assert "(threat-model.md)" in (root / "docs/sandbox.md").read_text()
    assert "(../SECURITY.md)" in PAGE.read_text()
    assert (root / "SECURITY.md").exists()
