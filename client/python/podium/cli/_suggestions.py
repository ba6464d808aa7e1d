"""Suggests similar names of evals, metrics, groups, tags and arms of an experiment."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from podium import Client, Metric
from podium._client import near_names
from podium._values.enums import ScoreOrigin
from podium._values.suggest import did_you_mean
from podium.cli._arguments import arm_filters
from podium.errors import NotFoundError

__all__ = ["near_arms", "near_evals", "near_filters", "near_metrics", "step_metrics"]

_IN_LOOP, _TRAINING = ScoreOrigin.IN_LOOP_EVAL, ScoreOrigin.TRAINING_METRICS
_ARMS = _ROWS = 1_000
"""The most arms, or rows of an arm, that are fetched to find names."""


def near_evals(client: Client, experiment: str, arm: str, name: str) -> str:
    """Returns a question that names evals of an arm similar to `name`.

    Returns "" if there are none, or if the arm has the eval `name` (but not at the wanted step).
    """
    rows = client.arm(experiment, arm).evals(page_size=_ROWS)[:_ROWS]
    known = {row.name for row in rows}
    # The eval exists, but not at the given step.
    return "" if name in known else did_you_mean(name, sorted(known))


def near_metrics(client: Client, experiment: str, metric: str, *, by_step: bool = False) -> str:
    """Returns a question that names similar metrics, or "" if there are none.

    With `by_step`, it names only metrics that may have values by step.
    """
    if by_step:
        known = dict.fromkeys(step_metrics(client, experiment))
    else:
        known = dict.fromkeys(each.name for each in client.experiment(experiment).metrics())
    known.pop(metric, None)
    return did_you_mean(metric, known)


def step_metrics(client: Client, experiment: str) -> list[str]:
    """Returns the metrics that may have values by step. Those of in-loop evals come first."""
    metrics = client.experiment(experiment).metrics()
    in_loop = [each.name for each in metrics if each.eval_name and _is_from(each, _IN_LOOP)]
    return in_loop + [each.name for each in metrics if _is_from(each, _TRAINING)]


def _is_from(metric: Metric, origin: ScoreOrigin) -> bool:
    return any(source.origin == origin for source in metric.sources)


@contextmanager
def near_arms(client: Client, experiment: str, arm: str | None = None) -> Iterator[None]:
    """Replaces a NotFoundError of the block by one that names similar experiments or arms."""
    try:
        yield
    except NotFoundError:
        # This read raises an error with similar names. The error of an event has none, because an
        # event may arrive before its arm exists.
        handle = client.experiment(experiment)
        _ = handle.get() if arm is None else bool(handle.arm(arm).evals(page_size=1))
        raise


def near_filters(client: Client, given: argparse.Namespace) -> str:
    """Returns a hint with similar values for the first filter that no arm passes, or ""."""
    arms = client.experiment(given.experiment).arms(page_size=_ARMS)[:_ARMS]
    filters = arm_filters(given)
    del filters["status"]
    return near_names.near_filters(arms, **filters)
