"""Defines where a metric such as `bench.pass_rate` is looked up."""

from podium._values.names import MOST_METRIC_BYTES, MOST_NAME_BYTES, wrong_name
from podium.errors import error_for

__all__ = ["candidates", "check_eval_name", "check_metric"]


def candidates(metric: str) -> list[tuple[str | None, str]]:
    """Returns the pairs (eval name, key) under which a metric is looked up, in this order.

    The first pair for which an arm has a value is used. For each dot, from the left, there is a
    pair with the eval name before the dot and the key after it. The last pair is None and the whole
    metric: a key in the arm's eval metrics, or else in its training metrics. Names and keys are
    never empty, so a dot at either end is not a separator.

    Raises:
        InvalidArgumentError: The metric is empty.
    """
    if not metric:
        check_metric(metric)
    dots = range(1, len(metric) - 1)
    splits = [(metric[:dot], metric[dot + 1 :]) for dot in dots if metric[dot] == "."]
    return [*splits, (None, metric)]


def check_eval_name(name: str) -> None:
    """Raises an InvalidArgumentError if a string is not a valid eval name on any server."""
    _check(name, "name", MOST_NAME_BYTES)


def check_metric(metric: str) -> None:
    """Raises an InvalidArgumentError if a string is not a valid metric on any server."""
    _check(metric, "metric", MOST_METRIC_BYTES)


def _check(text: str, field: str, most: int) -> None:
    wrong = wrong_name(text, most)
    if wrong:
        raise error_for("NAME_INVALID", f"{field} {wrong}", {"field": field})
