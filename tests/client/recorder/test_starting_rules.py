"""Tests of how a recorder starts its sender, thread and SIGTERM handler. No sender runs."""

import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import podium
import pytest
from podium._outbox import IDLE, SenderLock, SenderState
from podium._recorder import launch_sender, termination
from podium._recorder.upkeep import Upkeep
from podium._recorder.warnings import RecorderWarnings

_TIMEOUT = subprocess.TimeoutExpired("python", 60.0)


def _starter() -> launch_sender.SenderStarter:
    return launch_sender.SenderStarter(RecorderWarnings(is_strict=False))


@pytest.mark.parametrize(
    ("attribute", "value"), [("frozen", True), ("executable", ""), ("executable", None)]
)
def test_a_program_without_an_interpreter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, attribute: str, value: object
) -> None:
    """`start_sender` raises OSError if the program has no Python interpreter.

    A frozen program has none, because its executable is the program itself.
    """
    monkeypatch.setattr(sys, attribute, value, raising=False)
    with pytest.raises(OSError, match="no Python interpreter was found"):
        launch_sender.start_sender(tmp_path)


@pytest.mark.parametrize("error", [OSError("no room"), _TIMEOUT])
def test_a_sender_that_cannot_be_started(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    """If a sender cannot be started, the warning names the reason.

    If the start took 10 s, the next start is at least 40 s later.
    """
    now = 100.0

    def start(_outbox: Path) -> None:
        nonlocal now
        now += 10.0
        raise error

    monkeypatch.setattr(launch_sender, "start_sender", start)
    monkeypatch.setattr("time.monotonic", lambda: now)
    starter = _starter()
    starter._start(tmp_path)
    assert starter._next == 150.0
    starter._next = 1_000.0
    starter._start(tmp_path)
    assert starter._next == 1_000.0
    assert f"the sender process is not running ({error}): results are recorded" in caplog.text


def test_a_start_at_the_end_of_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """While Python shuts down, no thread can start, so the sender is started in the calling thread.

    The actions of the upkeep thread run in the calling thread, too.
    """
    starts: list[Path] = []

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(launch_sender, "start_sender", starts.append)
    starter = _starter()
    starter.assure(tmp_path)
    starter.wait()
    assert starts == [tmp_path]
    upkeep = Upkeep(lambda: None, lambda _error: None)
    upkeep.start()
    assert upkeep.call(lambda: 7, 0.0) == 7
    upkeep.stop(0.0)


def test_the_log_of_a_sender_is_continued(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A new sender appends to the log of earlier senders. Its start may take at most 60 seconds."""
    given: dict[str, Any] = {}

    def run(_command: list[str], **found: Any) -> None:
        given.update(found)
        os.write(found["stderr"].fileno(), b"second\n")

    (tmp_path / "sender.log").write_text("first\n")
    monkeypatch.setattr(launch_sender, "_run_process", run)
    launch_sender.start_sender(tmp_path)
    assert (tmp_path / "sender.log").read_text() == "first\nsecond\n"
    assert [given[name] for name in ("stdin", "stdout", "timeout")] == [
        subprocess.DEVNULL,
        subprocess.DEVNULL,
        60.0,
    ]


@pytest.mark.parametrize(("has_state", "is_held"), [(a, b) for a in (0, 1) for b in (0, 1)])
def test_a_sender_that_delivers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, has_state: int, is_held: int
) -> None:
    """A sender counts as delivering only if it has written its status and still holds its lock."""
    monkeypatch.setattr(SenderLock, "is_held", lambda _lock: bool(is_held))
    if has_state:
        SenderState(1, "here:1", IDLE).write(tmp_path)
    assert launch_sender.is_delivering(tmp_path) is bool(has_state and is_held)


# ---- The thread ----------------------------------------------------------------------------------


def test_an_error_in_the_thread() -> None:
    """If an action of the upkeep thread fails, the error is reported, and the call returns None.

    The thread continues with later actions and with its regular work.
    """
    told: list[str] = []
    worked = threading.Event()
    upkeep = Upkeep(worked.set, lambda error: told.append(str(error)))

    def fail() -> None:
        raise ValueError("broken")

    upkeep.start()
    try:
        assert upkeep.call(fail, 120.0) is None
        assert upkeep.call(lambda: 7, 120.0) == 7
        assert told == ["broken"]
        worked.clear()
        upkeep._next = float("inf")
        upkeep.wake()
        assert worked.wait(120.0)
    finally:
        upkeep.stop(120.0)
    assert upkeep._thread is not None
    assert not upkeep._thread.is_alive()


# ---- SIGTERM -------------------------------------------------------------------------------------


def _do_nothing(*_: object) -> None:
    """Does nothing, as the signal handler of a program."""


@pytest.mark.parametrize("handler", [signal.SIG_IGN, _do_nothing])
def test_another_handler_is_kept(monkeypatch: pytest.MonkeyPatch, handler: Any) -> None:
    """If a program handles or ignores SIGTERM, the recorder installs no handler."""
    installed: list[Any] = []
    monkeypatch.setattr(signal, "getsignal", lambda _number: handler)
    monkeypatch.setattr(signal, "signal", lambda *given: installed.append(given))
    termination.on_sigterm(_do_nothing)
    assert installed == []


def test_a_handler_is_installed_by_the_main_thread_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a recorder that begins in the main thread installs a SIGTERM handler.

    Another thread cannot install a handler, which is not an error.
    """
    installed: list[Any] = []
    monkeypatch.setattr(signal, "getsignal", lambda _number: signal.SIG_DFL)
    monkeypatch.setattr(signal, "signal", lambda *given: installed.append(given))
    monkeypatch.setattr(termination, "_leave_out_forks", lambda: None)
    monkeypatch.setattr(termination, "_actions", [])
    thread = threading.Thread(target=termination.on_sigterm, args=[_do_nothing])
    thread.start()
    thread.join(120.0)
    assert installed == []
    termination.on_sigterm(_do_nothing)
    assert installed == [(signal.SIGTERM, termination._handle)]


def test_a_second_sigterm_kills_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SIGTERM handler restores the default handler before it ends the recording.

    So a second SIGTERM kills the process at once.
    """
    events: list[Any] = []
    monkeypatch.setattr("os.kill", lambda _pid, number: events.append(number))
    monkeypatch.setattr("os._exit", events.append)
    monkeypatch.setattr(signal, "getsignal", lambda _number: termination._handle)
    monkeypatch.setattr(signal, "signal", lambda _number, handler: events.append(handler))
    monkeypatch.setattr(termination, "_actions", [lambda: events.append("recorded")])
    termination._handle(signal.SIGTERM, None)
    assert events == [signal.SIG_DFL, "recorded", signal.SIGTERM, 128 + signal.SIGTERM]


# ---- Copies --------------------------------------------------------------------------------------


def test_each_recorder_has_its_own_copy(tmp_path: Path) -> None:
    """If a process unpickles one recorder twice, it gets the same object both times.

    A recorder with another name or outbox becomes another object.
    """
    recorders = [
        podium.record(name, outbox=tmp_path / folder, offline=True)
        for name, folder in (("x", "a"), ("x", "b"), ("y", "a"))
    ]
    sent = [pickle.dumps(recorder) for recorder in recorders]
    copies = [pickle.loads(text) for text in sent]  # noqa: S301 - our own data
    assert pickle.loads(sent[0]) is copies[0]  # noqa: S301 - our own data
    assert len({*map(id, copies)}) == len(copies)
    for recorder in (*recorders, *copies):
        recorder.close()
