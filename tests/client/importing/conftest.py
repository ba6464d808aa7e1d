"""A server to import into."""

from collections.abc import Iterator

import podium
import pytest
from podium_server.testing import running_server


@pytest.fixture
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[podium.Client]:
    """Yields a client of an empty server."""
    store = tmp_path_factory.mktemp("store") / "podium.db"
    with running_server(f"sqlite:///{store}") as server, podium.Client(server.address) as client:
        yield client
