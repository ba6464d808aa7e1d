"""Handles calls with invalid arguments: records the valid arguments, and reports the others."""

import contextlib
from collections.abc import Callable, Iterator

from podium._recorder.counts import Counters
from podium._recorder.problems import Problems, Target
from podium._recorder.warnings import RecorderWarnings
from podium.errors import RecordingError

__all__ = ["Keeper"]


class Keeper:
    """Handles the calls of one recorder that raised an error.

    Records the valid arguments, and logs a warning that names the invalid arguments and the
    `target`: the arm or the experiment. A strict recorder raises the error instead.
    """

    def __init__(self, notices: RecorderWarnings, target: Target) -> None:
        self.target = target
        self._notices = notices
        self._dropped = self._incomplete = 0

    @property
    def lost(self) -> Counters:
        """The numbers of calls that were not recorded (dropped), or only in part (incomplete)."""
        return Counters(dropped=self._dropped, incomplete=self._incomplete)

    @contextlib.contextmanager
    def keeping(self, call: str, record_valid: Callable[[Problems], object]) -> Iterator[None]:
        """Returns a context manager that calls `keep` if its block raises an error."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever was logged, training goes on
            self.keep(call, error, record_valid)

    def keep(self, call: str, error: Exception, record_valid: Callable[[Problems], object]) -> None:
        """Handles a call that raised an error. A strict recorder raises the error again.

        Args:
            call: The name of the called method, for warnings.
            error: The error.
            record_valid: A function that records the valid arguments of the call. It gets a
                Problems object, and adds a problem to it for each invalid argument.
        """
        if isinstance(error, RecordingError):
            # The stream has counted this event already.
            self._notices.refuse(call, error, self.target)
            return
        if self._notices.is_strict:
            raise error
        problems = Problems()
        try:
            record_valid(problems)
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
