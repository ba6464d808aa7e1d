"""Rankings and what they are made of <-> their form in podium.v1; part of `podium._wire.codec`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from podium._model import rankings as ranking
from podium._model import results, score_matrix
from podium._wire.values import (
    arm_status_from_proto,
    arm_status_to_proto,
    direction_from_proto,
    get,
    maybe,
    rank_flag_from_proto,
    rank_flag_to_proto,
    score_origin_from_proto,
    score_origin_to_proto,
)
from podium.statistics import Description
from podium.v1 import experiment_pb2, ranking_pb2, results_service_pb2, score_matrix_pb2, score_pb2

__all__ = [
    "arm_counts_from_proto",
    "arm_counts_to_proto",
    "group_ranking_from_proto",
    "rank_counts_from_proto",
    "rank_counts_to_proto",
    "rank_group_counts_from_proto",
    "rank_group_counts_to_proto",
    "rank_source_from_proto",
    "rank_source_to_proto",
    "ranked_arm_from_proto",
    "ranked_arm_to_proto",
    "ranked_group_from_proto",
    "ranked_group_to_proto",
    "ranking_from_proto",
    "score_column_from_proto",
    "score_column_to_proto",
    "score_matrix_from_proto",
    "score_source_from_proto",
    "score_source_to_proto",
    "score_statistics_from_proto",
    "score_statistics_to_proto",
    "scored_arm_from_proto",
    "scored_arm_to_proto",
]


def arm_counts_to_proto(counts: results.ArmCounts) -> experiment_pb2.ArmCounts:
    """Writes the number of arms by status."""
    return experiment_pb2.ArmCounts(
        pending=counts.pending,
        running=counts.running,
        completed=counts.completed,
        failed=counts.failed,
        cancelled=counts.cancelled,
    )


def arm_counts_from_proto(message: experiment_pb2.ArmCounts) -> results.ArmCounts:
    """Reads the number of arms by status."""
    return results.ArmCounts(
        pending=message.pending,
        running=message.running,
        completed=message.completed,
        failed=message.failed,
        cancelled=message.cancelled,
    )


def score_source_to_proto(source: ranking.ScoreSource) -> score_pb2.ScoreSource:
    """Writes where a score came from."""
    return score_pb2.ScoreSource(
        origin=score_origin_to_proto(source.origin),
        key=source.key,
        eval_name=source.eval_name,
        step=source.step,
    )


def score_source_from_proto(message: score_pb2.ScoreSource) -> ranking.ScoreSource:
    """Reads where a score came from."""
    return ranking.ScoreSource(
        origin=score_origin_from_proto(message.origin),
        key=message.key,
        eval_name=get(message, "eval_name"),
        step=get(message, "step"),
    )


def ranked_arm_to_proto(arm: ranking.RankedArm) -> ranking_pb2.RankedArm:
    """Writes an arm at its place."""
    return ranking_pb2.RankedArm(
        arm=arm.arm,
        rank=arm.rank,
        score=arm.score,
        source=maybe(score_source_to_proto, arm.source),
        benchmark_id=arm.benchmark_id,
        group_name=arm.group_name,
        status=arm_status_to_proto(arm.status),
        flags=map(rank_flag_to_proto, arm.flags),
    )


def ranked_arm_from_proto(message: ranking_pb2.RankedArm) -> ranking.RankedArm:
    """Reads an arm at its place."""
    return ranking.RankedArm(
        arm=message.arm,
        rank=get(message, "rank"),
        score=get(message, "score"),
        source=maybe(score_source_from_proto, get(message, "source")),
        benchmark_id=get(message, "benchmark_id"),
        group_name=get(message, "group_name"),
        status=arm_status_from_proto(message.status),
        flags=list(map(rank_flag_from_proto, message.flags)),
    )


def score_statistics_to_proto(found: Description) -> ranking_pb2.ScoreStatistics:
    """Writes what some scores have come to."""
    return ranking_pb2.ScoreStatistics(**asdict(found))


def score_statistics_from_proto(message: ranking_pb2.ScoreStatistics) -> Description:
    """Reads what some scores have come to."""
    names = ("mean", "sd", "standard_error", "ci_low", "ci_high", "min", "max")
    return Description(message.n, *(get(message, name) for name in names))


def ranked_group_to_proto(group: ranking.RankedGroup) -> ranking_pb2.RankedGroup:
    """Writes a group at its place."""
    return ranking_pb2.RankedGroup(
        group_name=group.group_name,
        first_arm=group.first_arm,
        rank=group.rank,
        members=group.members,
        statistics=score_statistics_to_proto(group.statistics),
        nans=group.nans,
        missing=group.missing,
        failed=group.failed,
        left_out=group.left_out,
        flags=map(rank_flag_to_proto, group.flags),
    )


def ranked_group_from_proto(message: ranking_pb2.RankedGroup) -> ranking.RankedGroup:
    """Reads a group at its place."""
    return ranking.RankedGroup(
        group_name=get(message, "group_name"),
        first_arm=message.first_arm,
        rank=get(message, "rank"),
        members=message.members,
        statistics=score_statistics_from_proto(message.statistics),
        nans=message.nans,
        missing=message.missing,
        failed=message.failed,
        left_out=message.left_out,
        flags=list(map(rank_flag_from_proto, message.flags)),
    )


def rank_source_to_proto(source: ranking.RankSource) -> ranking_pb2.RankSource:
    """Writes where scores came from."""
    return ranking_pb2.RankSource(
        origin=score_origin_to_proto(source.origin),
        eval_name=source.eval_name,
        benchmark_id=source.benchmark_id,
        scores=source.scores,
    )


def rank_source_from_proto(message: ranking_pb2.RankSource) -> ranking.RankSource:
    """Reads where scores came from."""
    return ranking.RankSource(
        origin=score_origin_from_proto(message.origin),
        eval_name=get(message, "eval_name"),
        benchmark_id=get(message, "benchmark_id"),
        scores=message.scores,
    )


def rank_counts_to_proto(counts: ranking.RankCounts) -> ranking_pb2.RankCounts:
    """Writes what became of all arms."""
    return ranking_pb2.RankCounts(
        numbers=counts.numbers,
        nans=counts.nans,
        without_score=counts.without_score,
        left_out=arm_counts_to_proto(counts.left_out),
    )


def rank_counts_from_proto(message: ranking_pb2.RankCounts) -> ranking.RankCounts:
    """Reads what became of all arms."""
    return ranking.RankCounts(
        numbers=message.numbers,
        nans=message.nans,
        without_score=message.without_score,
        left_out=arm_counts_from_proto(message.left_out),
    )


def rank_group_counts_to_proto(
    counts: ranking.RankGroupCounts,
) -> ranking_pb2.RankGroupCounts:
    """Writes what became of all groups."""
    return ranking_pb2.RankGroupCounts(
        ranked=counts.ranked, without_mean=counts.without_mean, too_small=counts.too_small
    )


def rank_group_counts_from_proto(
    message: ranking_pb2.RankGroupCounts,
) -> ranking.RankGroupCounts:
    """Reads what became of all groups."""
    return ranking.RankGroupCounts(
        ranked=message.ranked, without_mean=message.without_mean, too_small=message.too_small
    )


def ranking_from_proto(message: results_service_pb2.RankResponse) -> ranking.Ranking:
    """Reads a ranking by arm."""
    return ranking.Ranking(**_said(message), arms=list(map(ranked_arm_from_proto, message.arms)))


def group_ranking_from_proto(message: results_service_pb2.RankResponse) -> ranking.GroupRanking:
    """Reads a ranking by group."""
    return ranking.GroupRanking(
        **_said(message),
        groups=list(map(ranked_group_from_proto, message.groups)),
        group_counts=rank_group_counts_from_proto(message.group_counts),
    )


def _said(message: results_service_pb2.RankResponse) -> dict[str, Any]:
    """What a ranking of either kind says beside its entries."""
    return {
        "metric": message.metric,
        "direction": direction_from_proto(message.direction) or "",
        "revision": message.revision,
        "counts": rank_counts_from_proto(message.counts),
        "sources": list(map(rank_source_from_proto, message.sources)),
    }


def scored_arm_to_proto(arm: score_matrix.ScoredArm) -> score_matrix_pb2.ScoredArm:
    """Writes an arm of a matrix."""
    return score_matrix_pb2.ScoredArm(
        arm=arm.arm, status=arm_status_to_proto(arm.status), group_name=arm.group_name
    )


def scored_arm_from_proto(message: score_matrix_pb2.ScoredArm) -> score_matrix.ScoredArm:
    """Reads an arm of a matrix."""
    return score_matrix.ScoredArm(
        message.arm, arm_status_from_proto(message.status), get(message, "group_name")
    )


def score_column_to_proto(column: score_matrix.ScoreColumn) -> score_matrix_pb2.ScoreColumn:
    """Writes the scores on a metric."""
    return score_matrix_pb2.ScoreColumn(
        metric=column.metric,
        values=[0.0 if value is None else value for value in column.scores],
        present=[value is not None for value in column.scores],
    )


def score_column_from_proto(message: score_matrix_pb2.ScoreColumn) -> score_matrix.ScoreColumn:
    """Reads the scores on a metric."""
    cells = zip(message.values, message.present, strict=False)
    return score_matrix.ScoreColumn(
        message.metric, [value if is_there else None for value, is_there in cells]
    )


def score_matrix_from_proto(
    metrics: Sequence[str], pages: Sequence[results_service_pb2.ScoresResponse]
) -> score_matrix.ScoreMatrix:
    """Reads the pages of a matrix."""
    arms = [scored_arm_from_proto(arm) for page in pages for arm in page.arms]
    columns = [score_matrix.ScoreColumn(metric, []) for metric in metrics]
    for page in pages:
        for column, part in zip(columns, page.columns, strict=False):
            column.scores += score_column_from_proto(part).scores
    revisions = {page.revision for page in pages}
    return score_matrix.ScoreMatrix(arms, columns, revisions.pop() if len(revisions) == 1 else None)
