"""Tests of the web page: its files, and the cookie that keeps its token."""

import asyncio
import gzip
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from podium_server.rpc.fronts import web_page
from podium_server.serve import tokens

from tests.server.access.serving import serving
from tests.stores import store_url

pytest.importorskip("connectrpc")

_READ = "/podium.v1.ResultsService/ListExperiments"
_WRITE = "/podium.v1.RecordingService/Record"


async def _ask(
    url: str, path: str, method: str = "GET", body: str | None = None, **headers: str
) -> tuple[HTTPResponse, bytes]:
    """Makes a request. Returns the response and its body.

    The names in `headers` have `_` in place of `-`.
    """
    host = url.removeprefix("http://")
    given = {name.replace("_", "-"): value for name, value in headers.items()}

    def send() -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection(host, timeout=120)
        try:
            connection.request(method, path, body, given)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    return await asyncio.to_thread(send)


async def test_the_page_has_strict_headers(tmp_path: Path) -> None:
    """The page may load scripts only from its server, and no page may show it in a frame."""
    async with serving(tmp_path, http=("127.0.0.1:0",)) as [_, url]:
        found, body = await _ask(url, "/")
        assert (found.status, found.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert b'<script type="module" src="page.js"></script>' in body
        rules = found.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(rules)
        assert found.headers["x-content-type-options"] == "nosniff"
        script, _ = await _ask(url, "/page.js")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        assert (await _ask(url, "/nothing"))[0].status == 404
        assert (await _ask(url, "/", "POST"))[0].status == 405


async def test_files_are_compressed_and_kept(tmp_path: Path) -> None:
    """A browser that accepts gzip gets the script compressed.

    A browser that already has the script gets 304 Not Modified.
    """
    async with serving(tmp_path, http=("127.0.0.1:0",)) as [_, url]:
        plain, script = await _ask(url, "/page.js")
        packed, compressed = await _ask(url, "/page.js", accept_encoding="gzip, br")
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(compressed) == script
        again, nothing = await _ask(url, "/page.js", if_none_match=plain.headers["etag"])
        assert (again.status, nothing) == (304, b"")


async def test_rebinding_and_foreign_pages_are_rejected(tmp_path: Path) -> None:
    """The page is not served under a foreign host name.

    A foreign page cannot begin a session.
    """
    async with serving(tmp_path, http=("127.0.0.1:0",)) as [_, url]:
        assert (await _ask(url, "/", host="evil.example"))[0].status == 403
        for origin in ("http://evil.example", "null", url.replace("127.0.0.1", "127.0.0.2")):
            assert (await _ask(url, "/session", "POST", "x", origin=origin))[0].status == 403
        assert (await _ask(url, "/session", "POST", "x"))[0].status == 403


async def test_a_token_that_does_not_arrive_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sends only a part of a token gets 408 Request Timeout."""
    monkeypatch.setattr(web_page, "_BODY_SECONDS", 0.05)
    async with serving(tmp_path, http=("127.0.0.1:0",)) as [_, url]:
        host = url.removeprefix("http://")
        reader, writer = await asyncio.open_connection(*host.split(":"))
        head = f"POST /session HTTP/1.1\r\nHost: {host}\r\nOrigin: {url}\r\nContent-Length: 50\r\n"
        writer.write(f"{head}\r\npdm_".encode())
        assert await reader.readline() == b"HTTP/1.1 408 Request Timeout\r\n"
        writer.close()


async def test_the_cookie_reads_for_the_page_only(tmp_path: Path) -> None:
    """The cookie with a token is accepted only for reads by the page itself."""
    store = store_url(tmp_path)
    _, token = await asyncio.to_thread(tokens.create, store, "admin", "admin", (), None)
    async with serving(tmp_path, auth="tokens", http=("127.0.0.1:0",)) as [_, url]:
        refused, _ = await _ask(url, "/session", "POST", "pdm_wrong", origin=url)
        assert (refused.status, refused.headers["set-cookie"]) == (401, None)
        given, _ = await _ask(url, "/session", "POST", f" {token}\n", origin=url)
        cookie, *attributes = given.headers["set-cookie"].split("; ")
        assert given.status == 204
        kept = f"Max-Age={30 * 24 * 3600}"
        path = "Path=/podium.v1.ResultsService"
        assert {"HttpOnly", "SameSite=Strict", path, kept} <= set(attributes)

        async def status(path: str, **headers: str) -> int:
            call = _ask(url, path, "POST", "{}", content_type="application/json", **headers)
            return (await call)[0].status

        assert await status(_READ, cookie=f"other=1; {cookie}", origin=url) == 200
        other = f"{cookie.partition('=')[0]}=pdm_other"  # a cookie of a program on another port
        for both in (f"{other}; {cookie}", f"{cookie}; {other}"):
            assert await status(_READ, cookie=both, origin=url) == 401
        assert await status(_READ, cookie=cookie) == 401  # a browser would send an origin
        assert await status(_READ, cookie=cookie, origin="http://evil.example") == 403
        assert await status(_READ, cookie=cookie.replace("podium_", "podium"), origin=url) == 401
        assert await status(_READ, cookie="podium_=\xff", origin=url) in {400, 401}
        assert await status(_WRITE, cookie=cookie, origin=url) == 401
        ended, _ = await _ask(url, "/session", "DELETE", origin=url)
        assert "Max-Age=0" in ended.headers["set-cookie"]


async def test_pages_elsewhere_do_not_use_the_cookie(tmp_path: Path) -> None:
    """A page of an origin in --http-origin cannot use the cookie. It needs its own token."""
    store, elsewhere = store_url(tmp_path), "http://podium.example"
    _, token = await asyncio.to_thread(tokens.create, store, "r", "reader", (), None)
    settings = {"auth": "tokens", "http": ("127.0.0.1:0",), "http_origins": (elsewhere,)}
    async with serving(tmp_path, **settings) as [_, url]:
        given, _ = await _ask(url, "/session", "POST", token, origin=url)
        cookie = given.headers["set-cookie"].partition(";")[0]
        for origin, status in ((url, 200), (elsewhere, 401)):
            body = {"content_type": "application/json", "cookie": cookie, "origin": origin}
            assert (await _ask(url, _READ, "POST", "{}", **body))[0].status == status


async def test_a_cookie_of_https_is_secure(tmp_path: Path) -> None:
    """Behind a proxy with TLS, the cookie has the attribute Secure and the prefix `__Host-`."""
    store = store_url(tmp_path)
    _, token = await asyncio.to_thread(tokens.create, store, "r", "reader", ("team",), None)
    async with serving(tmp_path, auth="tokens", http=("127.0.0.1:0",)) as [_, url]:
        origin = url.replace("http:", "https:")
        given, _ = await _ask(url, "/session", "POST", token, origin=origin)
        cookie, *attributes = given.headers["set-cookie"].split("; ")
        assert cookie.startswith("__Host-podium_")
        # Browsers demand both for this prefix, and accept such a cookie only from this host.
        assert {"Secure", "Path=/"} <= set(attributes)
        body = {"content_type": "application/json", "cookie": cookie, "origin": origin}
        answer, _ = await _ask(url, _READ, "POST", "{}", **body)
        assert answer.status == 200


@pytest.mark.parametrize("token", ["", "a b", "x" * 100_000, "a;b", "a\r\nset-cookie: x=1"])
async def test_text_that_cannot_be_a_token_is_rejected(tmp_path: Path, token: str) -> None:
    """Text that cannot be a token is rejected, and no part of it becomes a header."""
    async with serving(tmp_path, auth="tokens", http=("127.0.0.1:0",)) as [_, url]:
        found, _ = await _ask(url, "/session", "POST", token, origin=url)
        assert (found.status, found.headers["set-cookie"]) == (401, None)


async def test_no_cache_stores_the_cookie() -> None:
    """The responses that begin and end a session tell caches to store nothing."""
    for token in (b"pdm_x", b""):
        sent: list[Any] = []

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        headers = {b"origin": b"http://a:1", b"host": b"a:1"}
        await web_page._send_cookie(headers, token, 9, send)
        assert dict(sent[0]["headers"])[b"cache-control"] == b"no-store"
