"""Converts rankings and their parts to and from podium.v1; part of `podium._wire.codec`."""

from collections.abc import Sequence
from typing import Any

from podium._model import rankings as ranking
from podium._model import results, score_matrix
from podium._wire.tables import Codec, Field, repeated
from podium._wire.values import (
    arm_status_from_proto,
    arm_status_to_proto,
    direction_from_proto,
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


_STATUS = Field(arm_status_to_proto, arm_status_from_proto)
_ORIGIN = Field(score_origin_to_proto, score_origin_from_proto)
_FLAGS = repeated(Field(rank_flag_to_proto, rank_flag_from_proto))

_ARM_COUNTS = Codec(results.ArmCounts, experiment_pb2.ArmCounts)
arm_counts_to_proto, arm_counts_from_proto = _ARM_COUNTS.field

_SCORE_SOURCE = Codec(ranking.ScoreSource, score_pb2.ScoreSource, origin=_ORIGIN)
score_source_to_proto, score_source_from_proto = _SCORE_SOURCE.field

_RANKED_ARM = Codec(
    ranking.RankedArm,
    ranking_pb2.RankedArm,
    source=_SCORE_SOURCE.field,
    status=_STATUS,
    flags=_FLAGS,
)
ranked_arm_to_proto, ranked_arm_from_proto = _RANKED_ARM.field

_STATISTICS = Codec(Description, ranking_pb2.ScoreStatistics)
score_statistics_to_proto, score_statistics_from_proto = _STATISTICS.field

_RANKED_GROUP = Codec(
    ranking.RankedGroup,
    ranking_pb2.RankedGroup,
    required=["statistics"],
    statistics=_STATISTICS.field,
    flags=_FLAGS,
)
ranked_group_to_proto, ranked_group_from_proto = _RANKED_GROUP.field

_RANK_SOURCE = Codec(ranking.RankSource, ranking_pb2.RankSource, origin=_ORIGIN)
rank_source_to_proto, rank_source_from_proto = _RANK_SOURCE.field

_RANK_COUNTS = Codec(
    ranking.RankCounts, ranking_pb2.RankCounts, required=["left_out"], left_out=_ARM_COUNTS.field
)
rank_counts_to_proto, rank_counts_from_proto = _RANK_COUNTS.field

_RANK_GROUP_COUNTS = Codec(ranking.RankGroupCounts, ranking_pb2.RankGroupCounts)
rank_group_counts_to_proto, rank_group_counts_from_proto = _RANK_GROUP_COUNTS.field

_SCORED_ARM = Codec(score_matrix.ScoredArm, score_matrix_pb2.ScoredArm, status=_STATUS)
scored_arm_to_proto, scored_arm_from_proto = _SCORED_ARM.field


def ranking_from_proto(message: results_service_pb2.RankResponse) -> ranking.Ranking:
    """Reads a ranking by arm."""
    return ranking.Ranking(**_common(message), arms=list(map(ranked_arm_from_proto, message.arms)))


def group_ranking_from_proto(message: results_service_pb2.RankResponse) -> ranking.GroupRanking:
    """Reads a ranking by group."""
    return ranking.GroupRanking(
        **_common(message),
        groups=list(map(ranked_group_from_proto, message.groups)),
        group_counts=rank_group_counts_from_proto(message.group_counts),
    )


def _common(message: results_service_pb2.RankResponse) -> dict[str, Any]:
    """Returns the fields that rankings of arms and of groups have in common."""
    return {
        "metric": message.metric,
        "direction": direction_from_proto(message.direction) or "",
        "revision": message.revision,
        "counts": rank_counts_from_proto(message.counts),
        "sources": list(map(rank_source_from_proto, message.sources)),
    }


def score_column_to_proto(column: score_matrix.ScoreColumn) -> score_matrix_pb2.ScoreColumn:
    """Writes the scores for a metric."""
    return score_matrix_pb2.ScoreColumn(
        metric=column.metric,
        values=[0.0 if value is None else value for value in column.scores],
        present=[value is not None for value in column.scores],
    )


def score_column_from_proto(message: score_matrix_pb2.ScoreColumn) -> score_matrix.ScoreColumn:
    """Reads the scores for a metric."""
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
