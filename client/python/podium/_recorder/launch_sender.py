"""Starts the sender: the process that delivers the outbox. Only that process loads gRPC."""

import os
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path
from threading import Thread

from podium._outbox import SenderLock
from podium._outbox.sender_state import THROTTLED, UNREACHABLE, SenderState
from podium._recorder.warnings import RecorderWarnings

__all__ = ["SenderStarter", "is_delivering", "start_sender", "unreachable", "waits"]

_PACKAGES = Path(__file__).parents[2]
"""The folder from which `podium` is imported."""
_LOG = "sender.log"
_FILES = ("PODIUM_TLS_CA", "PODIUM_TLS_CERT", "PODIUM_TLS_KEY", "PODIUM_TOKEN_FILE")
_FIRST_DELAY, _MOST_DELAY = 2.0, 60.0
_START_SECONDS, _WAIT_SECONDS = 60.0, 10.0
"""The most seconds that a sender's start may take, and the most that an ending process waits."""
_TIMES_LONGER = 4
"""The least pause after a start of a sender, as a multiple of the time that the start took."""
_STALE_SECONDS = 5.0
_TOO_MANY_STARTS = 3
_run_process = subprocess.run
"""Starts a process and waits for its end. Tests replace this function."""


class SenderStarter:
    """Starts a sender process whenever none runs. Only the upkeep thread uses this object."""

    def __init__(self, notices: RecorderWarnings) -> None:
        self._notices = notices
        self._delay = _FIRST_DELAY
        self._next = 0.0
        self._starts = 0
        self._thread: Thread | None = None

    def assure(self, outbox: Path) -> None:
        """Starts a sender for an outbox if none runs and the last start was long enough ago."""
        now = time.monotonic()
        if now < self._next or (self._thread is not None and self._thread.is_alive()):
            return
        if SenderLock(outbox).is_held():
            self._delay = _FIRST_DELAY
            self._starts = 0
            return
        self._next = now + self._delay
        self._delay = min(2 * self._delay, _MOST_DELAY)
        self._starts += 1
        if self._starts == _TOO_MANY_STARTS:
            self._tell(outbox, f"it ends immediately; see its log {outbox / _LOG}")
        self._thread = thread = Thread(target=self._start, args=[outbox], daemon=True)
        try:
            # Starting an interpreter takes a while, and streams need upkeep meanwhile.
            thread.start()
        except RuntimeError:
            # Python starts no threads while it ends.
            self._thread = None
            self._start(outbox)

    def wait(self) -> None:
        """Waits at most 10 seconds until a sender that is being started runs.

        Returns at once if no sender is being started.
        """
        if self._thread is not None:
            self._thread.join(_WAIT_SECONDS)

    def _start(self, outbox: Path) -> None:
        begin = time.monotonic()
        try:
            start_sender(outbox)
        except (OSError, subprocess.SubprocessError) as error:
            self._tell(outbox, str(error))
        now = time.monotonic()
        self._next = max(self._next, now + _TIMES_LONGER * (now - begin))

    def _tell(self, outbox: Path, why: str) -> None:
        self._notices.say(
            "attempts to start the sender process",
            f"the sender process is not running ({why}): results are recorded in {outbox}; "
            "run `podium sync` to deliver them",
        )


def start_sender(outbox: Path) -> None:
    """Starts a sender that outlives this process.

    The sender is a new program, not a fork, so it shares nothing with the training process. `-P`
    prevents imports from the working folder of the training process.

    Raises:
        OSError: No Python interpreter was found, or it cannot be started.
        SubprocessError: The sender ended with an error, or its start took too long.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        raise OSError("no Python interpreter was found to start the sender")
    command = [sys.executable, "-P", "-m", "podium._sender.detached", str(outbox)]
    with os.fdopen(os.open(outbox / _LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)) as log:
        _run_process(
            command,
            check=True,
            cwd=outbox,
            env=os.environ | _absolute_paths() | {"PYTHONPATH": _python_path()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
            timeout=_START_SECONDS,
        )


def _absolute_paths() -> dict[str, str]:
    """Returns the environment variables that name files, as absolute paths.

    The sender runs in another folder, where relative paths would be wrong.
    """
    given = {name: os.environ.get(name, "").strip() for name in _FILES}
    return {name: str(Path(path).absolute()) for name, path in given.items() if path}


def _python_path() -> str:
    """Returns the PYTHONPATH with which a new interpreter imports this copy of podium."""
    inherited = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return os.pathsep.join([str(_PACKAGES), *map(os.path.abspath, inherited)])


def is_delivering(outbox: Path) -> bool:
    """Returns whether a sender has begun to deliver an outbox and still runs."""
    return SenderState.read(outbox) is not None and SenderLock(outbox).is_held()


def unreachable(outbox: Path, *, or_throttled: bool = False) -> str | None:
    """Returns why the sender cannot reach the server, or None if it can or has ended.

    If `or_throttled` is set, and the sender waits because it has reached a limit of the server,
    returns why it waits.
    """
    state = SenderState.read(outbox)
    states = (UNREACHABLE, THROTTLED) if or_throttled else (UNREACHABLE,)
    if state is None or state.state not in states:
        return None
    if state.next_try is not None and state.next_try + _STALE_SECONDS < time.time():
        return None  # the sender that wrote this status has ended
    return (state.error or f"{state.address} does not answer").partition(" (")[0]


def waits(outbox: Path, streams: Collection[str | None]) -> dict[str, str]:
    """Returns the reasons why streams wait, by writer_id, from the status file of the sender.

    `streams` has the writer_ids of the streams. A stream that does not wait is left out.
    """
    state = SenderState.read(outbox)
    return {} if state is None else {s: why for s, why in state.waits.items() if s in streams}
