"""Starts Podium processes in about 10 ms: forks them from a process that has loaded Podium.

Loading gRPC starts no thread, so a process that has only loaded gRPC can fork. Once started, forked
processes are like others: tests read their output, send them signals and kill them.
"""

import argparse
import ast
import atexit
import contextlib
import gc
import importlib
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["MARK", "run", "start", "stop"]

MARK = {"TESTS_OF_PROCESS": f"{os.getpid()}-{uuid.uuid4()}"}
"""An environment variable of all processes that the tests of this process start."""

_LOADED = (
    "podium_server.serve.command",  # before gRPC, which reads the level of its log once
    "grpc.experimental",
    "podium._client.aio",
    "podium._client.blocking",
    "podium._recorder",
    "podium._sender.sender",
    "uvloop",
)
_LOADED_WHOLE = ("podium.cli", "podium.cli.commands")
_PYTHON = sys.executable
_MOST_BYTES = 1_000_000
_REQUESTS = 3
"""The file descriptor through which a forked process requests more forked processes."""
_MOST_FILES = 4_096
_PARENT_SECONDS = 60.0
_LOCK = threading.Lock()
"""Held while the forking process is started, because several threads can need it at once."""


def start(command: Sequence[str], **given: Any) -> subprocess.Popen[Any]:
    """Starts a process. Takes the arguments of `Popen`.

    A command `python [-P] -m MODULE` or `python [-P] -c CODE` is forked. While coverage is
    measured, no process is forked, because coverage begins when an interpreter starts.
    """
    is_python = command[0] == _PYTHON and {"-m", "-c"} & {*_without_path(command)[:1]}
    is_forked = is_python and "COVERAGE_PROCESS_CONFIG" not in os.environ
    return (_ForkedPopen if is_forked else subprocess.Popen)(command, **given)


def run(
    command: Sequence[str],
    *,
    stdin_text: str | None = None,
    capture_output: bool = False,
    check: bool = False,
    timeout: float | None = None,
    **given: Any,
) -> subprocess.CompletedProcess[Any]:
    """Starts a process and waits for its end, as `subprocess.run` does."""
    if stdin_text is not None:
        given["stdin"] = subprocess.PIPE
    if capture_output:
        given |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start(command, **given) as process:
        try:
            out, err = process.communicate(stdin_text, timeout)
        except BaseException:
            process.kill()
            raise
    completed = subprocess.CompletedProcess(command, process.returncode, out, err)
    if check:
        completed.check_returncode()
    return completed


def stop() -> None:
    """Kills all processes that tests of this process have started and that still run."""
    if _zygote.cache_info().currsize:
        requests, process = _zygote()
        process.kill()
        process.wait()
        requests.close()
    ((name, value),) = MARK.items()
    mark = f"{name}={value}".encode()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        # Processes end meanwhile, or belong to other users.
        with contextlib.suppress(OSError):
            if mark in environment.read_bytes().split(b"\0"):
                os.kill(int(environment.parent.name), signal.SIGKILL)


def _without_path(command: Sequence[str]) -> list[str]:
    """Returns the arguments of a Python interpreter without the option `-P`."""
    return [*command[2:]] if command[1] == "-P" else [*command[1:]]


class _ForkedPopen(subprocess.Popen[Any]):
    """A process of `python -m MODULE …` or `python -c CODE …` that is forked instead of started."""

    def _execute_child(self, command: list[str], *given: Any) -> None:
        """Requests a forked process, in place of fork and exec.

        `given` are the arguments that CPython passes to its own method of this name.
        """
        cwd, env, pipes = given[4], given[5], given[9:15]
        standard = [pipe if pipe >= 0 else n for n, pipe in enumerate((pipes[0], *pipes[3::2]))]
        is_leader = given[20]
        request = repr((command, str(cwd or Path.cwd()), dict(env or os.environ), is_leader))
        status, child_status = os.pipe()
        socket.send_fds(_requests(), [request.encode()], [*standard, child_status])
        os.close(child_status)
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined] # typeshed has no private names
        self._status = os.fdopen(status)
        self.pid = int(self._status.readline())

    def poll(self) -> int | None:
        """Returns the exit code, or None while the process runs."""
        return self._read_exit_code(0)

    def wait(self, timeout: float | None = None) -> int:
        """Waits, and returns the exit code. Raises TimeoutExpired after `timeout` seconds."""
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
def _requests() -> socket.socket:
    """Returns the socket for requests to the forking process.

    A forked process inherits this socket from the forking process.
    """
    with _LOCK:
        return _zygote()[0] if __name__ != "__main__" else socket.socket(fileno=_REQUESTS)


@cache
def _zygote() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Starts the process that forks the others. It ends after this process has ended."""
    ours, its_own = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its_own:
        command = [_PYTHON, __file__]
        return ours, subprocess.Popen(command, stdin=its_own.fileno(), stdout=ours.fileno())


# ---- In the process that forks -------------------------------------------------------------------


def _main() -> None:
    """Forks a process for each request. The forked process runs its command and ends."""
    ending = _Ending()
    _load()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    connection = socket.socket(fileno=os.dup(0))
    requests = connection.fileno()
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    parent, statuses = os.getppid(), dict[int, int]()
    while os.getppid() == parent:
        ready, _, _ = select.select([requests, ended], [], [], _PARENT_SECONDS)
        if ended in ready:
            os.read(ended, _MOST_BYTES)
            _report_ended(statuses)
        if requests not in ready:
            continue
        request, files, _, _ = socket.recv_fds(connection, _MOST_BYTES, 4)
        *standard, status = files
        if (child := os.fork()) == 0:
            connection.detach()
            with ending:
                _run(*ast.literal_eval(request.decode()), *standard)
        statuses[child] = status
        os.write(status, f"{child}\n".encode())
        for file in standard:
            os.close(file)


class _Ending:
    """Ends a process without deleting its modules, because their deletion would take long."""

    def __init__(self) -> None:
        self._code: object = ...
        # The first function that is registered runs last.
        atexit.register(self._end)

    def __enter__(self) -> None:
        """Begins a block. The process ends at the end of this block."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, SystemExit):
            code = error.code if error else 0
            self._code = code or 0
            sys.exit(code)

    def _end(self) -> None:
        """Ends the process at once, unless Python still has to report the error that ended it."""
        if isinstance(self._code, int) and sys.stdout and sys.stderr:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(self._code)


def _load() -> None:
    """Imports the modules that forked processes need."""
    for name in _LOADED:
        importlib.import_module(name)
    for package in map(importlib.import_module, _LOADED_WHOLE):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    socket.getaddrinfo("127.0.0.1", 0)  # loads a codec
    command: Any = importlib.import_module("podium_server.serve.command")
    command.add_arguments(parser := argparse.ArgumentParser())
    parser.parse_args([])  # compiles regular expressions
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page


def _report_ended(statuses: dict[int, int]) -> None:
    """Reads the exit code of each process that has ended.

    Writes it to the pipe of that process, which the starting process reads.
    """
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            with (
                contextlib.suppress(BrokenPipeError),
                os.fdopen(statuses.pop(ended[0]), "w") as status,
            ):
                print(os.waitstatus_to_exitcode(ended[1]), file=status)


def _run(
    command: list[str], cwd: str, env: dict[str, str], is_leader: bool, *standard: int
) -> None:
    """Runs a command of a Python interpreter in this process."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    requests = os.dup(1)
    for n, file in enumerate(standard):
        os.dup2(file, n)
    os.dup2(requests, _REQUESTS, inheritable=False)
    os.closerange(_REQUESTS + 1, _MOST_FILES)
    if is_leader:
        os.setsid()
    for n, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        buffering = 1 if name == "stderr" else -1
        encoding = env.get("PYTHONIOENCODING")
        setattr(sys, name, open(n, mode, buffering, encoding, closefd=False))  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    launch_sender: Any = importlib.import_module("podium._recorder.launch_sender")
    launch_sender._run_process = run
    option, code, *arguments = _without_path(command)
    if "-P" not in command[:2]:
        sys.path[0] = cwd
    if option == "-m":
        sys.argv = [code, *arguments]
        runpy.run_module(code, run_name="__main__", alter_sys=True)
    else:
        sys.argv = ["-c", *arguments]
        sys.modules["__main__"] = main = ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), main.__dict__)  # noqa: S102 - a test's own code


if __name__ == "__main__":
    _main()
