"""Servers that misbehave. Each misbehaves in a way that a real server can."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import BinaryIO

import grpc
from podium.v1 import results_service_pb2

__all__ = ["Answer", "closed_port", "grpc_server", "hanging_up", "tcp_server"]

_PREFACE_BYTES, _FRAME_HEADER_BYTES = 24, 9
_HEADERS = 1
_SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""An empty HTTP/2 SETTINGS frame."""
Answer = Callable[[bytes, grpc.ServicerContext], bytes | Iterator[bytes]]
"""Answers a request with a response, both in bytes. A streaming call can have several responses."""
_STREAMS = {
    rpc.name
    for service in results_service_pb2.DESCRIPTOR.services_by_name.values()
    for rpc in service.methods
    if rpc.server_streaming
}


def closed_port() -> str:
    """Returns the address of a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def tcp_server(greeting: bytes) -> Iterator[str]:
    """Runs a server that accepts connections and sends only the given bytes."""
    kept: list[socket.socket] = []

    def greet(connection: socket.socket) -> None:
        kept.append(connection)
        connection.sendall(greeting)

    with _accepting(greet) as address:
        yield address
    for connection in kept:
        connection.close()


@contextlib.contextmanager
def hanging_up() -> Iterator[str]:
    """Runs a server that closes each connection after receiving the headers of a call."""

    def begin(connection: socket.socket) -> None:
        # In a thread, because a client may connect again and then make no calls.
        threading.Thread(target=_hang_up, args=[connection], daemon=True).start()

    with _accepting(begin) as address:
        yield address


@contextlib.contextmanager
def _accepting(accepted: Callable[[socket.socket], None]) -> Iterator[str]:
    """Listens on a port, and calls a function with each connection. Yields the address."""

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted(listener.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError), connection, connection.makefile("rb") as received:
        connection.sendall(_SETTINGS)
        _read_headers(received)


def _read_headers(received: BinaryIO) -> None:
    """Reads from an HTTP/2 connection up to the first HEADERS frame or to its end."""
    received.read(_PREFACE_BYTES)
    while len(head := received.read(_FRAME_HEADER_BYTES)) == _FRAME_HEADER_BYTES:
        received.read(int.from_bytes(head[:3], "big"))
        if head[3] == _HEADERS:
            return


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, answers: dict[str, Answer]) -> None:
        self._answers = answers

    def service(
        self, details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        name = details.method.rpartition("/")[2]
        answer = self._answers.get(name)
        if answer is None:
            return None
        if name in _STREAMS:
            return grpc.unary_stream_rpc_method_handler(lambda *call: _several(answer(*call)))
        return grpc.unary_unary_rpc_method_handler(answer)


def _several(answer: bytes | Iterator[bytes]) -> Iterator[bytes]:
    return iter([answer]) if isinstance(answer, bytes) else answer


@contextlib.contextmanager
def grpc_server(**answers: Answer) -> Iterator[str]:
    """Runs a gRPC server that answers the named rpcs, and no others."""
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((_Handler(answers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()
