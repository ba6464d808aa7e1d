"""Draws a table of a followed experiment's arms on a terminal, again after each change."""

import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from podium import Live, NotFoundError
from podium._client.live_state import LiveState
from podium._values.clean_text import clean
from podium._values.enums import ArmStatus
from podium.cli import _chart, _format
from podium.cli._console import Console
from podium.cli._table import cut

__all__ = ["show_live_table"]

_HEADERS = (
    ">RANK",
    "ARM",
    "STATUS",
    ">SCORE",
    "CURVE",
    ">EVALS",
    "~LAST HEARD",
    "~TRAINING METRICS",
)
_NARROW, _NARROW_SPARK, _SPARK = 100, 8, 16
"""The width of a narrow terminal, and the widths of curves on narrow and on wider terminals."""
_SHORTEST_NAME = 8
_CLEAR = "\x1b[H\x1b[J"
_PAUSE_SECONDS = 0.2
"""The least seconds between two drawings, so that the table does not flicker."""
_LAG_SECONDS = 12.0
"""A longer lag is shown. While the server answers, the lag is at most 10 s."""
_LAG_CHECK_SECONDS = 1.0


def show_live_table(live: Live, metric: str | None, console: Console) -> None:
    """Draws the newest state of an experiment after each change, until the experiment is deleted.

    Args:
        live: The followed experiment.
        metric: The metric to rank by; None for the success_metric.
        console: Writes to the terminal.
    """
    screen = _Screen(live, metric, console)
    while not live.is_deleted:
        drawn = live.state
        screen.draw()
        time.sleep(_PAUSE_SECONDS)
        try:
            while live.state is drawn:
                _wait_for_change(live, drawn)
                screen.draw_lag()
        except NotFoundError:
            return


def _wait_for_change(live: Live, drawn: LiveState) -> None:
    """Returns after a change, or after a second. Raises NotFoundError after a deletion."""
    try:
        live.wait_until(lambda state: state is not drawn, _LAG_CHECK_SECONDS)
    except TimeoutError:
        return


class _Screen:
    """Draws states on a terminal. When the terminal is resized, it draws the newest state again."""

    def __init__(self, live: Live, metric: str | None, console: Console) -> None:
        self._live = live
        self._metric = metric
        self._console = console
        self._lag = ""
        self._is_drawing = self._is_stale = False
        signal.signal(signal.SIGWINCH, lambda _signal, _frame: self.draw())

    def draw(self) -> None:
        """Draws the newest state. If the terminal is resized meanwhile, draws it once more."""
        self._is_stale = True
        while self._is_stale and not self._is_drawing:
            self._is_drawing, self._is_stale = True, False
            self._lag = _lag(self._live.lag)
            _show(self._live.state, self._metric, self._lag, self._console)
            self._is_drawing = False

    def draw_lag(self) -> None:
        """Draws the state again if the text about a lost connection differs from the drawn one."""
        if _lag(self._live.lag) != self._lag:
            self.draw()


def _lag(seconds: float) -> str:
    return f"no answer from the server for {seconds:.0f} s, " if seconds > _LAG_SECONDS else ""


def _show(state: LiveState, metric: str | None, lag: str, console: Console) -> None:
    """Draws the table in place of the previous one."""
    width, height = shutil.get_terminal_size()
    most = max(height - 3, 1)  # a title, the headers, and the line of the cursor
    sys.stdout.write(_CLEAR)
    console.line(cut(lag + _title(state, most, width - len(lag)), width))
    spark = _NARROW_SPARK if width < _NARROW else _SPARK
    metric = metric or (state.experiment.success_metric if state.experiment else None)
    console.table(_rows(state, metric, most, spark, is_ascii=not console.is_utf8), *_HEADERS)
    sys.stdout.flush()


def _title(state: LiveState, most: int, width: int) -> str:
    """Returns the title. A long name of the experiment is shortened."""
    counts = f"revision {state.revision}, {_format.count(len(state.arms), 'arm')}"
    if len(state.arms) > most:
        counts += f", {len(state.arms) - most} more below"
    if state.experiment is None:
        return counts
    room = max(width - len(counts) - 2, _SHORTEST_NAME)
    return f"{cut(clean(state.experiment.name), room)}, {counts}"


def _rows(
    state: LiveState, metric: str | None, most: int, spark: int, *, is_ascii: bool
) -> Iterator[tuple[str, ...]]:
    """Yields the table's rows: the first `most` arms, ranked by the metric if one is given."""
    ranks: dict[str, tuple[str, str]] = {}
    sparks: dict[str, str] = {}
    names = list(state.arms)[:most]
    if metric is not None:
        ranked = state.rank(metric, status=tuple(ArmStatus)).arms[:most]
        names = [entry.arm for entry in ranked]
        for entry in ranked:
            score = "" if entry.score is None else f"{entry.score:.4g}"
            ranks[entry.arm] = "" if entry.rank is None else str(entry.rank), score
        sparks = _sparks(state, metric, names, spark, is_ascii=is_ascii)
    for name in names:
        summary = state.arms[name].summary
        rank, score = ranks.get(name, ("", ""))
        heard = _today(_format.last_heard(summary))
        evals, metrics = str(summary.eval_count), _format.metrics(summary.metrics)
        curve = sparks.get(name, "")
        yield rank, name, summary.status, score, curve, evals, heard, metrics


def _today(moment: str) -> str:
    """Returns the time of day if a moment is today (UTC), and otherwise the date."""
    date, _, clock = moment.partition(" ")
    return clock if date == str(datetime.now(UTC).date()) else date


def _sparks(
    state: LiveState, metric: str, names: Sequence[str], width: int, *, is_ascii: bool
) -> dict[str, str]:
    """Returns the curves of arms, each as one line of text. Arms without a curve are left out."""
    curves = state.curve(metric, names, status=tuple(ArmStatus)).curves if names else ()
    series = [_chart.series_of(curve) for curve in curves]
    return {
        curve.name: _chart.spark(one, series, width, is_ascii=is_ascii)
        for curve, one in zip(curves, series, strict=True)
    }
