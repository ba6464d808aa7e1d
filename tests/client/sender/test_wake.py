"""Tests of wake signals: if a process waits for delivery, the sender tries again soon."""

import asyncio
import shutil
import time
from pathlib import Path

import podium
import pytest
from podium._outbox import WakeSignal, outbox_folder, wake_sender
from podium._recorder.launch_sender import SenderStarter
from podium._sender import Rules, Sender
from podium._sender.backoff import Backoff
from podium._sender.circuit_breaker import CircuitBreaker
from podium._sender.verdicts import Pause
from podium_server.testing import RunningServer
from podium_server.testing.calls import declared, row

from tests.client.client.broken import closed_port
from tests.client.recorder.looking import NOBODY
from tests.client.sender.outboxes import dead_stream, until

AWAY = Pause("UNAVAILABLE", "nobody answers", is_about_server=True)
RULES = Rules(idle_seconds=0, patience_seconds=60)


def _longest(low: float, high: float) -> float:
    return low + (high - low)


def _for_ever(low: float, _high: float) -> float:
    """Returns the seconds of a wait: an hour, or 0 if a wake signal asks for an early retry."""
    return 0.0 if low else 3_600.0


def test_a_wake_signal(tmp_path: Path) -> None:
    """Each wake signal is seen once. An earlier signal, or one in a copied folder, is not seen."""
    wake_sender(tmp_path)
    signal = WakeSignal(tmp_path)
    assert not signal.is_set()
    for _ in range(3):
        time.sleep(0.01)
        wake_sender(tmp_path)
        assert signal.is_set()
        assert not signal.is_set()
    assert (tmp_path / "wake").stat().st_mode & 0o777 == 0o600
    shutil.copytree(tmp_path, tmp_path / "copy")
    assert not WakeSignal(tmp_path / "copy").is_set()
    wake_sender(tmp_path / "nowhere")
    assert not WakeSignal(tmp_path / "nowhere").is_set()


def test_wake_signals_move_a_retry_to_soon_after_the_last_try() -> None:
    """However many wake signals there are, they move a retry only to 1.5 s after the last try.

    That is the longest possible value of the random wait after a wake signal.
    """
    breaker = CircuitBreaker(Backoff(_longest))
    breaker.hurry()
    assert breaker.pause is None
    for _ in range(12):
        breaker.shut(AWAY, breaker.due)
    tried, time_before = breaker.due - 30, breaker.due_time
    for _ in range(10):
        breaker.hurry()
    assert breaker.due == pytest.approx(tried + 1.5)
    assert time_before - breaker.due_time == pytest.approx(28.5)
    breaker.shut(AWAY, breaker.due)
    assert breaker.due == pytest.approx(tried + 1.5 + 30)


def test_wake_signals_do_not_hasten_calls_to_an_overloaded_server() -> None:
    """Wake signals do not hasten a call to a server that is overloaded."""
    breaker = CircuitBreaker(Backoff(_longest))
    breaker.shut(Pause("OVERLOADED", "too much", is_about_server=True), 100.0)
    due = breaker.due
    breaker.hurry()
    assert breaker.due == due


def test_a_server_that_is_back(tmp_path: Path) -> None:
    """Events whose next try is an hour away are delivered soon after a wake signal."""

    def observe(sender: Sender) -> None:
        if sender.circuit_breaker.pause is not None:
            shut.set()

    async def run(outbox: Path, folder: Path) -> None:
        async with podium.AsyncClient(address) as client:
            sender = Sender([outbox], client, RULES, observe)
            sender.circuit_breaker = CircuitBreaker(Backoff(_for_ever))
            delivery = asyncio.ensure_future(sender.run())
            await shut.wait()
            server = RunningServer(f"sqlite:///{tmp_path / 'podium.db'}", ["--listen", address])
            try:
                while not delivery.done():
                    wake_sender(folder)
                    await asyncio.sleep(0.2)
                assert await client.experiment("x").get()
            finally:
                server.stop()
            await delivery

    shut = asyncio.Event()
    address = closed_port()
    outbox = outbox_folder(tmp_path / "outbox", address)
    folder = dead_stream(outbox, "x", declared(), arm=None)
    asyncio.run(asyncio.wait_for(run(outbox, folder), 120))


def test_a_stream_that_waits_for_its_arm(outbox: Path, client: podium.Client) -> None:
    """A wake signal also hastens the next try of a stream that waits for its arm."""

    def wait_for_ever(sender: Sender) -> None:
        for stream in sender.streams.unsent:
            if stream.pause is not None and not waits.is_set():
                stream.due = time.monotonic() + 3_600
                waits.set()

    async def run() -> None:
        async with podium.AsyncClient(client.address) as sending:
            sender = Sender([outbox], sending, RULES, wait_for_ever)
            delivery = asyncio.ensure_future(sender.run())
            await waits.wait()
            client.experiment("x").start_arm(podium.RunConfig("a")).finish()
            while not delivery.done():
                wake_sender(folder)
                await asyncio.sleep(0.2)
            await delivery

    waits = asyncio.Event()
    client.experiment("x").declare()
    folder = dead_stream(outbox, "x", row("v", 1))
    asyncio.run(asyncio.wait_for(run(), 120))
    assert client.arm("x", "a").eval("v", step=1) is not None


def test_a_waiting_process_wakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`flush` wakes the sender for one stream. The end of recording wakes it for all.

    An offline process does not wake it.
    """
    monkeypatch.setattr(SenderStarter, "assure", lambda *_: None)
    for offline in (True, False):
        root = tmp_path / str(offline)
        with podium.record(
            "x", address=NOBODY, outbox=root, offline=offline, close_timeout=0
        ) as experiment:
            arm = experiment.start_arm(podium.RunConfig("a"))
            other = experiment.start_arm(podium.RunConfig("b"))
            other.log({"loss": 1})
            arm.flush(0.2)
            while not offline and not _woken(root):
                arm.flush(0.2)
            folder = arm._stream.folder if arm._stream else None
            assert _woken(root) == (set() if offline else {folder})
        until(lambda root=root, count=0 if offline else 3: len(_woken(root)) == count)  # type: ignore[misc]  # bound now


def _woken(root: Path) -> set[Path]:
    return {path.parent for path in root.glob("*/*/*/wake")}
