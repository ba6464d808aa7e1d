"""Tests of the row that a timed evaluation records: its duration and its values."""

from itertools import accumulate
from typing import Any

import pytest
from podium._interface.timed_eval import AsyncEvaluation, Evaluation, TimedEvalMixin

_FIELDS: dict[str, Any] = {"step": 0, "tags": ["t"]}


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the clock read 0, 1, 3, 6 and so on.

    Each difference is one second longer than the one before.
    """
    times = accumulate(range(100))
    monkeypatch.setattr("time.perf_counter", lambda: next(times))


def test_the_row_of_a_block() -> None:
    """A timed block records one row with the latest value of each key and the block's duration.

    A block that raises an error records no row.
    """
    rows: list[dict[str, Any]] = []
    with Evaluation(lambda **row: rows.append(row), "val", _FIELDS) as evaluation:
        evaluation.log({"m": 1, "n": 2}, breakdowns={"a": 1})
        evaluation.log({"m": 3}, breakdowns={"b": 2})
    assert rows == [
        {
            "step": 0,
            "tags": ["t"],
            "name": "val",
            "metrics": {"m": 3.0, "n": 2.0},
            "breakdowns": {"a": 1, "b": 2},
            "eval_seconds": 2,
        }
    ]
    with pytest.raises(KeyError), Evaluation(lambda **row: rows.append(row), "val", _FIELDS):
        raise KeyError
    assert len(rows) == 1


async def test_the_row_of_an_asynchronous_block() -> None:
    """An asynchronous timed block records the same row as a synchronous one.

    A block that raises an error records no row.
    """
    rows: list[dict[str, Any]] = []

    async def log_eval(**row: Any) -> None:
        rows.append(row)

    async with AsyncEvaluation(log_eval, "val", _FIELDS) as evaluation:
        evaluation.log({"m": 1})
    assert (rows[0]["metrics"], rows[0]["eval_seconds"]) == ({"m": 1.0}, 2)
    with pytest.raises(KeyError):
        async with AsyncEvaluation(log_eval, "val", _FIELDS):
            raise KeyError
    assert len(rows) == 1


def test_the_arguments_of_an_evaluation() -> None:
    """All arguments of `evaluating` are fields of the recorded row, even a step of 0."""
    rows: list[dict[str, Any]] = []

    class _Arm(TimedEvalMixin):
        def __init__(self) -> None:
            self.log_eval = lambda **row: rows.append(row)

    given: dict[str, Any] = {"step": 0, "tags": ["t"], "benchmark_id": "b", "model_ref": "m"}
    with _Arm().evaluating("val", **given):
        pass
    assert {name: rows[0][name] for name in given} == given
