"""`podium page`: the URL of the page, and errors if no server has it."""

import asyncio
from pathlib import Path

import podium as library
import pytest

from tests.client.cli.shell import podium
from tests.server.access.serving import serving

pytest.importorskip("connectrpc")


async def test_the_url_of_an_experiment(tmp_path: Path) -> None:
    """The command checks that the page is there, and prints the URL with the name in it."""
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
    """The error suggests names; a server that requires a token is not asked any further."""
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
    """A port that speaks another protocol is named, with the option that has the right one."""
    async with serving(tmp_path) as [address]:
        assert await asyncio.to_thread(podium, "page", address) == (
            3,
            "",
            f"podium: {address} is not an HTTP address of Podium; give the address of --http\n",
        )


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 404 No\r\n\r\n"])
async def test_the_port_of_another_service(answer: bytes) -> None:
    """One that closes the connection, that speaks SSH, and that has other pages."""

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
    """A port where nothing answers is exit code 3 with what to do, and a malformed URL is 2."""
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
