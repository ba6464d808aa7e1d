"""Tests that calls over HTTP pass the same access checks as calls over gRPC."""

import asyncio
import json
import re
import socket
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from podium_server.serve import tokens

from tests.server.access.serving import serving
from tests.stores import store_url

pytest.importorskip("connectrpc")


async def _ask(url: str, method: str, body: object, token: str | None) -> tuple[int, str]:
    """Makes a call over HTTP. Returns the status, and the code of the error if there is one."""

    def send() -> tuple[int, str]:
        connection = HTTPConnection(url.removeprefix("http://"), timeout=120)
        headers = {"content-type": "application/json"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        try:
            path = f"/podium.v1.{method}"
            connection.request("POST", path, json.dumps(body).encode(), headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        code = json.loads(content).get("code", "") if response.status != 200 else ""
        return response.status, code

    return await asyncio.to_thread(send)


async def test_the_same_rules_over_http(tmp_path: Path) -> None:
    """Over HTTP, a call is rejected without a valid token, or with too low a role.

    An experiment outside the prefixes of the token is not found.
    """
    url = store_url(tmp_path)
    create = asyncio.to_thread
    _, admin = await create(tokens.create, url, "admin", "admin", (), None)
    _, reader = await create(tokens.create, url, "reader", "reader", ("team",), None)
    record, find = "RecordingService/Record", "ResultsService/GetExperiment"
    async with serving(tmp_path, auth="tokens", http=("127.0.0.1:0",)) as [_, http]:
        for name in ("team/x", "other/x"):
            events: dict[str, Any] = {"experiment": name, "events": [{"experimentDeclared": {}}]}
            assert await _ask(http, record, events, None) == (401, "unauthenticated")
            assert await _ask(http, record, events, admin[:-1]) == (401, "unauthenticated")
            assert await _ask(http, record, events, reader) == (403, "permission_denied")
            assert await _ask(http, record, events, admin) == (200, "")
        assert await _ask(http, find, {"experiment": "team/x"}, reader) == (200, "")
        assert await _ask(http, find, {"experiment": "other/x"}, reader) == (404, "not_found")
        assert await _ask(http, find, {"experiment": "other/x"}, admin) == (200, "")
        assert await _ask(http, find, {"experiment": "team/x"}, None) == (401, "unauthenticated")


def _raw(http: str, request: str) -> list[int]:
    """Sends a request over a connection. Returns the status of each response."""
    host, _, port = http.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=300) as connection:
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


@pytest.mark.parametrize(
    "headers",
    [
        "Authorization: Bearer {token}\r\nAuthorization: Bearer {token}",
        "Authorization: Bearer {token}\r\nauthorization: Basic x",
        "Authorization : Bearer {token}",
        "X-Other: 1\nAuthorization: Bearer {token}x",
        "X-Authorization: Bearer {token}",
        "Cookie: podium=Bearer {token}",
    ],
)
async def test_odd_headers_give_no_rights(tmp_path: Path, headers: str) -> None:
    """A call is rejected unless exactly one well-formed Authorization header has the token.

    Otherwise a proxy could read another token than the server.
    """
    url = store_url(tmp_path)
    _, token = await asyncio.to_thread(tokens.create, url, "t", "reader", (), None)
    async with serving(tmp_path, auth="tokens", http=("127.0.0.1:0",)) as [_, http]:
        head = "POST /podium.v1.ResultsService/GetServer HTTP/1.1\r\nHost: localhost\r\n"
        head += "Connection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        for given, statuses in ((headers, {400, 401}), ("Authorization: Bearer {token}", {200})):
            request = f"{head}{given.format(token=token)}\r\n\r\n{{}}"
            found = await asyncio.to_thread(_raw, http, request)
            assert len(found) == 1
            assert set(found) <= statuses


async def test_a_request_in_a_body_is_not_answered(tmp_path: Path) -> None:
    """A request with Content-Length and Transfer-Encoding is rejected.

    A second request, hidden in its body, is not answered. Otherwise it could pass a proxy unseen.
    """
    url = store_url(tmp_path)
    _, token = await asyncio.to_thread(tokens.create, url, "t", "reader", (), None)
    path = "/podium.v1.ResultsService/GetServer"
    hidden = f"GET {path}?encoding=json&message=%7B%7D HTTP/1.1\r\nHost: localhost\r\n"
    hidden += f"Authorization: Bearer {token}\r\n\r\n"
    request = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    request += f"Content-Length: {len(hidden) + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    async with serving(tmp_path, auth="tokens", http=("127.0.0.1:0",)) as [_, http]:
        found = await asyncio.to_thread(_raw, http, request + hidden)
    assert found == [400]
