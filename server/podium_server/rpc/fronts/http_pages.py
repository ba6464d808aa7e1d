"""Responses of the HTTP port outside of calls: errors as JSON, and the page with metrics."""

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from podium.errors import PodiumError

from podium_server.rpc.access.tokens import Access
from podium_server.rpc.telemetry import METRICS_PAGE, Telemetry

__all__ = ["MetricsPage", "Receive", "Scope", "Send", "send_error", "send_refusal", "send_response"]

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_TEXT = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
_JSON = (b"content-type", b"application/json")
_CLOSE = (b"connection", b"close")
_STATUSES = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "RESOURCE_EXHAUSTED": 429}


class MetricsPage:
    """Serves the metrics of the server, to callers that may see all experiments."""

    def __init__(self, access: Access, telemetry: Telemetry) -> None:
        self._access = access
        self._telemetry = telemetry

    def serves(self, scope: Scope) -> bool:
        """Returns whether a request asks for the page."""
        return bool(scope["path"] == METRICS_PAGE)

    async def answer(
        self, scope: Scope, peer: str, authorization: Iterable[str], send: Send
    ) -> None:
        """Answers a request for the page."""
        if scope["method"] != "GET":
            await send_error(send, 405, "unimplemented", "use GET")
            return
        try:
            async with self._telemetry.call(METRICS_PAGE, peer):
                await self._access.enter(METRICS_PAGE, lambda: authorization)
        except PodiumError as error:
            await send_refusal(send, error)
        else:
            await send_response(send, 200, [_TEXT], (await self._telemetry.text()).encode())


async def send_error(
    send: Send, status: int, code: str, message: str, *, is_last: bool = False
) -> None:
    """Sends an error as JSON, in the form of Connect.

    With `is_last`, also closes the connection.
    """
    body = json.dumps({"code": code, "message": message}).encode()
    await send_response(send, status, [_JSON, _CLOSE] if is_last else [_JSON], body)


async def send_refusal(send: Send, error: PodiumError) -> None:
    """Sends the error of a caller that was rejected."""
    status = _STATUSES.get(error.code, 503)
    await send_error(send, status, error.code.lower(), error.message)


async def send_response(
    send: Send, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes = b""
) -> None:
    """Sends a whole response."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
