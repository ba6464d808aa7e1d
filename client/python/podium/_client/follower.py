"""The state of a followed experiment, with the reads that both clients have. No I/O."""

import os
import time
from collections.abc import Mapping

from podium._client.live_state import LiveArm, LiveState
from podium._client.watching import WatchSession
from podium._model.rankings import Ranking
from podium._model.results import Experiment
from podium._model.watching import WatchUpdate
from podium._values.arguments import ArmStatuses, DirectionLike, Strings
from podium.curves import Curves, eval_names
from podium.errors import ClientStateError, NotFoundError

__all__ = ["LiveBase"]


class LiveBase:
    """The state of a followed experiment, with the reads that both clients have in common."""

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

        The state has every change that was made before then. While nothing changes, the server
        confirms the state every 10 s. A much greater lag means that the connection is lost.
        """
        return time.monotonic() - self._session.confirmed_at

    @property
    def experiment(self) -> Experiment | None:
        """The experiment, as it was when its declaration or conclusion last changed."""
        return self.state.experiment

    @property
    def arms(self) -> Mapping[str, LiveArm]:
        """The arms by name."""
        return self.state.arms

    @property
    def is_deleted(self) -> bool:
        """Whether the experiment was deleted. If so, `state` is the state before the deletion."""
        return self._is_deleted

    def arm(self, name: str) -> LiveArm:
        """Returns an arm of the newest state. The returned arm does not change.

        Raises:
            NotFoundError: There is no such arm in the newest state.
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
        """Returns the name of the completed arm with the best score, or None if no arm has a score.

        NaN is never the best score.

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
            metric: The name of an eval and a key, such as `val.pass_rate`. If `follow` was called
                with `with_series`, it may be a training metric, such as `loss`.
            names: The names of arms, or of groups if `by_group` is set; all if not given.
            by_group: Whether to return one curve for each group: the mean of its arms, with a 95 %
                interval, by step.
            status: Uses only arms with this status, or one of these. If not given, uses all arms in
                `names`, or without `names` the running and completed arms.

        Raises:
            ValueError: The metric is empty, or it is a training metric (without a dot) and `follow`
                was called without `with_series`.
            NotFoundError: One of `names` is unknown in the newest state.
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
        """Makes `wait_for` and `wait_until` fail from now on."""
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
