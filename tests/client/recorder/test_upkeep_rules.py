"""Tests of the upkeep of a recorder, and of how long its end waits. No sender runs."""

import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import podium
import pytest
from podium._recorder import process_outbox
from podium._recorder.counts import Counters

_PATIENCE = process_outbox._FIRST_PROGRESS_SECONDS, process_outbox._PROGRESS_SECONDS
"""The seconds that a recorder waits by default. A fixture of the tests makes them longer."""


@pytest.fixture
def outlet(tmp_path: Path) -> Iterator[Any]:
    """Yields the outbox of a recorder. The thread of the test does the upkeep of the outbox."""
    with podium.record("x", outbox=tmp_path, offline=True, close_timeout=0) as experiment:
        outlet: Any = experiment._process_outbox
        outlet._upkeep.stop(60.0)
        outlet._upkeep._thread = None
        before = dict(vars(outlet))
        outlet._streams = []
        yield outlet
        vars(outlet).clear()
        vars(outlet).update(before)


class _Stream:
    """A stream that has ended."""

    def __init__(self, **fields: Any) -> None:
        self.counters = Counters(pending=1)
        self.has_ended = self.is_over = True
        self.in_memory = 0
        self.folder = Path("stream")
        self.releases = self.syncs = self.wakes = 0
        vars(self).update(fields)

    def release(self) -> None:
        """Counts the calls."""
        self.releases += 1

    def sync(self) -> bool:
        """Counts the calls."""
        self.syncs += 1
        return True

    def look(self) -> None:
        """Does nothing."""

    def wake_sender(self) -> None:
        """Counts the calls."""
        self.wakes += 1

    def pending_of(self, sequence: int) -> int:
        """Returns `sequence` as the number of pending events."""
        return sequence


@pytest.mark.parametrize(
    ("begins", "progress", "timeout", "seconds"),
    [
        (99, {}, 60, 20),
        (3, {}, 60, 8),
        (0, {}, 60, 5),
        (3, {5: 2}, 60, 25),
        (99, {2: 2, 21: 1}, 60, 41),
        (99, {4: 0}, 60, 4),
        (99, {2: 2, 21: 1}, 30, 30),
        (99, {}, 0, 0),
    ],
)
def test_how_long_the_end_waits(
    outlet: Any,
    monkeypatch: pytest.MonkeyPatch,
    begins: int,
    progress: dict[int, int],
    timeout: float,
    seconds: int,
) -> None:
    """A recorder that ends waits for the delivery of its events, at most for the given timeout.

    It waits 5 s for the first progress of a sender that runs. It waits 20 s for further progress,
    and for the start of a sender.
    """
    now, pending = 0, 3

    def sleep(_seconds: float) -> None:
        nonlocal now, pending
        now += 1
        pending = progress.get(now, pending)

    clock = SimpleNamespace(monotonic=lambda: now, sleep=sleep)
    with monkeypatch.context() as patched:
        patched.setattr(process_outbox, "time", clock)
        patched.setattr(process_outbox, "_FIRST_PROGRESS_SECONDS", _PATIENCE[0])
        patched.setattr(process_outbox, "_PROGRESS_SECONDS", _PATIENCE[1])
        patched.setattr(process_outbox, "is_delivering", lambda _folder: now >= begins)
        patched.setattr(outlet, "_pending", lambda *_: pending)
        patched.setattr(outlet, "_is_safe", lambda _streams: False)
        outlet._wait_for_delivery([], timeout)
    assert seconds <= now <= seconds + 1


@pytest.mark.parametrize(
    ("in_memory", "why", "waits", "is_safe"),
    [
        (0, None, 0, False),
        (0, None, 1, False),
        (0, None, 2, True),
        (0, "no server", 0, True),
        (1, "no server", 2, False),
    ],
)
def test_when_waiting_is_useless(
    outlet: Any, in_memory: int, why: str | None, waits: int, *, is_safe: bool
) -> None:
    """Waiting for delivery is useless if all events are on disk and none can be delivered now.

    None can be delivered if no server is reachable, or if each pending stream waits for something.
    """
    streams = [_Stream(in_memory=in_memory), _Stream(), _Stream(counters=Counters())]
    outlet.unreachable = lambda: why
    outlet._waits = lambda pending: dict.fromkeys(
        map(str, range(waits if len(pending) == 2 else 9))
    )
    assert outlet._is_safe(streams) is is_safe


def test_few_ended_streams_are_watched(outlet: Any) -> None:
    """If more than 64 streams have ended, a recorder releases the oldest, as each has an open file.

    A stream with events in memory is not released. A delivered stream is counted and forgotten.
    """
    in_memory = [_Stream(is_over=False) for _ in range(3)]
    watched = [_Stream() for _ in range(70)]
    done = [_Stream(counters=Counters(delivered=2)) for _ in range(2)]
    open_one = _Stream(has_ended=False, counters=Counters(delivered=7))
    outlet._streams = [*in_memory, *watched, *done, open_one]
    outlet._retire(tuple(outlet._streams))
    assert [stream.releases for stream in watched] == [1] * 8 + [0] * 62
    assert [stream.releases for stream in (*in_memory, *done, open_one)] == [0, 0, 0, 1, 1, 0]
    assert outlet._streams == [*in_memory, *watched, open_one]
    assert outlet.counters().delivered == 4 + 7


def test_each_time_of_a_full_disk_counts_as_one_problem(
    outlet: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Each time the outbox becomes full counts as one problem, however long it stays full.

    While the outbox is full, `trouble` is the error. Afterwards, `trouble` is None.
    """
    states: list[OSError | None] = [OSError("full"), OSError("full"), None, OSError("full"), None]

    def upkeep() -> None:
        error = states.pop(0)
        if error is not None:
            raise error

    stream: Any = SimpleNamespace(upkeep=upkeep)
    troubles = []
    while states:
        outlet._keep_up(stream)
        troubles.append(str(outlet.trouble))
    assert troubles == ["full", "full", "None", "full", "None"]
    assert caplog.text.count("has no room now (full)") == 1
    assert outlet._notices.summary() == ["lack of room in the outbox: 1 more time"]


@pytest.mark.parametrize("is_offline", [False, True])
def test_the_regular_check(outlet: Any, tmp_path: Path, *, is_offline: bool) -> None:
    """The regular check syncs each stream. It starts a sender, unless the recorder is offline."""
    starts: list[Path] = []
    outlet._settings = replace(outlet._settings, is_offline=is_offline)
    outlet._sender = SimpleNamespace(assure=starts.append, wait=lambda: None)
    outlet._streams = [_Stream(has_ended=False), _Stream(has_ended=False)]
    outlet._waits = lambda _streams: {}
    outlet.folder = tmp_path
    outlet._look_at = lambda _streams: None
    outlet._look_around()
    assert starts == [tmp_path] * (not is_offline)
    assert [stream.syncs for stream in outlet._streams] == [1, 1]


def test_why_results_wait_is_logged_once(outlet: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The recorder logs once for each stream why its results wait.

    The summary of the warnings does not count repetitions.
    """
    outlet._waits = lambda streams: {f"w{number}": f"no arm {number}" for number in streams}
    for streams in ([1], [1, 2], [1, 2]):
        outlet._warn_of_waiting(streams)
    for number in (1, 2):
        assert caplog.text.count(f"results wait in the outbox: no arm {number}") == 1
    assert outlet._notices.summary() == []


def test_how_often_the_sender_is_woken(outlet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder wakes the sender about once a second, only for streams with pending events.

    An offline recorder never wakes it.
    """
    now = 100.0
    pending, done = _Stream(), _Stream()
    with monkeypatch.context() as patched:
        patched.setattr(process_outbox, "time", SimpleNamespace(monotonic=lambda: now))
        for is_offline, wakes in ((True, 0), (False, 3)):
            outlet._settings = replace(outlet._settings, is_offline=is_offline)
            for _ in range(24):
                outlet._wake_sender([(pending, 1), (done, 0)], 1.0)
                now += 0.125
            assert (pending.wakes, done.wakes) == (wakes, 0)


def test_why_events_are_pending(outlet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`why_pending` returns the first of three reasons that applies to pending events.

    The reasons are an unreachable server, a limit of the server, and what a single stream waits
    for. If none applies, `why_pending` says that delivery is in progress.
    """
    said: dict[str, Any] = {"away": "no server", "limit": "too much", "waits": {"w": "no arm"}}
    outlet.unreachable = lambda: said.get("away")
    outlet._waits = lambda _streams: said.get("waits", {})
    with monkeypatch.context() as patched:
        patched.setattr(process_outbox, "unreachable", lambda _folder, **_: said.get("limit"))
        found = [outlet.why_pending()]
        for name in tuple(said):
            del said[name]
            found.append(outlet.why_pending())
    assert found == ["no server", "too much", "no arm", "delivery is in progress"]


def test_disk_errors_are_logged_once(outlet: Any, caplog: pytest.LogCaptureFixture) -> None:
    """If a disk error stops the sync or release of one stream, the others are synced and released.

    The disk error is logged once, and its repetition is counted.
    """

    def fail() -> bool:
        raise OSError("broken")

    bad, good = _Stream(), _Stream()
    assert outlet._sync([good, good])
    assert not outlet._sync([good, _Stream(sync=lambda: False)])
    bad.sync = bad.release = fail  # type: ignore[assignment, method-assign]
    syncs = good.syncs
    assert not outlet._sync([bad, good])
    assert good.syncs == syncs + 1
    outlet._release_all([bad, good])
    assert good.releases == 1
    assert caplog.text.count("the disk of the outbox has an error: broken") == 1
    assert outlet._notices.summary() == ["disk errors of the outbox: 1 more time"]


@pytest.mark.parametrize(
    ("error", "moves"),
    [(OSError(errno.EROFS, "read only"), True), (OSError(errno.ENOSPC, "full"), False)],
)
def test_an_outbox_that_cannot_be_used(
    outlet: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    error: OSError,
    *,
    moves: bool,
) -> None:
    """After a lasting disk error, a recorder falls back to the temporary folder, and stays there.

    After an error that can pass, the recorder keeps its folder.
    """
    monkeypatch.setattr(process_outbox, "temporary_root", lambda: tmp_path / "temporary")
    root = outlet._root
    assert outlet._falls_back(error) is moves
    assert outlet._root == (tmp_path / "temporary" if moves else root)
    assert (f"run `podium sync {tmp_path / 'temporary'}`" in caplog.text) is moves
    assert not outlet._falls_back(error)
