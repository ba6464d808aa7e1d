"""Tests of `podium page`: the URL of the page, and errors if no server has the page."""

import asyncio
from pathlib import Path

import podium as library
import pytest

from tests.client.cli.shell import podium
from tests.server.access.serving import serving

pytest.importorskip("connectrpc")


async def test_the_url_of_an_experiment(tmp_path: Path) -> None:
    """`podium page` checks that the page exists, and prints its URL with the experiment's name."""
    async with serving(tmp_path, http=("127.0.0.1:0",)) as [address, url]:
        given = url.removeprefix("http://")
        await asyncio.to_thread(_declare, address, "nlp/a b#c")
        done = await asyncio.to_thread(podium, "page", given, "--experiment", "nlp/a b#c")
        assert done == (0, f"{url}/#experiment=nlp%2Fa%20b%23c\n", "")
        assert await asyncio.to_thread(podium, "page", url, "--json") == (
            0,
            f'{{"url": "{url}/"}}\n',
            "",
        )


async def test_an_experiment_that_does_not_exist(tmp_path: Path) -> None:
    """If the experiment does not exist, the error suggests a similar name.

    If the server requires a token, the name of the experiment is not checked.
    """
    async with serving(tmp_path, http=("127.0.0.1:0",)) as [address, url]:
        await asyncio.to_thread(_declare, address, "rank_sweep")
        assert await asyncio.to_thread(podium, "page", url, "--experiment", "rank_swep") == (
            1,
            "",
            "podium: there is no experiment 'rank_swep'; did you mean 'rank_sweep'?\n",
        )
    async with serving(tmp_path, http=("127.0.0.1:0",), auth="tokens") as [_, url]:
        done = await asyncio.to_thread(podium, "page", url, "--experiment", "rank_swep")
        assert (done.code, done.out) == (0, f"{url}/#experiment=rank_swep\n")


async def test_the_port_of_grpc(tmp_path: Path) -> None:
    """If the port speaks gRPC instead of HTTP, the error says to give the address of `--http`."""
    async with serving(tmp_path) as [address]:
        assert await asyncio.to_thread(podium, "page", address) == (
            3,
            "",
            f"podium: {address} is not an HTTP address of Podium; give the address of --http\n",
        )


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 404 No\r\n\r\n"])
async def test_the_port_of_another_service(answer: bytes) -> None:
    """A port that closes the connection, speaks SSH or does not serve Podium's page is rejected."""

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(answered, "127.0.0.1", 0) as server:
        address = "{}:{}".format(*server.sockets[0].getsockname())
        done = await asyncio.to_thread(podium, "page", address)
        secure = await asyncio.to_thread(podium, "page", f"https://{address}")
    assert done == (
        3,
        "",
        f"podium: {address} is not an HTTP address of Podium; give the address of --http\n",
    )
    assert secure.code == 3
    assert "_ssl.c" not in secure.err
    assert "Traceback" not in secure.err


def test_no_server_and_no_url() -> None:
    """If nothing answers at the port, the exit code is 3, and the error says what to do.

    If the URL is malformed, the exit code is 2.
    """
    assert podium("page", "127.0.0.1:1") == (
        3,
        "",
        (
            "podium: http://127.0.0.1:1/ does not answer (connection refused). If a server runs, "
            "stop it and start it again with --http: `podium serve --http 127.0.0.1:1`\n"
        ),
    )
    assert podium("page", "ftp://x").code == 2


def _declare(address: str, name: str) -> None:
    with library.Client(address) as client:
        client.experiment(name).declare()
