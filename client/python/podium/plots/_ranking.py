"""A ranking as a picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from podium._model.rankings import GroupRanking
from podium._values.enums import Direction, RankFlag
from podium.plots._figure import (
    COLOR,
    DARK,
    LINE_HEIGHT,
    caption,
    check_suffix,
    listed,
    new_figure,
    plain_numbers,
    save,
    settings,
    shortened,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from podium._model.rankings import RankedArm, RankedGroup, Ranking

__all__ = ["ranking_figure", "save_ranking"]

_SHOWN, _PLACES = 40, 6
_ROW, _AROUND = 0.23, 1.0
"""Inches: the height of an entry, and of everything around them."""


def save_ranking(
    found: Ranking | GroupRanking, path: str | os.PathLike[str], *, title: str | None = None
) -> None:
    """Draws a ranking into a file.

    Args:
        found: What `experiment.rank()` or `experiment.rank_groups()` returned.
        path: The file: a .png, .svg or .pdf. What was there is replaced.
        title: What stands above it; the metric if not given, nothing if empty.

    Raises:
        ValueError: It is another kind of file, or there is nothing to draw.
        ImportError: matplotlib is not installed.
    """
    check_suffix(path)
    save(ranking_figure(found, title=title), path)


def ranking_figure(found: Ranking | GroupRanking, *, title: str | None = None) -> Figure:
    """Draws a ranking, the best entry on top: scores, or means with their 95 % intervals.

    Args:
        found: What `experiment.rank()` or `experiment.rank_groups()` returned. Of more than 40
            entries the first ones are drawn.
        title: What stands above it; the metric if not given, nothing if empty.

    Raises:
        ValueError: There is nothing to draw.
        ImportError: matplotlib is not installed.
    """
    entries = list(_entries(found))
    drawn = [entry for entry in entries if math.isfinite(entry.value)][:_SHOWN]
    if not drawn:
        raise ValueError(f"there is no score on {found.metric!r} to draw")
    notes = list(_notes(found, entries, drawn))
    with settings():
        figure, axes = new_figure(_AROUND + LINE_HEIGHT * len(notes) + _ROW * len(drawn))
        low, high = _limits(drawn)
        axes.set_xlim(low, high)
        for row, entry in enumerate(drawn):
            _draw(axes, row, entry)
        _frame(axes, drawn, found)
        what = "groups" if isinstance(found, GroupRanking) else "arms"
        text = f"{what.capitalize()} by {found.metric}" if title is None else title
        caption(axes, text, notes)
    return figure


class _Entry(NamedTuple):
    """A place in the ranking, as it is drawn."""

    rank: int | None
    name: str
    value: float
    """NaN where there is none."""
    text: str
    interval: tuple[float, float] | None = None
    ends: tuple[float, float] | None = None
    """The least and the greatest member of a group."""
    is_doubtful: bool = False


def _entries(found: Ranking | GroupRanking) -> Iterator[_Entry]:
    if isinstance(found, GroupRanking):
        yield from map(_group_entry, found.groups)
    else:
        yield from map(_arm_entry, found.arms)


def _arm_entry(arm: RankedArm) -> _Entry:
    if arm.score is None:
        return _Entry(arm.rank, arm.arm, math.nan, "no score")
    doubtful = any(flag != RankFlag.NAN for flag in arm.flags)
    text = "NaN" if math.isnan(arm.score) else f"{arm.score:#.4g}"
    return _Entry(arm.rank, arm.arm, arm.score, text, is_doubtful=doubtful)


def _group_entry(group: RankedGroup) -> _Entry:
    found = group.statistics
    if found.mean is None:
        return _Entry(group.rank, group.name, math.nan, "no mean")
    interval = ends = None
    if found.ci_low is not None and found.ci_high is not None:
        interval = (found.ci_low, found.ci_high)
    if found.n > 1 and found.min is not None and found.max is not None:
        ends = (found.min, found.max)
    number = f"{found.n}" if found.n == group.members else f"{found.n}/{group.members}"
    text = f"{_with_half_width(found.mean, found.half_width)}  (n = {number})"
    doubtful = any(flag != RankFlag.NAN for flag in group.flags)
    return _Entry(group.rank, group.name, found.mean, text, interval, ends, is_doubtful=doubtful)


def _with_half_width(mean: float, half_width: float | None) -> str:
    """A mean with as many places as are known of it."""
    if half_width is None:
        return f"{mean:#.4g}"
    places = 1 - math.floor(math.log10(half_width)) if half_width else -1
    if 0 <= places <= _PLACES:
        return f"{mean:.{places}f} ± {half_width:.{places}f}"
    return f"{mean:.4g} ± {half_width:.2g}"


def _limits(drawn: Sequence[_Entry]) -> tuple[float, float]:
    """Fits the axis to the values; an interval of two seeds may be so wide that they look alike."""
    marks = [mark for entry in drawn for mark in (entry.value, *(entry.ends or ()))]
    low, high = min(marks), max(marks)
    room = 0.5 * (high - low) or 0.05 * abs(high) or 1.0
    bounds = [bound for entry in drawn for bound in entry.interval or ()]
    inside = [min(max(bound, low - room), high + room) for bound in bounds]
    low, high = min([low, *inside]), max([high, *inside])
    margin = 0.04 * (high - low or 2 * room)
    return low - margin, high + margin


def _draw(axes: Axes, row: int, entry: _Entry) -> None:
    if entry.interval is not None:
        _draw_interval(axes, row, entry.interval)
    if entry.ends is not None:
        axes.plot(entry.ends, [row, row], "|", color=DARK, markersize=7, markeredgewidth=1)
    face = "white" if entry.is_doubtful else COLOR
    axes.plot(entry.value, row, "o", color=COLOR, markersize=5, markerfacecolor=face)


def _draw_interval(axes: Axes, row: int, interval: tuple[float, float]) -> None:
    """Draws an interval; an arrow where it goes on beyond the plot."""
    low, high = axes.get_xlim()
    start, end = max(interval[0], low), min(interval[1], high)
    axes.plot([start, end], [row, row], color=COLOR, linewidth=2.4, alpha=0.45)
    inside = 0.01 * (high - low)
    if interval[0] < low:
        axes.plot(low + inside, row, "<", color=COLOR, markersize=5)
    if interval[1] > high:
        axes.plot(high - inside, row, ">", color=COLOR, markersize=5)


def _frame(axes: Axes, drawn: Sequence[_Entry], found: Ranking | GroupRanking) -> None:
    rows = range(len(drawn))
    names = shortened([entry.name for entry in drawn])
    axes.set_ylim(len(drawn) - 0.4, -0.6)
    axes.set_yticks(rows, names)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    better = "smaller" if found.direction == Direction.MINIMIZE else "greater"
    axes.set_xlabel(f"{found.metric} ({better} is better)")
    plain_numbers(axes.xaxis, axes.get_xlim())
    beside = axes.secondary_yaxis("right")
    beside.set_yticks(rows, [entry.text for entry in drawn])
    beside.tick_params(length=0)
    beside.spines["right"].set_visible(False)


def _why(entry: _Entry) -> str:
    return f"{entry.name} ({'infinite' if math.isinf(entry.value) else entry.text})"


def _notes(
    found: Ranking | GroupRanking, entries: Sequence[_Entry], drawn: Sequence[_Entry]
) -> Iterator[str]:
    if any(entry.interval for entry in drawn):
        yield "dot: mean; bar: 95 % interval (Student's t); ticks: least and greatest score"
    if any(entry.is_doubtful for entry in drawn):
        yield "hollow: benchmarks or configurations differ"
    places = sum(entry.rank is not None for entry in entries)
    if len(drawn) < _SHOWN:
        undrawn = [entry for entry in entries if not math.isfinite(entry.value)]
        if undrawn:
            yield f"not drawn: {listed([_why(entry) for entry in undrawn])}"
    elif len(drawn) < places:
        yield f"the first {len(drawn)} of {places:,}"
    left_out = vars(found.counts.left_out).items()
    aside = [f"{count:,} {status}" for status, count in left_out if count]
    if aside:
        yield f"arms left out: {', '.join(aside)}"
