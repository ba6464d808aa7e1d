"""Shows an experiment, and every change of it until it is deleted or Ctrl-C is pressed.

On a terminal it shows a table of arms of all statuses, ranked by the success metric, with
its curve by step. In a pipe it writes a line for each arm, row and step that changed.
With --json it writes a line for each update: the removals, arms, rows and training series
that lead to the revision in `marker`.

Examples:
  podium watch rank_sweep
  podium watch rank_sweep --status running --json | jq -c '.arms[].arm.name'
"""

import argparse
import shutil
import signal
import sys
from collections.abc import Iterable, Iterator

from podium import Client, WatchUpdate
from podium._client.follower import LiveState
from podium._files import json_form
from podium._model.watching import WatchMarker
from podium._values.enums import ArmStatus
from podium.cli import _chart, _format
from podium.cli._arguments import add_experiment, add_statuses
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit
from podium.cli._suggestions import near_arms
from podium.curves import points_by_step

__all__ = ["add_arguments", "run"]

_HEADERS = (
    ">RANK",
    "ARM",
    "STATUS",
    ">SCORE",
    "CURVE",
    ">EVALS",
    "LAST HEARD",
    "~TRAINING METRICS",
)
_SPARK = 16
_CLEAR = "\x1b[H\x1b[J"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_experiment(parser)
    add_statuses(parser, ArmStatus, "only arms with this status")
    parser.add_argument("--group", metavar="NAME", help="only arms of this group")
    parser.add_argument("--prefix", metavar="TEXT", help="only arms whose name begins with this")
    parser.add_argument(
        "--no-evals", action="store_true", help="show only arms, without their rows"
    )
    parser.add_argument("--no-breakdowns", action="store_true", help="leave out breakdowns")
    parser.add_argument(
        "--series",
        nargs="*",
        metavar="KEY",
        help="also show the training series of these keys, or all series if no key is given",
    )
    parser.add_argument(
        "--after", type=int, metavar="REVISION", help="show only changes after this revision"
    )
    parser.add_argument(
        "--epoch",
        default="",
        help="the epoch of the revision of --after, as --json shows it in `marker`",
    )


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Shows updates until the experiment is deleted."""
    after, is_table = arguments.after, console.width is not None and not console.as_json
    if arguments.epoch and after is None:
        raise CommandError("--epoch needs --after REVISION")
    experiment = client.experiment(arguments.experiment)
    metric = experiment.get().success_metric if is_table else None
    updates = experiment.watch(
        after=None if after is None else WatchMarker(after, arguments.epoch),
        status=arguments.status,
        group_name=arguments.group,
        name_prefix=arguments.prefix,
        with_evals=not arguments.no_evals,
        with_breakdowns=not (arguments.no_breakdowns or is_table),
        with_series=_series(arguments.series, metric),
    )
    with near_arms(client, arguments.experiment):
        if is_table:
            _follow(updates, _Screen(console))
        for update in updates:
            if console.as_json:
                console.json(json_form.to_json(update) | {"is_deleted": update.is_deleted})
            else:
                for line in _lines(update):
                    console.line(line)
            sys.stdout.flush()
    console.note(f"experiment {arguments.experiment!r} was deleted")
    return Exit.NOTHING


def _series(keys: list[str] | None, metric: str | None) -> bool | list[str]:
    """Returns the keys of the training series to watch; True for all, False for none.

    `keys` is None without `--series`, and empty for `--series` without keys. The table shows the
    series of `metric`, which is therefore always among them.
    """
    if keys is None:
        return [metric] if metric else False
    return [*keys, metric] if keys and metric else keys or True


def _lines(update: WatchUpdate) -> Iterator[str]:
    at = "" if update.marker is None else f"revision {update.marker.revision}: "
    if update.is_reset:
        yield f"{at}the state is shown from the beginning"
    for removal in update.removals:
        step = "" if removal.step is None else f" at step {removal.step}"
        yield f"{at}{removal.arm} {removal.name or ''}{step}".rstrip() + " removed"
    for arm in (item.arm for item in update.arms):
        yield f"{at}{arm.name} {arm.status} {_format.metrics(arm.metrics)}".rstrip()
    for item in update.evals:
        row = item.eval_result
        yield f"{at}{item.arm} {row.name}@{_format.step(row.step)} {_format.metrics(row.metrics)}"
    for piece in update.series:
        for number, values in points_by_step(piece.series):
            yield f"{at}{piece.arm} step {number} {_format.metrics(values)}"


class _Screen:
    """Draws states on a terminal. When the terminal is resized, it draws the last state again."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._state = LiveState()
        self._is_drawing = self._is_stale = False
        signal.signal(signal.SIGWINCH, lambda _signal, _frame: self.draw(self._state))

    def draw(self, state: LiveState) -> None:
        """Draws a state. If the terminal is resized meanwhile, draws the state once more."""
        self._state, self._is_stale = state, True
        while self._is_stale and not self._is_drawing:
            self._is_drawing, self._is_stale = True, False
            _show(self._state, self._console)
            self._is_drawing = False


def _follow(updates: Iterable[WatchUpdate], screen: _Screen) -> None:
    state = LiveState()
    for update in updates:
        if not update.is_deleted:
            state = state.after(update)
            screen.draw(state)


def _show(state: LiveState, console: Console) -> None:
    """Draws the table in place of the previous one."""
    sys.stdout.write(_CLEAR)
    about = state.experiment
    named = f"{about.name}, " if about else ""
    title = f"{named}revision {state.revision}, {_format.count(len(state.arms), 'arm')}"
    height = shutil.get_terminal_size().lines - 2
    rows = list(_rows(state, is_ascii=not console.is_utf8))
    more = f", {len(rows) - height + 1} more below" if len(rows) >= height else ""
    console.line(f"{title}{more}")
    console.table(rows[: height - 1], *_HEADERS)
    sys.stdout.flush()


def _rows(state: LiveState, *, is_ascii: bool) -> Iterator[tuple[str, ...]]:
    metric = state.experiment.success_metric if state.experiment else None
    ranks: dict[str, tuple[str, str]] = {}
    sparks: dict[str, str] = {}
    names = list(state.arms)
    if metric is not None:
        ranked = state.rank(metric, status=tuple(ArmStatus)).arms
        names = [entry.arm for entry in ranked]
        for entry in ranked:
            score = "" if entry.score is None else f"{entry.score:.4g}"
            ranks[entry.arm] = "" if entry.rank is None else str(entry.rank), score
        sparks = _sparks(state, metric, is_ascii=is_ascii)
    for name in names:
        summary = state.arms[name].summary
        rank, score = ranks.get(name, ("", ""))
        heard = _format.last_heard(summary)
        evals, metrics = str(summary.eval_count), _format.metrics(summary.metrics)
        curve = sparks.get(name, "")
        yield rank, name, summary.status, score, curve, evals, heard, metrics


def _sparks(state: LiveState, metric: str, *, is_ascii: bool) -> dict[str, str]:
    """Returns the curves of arms, each as one line of text. Arms without a curve are left out."""
    curves = state.curve(metric, status=tuple(ArmStatus)).curves
    series = [_chart.series_of(curve) for curve in curves]
    return {
        curve.name: _chart.spark(one, series, _SPARK, is_ascii=is_ascii)
        for curve, one in zip(curves, series, strict=True)
    }
