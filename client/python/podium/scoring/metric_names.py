"""Defines what a metric such as `bench.pass_rate` names."""

from podium.errors import error_for

__all__ = ["candidates"]


def candidates(metric: str) -> list[tuple[str | None, str]]:
    """Returns the pairs (eval name, key) under which a metric is looked up, in this order.

    The first pair that exists is used. There is a pair for each dot, from the left, and last the
    whole text with the eval name None: the arm's eval metrics, then its training metrics. Names and
    keys are never empty, so a dot at either end is not a separator.

    Raises:
        InvalidArgumentError: The metric is empty.
    """
    if not metric:
        raise error_for("NAME_INVALID", "metric must not be empty", {"field": "metric"})
    dots = [index for index, letter in enumerate(metric) if letter == "."]
    splits = [(metric[:dot], metric[dot + 1 :]) for dot in dots]
    return [*((name, key) for name, key in splits if name and key), (None, metric)]
