"""Marks slow tests of `podium_server.testing.store_suite`, which has no marks itself."""

import pytest

_SLOW = ("test_a_page_in_search_of_arms_without_a_score_ends",)
_QUICK_HISTORIES = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks large rankings, and all random histories except the first two, as slow tests."""
    for item in items:
        if getattr(item, "originalname", "") in _SLOW:
            item.add_marker("slow")
        if getattr(item, "originalname", "") == "test_random_histories":
            seed = item.callspec.params["seed"]  # type: ignore[attr-defined] # it is a function
            if seed >= _QUICK_HISTORIES:
                item.add_marker("slow")
