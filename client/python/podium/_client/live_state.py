"""The state of a followed experiment at one revision, without I/O, for both clients and the CLI."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from podium import ranking, scoring
from podium._client.compound_calls import curve_arms
from podium._client.live_points import LivePoints
from podium._model.primary_fields import drop_mirrored
from podium._model.rankings import Ranking
from podium._model.results import ArmResult, ArmSummary, EvalResult, Experiment
from podium._model.watching import WatchedArm, WatchedEval, WatchMarker, WatchUpdate
from podium._values.arguments import ArmStatuses, DirectionLike, StepLike, Strings
from podium._values.enums import Direction
from podium._values.suggest import did_you_mean
from podium.curves import Curves, Series, curves_of
from podium.errors import NotFoundError
from podium.scoring import DIRECTION_KEY, direction_for

__all__ = ["LiveArm", "LiveState"]

_Key = tuple[str, int | None]
_GIVEN = ("run_id", "error", "train_seconds", "eval_seconds", "group_id", "group_name")
_OUTPUTS = (
    "experiment",
    "revision",
    "create_time",
    "update_time",
    "attempt",
    "last_heard",
    "annotations",
    "tags",
)


class LiveArm:
    """An arm in one state of a followed experiment.

    A LiveArm is immutable, so it can cache its scores.
    """

    def __init__(
        self,
        watched: WatchedArm,
        rows: Mapping[_Key, WatchedEval],
        points: Mapping[str, LivePoints],
    ) -> None:
        self.watched = watched
        self.rows = rows
        self.points = points
        self._result: ArmResult | None = None
        self._scores: dict[str, float | None] = {}

    def __repr__(self) -> str:
        return f"<LiveArm {self.name!r}: {self.status}, {len(self.rows)} rows>"

    @property
    def summary(self) -> ArmSummary:
        """The arm without its rows."""
        return self.watched.arm

    @property
    def name(self) -> str:
        """The name of the arm."""
        return self.summary.name

    @property
    def status(self) -> str:
        """The status of the arm."""
        return self.summary.status

    @property
    def result(self) -> ArmResult:
        """The arm with its rows, as `ArmHandle.get` returns it."""
        if self._result is None:
            self._result = _result(self.watched, self.rows)
        return self._result

    def eval(self, name: str, *, step: StepLike | None = None) -> EvalResult | None:
        """Returns an eval row, as `ArmHandle.eval` does, or None if there is none."""
        return self.result.eval(name, step=step)

    def series(self, key: str) -> Series:
        """Returns a training series, as `ArmHandle.series` does.

        The series is empty if the arm has none, or if `with_series` of `follow` did not include it.
        """
        return self.points.get(key, LivePoints()).series(key)

    def score(self, metric: str) -> float | None:
        """Returns a score, as `ArmHandle.score` does, or None if there is none."""
        try:
            return self._scores[metric]
        except KeyError:
            score = self._scores[metric] = self.result.score(metric)
            return score


def _result(watched: WatchedArm, rows: Mapping[_Key, WatchedEval]) -> ArmResult:
    summary = watched.arm
    evals = [item.eval_result for item in sorted(rows.values(), key=lambda item: item.position)]
    result = ArmResult(
        summary.name,
        summary.run_config,
        summary.status,
        summary.metrics,
        {} if evals else summary.eval_metrics,
        {} if evals else watched.eval_breakdowns,
        evals=evals,
        run_result=watched.run_result,
        **{name: getattr(summary, name) for name in _GIVEN},
    )
    for name in _OUTPUTS:
        setattr(result, name, getattr(summary, name))
    drop_mirrored(result)
    return result


class LiveState(NamedTuple):
    """The state of a followed experiment at one revision. It is immutable.

    `arms` has the arms by name, in the order of their creation.
    """

    experiment: Experiment | None = None
    marker: WatchMarker | None = None
    arms: Mapping[str, LiveArm] = {}

    def __repr__(self) -> str:
        name = self.experiment.name if self.experiment else None
        return f"<LiveState of {name!r}: revision {self.revision}, {len(self.arms)} arms>"

    @property
    def revision(self) -> int:
        """The revision of this state, or 0 before the first update."""
        return 0 if self.marker is None else self.marker.revision

    def after(self, update: WatchUpdate) -> "LiveState":
        """Returns the state after an update."""
        arms = {} if update.is_reset else dict(self.arms)
        for removal in update.removals:
            if removal.name is None:
                arms.pop(removal.arm, None)
        rows = _changed_rows(arms, update)
        points = _changed_points(arms, update)
        watched = {item.arm.name: item for item in update.arms}
        known = len(arms)
        for name in rows.keys() | points.keys() | watched.keys():
            before = arms.get(name)
            arm = watched.get(name) or (before.watched if before else None)
            if arm is not None:
                kept = before or LiveArm(arm, {}, {})
                arms[name] = LiveArm(arm, rows.get(name, kept.rows), points.get(name, kept.points))
        if len(arms) > known:
            arms = dict(sorted(arms.items(), key=lambda item: item[1].watched.position))
        return LiveState(update.experiment or self.experiment, update.marker, arms)

    def arm(self, name: str) -> LiveArm:
        """Returns an arm.

        Raises:
            NotFoundError: There is no such arm in this state.
        """
        try:
            return self.arms[name]
        except KeyError:
            text = f"there is no arm {name!r}{did_you_mean(name, self.arms)}"
            raise NotFoundError(text) from None

    def rank(
        self,
        metric: str | None = None,
        *,
        direction: DirectionLike | None = None,
        status: ArmStatuses | None = None,
    ) -> Ranking:
        """Ranks the arms, as `ExperimentHandle.rank` does.

        Raises:
            ValueError: No metric is given, and the experiment has no success_metric.
        """
        metric, direction = self._order(metric, direction)
        options: dict[str, Any] = {} if status is None else {"status": status}
        found = ranking.rank(self._results(), metric, direction=direction, **options)
        found.revision = self.revision
        return found

    def best(
        self, metric: str | None = None, *, direction: DirectionLike | None = None
    ) -> str | None:
        """Returns the name of the completed arm with the best score, or None if no arm has a score.

        NaN is never the best score.

        Raises:
            ValueError: No metric is given, and the experiment has no success_metric.
        """
        metric, direction = self._order(metric, direction)
        found = scoring.best_arm(self._results(), metric, direction)
        return None if found is None else found[0].name

    def curve(
        self,
        metric: str,
        names: Strings | None = None,
        *,
        by_group: bool = False,
        status: ArmStatuses | None = None,
    ) -> Curves:
        """Returns the values of a metric by step, as `ExperimentHandle.curve` does.

        Raises:
            ValueError: The metric is empty.
            NotFoundError: One of `names` is unknown in this state.
        """
        experiment = self.experiment.name if self.experiment else ""
        listed = [arm.summary for arm in self.arms.values()]
        chosen, left_out = curve_arms(experiment, listed, names, by_group=by_group, status=status)
        arms = [self.arms[summary.name] for summary in chosen]
        series = {arm.name: arm.series(metric) for arm in arms if metric in arm.points}
        results = [arm.result for arm in arms]
        return curves_of(results, metric, by_group=by_group, left_out=left_out, series=series)

    def _order(
        self, metric: str | None, direction: DirectionLike | None
    ) -> tuple[str, DirectionLike | None]:
        about = self.experiment
        metric = metric or (about.success_metric if about else None)
        if metric is None:
            raise ValueError("give a metric: the experiment has no success_metric")
        if direction or about is None:
            return metric, direction
        stated = about.metadata.get(DIRECTION_KEY.format(metric=metric))
        declared = Direction(about.direction) if about.direction else None
        return metric, direction_for(metric, about.success_metric, declared, stated)

    def _results(self) -> list[ArmResult]:
        return [arm.result for arm in self.arms.values()]


def _changed_rows(
    arms: Mapping[str, LiveArm], update: WatchUpdate
) -> dict[str, dict[_Key, WatchedEval]]:
    """Returns all rows of each arm whose rows an update changes, as they are after the update.

    The rows are grouped by the name of the arm. The keys in a group are the names and steps.
    """
    found: dict[str, dict[_Key, WatchedEval]] = {}

    def rows_of(arm: str) -> dict[_Key, WatchedEval]:
        if arm not in found:
            found[arm] = dict(arms[arm].rows) if arm in arms else {}
        return found[arm]

    for removal in update.removals:
        if removal.name is not None:
            rows_of(removal.arm).pop((removal.name, removal.step), None)
    for row in update.evals:
        rows_of(row.arm)[row.eval_result.name, row.eval_result.step] = row
    return found


def _changed_points(
    arms: Mapping[str, LiveArm], update: WatchUpdate
) -> dict[str, dict[str, LivePoints]]:
    """Returns all series of each arm whose series an update changes, as they are after the update.

    The series are grouped by the name of the arm.
    """
    found: dict[str, dict[str, LivePoints]] = {}
    for piece in update.series:
        before = found.get(piece.arm) or (arms[piece.arm].points if piece.arm in arms else {})
        kept = {key: points.before(piece.from_step) for key, points in before.items()}
        for one in piece.series:
            points = kept.get(one.key) or LivePoints()
            kept[one.key] = points.followed_by(one.steps, one.values)
        found[piece.arm] = kept
    return found
