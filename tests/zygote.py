"""Processes of Podium that are forked from one that has loaded it: each starts in 30 ms.

Loading gRPC starts no thread, so a process that only loads it can fork. Apart from their start,
forked processes are like others: tests read their output, send them signals and kill them.
"""

import ast
import importlib
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["start"]

_LOADED = ("podium_server.serve.command", "podium._sender", "podium.cli", "uvloop")
_MOST_BYTES = 1_000_000


def start(command: list[str], **given: Any) -> subprocess.Popen[Any]:
    """Starts a process; takes the arguments of Popen. `python -m MODULE …` is forked.

    While coverage is measured nothing is forked: coverage begins where an interpreter starts.
    """
    is_module = command[:2] == [sys.executable, "-m"]
    is_forked = is_module and "COVERAGE_PROCESS_CONFIG" not in os.environ
    return (_ForkedPopen if is_forked else subprocess.Popen)(command, **given)


class _ForkedPopen(subprocess.Popen[Any]):
    """A process of `python -m MODULE …` that is forked instead of started."""

    def _execute_child(self, command: list[str], *given: Any) -> None:
        """Replaces fork and exec. `given` are the arguments that CPython passes to its own."""
        cwd, env, pipes = given[4], given[5], given[9:15]
        standard = [pipe if pipe >= 0 else n for n, pipe in enumerate((pipes[0], *pipes[3::2]))]
        is_leader = given[20]
        request = repr((command[2:], str(cwd or Path.cwd()), dict(env or os.environ), is_leader))
        status, child_status = os.pipe()
        socket.send_fds(_zygote()[0], [request.encode()], [*standard, child_status])
        os.close(child_status)
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined] # typeshed has no private names
        self._status = os.fdopen(status)
        self.pid = int(self._status.readline())

    def poll(self) -> int | None:
        """Returns the exit code, or None while the process runs."""
        return self._read_exit_code(0)

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit code. Raises TimeoutExpired if the process runs longer."""
        code = self._read_exit_code(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def _read_exit_code(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode


@cache
def _zygote() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Starts the process that forks the others. It ends when this one has ended."""
    ours, its_own = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its_own:
        return ours, subprocess.Popen([sys.executable, __file__], stdin=its_own.fileno())


def _main() -> None:
    """Forks a process for each request. Each forked process leaves this function and runs."""
    for module in _LOADED:
        importlib.import_module(module)
    for number in (signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    requests = socket.socket(fileno=os.dup(0))
    while True:
        request, files, _, _ = socket.recv_fds(requests, _MOST_BYTES, 4)
        if not request:
            sys.exit()
        if os.fork() == 0:
            break
        for file in files:
            os.close(file)
    requests.close()
    _run(*ast.literal_eval(request.decode()), *files)


def _run(command: list[str], cwd: str, env: dict[str, str], is_leader: bool, *files: int) -> None:
    """Runs a command in a child of this process, and reports how it ends."""
    *standard, status = files
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if child := os.fork():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.write(status, f"{child}\n".encode())
        for file in (0, 1, 2, *standard):
            os.close(file)
        _, ended = os.waitpid(child, 0)
        os.write(status, f"{os.waitstatus_to_exitcode(ended)}\n".encode())
        os._exit(0)
    for n, file in enumerate(standard):
        os.dup2(file, n)
    os.closerange(3, max(files) + 1)
    if is_leader:
        os.setsid()
    for n, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        buffering = 1 if name == "stderr" else -1
        encoding = env.get("PYTHONIOENCODING")
        setattr(sys, name, open(n, mode, buffering, encoding, closefd=False))  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
