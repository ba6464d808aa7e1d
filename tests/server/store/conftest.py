"""Which tests of the shipped suite are slow here: the suite itself needs no marks."""

import pytest

_QUICK_HISTORIES = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks all random histories but the first ones as slow."""
    for item in items:
        if getattr(item, "originalname", "") == "test_random_histories":
            seed = item.callspec.params["seed"]  # type: ignore[attr-defined] # it is a function
            if seed >= _QUICK_HISTORIES:
                item.add_marker("slow")
