"""The base of all objects that record one arm."""

from __future__ import annotations

from podium._interface.endings import Ending, ending_of

__all__ = ["ArmBase"]


class ArmBase:
    """The base class of objects that record one arm.

    This class keeps the names of the experiment and arm. It decides which end of the arm to record
    when its `with` block ends.
    """

    def __init__(self, experiment: str, name: str, attempt_id: str | None) -> None:
        self._experiment = experiment
        self._name = name
        self._attempt_id = attempt_id
        self._ending: Ending | None = None
        self._finished = False

    @property
    def experiment(self) -> str:
        """The name of the experiment."""
        return self._experiment

    @property
    def name(self) -> str:
        """The name of the arm."""
        return self._name

    @property
    def attempt_id(self) -> str | None:
        """The id of the attempt that this object records for, or None if there is no attempt."""
        return self._attempt_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._experiment!r}, {self._name!r})"

    def _end_of_block(self, error: BaseException | None) -> Ending | None:
        """Returns the end to record when the block ends, or None if `finish` has recorded an end.

        If `finish` was called but could not record its end, returns that end. `error` is the
        exception that ended the block, or None.
        """
        return None if self._finished else self._ending or ending_of(error)

    def _note_failure(self, error: BaseException | None, failure: Exception) -> None:
        """Raises `failure`, which occurred when the arm's end was recorded.

        If the block itself raised an error, adds `failure` as a note to this error instead.
        """
        if error is None:
            raise failure
        error.add_note(f"Podium could not record the end of {self!r}: {failure}")
