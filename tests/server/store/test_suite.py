"""Every kind of store passes the suite that ships with the server."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

pytest.register_assert_rewrite("podium_server.testing.store_suite")
from podium_server.testing.store_suite import *  # noqa: E402, F403

from tests.server.store.places import PLACES, Place  # noqa: E402


@pytest.fixture(params=sorted(PLACES))
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Place]:
    """Makes empty places of each kind."""
    numbers = count()

    def make() -> Place:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        return PLACES[request.param](folder)

    return make
