"""Servers that run in the process of the test."""

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from podium_server.serve.server import running
from podium_server.serve.settings import Settings

from tests.stores import store_url

__all__ = ["chosen_front", "serving"]


def chosen_front() -> Any:
    """Returns the front that pytest's option --front has chosen."""
    return os.environ["PODIUM_SERVE_FRONT"]


@asynccontextmanager
async def serving(folder: Path, *listen: str, **settings: Any) -> AsyncIterator[Sequence[str]]:
    """Runs a server inside the block, on a free port by default. Yields its addresses."""
    store = store_url(folder)
    given = Settings(
        listen=listen or ("127.0.0.1:0",), store=store, grace_seconds=0.1, front=chosen_front()
    )
    async with running(dataclasses.replace(given, **settings), asyncio.Event()) as addresses:
        yield addresses
