"""A real server for tests."""

import contextlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

__all__ = ["RunningServer", "running_server"]

_QUIET = ("--log-level", "warning")
_STOP_SECONDS = 120


class RunningServer:
    """A server in its own process, on a free port of this machine.

    Attributes:
        address: The address to connect clients to.
        http: The URL of its HTTP port. It is empty unless the arguments have --http.
        store: The URL of its store.
        process: The process, for tests that stop, continue or kill it.
    """

    _start_process: Callable[..., subprocess.Popen[str]] = subprocess.Popen

    def __init__(self, store: str, arguments: Sequence[str] = ()) -> None:
        self.store = store
        self._arguments = arguments
        self._listen = "127.0.0.1:0"
        self.start()

    def start(self) -> None:
        """Starts the server. If it ran before, it uses the same address again."""
        self.process = self._start_process(self._command(), stdout=subprocess.PIPE, text=True)
        self.address = self._read_address()
        self.http = self._read_address() if "--http" in self._arguments else ""
        self._listen = self.address

    def stop(self) -> int:
        """Stops the server with SIGTERM. Returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        return self._wait()

    def kill(self) -> None:
        """Kills the server with SIGKILL."""
        self.process.kill()
        self._wait()

    def restart(self) -> None:
        """Stops the server and starts it on the same address and store."""
        self.stop()
        self.start()

    def _command(self) -> list[str]:
        place = ["--listen", self._listen, "--store", self.store]
        return [sys.executable, "-m", "podium_server", *place, *_QUIET, *self._arguments]

    def _wait(self) -> int:
        try:
            return self.process.wait(_STOP_SECONDS)
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()

    def _read_address(self) -> str:
        line = self.process.stdout.readline() if self.process.stdout else ""
        address = line.removeprefix("listening on ").strip()
        if not address:
            raise RuntimeError(f"the server did not start: exit code {self._wait()}")
        return address


@contextlib.contextmanager
def running_server(store: str | None = None, *arguments: str) -> Iterator[RunningServer]:
    """Runs a server inside the block, on a free port.

    Args:
        store: The URL of its store. By default it is a new store that is deleted afterwards.
        arguments: More arguments of `podium serve`. By default the server logs warnings and
            errors only.

    Example:
        >>> with running_server() as server, podium.Client(server.address) as client:
        ...     client.experiment("sweep").declare()
    """
    with tempfile.TemporaryDirectory() as folder:
        server = RunningServer(store or _new_store(Path(folder)), arguments)
        try:
            yield server
        finally:
            server.stop()


def _new_store(folder: Path) -> str:
    return f"sqlite:///{folder / 'podium.db'}"
