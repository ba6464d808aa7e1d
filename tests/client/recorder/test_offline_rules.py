"""Tests of a recorder's rules about values, counts and warnings, without delivery."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import podium
import pytest
from podium._outbox import Progress, RejectedEvent, StreamReader
from podium._recorder import kept_values as kept
from podium._recorder import last_words
from podium._recorder import stream as streams
from podium._recorder.experiment import ExperimentRecording
from podium._recorder.other_recorders import _is_rival
from podium._recorder.problems import Problems
from podium._recorder.rejections import warn_of_rejected
from podium._recorder.stream import Stream
from podium._recorder.warnings import RecorderWarnings
from podium.events import metrics_recorded

from tests.client.outbox.places import info, new_outbox, new_writer
from tests.each import each

_MOST = kept.LIMITS.map_keys


@pytest.fixture
def offline(tmp_path: Path) -> Callable[..., ExperimentRecording]:
    """Returns `podium.record` without a sender."""

    def record(**given: Any) -> ExperimentRecording:
        return podium.record("x", outbox=tmp_path, offline=True, **given)

    return record


@each(
    ("convert", "given", "value", "is_lost"),
    [
        (kept.seconds, 0, 0.0, False),
        (kept.seconds, float("inf"), None, True),
        (kept.seconds, float("nan"), None, True),
        (kept.seconds, -0.1, None, True),
        (kept.step, -0.5, -1, True),
        (kept.step, "3.0", 3, True),
        (kept.step, 2**63 - 1, 2**63 - 1, False),
        (kept.step, 2**63, None, True),
        (kept.tags, ["t"] * _MOST, ["t"] * _MOST, False),
        (kept.tags, ["t"] * (_MOST + 1), ["t"] * _MOST, True),
        (kept.tags, "test", ["test"], False),
        (kept.name, "n" * 256, "n" * 256, False),
        (kept.name, "a\nb", "ab", False),
        (kept.flag, None, False, False),
        (kept.flag, "yes", False, True),
    ],
)
def test_a_value_at_its_limit(
    convert: Callable[..., Any], given: Any, value: Any, *, is_lost: bool
) -> None:
    """A value at its limit is kept. A value beyond its limit is left out, shortened or changed."""
    problems = Problems()
    assert convert(given, "field", problems) == value
    assert problems.lose_something is is_lost


@each("sign", ["n", "é", "漢"])
def test_a_name_over_the_limit(sign: str) -> None:
    """A name over the limit is shortened to the limit in UTF-8 bytes.

    Long names that differ only at their ends stay different.
    """
    names = [kept.name(sign * 300 + end, "name", Problems()) for end in "ab"]
    assert names[0] != names[1]
    assert all(250 < len((name or "").encode()) <= kept.LIMITS.name_bytes for name in names)


@pytest.mark.parametrize(
    ("metrics", "incomplete"),
    [
        (dict.fromkeys(map(str, range(_MOST)), 1.0), 0),
        (dict.fromkeys(map(str, range(_MOST)), 1.0) | {"bad": "x"}, 1),
        (dict.fromkeys(map(str, range(_MOST + 1)), 1.0), 1),
    ],
    ids=["all", "all-and-a-bad-one", "one-more"],
)
def test_as_many_keys_as_an_arm_can_have(
    offline: Callable[..., ExperimentRecording], metrics: dict[str, Any], incomplete: int
) -> None:
    """A call with as many keys as an arm can have is recorded as a whole.

    With one more key, or with a wrong value, the call counts as incomplete.
    """
    with offline() as experiment, experiment.start_arm(podium.RunConfig("a")) as arm:
        before = arm.counters.pending
        arm.log(metrics)
        assert (arm.counters.incomplete, arm.counters.dropped) == (incomplete, 0)
        assert arm.counters.pending == before + 1
        arm.log(dict.fromkeys(map(str, range(_MOST)), 2.0))
        assert (arm.counters.incomplete, arm.counters.pending) == (incomplete, before + 2)


@pytest.mark.parametrize(
    ("error", "timeout", "seconds"),
    [
        (None, 60.0, 60.0),
        (ValueError, 60.0, 60.0),
        (KeyboardInterrupt, 60.0, 1.0),
        (SystemExit, 60.0, 1.0),
        (KeyboardInterrupt, 0.5, 0.5),
    ],
)
def test_how_long_the_end_of_a_block_waits(
    offline: Callable[..., ExperimentRecording],
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException] | None,
    timeout: float,
    seconds: float,
) -> None:
    """If an interrupt or `sys.exit` ends a block, the recorder waits for delivery at most 1 s."""
    waited: list[float] = []
    close = ExperimentRecording._close

    def quick(self: ExperimentRecording, seconds: float) -> None:
        waited.append(seconds)
        close(self, 0.0)

    monkeypatch.setattr(ExperimentRecording, "_close", quick)
    recorder = offline(close_timeout=timeout)
    recorder.__exit__(error, None if error is None else error(), None)
    assert waited == [seconds]


def test_flush_accepts_any_time(offline: Callable[..., ExperimentRecording]) -> None:
    """Offline, `flush` accepts any number as a timeout, and counts the pending events."""
    with offline() as experiment:
        for seconds in (0, -1.0, float("inf"), 1e300):
            assert experiment.flush(seconds).pending == 1


def test_a_rejected_event_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A rejected event is reported in one warning, even if the recorder looks for it twice.

    An event that is marked as sent again is not reported.
    """
    writer = new_writer(new_outbox(tmp_path))
    reader = StreamReader(writer.folder)
    event = metrics_recorded("a", {"loss": 1.0}).SerializeToString()
    for number in (1, 2):
        reader.reject(RejectedEvent(number, f"REASON_{number}", "no", 1.0, event))
    reader.mark_retried(1)
    stream: Any = SimpleNamespace(last_warned=0, is_rejected=False)
    notices = RecorderWarnings(is_strict=False)
    for _ in range(2):
        warn_of_rejected(stream, writer.folder, notices)
    assert ("REASON_1" in caplog.text, caplog.text.count("REASON_2")) == (False, 1)
    assert notices.summary() == []
    writer.release()


def test_events_in_memory_are_not_synced() -> None:
    """`Stream.sync` returns False while events wait in memory: a power cut would lose them."""
    notices = RecorderWarnings(is_strict=False)
    unused: Any = None
    stream = Stream(unused, unused, notices)
    assert not stream.sync()
    synced = 3
    writer: Any = SimpleNamespace(last_sequence=3, sync=lambda: synced)
    stream._writer = writer
    assert stream.sync()
    stream._waiting.append(b"event")
    assert not stream.sync()
    stream._waiting.clear()
    synced = 2
    assert not stream.sync()


def test_a_flush_counts_the_events_of_its_arm(offline: Callable[..., ExperimentRecording]) -> None:
    """A dropped event counts for its arm and for the experiment, but not for another arm."""
    with offline() as experiment:
        arms = [experiment.start_arm(podium.RunConfig(name)) for name in "ab"]
        [stream] = arms[1]._streams()
        stream._dropped = 3
        each_one: list[Any] = [*arms, experiment]
        assert [each.flush(0).dropped for each in each_one] == [0, 3, 3]
        for arm in arms:
            arm.finish()


def test_large_values_share_the_room() -> None:
    """Each large value is shortened to its share of the limit, and a small value stays whole."""
    given = {"a": "x" * 1_000, "b": "y" * 1_000, "c": "z"}
    found = kept.value_map(given, "field", Problems(), 1_200)
    assert found["c"] == "z"
    assert all(300 < len(found[key]) < 600 for key in "ab")


def test_the_end_of_an_arm_waits_in_a_full_memory(
    offline: Callable[..., ExperimentRecording], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If disk and memory are full, metrics are dropped, but the end of the arm is kept."""
    with offline() as experiment, monkeypatch.context() as full:
        arm = experiment.start_arm(podium.RunConfig("a"))
        full.setattr(Stream, "upkeep", lambda _stream: None)
        full.setattr(Stream, "_append", lambda *_: False)
        full.setattr(streams, "MEMORY_BYTES", 0)
        full.setattr(streams, "_ROOM_SECONDS", 0.0)
        arm.log({"loss": 1.0})
        arm.finish()
        [stream] = arm._streams()
        assert (stream._dropped, stream.in_memory, arm.has_finished) == (1, 1, True)


def test_a_sender_is_started_once_for_a_new_stream(
    offline: Callable[..., ExperimentRecording], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a new stream, a sender is started once. Later only the regular check starts one."""
    with offline() as experiment:
        outlet = experiment._process_outbox
        assert outlet is not None
        outlet._upkeep.stop(60.0)
        outlet._upkeep._thread = None  # from now on, this thread does its work
        starts: list[int] = []
        monkeypatch.setattr(outlet, "_start_sender", lambda: starts.append(1))
        outlet._needs_sender, outlet._next_look = True, math.inf
        for _ in range(3):
            outlet._work()
        assert starts == [1]


class _Unfinished:
    """An arm that was not finished."""

    name, has_finished = "a", False


def test_an_unfinished_arm_causes_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A recorder that is closed twice warns only once of an unfinished arm."""
    arms: list[Any] = [_Unfinished()]
    notices = RecorderWarnings(is_strict=False)
    for _ in range(2):
        last_words.warn_of_unfinished("x", arms, notices)
    assert (caplog.text.count("was not finished"), notices.summary()) == (1, [])


@each(
    ("fields", "is_rival"),
    [
        ({}, True),
        ({"pid": os.getpid()}, False),
        ({"attempt_id": "second"}, False),
        ({"attempt_order": None}, False),
        ({"arm": "b"}, False),
        ({"experiment": "y"}, False),
    ],
)
def test_another_process_that_trains_an_arm(fields: dict[str, Any], *, is_rival: bool) -> None:
    """A process is a rival if it trains the same arm in another attempt.

    This process, workers of the same attempt, and evaluators are not rivals.
    """
    own = info(attempt_id="second", attempt_order=2)
    assert _is_rival(info(**{"pid": os.getpid() + 1} | fields), own) is is_rival


def test_only_undelivered_events_of_a_deleted_folder_are_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If the folder of a stream is deleted, only its undelivered events count as lost."""
    unused: Any = None
    stream = Stream(unused, unused, RecorderWarnings(is_strict=False))
    stream._progress = Progress(3, 0)
    writer: Any = SimpleNamespace(
        last_sequence=5,
        folder=tmp_path / "deleted",
        progress=lambda: Progress(0, 0),
        abandon=lambda: None,
    )
    stream._writer = writer
    stream.look()
    assert stream.counters.dropped == 2
    assert "2 undelivered events in it are lost" in caplog.text
