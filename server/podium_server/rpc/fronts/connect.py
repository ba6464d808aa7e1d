"""The front for HTTP: Connect and gRPC-Web with the library connectrpc, served by uvicorn.

An interceptor of connectrpc admits a call and reads its request. So a rejected call gets its error
in the protocol of the call.
"""

import asyncio
import contextlib
import ipaddress
import logging
import socket
import ssl
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextvars import ContextVar
from typing import Any, TypeVar

import uvicorn
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint
from podium._values.address import host_and_port
from podium.errors import PodiumError

from podium_server.errors import failure
from podium_server.rpc.access.tokens import Access
from podium_server.rpc.admission import Admission, AdmittedCall, too_large
from podium_server.rpc.errors import status_of
from podium_server.rpc.fronts.connect_codec import CODECS, Payload, connect_error, method_info
from podium_server.rpc.fronts.http_guard import Guard
from podium_server.rpc.fronts.http_pages import MetricsPage, Receive, Scope, Send
from podium_server.rpc.fronts.http_server import HTTPServer
from podium_server.rpc.fronts.ports import ListenError, listen_hint
from podium_server.rpc.fronts.web_page import WebPage, session_token
from podium_server.rpc.handlers import Method, UnaryMethod
from podium_server.rpc.telemetry import ObservedCall, Telemetry

__all__ = ["ConnectFront"]

T = TypeVar("T")
_OVERSIZE = 2
"""Requests up to this multiple of the limit are received, so that the error has their size."""
_MAX_CONNECTIONS = 1_000
_STOP_SECONDS = 1
_INLINE_BYTES = 16 * 1024
"""Larger messages are converted to and from JSON in a thread, so that they do not delay calls."""
_REASONS = {Code.INVALID_ARGUMENT: "MALFORMED_REQUEST", Code.RESOURCE_EXHAUSTED: "LIMIT_EXCEEDED"}
"""The reasons of errors that connectrpc itself raises, by their codes."""


class ConnectFront:
    """Serves methods over HTTP/1.1.

    `tls` is the TLS context, or None for no encryption. `origins` are the origins, besides the
    server's own, whose web pages may call the server.
    """

    def __init__(
        self,
        services: Mapping[str, Iterable[Method]],
        admission: Admission,
        access: Access,
        telemetry: Telemetry,
        *,
        tls: ssl.SSLContext | None = None,
        origins: Collection[str] = (),
    ) -> None:
        methods = [method for group in services.values() for method in group]
        self._application = _Application(methods, admission, access, telemetry)
        self._tls, self._origins = tls, origins
        self._bound: list[socket.socket] = []
        self._servers: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []

    def bind(self, addresses: Sequence[str]) -> list[str]:
        """Binds HOST:PORT addresses, or raises ListenError. Returns URLs with the chosen ports."""
        scheme = "http" if self._tls is None else "https"
        urls = []
        for address in addresses:
            self._bound.append(_bind(address))
            port = self._bound[-1].getsockname()[1]
            urls.append(f"{scheme}://{address.rpartition(':')[0]}:{port}")
        return urls

    def start(self) -> None:
        """Serves on the bound addresses."""
        for bound in self._bound:
            self._serve(bound)

    def _serve(self, bound: socket.socket) -> None:
        is_local = ipaddress.ip_address(bound.getsockname()[0]).is_loopback
        tls = self._tls
        config = uvicorn.Config(
            Guard(self._application, self._origins, is_local=is_local),
            ssl_context_factory=None if tls is None else lambda _config, _default: tls,
            lifespan="off",
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            server_header=False,
            ws="none",
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        server = HTTPServer(config)
        self._servers.append((server, asyncio.create_task(server.serve(sockets=[bound]))))

    async def stop(self) -> None:
        """Ends all connections within a limited time."""
        if not self._servers:
            for bound in self._bound:
                bound.close()
        for server, _ in self._servers:
            server.should_exit = True
        if self._servers:
            await asyncio.wait([task for _, task in self._servers], timeout=2 * _STOP_SECONDS)


def _bind(address: str) -> socket.socket:
    host, port = host_and_port(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, place = found[0]
        is_ipv6 = family == socket.AF_INET6
        bound = socket.create_server(place, family=family, dualstack_ipv6=is_ipv6)
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {listen_hint(error)}") from error
    bound.setblocking(False)  # noqa: FBT003 - its only parameter has no name
    return bound


class _Exchange:
    """One HTTP request, with its body and its call."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, write_seconds: float) -> None:
        client = scope.get("client") or ("unknown", 0)
        self.peer = f"http:{client[0]}:{client[1]}"
        self.call: AdmittedCall | None = None
        self.observed: ObservedCall | None = None
        self._headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
        self.authorization = self.headers("authorization")
        if not self.authorization and (token := session_token(scope)):
            self.authorization.append(f"Bearer {token}")
        self._receive, self._send = receive, send
        self._write_seconds = write_seconds
        self._body: bytes | None = None
        self._refusal: PodiumError | None = None
        self._task: asyncio.Future[Any] | None = None

    def headers(self, name: str) -> list[str]:
        wanted = name.encode()
        return [value.decode("latin-1") for key, value in self._headers if key == wanted]

    async def admit(self, method: str, admission: Admission, access: Access) -> None:
        """Admits the call, checks its caller, and reads its request."""
        self.call = admission.enter(self.peer, self._refuse)
        await access.enter(method, lambda: self.authorization)
        self._body = await self.run(self.call.read(lambda: self._read(admission)))

    async def _read(self, admission: Admission) -> bytes | None:
        limit, chunks, size, more = admission.message_bytes, bytearray(), 0, True
        with admission.reads.holding() as hold:
            while more and size <= _OVERSIZE * limit:
                event = await self._receive()
                if event["type"] != "http.request":
                    return None
                part, more = event.get("body", b""), event.get("more_body", False)
                size += len(part)
                if size <= limit:
                    chunks += part
                    if more:
                        await hold(len(part))
        if size > limit:
            raise too_large(size, limit)
        return bytes(chunks)

    @property
    def admitted(self) -> AdmittedCall:
        """The call that the interceptor has admitted."""
        if self.call is None:
            raise RuntimeError("the call is not admitted yet")
        return self.call

    async def receive(self) -> dict[str, Any]:
        """Returns the request at the first call. Later calls wait for the end of the connection."""
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, event: dict[str, Any]) -> None:
        """Sends a part of the response. Disconnects a client that does not read it in time."""
        async with asyncio.timeout(self._write_seconds):
            await self._send(event)

    async def run(self, work: Awaitable[T]) -> T:
        """Awaits a part of the call.

        If the call is ended with an error meanwhile, raises this error.
        """
        self._task = task = asyncio.ensure_future(work)
        try:
            return await task
        except asyncio.CancelledError:
            if self._refusal is not None:
                raise self._refusal from None
            raise

    def _refuse(self, error: PodiumError) -> Awaitable[object]:
        self._refusal = error
        if self._task is not None:
            self._task.cancel()
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ended.set_result(None)
        return ended


_exchange: ContextVar[_Exchange] = ContextVar("exchange")


class _Admitting:
    """Admits each call, before its request is read."""

    def __init__(self, admission: Admission, access: Access, telemetry: Telemetry) -> None:
        self._admission = admission
        self._access = access
        self._telemetry = telemetry

    async def on_start(self, context: RequestContext[Any, Any]) -> None:
        name = f"{context.method.service_name}.{context.method.name}"
        exchange = _exchange.get()
        exchange.observed = observed = self._telemetry.call(name, exchange.peer, exchange.headers)
        try:
            await exchange.admit(name, self._admission, self._access)
        except BaseException as error:
            await observed.end(error)
            if isinstance(error, PodiumError):
                raise connect_error(status_of(error, name)) from None
            raise

    async def on_end(
        self, _token: None, context: RequestContext[Any, Any], error: Exception | None, /
    ) -> None:
        """Adds a reason to an error that connectrpc itself has raised, and raises it again.

        The call does not end here, but in `_Application`, when its response is sent.
        """
        reason = _REASONS.get(error.code) if isinstance(error, ConnectError) else None
        if isinstance(error, ConnectError) and reason is not None and not error.details:
            name = f"{context.method.service_name}.{context.method.name}"
            failed = failure(reason, error.message)
            if (observed := _exchange.get().observed) is not None:
                await observed.end(failed)
            raise connect_error(status_of(failed, name)) from error


class _Application(ConnectASGIApplication[None]):
    """Serves the methods of all services in each protocol of connectrpc."""

    def __init__(
        self,
        methods: Iterable[Method],
        admission: Admission,
        access: Access,
        telemetry: Telemetry,
    ) -> None:
        self._metrics = MetricsPage(access, telemetry)
        self._page = WebPage(access, telemetry)
        self._write_seconds = admission.write_seconds
        endpoints = {}
        for method in methods:
            service, _, name = method.name.rpartition(".")
            endpoints[f"/{service}/{name}"] = _endpoint(method)
        super().__init__(
            service=None,
            endpoints=lambda _service: endpoints,
            interceptors=[_Admitting(admission, access, telemetry)],
            read_max_bytes=_OVERSIZE * admission.message_bytes,
            codecs=CODECS,
            # Compressed requests are rejected, because their unpacked size is not limited.
            compressions=(),
        )

    @property
    def path(self) -> str:
        """The path that contains the paths of all services."""
        return "/"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        exchange = _Exchange(scope, receive, send, self._write_seconds)
        if self._metrics.serves(scope):
            await self._metrics.answer(scope, exchange.peer, exchange.authorization, exchange.send)
            return
        if self._page.serves(scope):
            await self._page.answer(scope, exchange.peer, receive, exchange.send)
            return
        _exchange.set(exchange)
        try:
            await super().__call__(scope, exchange.receive, exchange.send)
        finally:
            if exchange.observed is not None:
                exchange.observed.release()
            if exchange.call is not None:
                exchange.call.leave()


def _endpoint(method: Method) -> Any:
    info = method_info(method)
    if isinstance(method, UnaryMethod):
        answer = method.answer

        async def respond(request: Payload, _context: object) -> Payload:
            exchange = _exchange.get()
            async with _ending(method.name):
                response = await exchange.run(answer(await _binary(request)))
                content = exchange.admitted.answer(response)
                return await _encoded(Payload(info.output, content), request)

        return Endpoint.unary(method=info, function=respond)
    stream = method.stream

    async def respond_all(request: Payload, _context: object) -> AsyncIterator[Payload]:
        exchange = _exchange.get()
        async with _ending(method.name):
            exchange.admitted.watch(method.name)
            async with contextlib.aclosing(stream(await _binary(request))) as responses:
                while (response := await exchange.run(anext(responses, None))) is not None:
                    yield await _encoded(Payload(info.output, response), request)

    return Endpoint.server_stream(method=info, function=respond_all)


async def _binary(request: Payload) -> bytes:
    return await _converted(request, request.binary)


async def _encoded(response: Payload, request: Payload) -> Payload:
    """Returns a response in the encoding of its request."""
    return await _converted(response, response.to_json) if request.is_json else response


async def _converted(payload: Payload, convert: Callable[[], T]) -> T:
    if len(payload.content) <= _INLINE_BYTES:
        return convert()
    return await asyncio.to_thread(convert)


@contextlib.asynccontextmanager
async def _ending(method: str) -> AsyncIterator[None]:
    """Reports the end of a call, and converts its error to a connectrpc error."""
    observed = _exchange.get().observed
    failed: BaseException | None = None
    try:
        yield
    except Exception as error:
        failed = error
        raise connect_error(status_of(error, method)) from error
    except BaseException as error:
        failed = error
        raise
    finally:
        if observed is not None:
            await observed.end(failed)
