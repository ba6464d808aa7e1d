"""Strategies of hypothesis that generate random results of every shape."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from podium._model import results

__all__ = ["arm_results", "experiments", "values"]

_INT64 = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([2**53 + 1, 2**63 - 1, -(2**63), 0])
_FLOATS = st.floats() | st.sampled_from([float("nan"), float("inf"), float("-inf"), -0.0, 4.0])
_TEXTS = st.text(max_size=8)
_TAGS = st.lists(_TEXTS, max_size=3)
_METRICS = st.dictionaries(_TEXTS, _FLOATS, max_size=3)
_SCALARS = st.none() | st.booleans() | _INT64 | _FLOATS | _TEXTS

values = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)
_VALUE_MAPS = st.dictionaries(_TEXTS, values, max_size=2)
_VALUE_LISTS = st.lists(values, max_size=2)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


_COMPONENTS = st.builds(results.Component, _TEXTS, _VALUE_MAPS)
_DATA = st.builds(
    results.DataConfig,
    _TEXTS,
    *[_maybe(_TEXTS)] * 5,
    _VALUE_LISTS,
    _VALUE_LISTS,
)
_RUN_CONFIGS = st.builds(
    results.RunConfig,
    _TEXTS,
    _maybe(_DATA),
    _maybe(st.builds(results.ModelConfig, _TEXTS, *[_maybe(_TEXTS)] * 3)),
    _maybe(_COMPONENTS),
    _maybe(_COMPONENTS),
    _VALUE_MAPS,
    _VALUE_MAPS,
    _maybe(_INT64),
    _TAGS,
    _VALUE_MAPS,
)
_RUN_RESULTS = st.builds(
    results.RunResult,
    _TEXTS,
    _TEXTS,
    _METRICS,
    st.dictionaries(_TEXTS, _TEXTS, max_size=2),
    _maybe(_TEXTS),
    _VALUE_MAPS,
)
_EVAL_RESULTS = st.builds(
    results.EvalResult,
    _TEXTS,
    _maybe(_TEXTS),
    _METRICS,
    _VALUE_MAPS,
    _FLOATS,
    _maybe(_INT64),
    _TAGS | st.just(["test"]),
    _maybe(_TEXTS),
)
_TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive


@st.composite
def arm_results(draw: st.DrawFn) -> results.ArmResult:
    """Generates arms of every shape, output-only fields included."""
    arm = results.ArmResult(
        draw(_TEXTS),
        draw(_RUN_CONFIGS),
        draw(st.sampled_from(results.ArmStatus)),
        draw(_METRICS),
        draw(_METRICS),
        draw(_VALUE_MAPS),
        draw(st.lists(_EVAL_RESULTS, max_size=3)),
        draw(_maybe(_TEXTS)),
        draw(_maybe(_TEXTS)),
        draw(_maybe(_FLOATS)),
        draw(_maybe(_FLOATS)),
        draw(_maybe(_RUN_RESULTS)),
        draw(_maybe(_TEXTS)),
        draw(_maybe(_TEXTS)),
    )
    arm.experiment, arm.revision = draw(_TEXTS), draw(_INT64)
    arm.create_time, arm.update_time = draw(_maybe(_TIMES)), draw(_maybe(_TIMES))
    arm.attempt = draw(_maybe(st.builds(results.Attempt, _TEXTS, _INT64)))
    return arm


@st.composite
def experiments(draw: st.DrawFn) -> results.Experiment:
    """Generates experiments of every shape, output-only fields included."""
    experiment = results.Experiment(
        draw(_TEXTS),
        draw(_maybe(_TEXTS)),
        draw(_maybe(_TEXTS)),
        draw(_maybe(_TEXTS)),
        draw(_maybe(_TEXTS)),
        draw(_maybe(st.sampled_from(results.Direction))),
        draw(_TAGS),
        draw(_VALUE_MAPS),
    )
    experiment.status = draw(st.sampled_from(results.ExperimentStatus))
    experiment.revision = draw(_INT64)
    experiment.create_time, experiment.update_time = draw(_maybe(_TIMES)), draw(_maybe(_TIMES))
    experiment.arm_counts = results.ArmCounts(*[draw(st.integers(0, 9)) for _ in range(5)])
    return experiment
