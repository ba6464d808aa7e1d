"""Tests of the error about a database that cannot be opened."""

import socket

import pytest
from podium_server.store.contract import StoreError
from podium_server.store.open import open_store


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("postgresql://127.0.0.1:{port}/results", "postgresql://127.0.0.1:{port}/results"),
        (
            "postgres://podium:sec:ret@127.0.0.1:{port}/results?sslmode=disable",
            "postgres://podium:***@127.0.0.1:{port}/results?sslmode=disable",
        ),
        (
            "postgresql:///results?host=127.0.0.1&port={port}&user=podium&password=sec@ret",
            "postgresql:///results?host=127.0.0.1&port={port}&user=podium&password=***",
        ),
        (
            "postgresql://podium:s/e?cr#et@127.0.0.1:{port}/results",
            "postgresql://podium:***@127.0.0.1:{port}/results",
        ),
        (
            "postgresql://podium:sec%40ret@127.0.0.1:{port},localhost:{port}/results",
            "postgresql://podium:***@127.0.0.1:{port},localhost:{port}/results",
        ),
    ],
)
async def test_the_error_has_the_url_of_the_database_without_its_password(
    before: str, after: str
) -> None:
    """The error names the cause and the database's URL, with `***` instead of the password."""
    port = _closed_port()
    with pytest.raises(StoreError) as caught:
        await open_store(before.format(port=port))
    text = str(caught.value)
    assert text.startswith(f"cannot open the database {after.format(port=port)}: ")
    assert "Connect" in text or "write %2F for /" in text
    assert "sec" not in text
    assert "cr#" not in text
