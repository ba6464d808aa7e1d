"""Runs `podium_server.testing.store_suite` over the kind of store that this run tests."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

pytest.register_assert_rewrite("podium_server.testing.store_suite")
from podium_server.testing.store_suite import *  # noqa: E402, F403

from tests.server.store import places  # noqa: E402
from tests.server.store.places import Place  # noqa: E402


@pytest.fixture
def new_place(tmp_path: Path) -> Callable[[], Place]:
    """Returns a function that makes empty places for stores."""
    numbers = count()

    def make() -> Place:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        return places.new_place(folder)

    return make
