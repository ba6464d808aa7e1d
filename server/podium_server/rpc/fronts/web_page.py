"""Serves the page with the results: its files, and the cookie with the token of its user.

The files have no results in them, so everybody may load them. The page asks for results with the
calls that every client makes. Scripts cannot read the cookie. The server accepts the cookie only
for calls that read results, and only from the page itself. The front rejects requests from other
origins, or removes the cookie from them.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping

from podium.errors import PodiumError

from podium_server.rpc.access.tokens import Access
from podium_server.rpc.fronts.http_pages import (
    Receive,
    Scope,
    Send,
    send_error,
    send_refusal,
    send_response,
)
from podium_server.rpc.telemetry import SESSION_PAGE, Telemetry
from podium_server.web import PageFile, page_files

__all__ = ["WebPage", "session_token"]

_READS = "/podium.v1.ResultsService"
"""The path of the calls with which a browser sends the cookie."""
_SECONDS = 30 * 24 * 3600
_TOKEN_BYTES = 256
_BODY_SECONDS = 30.0
"""The most seconds that a request with a token may take to arrive."""
_TOKEN = re.compile(rb"[\w-]+", re.ASCII)
_HEADERS = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
            b"img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
            b"require-trusted-types-for 'script'; trusted-types 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),
    (b"vary", b"accept-encoding"),
)


class WebPage:
    """Serves the page, and stores the token of its user in a cookie."""

    def __init__(self, access: Access, telemetry: Telemetry) -> None:
        self._access = access
        self._telemetry = telemetry
        self._files = page_files()

    def serves(self, scope: Scope) -> bool:
        """Returns whether a request is for the page."""
        return scope["path"] in self._files or scope["path"] == SESSION_PAGE

    async def answer(self, scope: Scope, peer: str, receive: Receive, send: Send) -> None:
        """Answers a request for a file, or a request to begin or end a session."""
        headers = dict(scope["headers"])
        file = self._files.get(scope["path"])
        if file is not None and scope["method"] in {"GET", "HEAD"}:
            await _send_file(file, headers, send)
        elif file is not None:
            await send_error(send, 405, "unimplemented", "use GET")
        elif scope["method"] not in {"POST", "DELETE"}:
            await send_error(send, 405, "unimplemented", "use POST or DELETE")
        elif b"origin" not in headers:
            await send_error(
                send,
                403,
                "permission_denied",
                "only Podium's page in a browser may begin or end a session",
            )
        elif scope["method"] == "POST":
            await self._begin_session(headers, peer, receive, send)
        else:
            await _send_cookie(headers, b"", 0, send)

    async def _begin_session(
        self, headers: Mapping[bytes, bytes], peer: str, receive: Receive, send: Send
    ) -> None:
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                token = await _token(receive)
            async with self._telemetry.call(SESSION_PAGE, peer):
                await self._access.enter(SESSION_PAGE, lambda: [f"Bearer {token.decode()}"])
        except TimeoutError:
            await send_error(send, 408, "deadline_exceeded", "the token did not arrive in time")
        except PodiumError as error:
            await send_refusal(send, error)
        else:
            await _send_cookie(headers, token, _SECONDS, send)


def session_token(scope: Scope) -> str | None:
    """Returns the token in the cookie of a request.

    Returns None if there is no valid cookie, or if this kind of call may not use it.
    """
    headers = dict(scope["headers"])
    if b"origin" not in headers or not scope["path"].startswith(f"{_READS}/"):
        return None
    wanted = _cookie_name(headers)
    values = [value for name, _, value in _cookies(scope["headers"]) if name.strip() == wanted]
    # A program on another port of the host can add a cookie of this name with another path.
    if len(values) != 1 or not _TOKEN.fullmatch(values[0]):
        return None
    return str(values[0].decode())


def _cookies(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes, bytes]]:
    for name, value in headers:
        if name == b"cookie":
            yield from (cookie.partition(b"=") for cookie in value.split(b";"))


def _cookie_name(headers: Mapping[bytes, bytes]) -> bytes:
    """Returns the name of the cookie.

    The name contains the port, because a browser sends a cookie to all ports of a host. With TLS,
    the name begins with `__Host-`, so that a browser accepts no such cookie from another path or
    host.
    """
    port = headers.get(b"host", b"").rpartition(b":")[2]
    prefix = b"__Host-" if _is_encrypted(headers) else b""
    return prefix + b"podium" + (b"_" + port if port.isdigit() else b"")


def _is_encrypted(headers: Mapping[bytes, bytes]) -> bool:
    return headers[b"origin"].startswith(b"https:")


async def _token(receive: Receive) -> bytes:
    """Reads a token from the body of a request. Returns b"" if the body cannot be a token."""
    body = b""
    while len(body) <= _TOKEN_BYTES:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body", False):
            break
    token = body.strip()
    return token if len(token) <= _TOKEN_BYTES and _TOKEN.fullmatch(token) else b""


async def _send_cookie(
    headers: Mapping[bytes, bytes], token: bytes, seconds: int, send: Send
) -> None:
    is_encrypted = _is_encrypted(headers)
    cookie = b"%s=%s; Path=%s; Max-Age=%d; HttpOnly; SameSite=Strict%s" % (
        _cookie_name(headers),
        token,
        b"/" if is_encrypted else _READS.encode(),
        seconds,
        b"; Secure" if is_encrypted else b"",
    )
    await send_response(send, 204, [(b"set-cookie", cookie), (b"cache-control", b"no-store")])


async def _send_file(file: PageFile, headers: Mapping[bytes, bytes], send: Send) -> None:
    known = [*_HEADERS, (b"etag", file.etag.encode())]
    if headers.get(b"if-none-match") == file.etag.encode():
        await send_response(send, 304, known)
        return
    content = file.content
    if b"gzip" in headers.get(b"accept-encoding", b""):
        content = file.compressed
        known.append((b"content-encoding", b"gzip"))
    known.append((b"content-type", file.content_type.encode()))
    known.append((b"content-length", str(len(content)).encode()))
    await send_response(send, 200, known, content)
