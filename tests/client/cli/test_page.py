"""`podium page`: the URL of the page, and errors if no server has it."""

import asyncio
from pathlib import Path

import pytest

from tests.client.cli.shell import podium
from tests.server.access.serving import serving

pytest.importorskip("connectrpc")


async def test_the_url_of_an_experiment(tmp_path: Path) -> None:
    """The command checks that the page is there, and prints the URL with the name in it."""
    async with serving(tmp_path, http=("127.0.0.1:0",)) as [_, url]:
        given = url.removeprefix("http://")
        done = await asyncio.to_thread(podium, "page", given, "--experiment", "nlp/a b#c")
        assert done == (0, f"{url}/#experiment=nlp%2Fa%20b%23c\n", "")
        assert await asyncio.to_thread(podium, "page", url, "--json") == (
            0,
            f'{{"url": "{url}/"}}\n',
            "",
        )


def test_no_server_and_no_url() -> None:
    """A port where nothing answers is exit code 3 with what to do, and a malformed URL is 2."""
    done = podium("page", "127.0.0.1:1")
    assert done.code == 3
    assert "podium serve --http 127.0.0.1:8080" in done.err
    assert podium("page", "ftp://x").code == 2
