"""Converts rankings, matrices of scores and their parts to and from podium.v1."""

from collections.abc import Sequence
from typing import Any

from podium._model import rankings, score_matrix
from podium._wire.codec import ARM_COUNTS, SCORE_SOURCE
from podium._wire.tables import Codec, repeated
from podium._wire.values import ARM_STATUS, RANK_FLAG, SCORE_ORIGIN, direction_from_proto
from podium.statistics import Description
from podium.v1 import ranking_pb2, results_service_pb2, score_matrix_pb2

__all__ = [
    "RANKED_ARM",
    "RANKED_GROUP",
    "RANK_COUNTS",
    "RANK_GROUP_COUNTS",
    "RANK_SOURCE",
    "SCORED_ARM",
    "group_ranking_from_proto",
    "ranking_from_proto",
    "score_column_from_proto",
    "score_matrix_from_proto",
]

_FLAGS = repeated(RANK_FLAG)
_STATISTICS = Codec(Description, ranking_pb2.ScoreStatistics)

RANKED_ARM = Codec(
    rankings.RankedArm,
    ranking_pb2.RankedArm,
    source=SCORE_SOURCE.field,
    status=ARM_STATUS,
    flags=_FLAGS,
)
RANKED_GROUP = Codec(
    rankings.RankedGroup,
    ranking_pb2.RankedGroup,
    required=["statistics"],
    statistics=_STATISTICS.field,
    flags=_FLAGS,
)
RANK_SOURCE = Codec(rankings.RankSource, ranking_pb2.RankSource, origin=SCORE_ORIGIN)
RANK_COUNTS = Codec(
    rankings.RankCounts, ranking_pb2.RankCounts, required=["left_out"], left_out=ARM_COUNTS.field
)
RANK_GROUP_COUNTS = Codec(rankings.RankGroupCounts, ranking_pb2.RankGroupCounts)
SCORED_ARM = Codec(score_matrix.ScoredArm, score_matrix_pb2.ScoredArm, status=ARM_STATUS)


def ranking_from_proto(message: results_service_pb2.RankResponse) -> rankings.Ranking:
    """Returns the ranking of arms in a response."""
    return rankings.Ranking(**_common(message), arms=list(map(RANKED_ARM.from_proto, message.arms)))


def group_ranking_from_proto(message: results_service_pb2.RankResponse) -> rankings.GroupRanking:
    """Returns the ranking of groups in a response."""
    return rankings.GroupRanking(
        **_common(message),
        groups=list(map(RANKED_GROUP.from_proto, message.groups)),
        group_counts=RANK_GROUP_COUNTS.from_proto(message.group_counts),
    )


def _common(message: results_service_pb2.RankResponse) -> dict[str, Any]:
    return {
        "metric": message.metric,
        "direction": direction_from_proto(message.direction) or "",
        "revision": message.revision,
        "counts": RANK_COUNTS.from_proto(message.counts),
        "sources": list(map(RANK_SOURCE.from_proto, message.sources)),
    }


def score_column_from_proto(message: score_matrix_pb2.ScoreColumn) -> score_matrix.ScoreColumn:
    """Returns the scores of arms on one metric. A score that is not present is None."""
    cells = zip(message.values, message.present, strict=False)
    return score_matrix.ScoreColumn(
        message.metric, [value if is_there else None for value, is_there in cells]
    )


def score_matrix_from_proto(
    metrics: Sequence[str], pages: Sequence[results_service_pb2.ScoresResponse]
) -> score_matrix.ScoreMatrix:
    """Returns the matrix of scores on `metrics`, joined from its pages."""
    arms = [SCORED_ARM.from_proto(arm) for page in pages for arm in page.arms]
    columns = [score_matrix.ScoreColumn(metric, []) for metric in metrics]
    for page in pages:
        for column, part in zip(columns, page.columns, strict=False):
            column.scores += score_column_from_proto(part).scores
    revisions = {page.revision for page in pages}
    return score_matrix.ScoreMatrix(arms, columns, revisions.pop() if len(revisions) == 1 else None)
