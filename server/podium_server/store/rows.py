"""The rows that a store keeps: plain data, the same for every store.

The run_configs, breakdowns and results are kept as encoded messages. A store never parses them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import IntEnum
from operator import attrgetter
from typing import NamedTuple

__all__ = [
    "COMPLETED",
    "PART_NAMES",
    "SERIES_PART",
    "VALUES_PART",
    "ArmRow",
    "ArmView",
    "EvalKey",
    "EvalRow",
    "ExperimentRow",
    "MetricRow",
    "Origin",
    "Points",
    "RowScores",
    "Score",
    "ScoreRow",
    "StreamRow",
    "StreamState",
]

VALUES_PART = "values"
"""The name of the part that filters use: a JSON object with the run_config's values by path."""
SERIES_PART = "series"
"""The name of the part with the changes of the training series: see `series_changes`."""
PART_NAMES = ("config", "metrics", "facts", "given")
"""The names of the parts of an arm that reads return.

`config` is the run_config. `metrics` has the training metrics. `given` has the eval_metrics and
eval_breakdowns of an arm that was recorded without eval rows. `facts` has all other recorded fields
of the arm. Parts are stored separately from the arm's row, and written only when they have changed.
"""


COMPLETED = 3
"""The number of the status COMPLETED in `podium.v1.ArmStatus`. Arms with this status are ranked."""


class Origin(IntEnum):
    """The kind of result that a score comes from, with the numbers of `podium.v1.ScoreOrigin`."""

    POST_TRAINING_EVAL = 1
    IN_LOOP_EVAL = 2
    TRAINING_METRICS = 3
    GIVEN_EVAL_METRICS = 4


class StreamState(IntEnum):
    """Whether a stream may still write."""

    OPEN = 0
    ARM_DELETED = 1
    EXPERIMENT_DELETED = 2


class EvalKey(NamedTuple):
    """The identity of an eval row within its arm. A post-training row has the step None."""

    name: str
    step: int | None


@dataclass(slots=True)
class ExperimentRow:
    """An experiment.

    The row is kept after a deletion, so that revisions and ordinals never go back.

    Times are microseconds since 1970. `counts` holds the number of arms of each status, at the
    index of the status's number. `row_count` is the number of stored rows: 1 for the experiment,
    and 1 for each arm, eval row and step of a training series. It is 0 after a deletion. `deletion`
    is the revision of the last deletion, or 0. Results of older revisions belong to an earlier
    experiment of this name. `id` is None until the store has set it. `content` is the encoded
    Experiment with its declared fields, or None if it was not loaded.
    """

    id: int | None
    name: str
    revision: int = 0
    deletion: int = 0
    next_ordinal: int = 0
    created: int = 0
    updated: int = 0
    row_count: int = 0
    deleted: bool = False
    counts: tuple[int, ...] = (0, 0, 0, 0, 0, 0)
    tags: tuple[str, ...] = ()
    content: bytes | None = None

    def copy(self) -> "ExperimentRow":
        """Returns a copy of the row."""
        return ExperimentRow(*_fields_of(self))


_fields_of = attrgetter(*(field.name for field in fields(ExperimentRow)))


@dataclass(slots=True)
class ArmRow:
    """The row of an arm, without its parts and eval rows.

    An arm is identified by its experiment and its `ordinal`, which is never reused and orders
    arms by creation. `primary` is the key of its primary eval, and `primary_class` is the class of
    that row (see `podium.scoring.primary_class`). `part_bytes` is the total size of its parts.
    `digest` identifies the content that `record_arm` recorded last. `config_digest` identifies its
    run_config (see `podium_server.store.message_fields`). `last_heard` is the time of its newest
    event or heartbeat. `moved` is the revision in which its status or group last changed.
    """

    name: str
    ordinal: int
    status: int
    revision: int = 0
    created: int = 0
    updated: int = 0
    group_name: str | None = None
    attempt_id: str | None = None
    attempt_order: int | None = None
    next_position: int = 0
    eval_count: int = 0
    primary_class: int | None = None
    primary_position: int | None = None
    part_bytes: int = 0
    digest: bytes | None = None
    config_digest: bytes = b""
    last_heard: int = 0
    moved: int = 0
    tags: tuple[str, ...] = ()
    primary: EvalKey | None = None


@dataclass(slots=True)
class ArmView:
    """An arm as reads return it: its row, its parts, and the content of its primary eval row."""

    row: ArmRow
    parts: dict[str, bytes]
    primary: bytes | None

    @property
    def size(self) -> int:
        """The size of the parts and of the primary eval row in bytes."""
        return self.row.part_bytes + len(self.primary or b"")


@dataclass(slots=True)
class EvalRow:
    """An eval row.

    `position` orders the rows of an arm by the time of their first acceptance. `primary_class` is
    None if the row is of another model than the arm's. `content` is the encoded EvalResult without
    its output-only fields. `stamp` is the encoding of these fields. `content + stamp` is the whole
    message.
    """

    key: EvalKey
    position: int
    primary_class: int | None
    model_ref: str | None
    revision: int
    content: bytes
    stamp: bytes


class Points(NamedTuple):
    """The points of a training series at one step: the value of each key."""

    step: int
    values: Mapping[str, float]


class ScoreRow(NamedTuple):
    """The score of an eval or of the arm itself on one metric.

    `step` is the step of the in-loop row that the value comes from. `benchmark_id` is the
    benchmark_id of the eval row that the value comes from, in-loop or post-training.
    """

    value: float
    origin: Origin
    step: int | None = None
    benchmark_id: str | None = None


class RowScores(NamedTuple):
    """All scores of an eval row: its metrics, and the fields that their `ScoreRow`s share."""

    metrics: Mapping[str, float]
    origin: Origin
    step: int | None
    benchmark_id: str | None


class MetricRow(NamedTuple):
    """A metric, with the number of arms that have a score on it, by the origin of the score.

    `eval_name` is "" for the arms' own (bare) scores.
    """

    eval_name: str
    key: str
    arms: Mapping[Origin, int]


@dataclass(slots=True)
class Score:
    """A score that was found: its row, its key, and the name of its eval."""

    entry: ScoreRow
    key: str
    eval_name: str | None


@dataclass(slots=True)
class StreamRow:
    """A stream, with the last sequence number that was applied.

    `subject` is the name of the arm that the stream writes to, or "" for the experiment itself.
    `subject` is None while the stream has sent only Skipped events. `owner` is the name of the
    token that first used the stream. `owner` is None if the stream was first used without a token.
    """

    writer_id: str
    last_sequence: int = 0
    subject: str | None = None
    state: StreamState = field(default=StreamState.OPEN)
    owner: str | None = None
