"""Connections that break the rules of HTTP/2, for attacks on a server of this machine.

Each attack is bounded in count and time. An attacker counts what the server refuses, and reads
or ignores what it sends, as the test asks.
"""

import contextlib
import ipaddress
import select
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from hpack import Encoder, NeverIndexedHeaderTuple

__all__ = ["MAX_WINDOW", "Attacker", "attackers", "headers", "message"]

MAX_WINDOW = 2**31 - 1
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_STREAM = 1
_END_HEADERS = 4
_FIRST_WINDOW = 65_535
_FRAME_BYTES = 16_384
_SEND_SECONDS = 20.0


class Attacker:
    """One connection to a server on loopback, frame by frame.

    Args:
        address: The HOST:PORT of the server.
        window: The flow-control window that the server gets for each response.
    """

    def __init__(self, address: str, *, window: int = 0) -> None:
        host, _, port = address.rpartition(":")
        assert ipaddress.ip_address(host).is_loopback
        self.socket = socket.create_connection((host, int(port)), timeout=_SEND_SECONDS)
        self.next_stream = 1
        self.received = b""
        self.send(
            _PREFACE
            + frame(_SETTINGS, 0, 0, struct.pack(">HI", 4, window))
            + frame(_WINDOW, 0, 0, struct.pack(">I", MAX_WINDOW - _FIRST_WINDOW))
        )

    def send(self, data: bytes) -> bool:
        """Sends bytes; returns whether the server still takes them."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def call(self, block: bytes, body: bytes = b"", *, end: bool = True) -> int:
        """Opens a stream with a header block, sends its body, and returns its number."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        data = frame(_HEADERS, _END_HEADERS, stream, block)
        pieces = [body[at : at + _FRAME_BYTES] for at in range(0, len(body), _FRAME_BYTES)]
        data += b"".join(frame(_DATA, 0, stream, piece) for piece in pieces)
        self.send(data + (frame(_DATA, _END_STREAM, stream, b"") if end else b""))
        return stream

    def data(self, stream: int, piece: bytes) -> bool:
        """Sends one DATA frame of a stream, whatever its window."""
        return self.send(frame(_DATA, 0, stream, piece))

    def reset(self, stream: int) -> bool:
        """Resets a stream."""
        return self.send(frame(_RESET, 0, stream, struct.pack(">I", 8)))

    def ping(self, count: int) -> bool:
        """Sends that many PING frames."""
        return self.send(frame(_PING, 0, 0, bytes(8)) * count)

    def settings(self, count: int) -> bool:
        """Sends that many SETTINGS frames, each of which the server has to acknowledge."""
        return self.send(frame(_SETTINGS, 0, 0, b"") * count)

    def is_open(self, seconds: float = 0.0) -> bool:
        """Reads for so long what the server sends; returns whether it keeps the connection."""
        end = time.monotonic() + seconds
        poller = select.poll()
        poller.register(self.socket, select.POLLIN)
        while True:
            left = max(0.0, end - time.monotonic())
            if not poller.poll(left * 1000):
                return True
            try:
                piece = self.socket.recv(262_144)
            except OSError:
                return False
            if not piece:
                return False
            self.received += piece

    def frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Yields kind, flags, stream and payload of each whole frame received so far."""
        while len(self.received) >= 9:
            length = int.from_bytes(self.received[:3], "big")
            if len(self.received) < 9 + length:
                return
            kind, flags = self.received[3], self.received[4]
            stream = int.from_bytes(self.received[5:9], "big")
            payload, self.received = self.received[9 : 9 + length], self.received[9 + length :]
            yield kind, flags, stream, payload

    def close(self) -> None:
        """Closes the connection."""
        self.socket.close()


@contextmanager
def attackers(address: str, count: int, *, window: int = 0) -> Iterator[list[Attacker]]:
    """Opens that many connections for the block."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            attacker = Attacker(address, window=window)
            stack.callback(attacker.close)
            found.append(attacker)
        yield found


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Returns a frame of HTTP/2."""
    return (
        len(payload).to_bytes(3, "big") + bytes((kind, flags)) + struct.pack(">I", stream) + payload
    )


def headers(path: str, more: Mapping[str, str] | None = None) -> bytes:
    """Returns a header block of a call that refers to no earlier one."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
        **(more or {}),
    }
    return Encoder().encode(
        [NeverIndexedHeaderTuple(name, value) for name, value in fields.items()], huffman=False
    )


def message(content: bytes, *, declared: int | None = None) -> bytes:
    """Returns a gRPC message; one that declares another length stays incomplete."""
    length = len(content) if declared is None else declared
    return b"\0" + struct.pack(">I", length) + content
