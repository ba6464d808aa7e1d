"""Which tests of the shipped suite are slow here: the suite itself has no marks."""

import pytest

_SLOW = ("test_a_page_in_search_of_arms_without_a_score_ends",)
_QUICK_HISTORIES = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks large rankings, and all random histories but the first ones."""
    for item in items:
        if getattr(item, "originalname", "") in _SLOW:
            item.add_marker("slow")
        if getattr(item, "originalname", "") == "test_random_histories":
            seed = item.callspec.params["seed"]  # type: ignore[attr-defined] # it is a function
            if seed >= _QUICK_HISTORIES:
                item.add_marker("slow")
