"""The properties of a server, and the metrics of an experiment."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from podium._limits.limits import Limits
from podium._values.base import ModelBase

__all__ = ["Metric", "MetricSource", "Server"]


@dataclass(eq=False, repr=False)
class MetricSource(ModelBase):
    """A kind of result from which scores on a metric come, and the number of these scores."""

    origin: str
    """The kind of result: a ScoreOrigin."""
    arms: int
    """The number of arms whose score comes from this kind of result."""


@dataclass(eq=False, repr=False)
class Metric(ModelBase):
    """A metric on which arms of an experiment have scores."""

    name: str
    """The metric, in the form that `score` accepts."""
    eval_name: str | None
    """The name of the eval; None for a key in `eval_metrics` or `metrics`."""
    arms: int
    """The number of arms that have a score."""
    sources: list[MetricSource] = field(default_factory=list)
    """The kinds of results from which the scores come, each with its number of arms."""

    def record(self) -> dict[str, Any]:
        """Returns the metric as a row of a table, with the arm count of each kind of result."""
        counts = {source.origin: source.arms for source in self.sources}
        return {"metric": self.name, "eval": self.eval_name, "arms": self.arms, **counts}


@dataclass(eq=False, repr=False)
class Server(ModelBase):
    """A running server."""

    version: str
    """The version of Podium."""
    store_id: str
    """The id of the store, which never changes. A store restored from a backup has the same id."""
    limits: Limits
    """The limits of requests and stored results."""
    time: datetime | None = None
    """The time of the server's clock when it answered; None from older servers."""
