"""Tests of arms that `record_arm` records at once, each in a stream of its own."""

import threading
import time
from itertools import count
from pathlib import Path
from typing import Any

import podium
import pytest
from podium._outbox import StreamReader, streams
from podium.v1.event_pb2 import Event

CONFIG = podium.RunConfig("arm")
PARTS = 501
"""The number of events of `_large`: one with as many rows as fit, and one for each other row."""


def _large() -> podium.ArmResult:
    """Returns an arm that exceeds the limits of one call."""
    rows = [
        podium.EvalResult("val", metrics={f"m{n}": step for n in range(10)}, step=step)
        for step in range(1_500)
    ]
    return podium.ArmResult("arm", CONFIG, "completed", evals=rows)


def _contents(outbox: Path) -> list[list[str]]:
    """Returns a list for each stream of an arm, with a name for each event.

    The name is the eval name of a row, and the kind of another event.
    """
    readers = map(StreamReader, (each for server in outbox.glob("*/*") for each in streams(server)))
    return [list(map(_name, reader.remaining())) for reader in readers if reader.info.arm]


def _name(payload: bytes) -> str:
    event = Event.FromString(payload)
    return event.eval_recorded.eval_result.name or event.WhichOneof("kind") or ""


def _is_alone(content: list[str]) -> bool:
    return content == ["arm_recorded", *["val"] * (PARTS - 1)]


@pytest.mark.slow
def test_other_threads_log_to_other_streams(record: Any, name: str, tmp_path: Path) -> None:
    """Events that other threads log are not written between the events of a whole arm."""
    outbox = tmp_path / "outbox"
    with record(name, outbox=outbox, offline=True) as experiment:
        has_ended = threading.Event()

        def log() -> None:
            for step in count():
                experiment.arm("arm").log_eval("beside", {"n": step}, step=step)
                if has_ended.is_set():
                    return

        beside = threading.Thread(target=log)
        whole = [threading.Thread(target=experiment.record_arm, args=[_large()]) for _ in range(3)]
        for thread in (beside, *whole):
            thread.start()
        for thread in whole:
            thread.join()
        has_ended.set()
        beside.join()
    contents = _contents(outbox)
    assert sum(map(_is_alone, contents)) == 3
    assert all(_is_alone(content) or set(content) == {"beside"} for content in contents)


def test_rows_beside_a_rejected_whole_arm_are_stored(
    record: Any, client: podium.Client, name: str
) -> None:
    """If a whole arm is rejected, rows before and after it are stored.

    With `replace`, a second whole arm is stored.
    """
    with record(name) as experiment:
        experiment.start_arm(CONFIG).finish()
        evaluator = experiment.arm("arm")
        evaluator.log_eval("before", {"n": 1})
        experiment.record_arm(_large())
        evaluator.log_eval("after", {"n": 2})
        flushed = experiment.flush(60)
        assert (flushed.pending, flushed.rejected) == (0, PARTS)
        assert {row.name for row in client.arm(name, "arm").evals()} == {"before", "after"}
        experiment.record_arm(_large(), replace=True)
        flushed = experiment.flush(60)
        assert (flushed.pending, flushed.rejected) == (0, PARTS)
    assert client.arm(name, "arm").get() == _large()


def test_a_rejected_whole_arm_does_not_end_a_training(
    record: Any, client: podium.Client, name: str
) -> None:
    """If a whole arm is rejected, a running arm with the same name keeps running."""
    with record(name) as experiment:
        arm = experiment.start_arm(CONFIG)
        experiment.record_arm(podium.ArmResult("arm", CONFIG, "completed"))
        other = experiment.start_arm(CONFIG, name="other")
        assert experiment.flush(60).rejected == 1
        for step in range(3):  # the sender looks at its streams meanwhile
            time.sleep(0.5)
            other.log({"loss": step})
            experiment.flush(60)
        assert client.arm(name, "arm").get().status == "running"
        arm.finish()
        other.finish()
    assert client.arm(name, "arm").get().status == "completed"
