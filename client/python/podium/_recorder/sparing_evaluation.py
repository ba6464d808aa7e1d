"""The timed evaluations of a recorder, which leave out invalid values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from podium._interface.timed_eval import Evaluation
from podium._recorder import kept_values
from podium._recorder.problems import Problems, Target, shown
from podium._recorder.signatures import forgiving

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium._recorder.warnings import RecorderWarnings

__all__ = ["SparingEvaluation"]


class SparingEvaluation(Evaluation):
    """An evaluation. Its method `log` leaves out invalid values, and logs a warning for each."""

    def __init__(
        self,
        log_eval: Callable[..., None],
        name: str,
        fields: dict[str, Any],
        notices: RecorderWarnings,
        target: Target,
    ) -> None:
        super().__init__(log_eval, name, fields)
        self.notices = notices
        self._target = target

    log = forgiving(Evaluation.log)

    def _add(self, metrics: Any, breakdowns: Any) -> None:
        try:
            super()._add(metrics, breakdowns)
        except Exception:
            if self.notices.is_strict:
                raise
            problems = Problems()
            self._metrics |= kept_values.metrics(metrics, "metrics", problems)
            self._breakdowns |= kept_values.value_map(
                breakdowns, "breakdowns", problems, kept_values.LIMITS.row_bytes
            )
            self.notices.incomplete += problems.lose_something
            self.notices.report(f"evaluating {shown(self._name)}", self._target, problems)
