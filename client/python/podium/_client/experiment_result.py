"""Makes the requests for the best arm, the result and the conclusion of an experiment.

Does no I/O. See `podium._client.calls`.
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from podium import events
from podium._client import calls, ranking_calls
from podium._limits.limits import DEFAULT_LIMITS
from podium._model.rankings import ExperimentResult
from podium._values.shorten_text import shorten
from podium.errors import AbortedError
from podium.scoring import conclusion_of

if TYPE_CHECKING:
    from podium._client.calls import Requests
    from podium._model.rankings import RankedArm, Ranking
    from podium._model.recording import RecordResult
    from podium._model.results import ArmSummary
    from podium._values.arguments import DirectionLike

__all__ = ["best", "conclude", "result"]


def best(
    experiment: str, metric: str | None, direction: DirectionLike | None
) -> Requests[RankedArm | None]:
    """Calls Rank. Returns the best arm, or None if no completed arm has a score other than NaN."""
    request = ranking_calls.request(experiment, metric, direction=direction)
    found = yield from ranking_calls.rank(request, top=1)
    return _best_of(found)


def result(experiment: str) -> Requests[ExperimentResult]:
    """Calls GetExperiment, ListArms and Rank. Returns the result, as of one revision."""
    for _ in range(calls.ATTEMPTS):
        found = yield from _result_in_one_state(experiment)
        if found is not None:
            return found
    raise AbortedError(
        f"experiment {experiment!r} changed {calls.ATTEMPTS} times while it was read: it is too "
        "busy to be read as a whole; try again when fewer arms are training"
    )


def conclude(experiment: str, text: str | None) -> Requests[RecordResult]:
    """Calls Record to store a conclusion: `text`, or the one of `result` if `text` is None."""
    if text is None:
        found = yield from result(experiment)
        text = shorten(found.conclusion, DEFAULT_LIMITS.text_bytes)
    recorded = yield from calls.record(experiment, [events.experiment_concluded(text)])
    return recorded


def _result_in_one_state(experiment: str) -> Requests[ExperimentResult | None]:
    about = yield from calls.get_experiment(experiment)
    arms: list[ArmSummary] = []
    pages = calls.arms(experiment, page_size=DEFAULT_LIMITS.page_rows)
    while pages.request is not None:
        page = yield pages.request
        if page.revision != about.revision:
            return None
        arms += pages.read(page)
    first = None
    if about.success_metric is not None:
        ranking = yield from ranking_calls.rank(ranking_calls.request(experiment, None), top=1)
        if ranking.revision != about.revision:
            return None
        first = _best_of(ranking)
    score = None if first is None else first.score
    named = None if first is None or score is None else (first.arm, score)
    return ExperimentResult(
        experiment=about,
        status=about.status,
        arms=arms,
        best_arm=named and named[0],
        best_score=score,
        conclusion=conclusion_of(arms, about.success_metric, named),
    )


def _best_of(found: Ranking) -> RankedArm | None:
    """Returns the first arm of a ranking, or None if its score is missing or NaN."""
    arm = next(iter(found.arms), None)
    return None if arm is None or arm.score is None or isnan(arm.score) else arm
