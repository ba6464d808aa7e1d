"""`podium health` tells probes whether a server serves."""

import asyncio
import json
from pathlib import Path

import grpc
from podium_server.serve.settings import ServerTLS

from tests.client.cli.shell import podium
from tests.client.client.broken import closed_port, grpc_server
from tests.server.access.certificates import Authority
from tests.server.access.serving import serving


async def test_a_server_serves_without_a_token(tmp_path: Path) -> None:
    """A server that requires tokens answers probes without a token."""
    async with serving(tmp_path, auth="tokens") as [address]:
        outcome = await asyncio.to_thread(podium, "health", address=address)
        as_json = await asyncio.to_thread(podium, "health", "--json", address=address)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{address} serves\n", "")
    assert json.loads(as_json.out) == {"address": address, "serving": True, "recording": True}


def test_a_server_that_takes_no_writes() -> None:
    """A server that serves only reads passes the check. The output says that it takes no writes."""

    def check(raw: bytes, _context: grpc.ServicerContext) -> bytes:
        return b"\x08\x02" if raw == b"\n\x1apodium.v1.RecordingService" else b"\x08\x01"

    with grpc_server(Check=check) as address:
        outcome = podium("health", address=address)
        as_json = podium("health", "--json", address=address)
    text = f"{address} serves reads, but takes no writes now\n"
    assert (outcome.code, outcome.out) == (0, text)
    assert json.loads(as_json.out) == {"address": address, "serving": True, "recording": False}


def test_a_proxy_that_only_knows_the_whole_server() -> None:
    """A server that knows its health only as a whole, not by service, is reported as serving.

    A proxy in front of Podium can be such a server.
    """

    def check(raw: bytes, context: grpc.ServicerContext) -> bytes:
        if raw:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return b"\x08\x01"

    with grpc_server(Check=check) as address:
        assert podium("health", address=address)[:2] == (0, f"{address} serves\n")


async def test_an_encrypted_server(tmp_path: Path) -> None:
    """`podium health` trusts the authority of PODIUM_TLS_CA.

    Without this variable, the error suggests to set it.
    """
    authority = Authority(tmp_path)
    cert, key = authority.issue("server", "DNS:localhost,IP:127.0.0.1")
    async with serving(tmp_path, tls=ServerTLS(cert, key), auth="none") as [address]:
        variables = {"PODIUM_TLS_CA": str(authority.cert)}
        known = await asyncio.to_thread(podium, "health", address=address, **variables)
        plain = await asyncio.to_thread(podium, "health", address=address)
    assert known.code == 0
    assert plain.code == 1
    assert "may require TLS: set PODIUM_TLS_CA" in plain.err


def test_no_server() -> None:
    """If no server answers, the exit code is 1, and the error has the address and the reason."""
    address = closed_port()
    outcome = podium("health", address=address)
    assert outcome.code == 1
    assert f"{address} does not answer: Connection refused" in outcome.err


def test_a_server_without_health() -> None:
    """A gRPC server without a health service is not healthy."""
    with grpc_server() as address:
        outcome = podium("health", address=address)
    assert outcome.code == 1
    assert f"{address} does not answer: " in outcome.err
