"""Tests of every argument of every recording method with each value of `VALUES`.

Each call is made with and without `strict`. `test_wrong_values` checks what is recorded in place
of a wrong value.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import podium
import pytest

from tests.client.recorder.looking import told
from tests.client.recorder.wrong import CONFIG, VALUES
from tests.sparse import sparse

_CALLS: dict[str, dict[str, Any]] = {
    "ArmRecording.annotate": {},
    "ArmRecording.evaluating": {"name": "val"},
    "ArmRecording.finish": {},
    "ArmRecording.flush": {"timeout": 0},
    "ArmRecording.log": {"metrics": {"m": 1}},
    "ArmRecording.log_eval": {"name": "val", "metrics": {"m": 1}},
    "ExperimentRecording.arm": {"name": "other"},
    "ExperimentRecording.conclude": {"conclusion": "c"},
    "ExperimentRecording.flush": {"timeout": 0},
    "ExperimentRecording.record_arm": {"arm_result": podium.ArmResult("r", CONFIG, "completed")},
    "ExperimentRecording.start_arm": {"run_config": CONFIG},
}
"""Each method that takes arguments, with valid arguments."""

_INTERNAL = {"end", "flush_streams", "received_arm", "start", "stream_of"}
"""Methods that only recorders call."""


def _arguments() -> Iterator[tuple[str, str]]:
    for kind in (podium.ArmRecording, podium.ExperimentRecording):
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            for argument in list(inspect.signature(method).parameters)[1:]:
                if not name.startswith("_") and name not in _INTERNAL:
                    yield f"{kind.__name__}.{name}", argument


def test_the_table_has_every_method() -> None:
    """The table `_CALLS` has every public method that takes arguments."""
    assert {method for method, _ in _arguments()} == set(_CALLS)


def _call(experiment: Any, method: str, given: dict[str, Any]) -> None:
    kind, _, name = method.partition(".")
    owner = experiment.arm("base") if kind == "ArmRecording" else experiment
    result = getattr(owner, name)(**given)
    if name == "evaluating":
        with result as evaluation:
            evaluation.log({"m": 1})
    elif name in {"arm", "start_arm"}:
        result.log({"m": 1})
        result.finish()


def _raises(experiment: Any, method: str, given: dict[str, Any]) -> bool:
    try:
        _call(experiment, method, given)
    except (TypeError, ValueError, RuntimeError):
        return True
    return False


@pytest.mark.parametrize(("method", "argument"), sparse(_arguments(), 3))
def test_an_argument(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, method: str, argument: str
) -> None:
    """With strict, a value raises an error if and only if it causes a warning without strict.

    The warning names the method and the argument.
    """
    given: dict[str, Any] = {
        "offline": True,
        "close_timeout": 0,
        "provenance": False,
        "address": "localhost:1",
    }
    lenient = podium.record("x", outbox=tmp_path / "lenient", **given)
    strict = podium.record("x", outbox=tmp_path / "strict", strict=True, **given)
    for kind, value in VALUES.items():
        call = _CALLS[method] | {argument: value}
        lenient.notices._kinds.clear()
        caplog.clear()
        _call(lenient, method, call)
        warnings = [text for text in told(caplog) if "test_every_argument.py:" in text]
        assert len(warnings) <= 1, kind
        if warnings:
            assert f"{method.partition('.')[2].replace('evaluating', '')}" in warnings[0], kind
            assert argument in warnings[0], kind
        assert _raises(strict, method, call) is bool(warnings), kind
    lenient.close()
    strict.close()
