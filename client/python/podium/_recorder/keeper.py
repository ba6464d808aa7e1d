"""Handles calls with invalid arguments: records the valid part, and reports the rest."""

import contextlib
from collections.abc import Callable, Iterator

from podium._recorder.counts import Counters
from podium._recorder.problems import Problems, Target
from podium._recorder.warnings import RecorderWarnings
from podium.errors import RecordingError

__all__ = ["Keeper"]


class Keeper:
    """Reports invalid arguments of calls about one target: as warnings, or as errors if strict."""

    def __init__(self, notices: RecorderWarnings, target: Target) -> None:
        self.target = target
        self._notices = notices
        self._dropped = self._incomplete = 0

    @property
    def lost(self) -> Counters:
        """The numbers of calls that were recorded in part, and of calls that were not recorded."""
        return Counters(dropped=self._dropped, incomplete=self._incomplete)

    @contextlib.contextmanager
    def keeping(self, call: str, record_rest: Callable[[Problems], object]) -> Iterator[None]:
        """Returns a context. If its block fails, `record_rest` records the valid arguments."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever was logged, training goes on
            self.keep(call, error, record_rest)

    def keep(self, call: str, error: Exception, record_rest: Callable[[Problems], object]) -> None:
        """Records the valid part of a call that raised an error. A strict recorder raises it."""
        if isinstance(error, RecordingError):
            # The stream has counted this event already.
            self._notices.refuse(call, error, self.target)
            return
        if self._notices.is_strict:
            raise error
        problems = Problems()
        try:
            record_rest(problems)
        except RecordingError as failure:
            self._notices.refuse(call, failure, self.target)
        except Exception as failure:  # noqa: BLE001 - as above
            self._dropped += 1
            self._notices.dropped += 1
            problems.clear()
            problems.changed(call, f"{call} is not recorded: {failure}")
        else:
            if not problems:
                problems.lost(call, error)
            self._incomplete += problems.lose_something
            self._notices.incomplete += problems.lose_something
        arm = self.target.arm if problems.arm is None else problems.arm
        self._notices.report(call, self.target._replace(arm=arm), problems)
