"""Decides which HTTP requests reach the server.

Requests from web pages of other origins are rejected, unless an option allows the origin (CORS).
"""

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from typing import Any

from podium_server.rpc.fronts.http_pages import Receive, Scope, Send, send_error, send_response

__all__ = ["Guard"]

_FORM = "application/x-www-form-urlencoded"
_GRPC = re.compile(r"application/grpc([+;].*)?", re.IGNORECASE)
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS = (
    b"authorization, connect-protocol-version, connect-timeout-ms, content-type, grpc-timeout, "
    b"x-grpc-web, x-user-agent"
)
_PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", _HEADERS),
    (b"access-control-max-age", b"7200"),
]

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """Rejects requests that a script of another web page has sent from the user's browser.

    Without tokens, such a page could read and change results. On addresses of this machine, the
    Host header must be a name of this machine. Otherwise a page could make its own host name
    resolve to this machine (DNS rebinding).

    Args:
        application: Handles the requests that are not rejected.
        origins: The other origins whose pages may send requests.
        is_local: Whether only programs on this machine can reach the address.
    """

    def __init__(
        self, application: Application, origins: Collection[str], *, is_local: bool
    ) -> None:
        self._application = application
        self._origins = origins
        self._is_local = is_local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers an HTTP request."""
        if not all(map(_is_text, scope["headers"])):
            await send_error(send, 400, "invalid_argument", "the headers are not UTF-8")
            return
        headers = {name: value.decode() for name, value in scope["headers"]}
        if headers.keys() >= {b"content-length", b"transfer-encoding"}:
            # A proxy may see one request where this server sees two.
            text = "give the length of the body once, as content-length or transfer-encoding"
            await send_error(send, 400, "invalid_argument", text, is_last=True)
            return
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        is_allowed = origin in self._origins
        if self._is_local and _host_name(host) not in _LOCAL_NAMES:
            await _forbid(send, f"the Host header must be localhost, not {host!r}")
        elif origin is not None and not is_allowed and origin.rpartition("//")[2] != host:
            text = (
                f"pages of {origin!r} may not call this server; "
                "the option --http-origin of the server can allow them"
            )
            await _forbid(send, text)
        elif _GRPC.fullmatch(headers.get(b"content-type", "")):
            await send_error(send, 415, "unknown", "gRPC needs HTTP/2: use an address of --listen")
        else:
            if origin is None and headers.get(b"content-type") == _FORM:
                scope = {**scope, "headers": [*_as_json(scope["headers"])]}
            await self._answer(scope, receive, send, origin if is_allowed else None)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, allowed: str | None
    ) -> None:
        """Answers a request, and tells the browser that an allowed page may read the response."""
        if allowed is None:
            await self._application(scope, receive, send)
            return
        # Only the server's own page may use the cookie.
        kept = [header for header in scope["headers"] if header[0] != b"cookie"]
        scope = {**scope, "headers": kept}
        shared = [
            (b"access-control-allow-origin", allowed.encode()),
            (b"access-control-expose-headers", b"*"),
            (b"vary", b"origin"),
        ]

        async def send_shared(event: dict[str, Any]) -> None:
            if event["type"] == "http.response.start":
                event = {**event, "headers": [*event.get("headers", ()), *shared]}
            await send(event)

        if scope["method"] == "OPTIONS":
            await send_response(send_shared, 204, _PREFLIGHT)
        else:
            await self._application(scope, receive, send_shared)


def _as_json(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Yields the headers. Replaces the content type of `curl --data` by that of JSON."""
    for name, value in headers:
        yield name, b"application/json" if name == b"content-type" else value


def _is_text(header: tuple[bytes, bytes]) -> bool:
    try:
        return bool(b"".join(header).decode())
    except UnicodeDecodeError:
        return False


async def _forbid(send: Send, message: str) -> None:
    await send_error(send, 403, "permission_denied", message)


def _host_name(host: str) -> str:
    """Returns the name in a Host header, without the port and the brackets of IPv6."""
    name, _, port = host.rpartition(":")
    return (name if name and port.isdecimal() else host).strip("[]").lower()
