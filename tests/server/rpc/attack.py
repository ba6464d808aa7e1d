"""Connections that break HTTP/2 rules, for attacks on a server on this machine.

Each attack is bounded in count and time. An attacker reads only what its test asks it to read.
"""

import contextlib
import ipaddress
import select
import socket
import struct
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from hpack import Decoder, Encoder, NeverIndexedHeaderTuple

__all__ = [
    "MAX_WINDOW",
    "Attacker",
    "attackers",
    "continuation",
    "headers",
    "indexed_headers",
    "message",
    "raw_frame",
    "statuses_of",
    "wait_until",
]

MAX_WINDOW = 2**31 - 1
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_CONTINUATION = 9
_ACK = _END_STREAM = 1
_END_HEADERS = 4
_HEADER_BYTES = 9
_FIRST_WINDOW = 65_535
_FRAME_BYTES = 16_384
_WAIT_SECONDS = 240.0


class Attacker:
    """A connection to a server on loopback that sends and reads single HTTP/2 frames.

    Args:
        address: The HOST:PORT of the server.
        window: The flow-control window that the server gets for each response.
        acknowledge: Whether the server's settings are acknowledged.
        timeout: The seconds that a send may take. After that, the connection counts as closed.
    """

    def __init__(
        self,
        address: str,
        *,
        window: int = 0,
        acknowledge: bool = True,
        timeout: float = _WAIT_SECONDS,
    ) -> None:
        host, _, port = address.rpartition(":")
        assert ipaddress.ip_address(host).is_loopback
        self._socket = socket.create_connection((host, int(port)), timeout=timeout)
        self._next_stream = 1
        self._received = b""
        self._decoder = Decoder()
        self._settings: dict[int, int] = {}
        self._is_going = False
        self._statuses: dict[int, str] = {}
        self._messages: dict[int, str] = {}
        self._windows: defaultdict[int, int] = defaultdict(int)
        self._sent: defaultdict[int, int] = defaultdict(int)
        self.send(
            _PREFACE
            + raw_frame(_SETTINGS, 0, struct.pack(">HI", 4, window))
            + (raw_frame(_SETTINGS, 0, b"", _ACK) if acknowledge else b"")
            + raw_frame(_WINDOW, 0, struct.pack(">I", MAX_WINDOW - _FIRST_WINDOW))
        )

    def send(self, data: bytes) -> bool:
        """Sends bytes. Returns whether the connection still accepts them."""
        try:
            self._socket.sendall(data)
        except OSError:
            return False
        return True

    def call(self, block: bytes, body: bytes | None = None, *, end: bool = True) -> bool:
        """Opens a stream with a header block and a body. Returns whether both could be sent."""
        return self.send(self._call(block, body, end=end))

    def calls(self, requests: Sequence[tuple[bytes, bytes]]) -> bool:
        """Makes a call with each of these header blocks and bodies, all at once."""
        return self.send(b"".join(self._call(*request, end=True) for request in requests))

    def calls_and_resets(self, block: bytes, count: int) -> bool:
        """Opens `count` streams, and resets each one immediately."""
        frames = []
        for _ in range(count):
            stream = self._new_stream()
            frames.append(raw_frame(_HEADERS, stream, block, _END_HEADERS))
            frames.append(raw_frame(_RESET, stream, struct.pack(">I", 8)))
        return self.send(b"".join(frames))

    def ping(self, count: int) -> bool:
        """Sends `count` pings."""
        return self.send(raw_frame(_PING, 0, bytes(8)) * count)

    def settings(self, count: int) -> bool:
        """Sends a number of SETTINGS frames, each of which the server must acknowledge."""
        return self.send(raw_frame(_SETTINGS, 0, b"") * count)

    def end(self, stream: int, piece: bytes) -> bool:
        """Sends the last piece of a stream's request."""
        return self.send(raw_frame(_DATA, stream, piece, _END_STREAM))

    def fill_windows(self, piece: bytes, most: int) -> None:
        """Sends a piece on each open stream whose window has room for it.

        No stream gets more than `most` bytes in total.
        """
        self.is_open()
        for stream, window in list(self._windows.items()):
            if stream and window >= len(piece) and self._sent[stream] + len(piece) <= most:
                self._windows[stream] -= len(piece)
                self._sent[stream] += len(piece)
                self.send(raw_frame(_DATA, stream, piece))

    def is_open(self, seconds: float = 0.0) -> bool:
        """Reads the server's bytes for some seconds. Returns whether the connection is open."""
        end = time.monotonic() + seconds
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        while poller.poll(max(0.0, end - time.monotonic()) * 1_000):
            try:
                piece = self._socket.recv(262_144)
            except OSError:
                return False
            if not piece:
                return False
            self._received += piece
            self._take_frames()
        return True

    def statuses_of(self, count: int) -> list[str]:
        """Waits until `count` calls have ended. Returns the grpc-status of each ended call."""
        return statuses_of([self], count)

    def statuses(self) -> list[str]:
        """Returns the grpc-status of each call whose end has arrived."""
        return list(self._statuses.values())

    def messages_of(self, count: int) -> list[str]:
        """Waits until `count` calls have ended. Returns the grpc-message of each ended call."""
        self.statuses_of(count)
        return list(self._messages.values())

    def setting(self, number: int) -> int:
        """Waits for the server's settings. Returns the value of one of them."""
        wait_until(lambda: self.is_open(0.05) and number in self._settings)
        return self._settings[number]

    def is_going(self) -> bool:
        """Returns whether the server has said that it will close the connection."""
        return self._is_going

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()

    def _new_stream(self) -> int:
        self._next_stream += 2
        return self._next_stream - 2

    def _call(self, block: bytes, body: bytes | None, *, end: bool) -> bytes:
        stream = self._new_stream()
        if body is None:
            return raw_frame(_HEADERS, stream, block, _END_HEADERS | _END_STREAM)
        pieces = [body[at : at + _FRAME_BYTES] for at in range(0, len(body), _FRAME_BYTES)]
        self._sent[stream] = len(body)
        return (
            raw_frame(_HEADERS, stream, block, _END_HEADERS)
            + b"".join(raw_frame(_DATA, stream, piece) for piece in pieces)
            + (raw_frame(_DATA, stream, b"", _END_STREAM) if end else b"")
        )

    def _take_frames(self) -> None:
        at, received = 0, self._received
        while len(received) >= at + _HEADER_BYTES:
            end = at + _HEADER_BYTES + int.from_bytes(received[at : at + 3], "big")
            if len(received) < end:
                break
            stream = int.from_bytes(received[at + 5 : at + _HEADER_BYTES], "big")
            self._take(received[at + 3], received[at + 4], stream, received[at + 9 : end])
            at = end
        self._received = received[at:]

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _HEADERS:
            fields = {str(name): str(value) for name, value, *_ in self._decoder.decode(payload)}
            if flags & _END_STREAM:
                self._end_call(stream, fields.get("grpc-status", ""))
                self._messages[stream] = fields.get("grpc-message", "")
        elif kind == _GOAWAY:
            self._is_going = True
        elif kind == _RESET:
            self._end_call(stream, "reset")
        elif kind == _WINDOW:
            self._windows[stream] += int.from_bytes(payload, "big")
        elif kind == _SETTINGS and not flags & _ACK:
            for key, value in struct.iter_unpack(">HI", payload):
                self._settings[key] = value

    def _end_call(self, stream: int, status: str) -> None:
        self._statuses.setdefault(stream, status)
        self._windows.pop(stream, None)


@contextmanager
def attackers(
    address: str,
    count: int,
    *,
    window: int = 0,
    acknowledge: bool = True,
    timeout: float = _WAIT_SECONDS,
) -> Iterator[list[Attacker]]:
    """Opens `count` connections for the block, and yields them."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            attacker = Attacker(address, window=window, acknowledge=acknowledge, timeout=timeout)
            stack.callback(attacker.close)
            found.append(attacker)
        yield found


def statuses_of(found: Sequence[Attacker], count: int) -> list[str]:
    """Waits until `count` calls of all connections have ended. Returns their statuses.

    The wait also ends if the server closes one of the connections.
    """

    def have_ended() -> bool:
        are_open = [one.is_open(0.01) for one in found]
        return not all(are_open) or sum(len(one.statuses()) for one in found) >= count

    wait_until(have_ended)
    return [status for one in found for status in one.statuses()]


def wait_until(is_so: Callable[[], object], seconds: float = _WAIT_SECONDS) -> None:
    """Waits until a condition holds. Fails if that takes several minutes."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "what the test waits for did not happen"
        time.sleep(0.01)


def raw_frame(kind: int, stream: int, payload: bytes, flags: int = 0) -> bytes:
    """Returns an HTTP/2 frame."""
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + struct.pack(">I", stream)
    return head + payload


def headers(path: str, more: Mapping[str, str] | None = None) -> bytes:
    """Returns the header block of a call, without references to headers of earlier calls."""
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


def indexed_headers(path: str, size: int, references: int) -> bytes:
    """Returns a header block that refers many times to one header of `size` bytes.

    If `references` is 0, the block puts this header into the server's table.
    """
    if references:
        return headers(path) + b"\xbe" * references
    rest = size - 127
    length = b"\x7f" + bytes((0x80 | rest & 127, rest >> 7))
    return headers(path) + b"\x40\x01a" + length + b"v" * size


def continuation(fields: int) -> bytes:
    """Returns a frame that continues a header block without ending it."""
    return raw_frame(_CONTINUATION, 1, b"\x00\x04aaaa\x04vvvv" * fields)


def message(content: bytes, *, declared: int | None = None) -> bytes:
    """Returns a gRPC message. It stays incomplete if `declared` is more than its length."""
    length = len(content) if declared is None else declared
    return b"\0" + struct.pack(">I", length) + content
