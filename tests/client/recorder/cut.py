"""A connection that can be slow or cut: it forwards a local port to a server."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

__all__ = ["Connection", "connection_to"]

_PIECE = 1 << 13


class Connection:
    """Forwards connections to a server, except between `cut` and `mend`.

    Args:
        target: The address of the server.
        bytes_per_second: The speed in each direction. None means without a limit.

    Attributes:
        address: The address that clients connect to.
        carried: How many bytes were forwarded, in both directions.
    """

    def __init__(self, target: str, bytes_per_second: float | None = None) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._seconds_per_byte = 1 / bytes_per_second if bytes_per_second else 0.0
        self._open: set[socket.socket] = set()
        self._is_cut = False
        self.carried = 0
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Closes every connection, even in the middle of a message.

        Until `mend` is called, each new connection is closed at once.
        """
        self._is_cut = True
        for end in tuple(self._open):
            _close(end)

    def mend(self) -> None:
        """Accepts connections again."""
        self._is_cut = False

    def close(self) -> None:
        """Closes all connections and the listening socket."""
        self.cut()
        _close(self._listener)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._is_cut:
                    near.close()
                    continue
                far = socket.create_connection(self._target)
                self._open |= {near, far}
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_PIECE):
                self.carried += len(data)
                time.sleep(len(data) * self._seconds_per_byte)
                sink.sendall(data)
        for end in (source, sink):
            self._open.discard(end)
            _close(end)


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextlib.contextmanager
def connection_to(target: str, bytes_per_second: float | None = None) -> Iterator[Connection]:
    """Yields a `Connection` to a server, and closes it after the block."""
    connection = Connection(target, bytes_per_second)
    try:
        yield connection
    finally:
        connection.close()
