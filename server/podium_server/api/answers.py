"""Builds the responses of the rpcs from rows of the store.

Parts that are stored as encoded messages are copied without decoding them.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from podium._wire.values import experiment_status_to_proto
from podium.scoring import experiment_status
from podium.v1.arm_result_pb2 import (
    ARM_STATUS_COMPLETED,
    ARM_STATUS_FAILED,
    ArmResult,
    ArmSummary,
    Attempt,
)
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.experiment_pb2 import ArmCounts, Experiment
from podium.v1.metric_pb2 import Metric, MetricSource
from podium.v1.results_service_pb2 import ScoreResponse, ScoresResponse
from podium.v1.run_config_pb2 import RunConfig
from podium.v1.score_matrix_pb2 import ScoreColumn, ScoredArm
from podium.v1.score_pb2 import ScoreSource
from podium.v1.series_pb2 import Series
from podium.v1.watch_pb2 import WatchedArm

from podium_server.store.ranking_queries import ScoreMatrix
from podium_server.store.rows import ArmRow, ArmView, ExperimentRow, MetricRow, Points, Score

__all__ = [
    "arm_counts",
    "arm_result",
    "arm_summary",
    "experiment",
    "length_delimited",
    "length_prefix",
    "metric",
    "repeated",
    "score",
    "score_source",
    "scores",
    "series",
    "watched_arm",
]


def length_delimited(number: int, content: bytes) -> bytes:
    """Encodes a message field: its tag, the length of its content, and the content."""
    return length_prefix(number, len(content)) + content


def length_prefix(number: int, size: int) -> bytes:
    """Encodes the tag of a message field, and the length of its content."""
    return _varint(number << 3 | 2) + _varint(size)


def repeated(number: int, contents: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the parts of an encoded repeated field. `contents` are its encoded messages.

    The parts are not joined here. So each message is copied only once: when the caller joins all
    parts of a response.
    """
    for content in contents:
        yield length_prefix(number, len(content))
        yield content


@lru_cache(4_096)
def _varint(number: int) -> bytes:
    encoded = bytearray()
    while (rest := number >> 7) > 0:
        encoded.append(number & 0x7F | 0x80)
        number = rest
    encoded.append(number)
    return bytes(encoded)


def _status_of(row: ExperimentRow) -> int:
    status = experiment_status(
        total=sum(row.counts),
        completed=row.counts[ARM_STATUS_COMPLETED],
        failed=row.counts[ARM_STATUS_FAILED],
    )
    number: int = experiment_status_to_proto(status)
    return number


def experiment(row: ExperimentRow) -> Experiment:
    """Returns an experiment's row as an Experiment message."""
    answer = Experiment.FromString(row.content or b"")
    answer.MergeFrom(
        Experiment(
            name=row.name,
            status=_status_of(row),  # type: ignore[arg-type]
            revision=row.revision,
            create_time=_time(row.created),
            update_time=_time(row.updated),
            arm_counts=arm_counts(row.counts),
        )
    )
    return answer


def arm_counts(counts: Sequence[int]) -> ArmCounts:
    """Returns the number of arms in each status as a message.

    `counts` is indexed by the number of the status.
    """
    _, pending, running, completed, failed, cancelled = counts
    return ArmCounts(
        pending=pending, running=running, completed=completed, failed=failed, cancelled=cancelled
    )


def arm_result(experiment_name: str, view: ArmView, rows: Iterable[bytes]) -> list[bytes]:
    """Encodes an ArmResult, in parts. `rows` are the arm's eval rows, already encoded."""
    answer = _recorded(view)
    answer.run_config.MergeFromString(view.parts["config"])
    answer.MergeFromString(view.parts["metrics"])
    answer.MergeFrom(ArmResult(**_of_row(experiment_name, view.row)))
    return [answer.SerializeToString(), *repeated(ArmResult.EVALS_FIELD_NUMBER, rows)]


def arm_summary(experiment_name: str, view: ArmView, *, config: bool) -> ArmSummary:
    """Returns an arm without its eval rows. `config` tells whether to include the run_config."""
    return _summary(experiment_name, view, _recorded(view), config=config)


def watched_arm(experiment_name: str, view: ArmView, *, breakdowns: bool) -> WatchedArm:
    """Returns the message in which a watch sends an arm, without the arm's eval rows and series."""
    recorded = _recorded(view)
    answer = WatchedArm(
        position=view.row.ordinal,
        arm=_summary(experiment_name, view, recorded, config=True),
        run_result=recorded.run_result if recorded.HasField("run_result") else None,
    )
    if breakdowns and view.row.eval_count == 0:
        answer.eval_breakdowns.MergeFrom(recorded.eval_breakdowns)
    return answer


def _summary(
    experiment_name: str, view: ArmView, recorded: ArmResult, *, config: bool
) -> ArmSummary:
    return ArmSummary(
        run_config=RunConfig.FromString(view.parts["config"]) if config else None,
        metrics=ArmResult.FromString(view.parts["metrics"]).metrics,
        eval_metrics=recorded.eval_metrics,
        eval_count=view.row.eval_count,
        **_of_row(experiment_name, view.row),
        **{f.name: value for f, value in recorded.ListFields() if f.name in _SHARED},
    )


def _of_row(experiment_name: str, row: ArmRow) -> dict[str, Any]:
    """Returns the fields of an ArmResult or ArmSummary that come from the arm's row."""
    return {
        "name": row.name,
        "status": row.status,
        "experiment": experiment_name,
        "revision": row.revision,
        "create_time": _time(row.created),
        "update_time": _time(row.updated),
        "attempt": _attempt(row),
        "last_heard": _time(row.last_heard),
        "tags": row.tags,
    }


def score(found: Score) -> bytes:
    """Encodes a ScoreResponse."""
    entry = found.entry
    source = _encoded_source(entry.origin, found.key, found.eval_name, entry.step)
    return ScoreResponse(value=entry.value).SerializeToString() + source


@lru_cache(1_000)
def score_source(origin: int, key: str, eval_name: str | None, step: int | None) -> ScoreSource:
    """Returns a ScoreSource message: where a score comes from.

    The message is cached, because there are few different sources. Callers must not change it.
    """
    return ScoreSource(origin=int(origin), key=key, eval_name=eval_name, step=step)  # type: ignore[arg-type]


@lru_cache(1_000)
def _encoded_source(origin: int, key: str, eval_name: str | None, step: int | None) -> bytes:
    source = score_source(origin, key, eval_name, step)
    return ScoreResponse(source=source).SerializeToString()


def metric(row: MetricRow) -> Metric:
    """Returns a metric's row as a Metric message."""
    return Metric(
        name=f"{row.eval_name}.{row.key}" if row.eval_name else row.key,
        eval_name=row.eval_name or None,
        arms=sum(row.arms.values()),
        sources=[
            MetricSource(origin=int(origin), arms=arms)  # type: ignore[arg-type]
            for origin, arms in row.arms.items()
        ],
    )


def scores(metrics: Iterable[str], found: ScoreMatrix, token: str) -> ScoresResponse:
    """Returns a ScoresResponse: a page of a score matrix. `token` is the token of the next page."""
    arms = [
        ScoredArm(arm=arm.name, status=arm.status, group_name=arm.group_name)  # type: ignore[arg-type]
        for arm in found.arms
    ]
    columns = [
        ScoreColumn(metric=metric, values=values, present=present)
        for metric, (values, present) in zip(metrics, found.columns, strict=True)
    ]
    return ScoresResponse(
        arms=arms, columns=columns, next_page_token=token, revision=found.revision
    )


def series(points: Iterable[Points]) -> Iterable[Series]:
    """Returns one Series for each metric key. The steps of `points` must be ascending."""
    found: dict[str, Series] = {}
    for step, values in points:
        for key, value in values.items():
            one = found.get(key)
            if one is None:
                one = found[key] = Series(key=key)
            one.steps.append(step)
            one.values.append(value)
    return found.values()


_SHARED = frozenset(
    ("run_id", "error", "train_seconds", "eval_seconds", "group_id", "group_name", "annotations")
)
"""The fields of an ArmResult that an ArmSummary has too."""


def _recorded(view: ArmView) -> ArmResult:
    """Returns an ArmResult with the recorded facts and the results of the primary eval.

    The run_config, training metrics and eval rows of the message are not set.
    """
    answer = ArmResult.FromString(view.parts["facts"])
    if view.row.eval_count == 0:
        answer.MergeFromString(view.parts["given"])
    if view.primary is not None:
        primary = EvalResult.FromString(view.primary)
        answer.eval_metrics.MergeFrom(primary.metrics)
        answer.eval_breakdowns.MergeFrom(primary.breakdowns)
        if primary.HasField("eval_seconds") and not answer.HasField("eval_seconds"):
            answer.eval_seconds = primary.eval_seconds
    return answer


def _attempt(row: ArmRow) -> Attempt | None:
    if row.attempt_id is None:
        return None
    return Attempt(id=row.attempt_id, order=row.attempt_order or 0)


def _time(micros: int) -> Timestamp:
    seconds, rest = divmod(micros, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)
