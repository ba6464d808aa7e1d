"""Which arms, rows and experiments a list shows."""

from podium.v1 import results_service_pb2 as results_pb2

from podium_server.api import answers
from podium_server.store.rows import ArmRow, EvalKey, ExperimentRow

__all__ = ["ArmFilter", "EvalFilter", "ExperimentFilter"]


class ArmFilter:
    """Whether a list or matrix of arms shows an arm."""

    def __init__(self, request: results_pb2.ListArmsRequest | results_pb2.ScoresRequest) -> None:
        self._statuses = frozenset(request.statuses)
        self._group = request.group_name if request.HasField("group_name") else None
        self._prefix = request.name_prefix
        self._tags = frozenset(request.tags)

    def __call__(self, row: ArmRow) -> bool:
        """Whether it passes every filter."""
        return (
            (not self._statuses or row.status in self._statuses)
            and (self._group is None or row.group_name == self._group)
            and row.name.startswith(self._prefix)
            and self._tags.issubset(row.tags)
        )


class EvalFilter:
    """Whether a list of rows shows a row."""

    def __init__(self, request: results_pb2.ListEvalsRequest) -> None:
        self._name = request.name if request.HasField("name") else None
        self._min = request.min_step if request.HasField("min_step") else None
        self._max = request.max_step if request.HasField("max_step") else None

    def __call__(self, key: EvalKey) -> bool:
        """Whether it passes every filter."""
        if self._name is not None and key.name != self._name:
            return False
        if key.step is None:
            return self._min is None and self._max is None
        return (self._min is None or key.step >= self._min) and (
            self._max is None or key.step <= self._max
        )


class ExperimentFilter:
    """Whether a list of experiments shows an experiment."""

    def __init__(self, request: results_pb2.ListExperimentsRequest) -> None:
        self._statuses = frozenset(request.statuses)
        self._tags = frozenset(request.tags)

    def __call__(self, row: ExperimentRow) -> bool:
        """Whether it passes every filter."""
        shown = not self._statuses or answers.status_of(row) in self._statuses
        return shown and self._tags.issubset(row.tags)
