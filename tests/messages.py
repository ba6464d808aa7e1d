"""Converts results, as Python data, to messages that only a server writes otherwise."""

from podium import scoring
from podium._model.score_matrix import ScoreColumn
from podium._wire.codec import SCORE_SOURCE
from podium.v1 import results_service_pb2, score_matrix_pb2

__all__ = ["score_column_to_proto", "score_response"]


def score_response(score: scoring.Score | None) -> results_service_pb2.ScoreResponse:
    """Returns the response with a score and its source. If the score is None, both are unset."""
    if score is None:
        return results_service_pb2.ScoreResponse()
    return results_service_pb2.ScoreResponse(value=score.value, source=SCORE_SOURCE.to_proto(score))


def score_column_to_proto(column: ScoreColumn) -> score_matrix_pb2.ScoreColumn:
    """Returns the message that has the scores of all arms on one metric."""
    return score_matrix_pb2.ScoreColumn(
        metric=column.metric,
        values=[0.0 if value is None else value for value in column.scores],
        present=[value is not None for value in column.scores],
    )
