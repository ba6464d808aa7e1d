"""Names that a user may have meant: evals and metrics of an experiment."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from podium._values.enums import ScoreOrigin
from podium._values.suggest import did_you_mean

if TYPE_CHECKING:
    from podium import Client, Metric

__all__ = ["near_evals", "near_metrics"]

_ROWS = 1_000
"""The number of rows whose names are compared."""


def near_evals(client: Client, experiment: str, arm: str, name: str) -> str:
    """Returns a question that names similar evals of an arm, or an empty text."""
    rows = islice(client.arm(experiment, arm).evals(page_size=_ROWS), _ROWS)
    known = {row.name for row in rows}
    # A name that exists was asked for at a step that does not.
    return "" if name in known else did_you_mean(name, sorted(known))


def near_metrics(
    client: Client,
    experiment: str,
    metric: str,
    *,
    in_loop: bool = False,
) -> str:
    """Returns a question that names similar metrics of an experiment, or an empty text.

    Args:
        client: The client to ask with.
        experiment: The name of the experiment.
        metric: The metric that no arm has.
        in_loop: Whether only metrics are wanted that may have values by step.
    """
    found = client.experiment(experiment).metrics()
    known = {metric.name for metric in found if not in_loop or _may_be_in_loop(metric)}
    return did_you_mean(metric, sorted(known - {metric}))


def _may_be_in_loop(metric: Metric) -> bool:
    training = ScoreOrigin.TRAINING_METRICS
    return metric.eval_name is not None or training in {source.origin for source in metric.sources}
