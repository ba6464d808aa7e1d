"""The tests that every store must pass, for pytest with pytest-asyncio in its auto mode.

A test module imports all of them and has a fixture that makes empty places for a store:

    import pytest

    pytest.register_assert_rewrite("podium_server.testing.store_suite")
    from podium_server.testing.store_suite import *

    @pytest.fixture
    def new_place(tmp_path):
        return lambda: MyPlace(...)

Each call of `new_place` returns an empty `Place`.
"""

from collections.abc import AsyncIterator, Callable

import pytest

from podium_server.store.contract import Store
from podium_server.testing.places import Place, opened
from podium_server.testing.store_suite.changes import *  # noqa: F403
from podium_server.testing.store_suite.contract import *  # noqa: F403
from podium_server.testing.store_suite.filters import *  # noqa: F403
from podium_server.testing.store_suite.pages import *  # noqa: F403
from podium_server.testing.store_suite.rankings import *  # noqa: F403
from podium_server.testing.store_suite.series import *  # noqa: F403

_TESTS = [name for name in globals() if name.startswith("test_")]
__all__ = ["Place", "opened", "place", "store", *_TESTS]  # noqa: PLE0604 - names all the same


@pytest.fixture
def place(new_place: Callable[[], Place]) -> Place:
    """Returns an empty place."""
    return new_place()


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    """Yields an open store at the place."""
    async with opened(place) as store:
        yield store
