"""Draws the result of `experiment.rank()` or `experiment.rank_groups()`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from podium._model.rankings import GroupRanking, Ranking
from podium._values.enums import Direction, RankFlag
from podium._values.shorten_names import shorten_names
from podium.curves import Curves
from podium.plots._figure import (
    COLOR,
    DARK,
    FONT_SIZE,
    GREATEST,
    PLOT_WIDTH,
    WIDTH,
    check_size,
    check_suffix,
    digits_of,
    header,
    is_drawable,
    new_figure,
    number_ticks,
    save,
    settings,
)
from podium.plots._labels import listed, shortened_to_fit, width_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from podium._model.rankings import RankedArm, RankedGroup

__all__ = ["ranking_figure", "save_ranking"]

_SHOWN, _PLACES, _DIGITS = 40, 6, 15
_ROW, _LEAST_ROW, _AROUND = 0.23, 0.15, 0.6
"""In inches: the usual and the least height of an entry, and the height of the horizontal axis."""
_LEAST_PLOT, _BETWEEN = 1.6, 0.4
"""In inches: the least width of the plot, and the width of both spaces between plot and texts."""


def save_ranking(
    found: Ranking | GroupRanking,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    figsize: tuple[float, float] | None = None,
) -> None:
    """Draws a ranking into a file.

    Args:
        found: The result of `experiment.rank()` or `experiment.rank_groups()`.
        path: A .png, .svg or .pdf file. An existing file is replaced.
        title: The title, which names the metric by default. With an empty string, there is none.
        figsize: The width and height in inches. By default they depend on the entries.

    Raises:
        TypeError: `found` is not a ranking.
        ValueError: The file has another suffix, there is nothing to draw, or the size is too small.
        ImportError: matplotlib is not installed.
    """
    check_suffix(path)
    save(ranking_figure(found, title=title, figsize=figsize), path)


def ranking_figure(
    found: Ranking | GroupRanking,
    *,
    title: str | None = None,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draws a ranking, the best entry on top: scores of arms, or means of groups with intervals.

    The intervals are 95 % intervals. Long names are shortened in the middle. A notebook cell shows
    the returned figure.

    Args:
        found: The result of `experiment.rank()` or `experiment.rank_groups()`. The first 40 entries
            are drawn, or fewer if `figsize` has less room.
        title: The title, which names the metric by default. With an empty string, there is none.
        figsize: The width and height in inches. By default they depend on the entries.

    Raises:
        TypeError: `found` is not a ranking.
        ValueError: There is nothing to draw, or the size is too small.
        ImportError: matplotlib is not installed.
    """
    _check_kind(found)
    check_size(figsize)
    entries = list(_entries(found))
    finite = [entry for entry in entries if is_drawable(entry.value)]
    if not finite:
        raise ValueError(f"there is no finite score on {found.metric!r} to draw")
    with settings():
        drawn = finite[: _room(figsize)]
        labels = _labels(drawn, figsize)
        width = labels.width if figsize is None else figsize[0]
        above = header(_title(found, title), _notes(found, entries, drawn), width)
        height = above.height + _AROUND + _ROW * len(drawn) if figsize is None else figsize[1]
        figure, axes = new_figure(above, width, height)
        axes.set_xlim(*_limits(drawn))
        for row, entry in enumerate(drawn):
            _draw(axes, row, entry)
        _frame(axes, labels)
        _scale(axes, found, labels, width)
    return figure


def _check_kind(found: object) -> None:
    if not isinstance(found, Ranking | GroupRanking):
        kind = type(found).__name__
        advice = "; save_curves and curves_figure draw curves" if isinstance(found, Curves) else ""
        raise TypeError(
            f"found must be the result of experiment.rank() or rank_groups(), not {kind}{advice}"
        )


def _room(figsize: tuple[float, float] | None) -> int:
    """Returns how many entries fit in a figure, below a header of three lines."""
    if figsize is None:
        return _SHOWN
    return max(min(int((figsize[1] - _AROUND - 0.7) / _LEAST_ROW), _SHOWN), 1)


def _title(found: Ranking | GroupRanking, title: str | None) -> str:
    kind = "Groups" if isinstance(found, GroupRanking) else "Arms"
    return f"{kind} by {found.metric}" if title is None else title


class _Labels(NamedTuple):
    """The texts beside the plot: the names on the left, and the values on the right."""

    names: Sequence[str]
    values: Sequence[str]
    left: float
    """The width of the names in inches."""
    width: float
    """The width in inches of the names, the values and the plot together."""


def _labels(drawn: Sequence[_Entry], figsize: tuple[float, float] | None) -> _Labels:
    values = [entry.text for entry in drawn]
    right = max(width_of(value, FONT_SIZE) for value in values)
    room = math.inf if figsize is None else max(figsize[0] - right - _LEAST_PLOT, 0.2 * figsize[0])
    names = shortened_to_fit([entry.name for entry in drawn], FONT_SIZE, room)
    left = max(width_of(name, FONT_SIZE) for name in names)
    least = left + right + _BETWEEN + PLOT_WIDTH
    return _Labels(names, values, left, max(least, WIDTH) if figsize is None else least)


class _Entry(NamedTuple):
    """An entry of the ranking, with the texts and numbers to draw."""

    rank: int | None
    name: str
    value: float
    """The score of the arm or the mean of the group; NaN if there is none."""
    text: str
    interval: tuple[float, float] | None = None
    ends: tuple[float, float] | None = None
    """The least and the greatest score of a group."""
    is_doubtful: bool = False


def _entries(found: Ranking | GroupRanking) -> Iterator[_Entry]:
    if isinstance(found, GroupRanking):
        yield from map(_group_entry, found.groups)
    else:
        scores = [arm.score for arm in found.arms if arm.score is not None]
        digits = digits_of(list(filter(math.isfinite, scores)))
        yield from (_arm_entry(arm, digits) for arm in found.arms)


def _arm_entry(arm: RankedArm, digits: int) -> _Entry:
    if arm.score is None:
        return _Entry(arm.rank, arm.arm, math.nan, "no score")
    doubtful = any(flag != RankFlag.NAN for flag in arm.flags)
    text = "NaN" if math.isnan(arm.score) else f"{arm.score:#.{digits}g}"
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
    """Formats a mean and half the width of its interval. The half width has two digits."""
    if half_width is None:
        return f"{mean:#.4g}"
    if not half_width:
        return f"{mean:.4g} ± 0"
    places = 1 - math.floor(math.log10(half_width))
    if 0 <= places <= _PLACES:
        return f"{mean:.{places}f} ± {half_width:.{places}f}"
    digits = places + math.floor(math.log10(abs(mean) or half_width)) + 1
    return f"{mean:.{min(max(digits, 1), _DIGITS)}g} ± {half_width:.2g}"


def _limits(drawn: Sequence[_Entry]) -> tuple[float, float]:
    """Returns the limits of the axis of scores, so that all values are shown.

    Very wide intervals are cut off, because they would hide the differences between the values.
    """
    marks = [mark for entry in drawn for mark in (entry.value, *(entry.ends or ()))]
    low, high = max(min(marks), -GREATEST), min(max(marks), GREATEST)
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
    """Draws an interval, with an arrow where it continues beyond the plot."""
    low, high = axes.get_xlim()
    start, end = max(interval[0], low), min(interval[1], high)
    axes.plot([start, end], [row, row], color=COLOR, linewidth=2.4, alpha=0.45)
    inside = 0.01 * (high - low)
    if interval[0] < low:
        axes.plot(low + inside, row, "<", color=COLOR, markersize=5)
    if interval[1] > high:
        axes.plot(high - inside, row, ">", color=COLOR, markersize=5)


def _frame(axes: Axes, labels: _Labels) -> None:
    rows = range(len(labels.names))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(rows, labels.names)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    beside = axes.secondary_yaxis("right")
    beside.set_yticks(rows, labels.values)
    beside.tick_params(length=0)
    beside.spines["right"].set_visible(False)


def _scale(axes: Axes, found: Ranking | GroupRanking, labels: _Labels, width: float) -> None:
    """Sets the ticks and the label of the axis of scores."""
    plot_width = width - labels.width + PLOT_WIDTH
    number_ticks(axes.xaxis, axes.get_xlim(), plot_width)
    better = "smaller" if found.direction == Direction.MINIMIZE else "greater"
    text = f" ({better} is better)"
    middle = labels.left + _BETWEEN / 2 + plot_width / 2
    room = 2 * min(middle, width - middle) - width_of(text, FONT_SIZE) - _BETWEEN
    axes.set_xlabel(shortened_to_fit([found.metric], FONT_SIZE, room)[0] + text)


def _reasons(entries: Sequence[_Entry]) -> Iterator[str]:
    for name, entry in zip(shorten_names([entry.name for entry in entries]), entries, strict=True):
        yield f"{name} ({'infinite' if math.isinf(entry.value) else entry.text})"


def _notes(
    found: Ranking | GroupRanking, entries: Sequence[_Entry], drawn: Sequence[_Entry]
) -> Iterator[str]:
    if any(entry.interval for entry in drawn):
        yield "dot: mean; bar: 95 % interval (Student's t); ticks: least and greatest score"
    if any(entry.is_doubtful for entry in drawn):
        yield "hollow dot: benchmarks or configurations differ"
    finite = sum(is_drawable(entry.value) for entry in entries)
    if len(drawn) < finite:
        yield f"drawn: the first {len(drawn)} of {finite:,}"
    others = [entry for entry in entries if not is_drawable(entry.value)]
    if others:
        yield f"not drawn: {listed(list(_reasons(others)))}"
    left_out = [
        f"{count:,} {status}" for status, count in vars(found.counts.left_out).items() if count
    ]
    if left_out:
        yield f"arms left out: {', '.join(left_out)}"
