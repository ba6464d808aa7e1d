"""Which tests of the shipped suite are slow here: the suite itself needs no marks."""

import pytest

_QUICK_HISTORIES = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks all random histories but the first ones as slow."""
    for item in items:
        name = getattr(item, "originalname", "")
        if name == "test_random_histories" and _seed(item) >= _QUICK_HISTORIES:
            item.add_marker("slow")


def _seed(item: pytest.Item) -> int:
    assert isinstance(item, pytest.Function)
    return int(item.callspec.params["seed"])
