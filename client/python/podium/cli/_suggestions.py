"""Names that a user may have meant: evals and metrics of an experiment."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from podium._values.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from podium import Client

__all__ = ["near_evals", "near_metrics"]

_ARMS, _ARMS_WITH_ROWS, _ROWS = 100, 3, 1_000
"""How much is fetched to find names: of so many arms the metrics, of the first ones the rows."""


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
    arms: Iterable[str] | None = None,
    *,
    in_loop: bool = False,
) -> str:
    """Returns a question that names similar metrics of an experiment, or an empty text.

    Args:
        client: The client to ask with.
        experiment: The name of the experiment.
        metric: The metric that no arm has.
        arms: The arms whose eval rows are searched; the first ones if not given.
        in_loop: Whether only metrics are wanted that may have values by step.
    """
    known = dict.fromkeys(_metrics(client, experiment, arms, in_loop=in_loop))
    known.pop(metric, None)
    return did_you_mean(metric, known)


def _metrics(
    client: Client, experiment: str, arms: Iterable[str] | None, *, in_loop: bool
) -> Iterator[str]:
    summaries = list(islice(client.experiment(experiment).arms(page_size=_ARMS), _ARMS))
    names = [arm.name for arm in summaries] if arms is None else arms
    for name in islice(names, _ARMS_WITH_ROWS):
        for row in islice(client.arm(experiment, name).evals(page_size=_ROWS), _ROWS):
            if row.step is not None or not in_loop:
                yield from (f"{row.name}.{key}" for key in row.metrics)
    for summary in summaries:
        yield from summary.metrics
        yield from () if in_loop else summary.eval_metrics
