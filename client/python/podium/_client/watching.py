"""Assembles the messages of a watch into updates, for both clients. No I/O."""

import random
import threading
import time
from collections.abc import Callable
from typing import Any

from podium._model.watching import WatchMarker, WatchRemoval, WatchUpdate
from podium._values import coerce
from podium._values.arguments import ArmStatuses, Strings
from podium._wire import codec
from podium._wire.arm_filters import one_or_more
from podium.errors import AbortedError, InternalError, NotFoundError, PodiumError, UnavailableError
from podium.v1.results_service_pb2 import WatchRequest

__all__ = ["WatchSession"]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_CONNECT_SECONDS = 10.0
"""The seconds for which a watch that has not received any update tries to reach the server."""
_MOST_RESETS = 3
"""The most times that a server can reset a watch without sending an update in between."""
_TRANSIENT = frozenset(
    {"OVERLOADED", "QUOTA_EXCEEDED", "SHUTTING_DOWN", "WATCH_TOO_SLOW", "OUTCOME_UNKNOWN"}
)
_RANDOM = random.SystemRandom()


class WatchSession:
    """One watch, which may take several calls. Assembles updates from the messages of the server.

    After a failed call, the next call continues after the last complete update.

    Args:
        experiment: The name of the experiment.
        after: The last update that the caller has, or its marker or revision; None to begin with
            the whole state.
        status: Watches only arms with this status, or one of these.
        group_name: Watches only arms of this group.
        name_prefix: Watches only arms whose names begin with this text.
        with_evals: Whether eval rows are watched, too.
        with_breakdowns: Whether breakdowns are watched, too.
        with_series: True to watch all training series, too, or the keys of those to watch.
    """

    def __init__(
        self,
        experiment: str,
        *,
        after: WatchUpdate | WatchMarker | int | None,
        status: ArmStatuses | None,
        group_name: str | None,
        name_prefix: str | None,
        with_evals: bool,
        with_breakdowns: bool,
        with_series: bool | Strings,
    ) -> None:
        keys = [] if isinstance(with_series, bool) else coerce.texts(with_series, "with_series")
        self.request = WatchRequest(
            experiment=experiment,
            statuses=map(codec.arm_status_to_proto, one_or_more(status)),
            group_name=coerce.optional(coerce.text, group_name, "group_name"),
            name_prefix=coerce.optional(coerce.text, name_prefix, "name_prefix"),
            without_evals=not coerce.boolean(with_evals, "with_evals"),
            without_breakdowns=not coerce.boolean(with_breakdowns, "with_breakdowns"),
            with_series=bool(keys) or with_series is True,
            series_keys=keys,
        )
        if isinstance(after, WatchMarker):
            self._continue_after(after)
        elif isinstance(after, WatchUpdate):
            self._continue_after(after.marker)
        elif after is not None:
            self.request.after_revision = coerce.integer(after, "after")
        self._marker: WatchMarker | None = None
        self._update = WatchUpdate()
        self._backoff = _FIRST_PAUSE
        self._resets = 0
        self._begun = time.monotonic()
        self.confirmed_at = self._begun
        """The `time.monotonic()` at which the last marker arrived, or the watch began.

        While nothing changes, the server repeats the marker.
        """
        self._cancel: Callable[[], object] | None = None
        self._stopped = threading.Event()

    def take(self, response: Any) -> WatchUpdate | None:
        """Adds a message of the server to the next update.

        Returns this update if the message completes it, and otherwise None.

        Raises:
            AbortedError: The server has reset the watch several times in a row.
        """
        if response.deleted:
            return WatchUpdate()
        if response.reset:
            self._reset()
        update = self._update
        if response.HasField("experiment"):
            update.experiment = codec.experiment_from_proto(response.experiment)
        if response.removals:
            self._remove([codec.WATCH_REMOVAL.from_proto(item) for item in response.removals])
        update.arms += map(codec.WATCHED_ARM.from_proto, response.arms)
        update.evals += map(codec.WATCHED_EVAL.from_proto, response.evals)
        update.series += map(codec.WATCHED_SERIES.from_proto, response.series)
        if not response.HasField("marker"):
            return None
        return self._complete(update, codec.WATCH_MARKER.from_proto(response.marker))

    def _reset(self) -> None:
        if self._resets == _MOST_RESETS:
            raise AbortedError(
                f"the server reset the watch of {self.request.experiment!r} {_MOST_RESETS + 1} "
                "times in a row: does the address lead to servers with different stores?"
            )
        self._update = WatchUpdate(is_reset=True)

    def _remove(self, removals: list[WatchRemoval]) -> None:
        """Adds removals to the update. Takes the removed rows and arms out of its other fields."""
        update = self._update
        update.removals += removals
        gone = set(removals)
        update.arms = [item for item in update.arms if WatchRemoval(item.arm.name) not in gone]
        update.series = [item for item in update.series if WatchRemoval(item.arm) not in gone]
        update.evals = [
            item
            for item in update.evals
            if WatchRemoval(item.arm) not in gone
            and WatchRemoval(item.arm, item.eval_result.name, item.eval_result.step) not in gone
        ]

    def _complete(self, update: WatchUpdate, marker: WatchMarker) -> WatchUpdate | None:
        self.confirmed_at = time.monotonic()
        is_news = marker != self._marker
        if update.is_reset:
            # A reset is counted only when its marker arrives: if the connection is lost before, the
            # server sends the same reset again.
            self._resets += 1
        else:
            self._resets, self._backoff = 0, _FIRST_PAUSE
        self._update = WatchUpdate()
        self._marker = update.marker = marker
        self._continue_after(marker)
        return update if is_news else None

    def _continue_after(self, marker: WatchMarker | None) -> None:
        if marker is not None:
            self.request.after_revision, self.request.epoch = marker.revision, marker.epoch

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def begin(self, cancel: Callable[[], object]) -> None:
        """Stores `cancel`, a function that cancels the call that begins now.

        Calls it at once if the watch is already stopped.
        """
        self._cancel = cancel
        if self.is_stopped:
            cancel()

    def stop(self) -> None:
        """Ends the watch from another thread."""
        self._stopped.set()
        if self._cancel is not None:
            self._cancel()

    def wait(self, seconds: float) -> None:
        """Waits some seconds before the next call, or less if the watch is stopped."""
        self._stopped.wait(seconds)

    def is_deletion(self, error: PodiumError) -> bool:
        """Returns whether an error means that the experiment was deleted since the last update."""
        return isinstance(error, NotFoundError) and self._marker is not None

    def pause(self, error: PodiumError) -> float:
        """Returns the seconds to wait before the next call after a failed one.

        Raises:
            PodiumError: The error, if it is not temporary, or if 10 s have passed without a first
                update.
        """
        is_transient = error.reason in _TRANSIENT or (
            not error.reason and isinstance(error, UnavailableError | InternalError)
        )
        waited = time.monotonic() - self._begun
        if not is_transient or (self._marker is None and waited > _CONNECT_SECONDS):
            raise error
        # After the next call, the server sends the messages of the incomplete update again.
        self._update = WatchUpdate()
        # Full jitter, so that clients that lost a server together do not return together.
        pause = max(error.retry_after or 0.0, _RANDOM.uniform(0.0, self._backoff))
        self._backoff = min(2 * self._backoff, _LONGEST_PAUSE)
        return pause
