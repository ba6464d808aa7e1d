"""A load generator for unary gRPC calls. It takes some microseconds of CPU time per call.

It implements only the parts of HTTP/2 that send encoded bodies and check the status of every
answer. One process drives many connections, with one call at a time on each. `Load.busy` is the
share of a core that the process used, so a report can show that it was not the bottleneck.
"""

import selectors
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from hpack import Decoder, Encoder, NeverIndexedHeaderTuple

__all__ = ["Load", "drive"]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_STREAM = 1
_END_HEADERS = 4
_HEADER = struct.Struct(">I")
_MOST = 2**31 - 1
_FIRST_WINDOW = 65_535
_FRAME = 16_384


@dataclass
class Load:
    """The result of `drive`: calls, seconds, the generator's share of a core, and some answers."""

    calls: int = 0
    seconds: float = 0.0
    busy: float = 0.0
    answers: list[tuple[int, int, bytes]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The calls per second."""
        return self.calls / self.seconds


def drive(
    address: str, path: str, bodies: list[Iterator[bytes]], seconds: float, *, keep_every: int = 500
) -> Load:
    """Sends the bodies of each iterator over a connection of its own. Stops after `seconds`.

    A connection stops when its iterator ends. The result has every `keep_every`th answer, with the
    number of its connection and the number of the call on that connection, both from 0.

    Raises:
        RuntimeError: A call did not end with grpc-status 0.
    """
    load = Load()
    with selectors.DefaultSelector() as selector:
        open_connections = set()
        for number, source in enumerate(bodies):
            connection = _Connection(address, path, number, source, load, keep_every)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            open_connections.add(connection)
        begin, cpu = time.perf_counter(), time.process_time()
        for connection in open_connections:
            connection.send_next()
        while open_connections and time.perf_counter() < begin + seconds:
            for key, _ in selector.select(0.1):
                key.data.receive()
                if key.data.ended:
                    selector.unregister(key.fileobj)
                    open_connections.discard(key.data)
        load.seconds = time.perf_counter() - begin
        load.busy = (time.process_time() - cpu) / load.seconds
        for connection in open_connections:
            connection.socket.close()
    return load


class _Connection:
    """One connection with one call at a time."""

    def __init__(
        self,
        address: str,
        path: str,
        number: int,
        source: Iterator[bytes],
        load: Load,
        keep_every: int,
    ) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ended = False
        self._number = number
        self._source = source
        self._load = load
        self._keep_every = keep_every
        self._headers = _headers(path, address)
        self._stream = 1
        self._window = self._stream_window = _FIRST_WINDOW
        self._sent_on_stream = 0
        self._unsent = b""
        self._received = b""
        self._answer = b""
        self._decoder = Decoder()
        self._statuses: dict[bytes, dict[str, str]] = {}
        settings = struct.pack(">HIHI", 1, 0, 4, _MOST)
        self.socket.sendall(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, settings)
            + _frame(_WINDOW, 0, 0, _HEADER.pack(_MOST - _FIRST_WINDOW))
        )

    def send_next(self) -> None:
        """Starts the next call, or closes the connection if there is none."""
        body = next(self._source, None)
        if body is None:
            self.ended = True
            self.socket.close()
            return
        self._unsent = b"\0" + _HEADER.pack(len(body)) + body
        self._sent_on_stream = 0
        self._answer = b""
        self.socket.sendall(
            _frame(_HEADERS, _END_HEADERS, self._stream, self._headers) + self._data()
        )

    def _data(self) -> bytes:
        """Returns as many DATA frames as the windows of flow control allow."""
        frames = b""
        while self._unsent:
            room = min(self._window, self._stream_window - self._sent_on_stream, _FRAME)
            if room <= 0:
                return frames
            piece, self._unsent = self._unsent[:room], self._unsent[room:]
            self._window -= len(piece)
            self._sent_on_stream += len(piece)
            flags = 0 if self._unsent else _END_STREAM
            frames += _frame(_DATA, flags, self._stream, piece)
        return frames

    def receive(self) -> None:
        """Reads from the socket, and handles each complete frame."""
        self._received += self.socket.recv(262_144)
        while len(self._received) >= 9:
            length = int.from_bytes(self._received[:3])
            if len(self._received) < 9 + length:
                return
            kind, flags = self._received[3], self._received[4]
            payload = self._received[9 : 9 + length]
            stream = int.from_bytes(self._received[5:9])
            self._received = self._received[9 + length :]
            self._take(kind, flags, stream, payload)
            if self.ended:
                return

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _DATA:
            self._answer += payload
        elif kind == _HEADERS and flags & _END_STREAM:
            self._end_call(payload)
        elif kind == _SETTINGS and not flags & _ACK:
            self._take_settings(payload)
        elif kind == _PING and not flags & _ACK:
            self.socket.sendall(_frame(_PING, _ACK, 0, payload))
        elif kind == _WINDOW:
            self._take_window(stream, int.from_bytes(payload))
        elif kind in (_RESET, _GOAWAY):
            raise RuntimeError(f"the server ended a call or connection: {payload!r}")

    def _take_settings(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            key, value = struct.unpack_from(">HI", payload, at)
            if key == 4:
                self._stream_window = value
        self.socket.sendall(_frame(_SETTINGS, _ACK, 0, b""))

    def _take_window(self, stream: int, more: int) -> None:
        if stream == 0:
            self._window += more
        else:
            self._sent_on_stream -= more
        if self._unsent:
            self.socket.sendall(self._data())

    def _end_call(self, block: bytes) -> None:
        status = self._statuses.get(block)
        if status is None:
            fields = self._decoder.decode(block)
            status = self._statuses[block] = {str(name): str(value) for name, value, *_ in fields}
        if status.get("grpc-status") != "0":
            raise RuntimeError(f"a call failed: {status}")
        load = self._load
        load.calls += 1
        if load.calls % self._keep_every == 0:
            load.answers.append((self._number, self._stream // 2, self._answer[5:]))
        self._stream += 2
        self.send_next()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + _HEADER.pack(stream) + payload


def _headers(path: str, authority: str) -> bytes:
    """Returns the encoded header block of every call. It does not use HPACK's dynamic table."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": authority,
        "te": "trailers",
        "content-type": "application/grpc",
    }
    return Encoder().encode(
        [NeverIndexedHeaderTuple(name, value) for name, value in fields.items()], huffman=False
    )
