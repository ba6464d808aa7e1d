"""The state of a watched experiment in memory. No I/O, for both clients and the CLI."""

import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from podium import ranking, scoring
from podium._client.compound_calls import curve_arms
from podium._client.live_points import LivePoints
from podium._client.watching import WatchSession
from podium._model.rankings import Ranking
from podium._model.results import ArmResult, ArmSummary, EvalResult, Experiment
from podium._model.watching import WatchedArm, WatchedEval, WatchMarker, WatchUpdate
from podium._values.arguments import ArmStatuses, DirectionLike, StepLike, Strings
from podium._values.enums import Direction
from podium._values.suggest import did_you_mean
from podium.curves import Curves, Series, curves_of, eval_names
from podium.errors import ClientStateError, NotFoundError
from podium.scoring import DIRECTION_KEY, direction_for

__all__ = ["LiveArm", "LiveBase", "LiveState"]

_Key = tuple[str, int | None]
_GIVEN = ("run_id", "error", "train_seconds", "group_id", "group_name")
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
    """An arm in one state of an experiment.

    It is immutable, so it can cache its scores.
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
        """Returns a training series, as `ArmHandle.series` does; empty if none is followed."""
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
        eval_seconds=None if evals else summary.eval_seconds,
        **{name: getattr(summary, name) for name in _GIVEN},
    )
    for name in _OUTPUTS:
        setattr(result, name, getattr(summary, name))
    return result


class LiveState(NamedTuple):
    """The state of an experiment at one revision. `after` returns the next state.

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
        """The revision of this state, or 0 before the first one."""
        return 0 if self.marker is None else self.marker.revision

    def after(self, update: WatchUpdate) -> "LiveState":
        """Returns the state after an update. This object does not change."""
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
        """Returns the name of the completed arm with the best score, or None if no arm has one.

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
            NotFoundError: There is no such arm or group.
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
    """Returns the new rows of each arm whose rows an update changes, by the arm's name."""
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
    """Returns the new points of each arm whose training series an update changes, by its name."""
    found: dict[str, dict[str, LivePoints]] = {}
    for piece in update.series:
        before = found.get(piece.arm) or (arms[piece.arm].points if piece.arm in arms else {})
        kept = {key: points.before(piece.from_step) for key, points in before.items()}
        for one in piece.series:
            points = kept.get(one.key) or LivePoints()
            kept[one.key] = points.followed_by(one.steps, one.values)
        found[piece.arm] = kept
    return found


class LiveBase:
    """The state of a followed experiment, and the reads of both clients."""

    def __init__(self, session: WatchSession) -> None:
        self._session = session
        self._state = LiveState()
        self._error: Exception | None = None
        self._is_deleted = False
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._state}>"

    @property
    def state(self) -> "LiveState":
        """The newest state. It is immutable, so several reads of it are consistent.

        Raises:
            ClientStateError: The block of `follow()` has not begun.
        """
        self._check_begun()
        return self._state

    @property
    def revision(self) -> int:
        """The revision of the state."""
        return self.state.revision

    @property
    def lag(self) -> float:
        """The seconds since the server last confirmed that the state is current.

        The state has every commit that is older than this. While nothing changes, the server
        confirms the state every 10 s, so a greater lag means that the connection is lost.
        """
        return time.monotonic() - self._session.confirmed_at

    @property
    def experiment(self) -> Experiment | None:
        """The experiment, with the fields of its last declaration."""
        return self.state.experiment

    @property
    def arms(self) -> Mapping[str, LiveArm]:
        """The arms by name."""
        return self.state.arms

    @property
    def is_deleted(self) -> bool:
        """Whether the experiment was deleted.

        The state is then the last one before the deletion.
        """
        return self._is_deleted

    def arm(self, name: str) -> LiveArm:
        """Returns an arm of the newest state. The returned arm does not change.

        Raises:
            NotFoundError: There is no such arm.
        """
        return self.state.arm(name)

    def rank(
        self,
        metric: str | None = None,
        *,
        direction: DirectionLike | None = None,
        status: ArmStatuses | None = None,
    ) -> Ranking:
        """Ranks the arms, as `ExperimentHandle.rank` does.

        Args:
            metric: The metric to rank by; the success_metric if not given.
            direction: `maximize` or `minimize`; the experiment's if not given.
            status: Ranks only arms with this status, or one of these; `completed` if not given.

        Raises:
            ValueError: No metric is given, and the experiment has no success_metric.
        """
        return self.state.rank(metric, direction=direction, status=status)

    def best(
        self, metric: str | None = None, *, direction: DirectionLike | None = None
    ) -> str | None:
        """Returns the name of the completed arm with the best score, or None if no arm has one.

        Args:
            metric: The metric to rank by; the success_metric if not given.
            direction: `maximize` or `minimize`; the experiment's if not given.

        Raises:
            ValueError: No metric is given, and the experiment has no success_metric.
        """
        return self.state.best(metric, direction=direction)

    def curve(
        self,
        metric: str,
        names: Strings | None = None,
        *,
        by_group: bool = False,
        status: ArmStatuses | None = None,
    ) -> Curves:
        """Returns the values of a metric by step, as `ExperimentHandle.curve` does.

        Args:
            metric: The name of an eval and a key, such as `val.pass_rate`, or a training metric,
                such as `loss`, if `follow` was called with `with_series`.
            names: The names of arms, or of groups if `by_group` is set; all if not given.
            by_group: Combines the arms of a group: mean and interval by step.
            status: Uses only arms with this status, or one of these. If not given, uses all arms in
                `names`, or without `names` the running and completed arms.

        Raises:
            ValueError: The metric is empty, or it is a training metric (without a dot) and `follow`
                was called without `with_series`.
            NotFoundError: There is no such arm or group.
        """
        if not eval_names(metric) and not self._session.request.with_series:
            raise ValueError(
                f"training series are not followed: call follow(with_series=[{metric!r}])"
            )
        return self.state.curve(metric, names, by_group=by_group, status=status)

    def _state_after(self, update: WatchUpdate) -> "LiveState":
        self._is_deleted = update.is_deleted
        return self._state if update.is_deleted else self._state.after(update)

    def _check_begun(self) -> None:
        if self._state.marker is None:
            raise ClientStateError("use follow() in a block: with experiment.follow() as live:")

    def _is_over(self) -> bool:
        return self._is_deleted or self._error is not None

    def _end(self) -> None:
        """Makes all waits fail from now on."""
        if not self._is_over():
            self._error = ClientStateError("the block of follow() has ended")

    def _check(self) -> None:
        """Raises an error if the state cannot change any more."""
        if self._is_deleted:
            raise NotFoundError("the experiment was deleted")
        if self._error is not None:
            raise self._error
        if self._pid != os.getpid():
            raise ClientStateError(
                f"process {self._pid} follows this experiment, and its fork {os.getpid()} does "
                "not: create a client in the fork, and call follow() there"
            )

    def _timeout_error(self, seconds: float | None) -> TimeoutError:
        return TimeoutError(f"waited {seconds:g} s; the state has revision {self.revision}")
