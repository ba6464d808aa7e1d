"""Calls over HTTP pass the same checks as those over gRPC."""

import asyncio
import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from podium_server.serve import tokens

from tests.server.access.serving import serving
from tests.stores import store_url

pytest.importorskip("connectrpc")


async def _ask(url: str, method: str, body: object, token: str | None) -> tuple[int, str]:
    """Returns the HTTP status and the code of the error, if there is one."""

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
    """Without a token, with too low a role, and outside of the prefixes, a call is refused."""
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
