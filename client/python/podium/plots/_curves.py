"""Draws the result of `experiment.curve()`."""

from __future__ import annotations

import math
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple

from podium._model.rankings import GroupRanking, Ranking
from podium._values.shorten_names import shorten_names
from podium.curves import Curves
from podium.plots._figure import (
    FONT_SIZE,
    GREY,
    LINE_HEIGHT,
    PLOT_WIDTH,
    WIDTH,
    apart,
    check_size,
    check_suffix,
    header,
    is_drawable,
    new_figure,
    number_ticks,
    save,
    settings,
    styles,
)
from podium.plots._labels import listed, shortened_to_fit, width_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

    from podium.curves import Curve, CurvePoint

__all__ = ["curves_figure", "save_curves"]

_HEIGHT, _AROUND = 3.9, 0.6
"""In inches: the height of a figure without its header, and that of its horizontal axis."""
_NAMED = 24
"""The most curves that are drawn with names. If there are more curves, all are thin and grey."""
_BANDS = 4
"""The most curves whose intervals are bands. If there are more, only last points have intervals."""
_MARKERS = 12
"""The approximate number of markers on a curve that has more points than this.

Other curves have a marker at each point.
"""
_UNNAMED = {"color": GREY, "marker": "", "linestyle": "-", "alpha": 0.5}
_THIN = {
    "arrowstyle": "-",
    "color": GREY,
    "linewidth": 0.7,
    "linestyle": ":",
    "shrinkA": 1,
    "shrinkB": 3,
    "relpos": (0, 0.5),
}
_BAR_DISTANCE, _LEADER, _SAMPLE = 5, 14, 24
"""In points: the distance between bars, the space before names, and the line before a name."""
_LEFT, _LEAST_PLOT = 0.75, 1.6
"""In inches: the width of the texts at the vertical axis, and the least width of the plot."""


class _Line(NamedTuple):
    """A curve, those of its points that have a finite mean, and its style."""

    curve: Curve
    points: Sequence[CurvePoint]
    style: Mapping[str, Any]

    @property
    def last(self) -> tuple[int, float]:
        """The step and the mean of the last point."""
        return self.points[-1].step, _mean(self.points[-1])


def save_curves(
    found: Curves,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    figsize: tuple[float, float] | None = None,
) -> None:
    """Draws curves into a file.

    Args:
        found: The result of `experiment.curve()`.
        path: A .png, .svg or .pdf file. An existing file is replaced.
        title: The title, which names the metric by default. With an empty string, there is none.
        figsize: The width and height in inches. By default they depend on the curves.

    Raises:
        TypeError: `found` is not the result of `experiment.curve()`.
        ValueError: The file has another suffix, there is nothing to draw, or the size is too small.
        ImportError: matplotlib is not installed.
    """
    check_suffix(path)
    save(curves_figure(found, title=title, figsize=figsize), path)


def curves_figure(
    found: Curves, *, title: str | None = None, figsize: tuple[float, float] | None = None
) -> Figure:
    """Draws curves: lines of arms, or means of groups with their 95 % intervals.

    The intervals of up to four groups are bands. If there are more groups, only the last point of a
    group has its interval, as a bar. Up to 24 curves have names, or fewer if `figsize` has less
    room. If there are more curves, all are grey lines without names. Long names are shortened in
    the middle. A notebook cell shows the returned figure.

    Args:
        found: The result of `experiment.curve()`.
        title: The title, which names the metric by default. With an empty string, there is none.
        figsize: The width and height in inches. By default they depend on the curves.

    Raises:
        TypeError: `found` is not the result of `experiment.curve()`.
        ValueError: There is nothing to draw, or the size is too small.
        ImportError: matplotlib is not installed.
    """
    _check_kind(found)
    check_size(figsize)
    most_named = _most_named(figsize)
    lines = list(_lines(found.curves, most_named))
    if not lines:
        raise ValueError(f"there is no value of {found.metric!r} by step to draw")
    with settings():
        beside = _beside_plot(lines, most_named, figsize)
        text = f"{found.metric} by training step" if title is None else title
        above = header(text, _notes(found, lines, most_named), beside.width)
        least = _HEIGHT if figsize is None else figsize[1] - above.height
        height = max(least, _AROUND + LINE_HEIGHT * len(beside.names)) + above.height
        height = height if figsize is None else figsize[1]
        figure, axes = new_figure(above, beside.width, height)
        for line in lines:
            _draw(axes, line, with_band=len(lines) <= _BANDS)
        plot_height = height - above.height - _AROUND
        _frame(axes, lines, found.metric, (beside.plot_width, plot_height))
        _name_lines(axes, beside, LINE_HEIGHT / plot_height, has_bars=len(lines) > _BANDS)
    return figure


def _check_kind(found: object) -> None:
    if not isinstance(found, Curves):
        is_ranking = isinstance(found, Ranking | GroupRanking)
        advice = "; save_ranking and ranking_figure draw rankings" if is_ranking else ""
        kind = type(found).__name__
        raise TypeError(f"found must be the result of experiment.curve(), not {kind}{advice}")


def _most_named(figsize: tuple[float, float] | None) -> int:
    """Returns how many names of curves fit beside a plot, below a header of three lines."""
    if figsize is None:
        return _NAMED
    return min(int((figsize[1] - _AROUND - 0.7) / LINE_HEIGHT), _NAMED)


class _Beside(NamedTuple):
    """The curves whose names are beside the plot, the lowest first.

    The lists are empty if the figure has no room for the names of all curves.
    """

    lines: Sequence[_Line]
    names: Sequence[str]
    width: float
    """The width of the figure in inches."""
    plot_width: float


def _beside_plot(
    lines: Sequence[_Line], most_named: int, figsize: tuple[float, float] | None
) -> _Beside:
    if len(lines) > most_named:
        width = WIDTH if figsize is None else figsize[0]
        return _Beside([], [], width, width - _LEFT)
    ordered = sorted(lines, key=lambda line: line.last[1])
    bars = sum(line.curve.is_group for line in lines) if len(lines) > _BANDS else 0
    left = ((bars + 1) * _BAR_DISTANCE + _LEADER + _SAMPLE + 4) / 72 + _LEFT
    room = math.inf if figsize is None else max(figsize[0] - left - _LEAST_PLOT, figsize[0] / 5)
    names = _names(ordered, room)
    around = left + max(width_of(name, FONT_SIZE) for name in names) + 0.1
    width = max(around + PLOT_WIDTH, WIDTH) if figsize is None else figsize[0]
    return _Beside(ordered, names, width, width - around)


def _names(lines: Sequence[_Line], room: float) -> list[str]:
    """Returns the names of the curves, each with its number of arms if these numbers differ."""
    counts = [f" (n = {len(line.curve.arms)})" for line in lines]
    if len(set(counts)) == 1:
        counts = [""] * len(lines)
    room -= max(width_of(count, FONT_SIZE) for count in counts)
    names = shortened_to_fit([line.curve.name for line in lines], FONT_SIZE, room)
    return [name + count for name, count in zip(names, counts, strict=True)]


def _lines(curves: Sequence[Curve], most_named: int) -> Iterator[_Line]:
    looks = styles() if len(curves) <= most_named else cycle([_UNNAMED])
    for curve, style in zip(curves, looks, strict=False):
        points = list(filter(_is_finite, curve.points))
        if points:
            yield _Line(curve, points, style)


def _mean(point: CurvePoint) -> float:
    return math.nan if point.statistics.mean is None else point.statistics.mean


def _interval(point: CurvePoint) -> tuple[float, float]:
    low, high = point.statistics.ci_low, point.statistics.ci_high
    return (math.nan, math.nan) if low is None or high is None else (low, high)


# ---- Lines and intervals -------------------------------------------------------------------


def _draw(axes: Axes, line: _Line, *, with_band: bool) -> None:
    points, style = line.curve.points, dict(line.style)
    steps = [point.step for point in points]
    means = [mean if is_drawable(mean := _mean(point)) else math.nan for point in points]
    marker = style.pop("marker")
    width = 1.4 if marker else 0.6
    axes.plot(steps, means, linewidth=width, **style)
    if marker:
        _draw_markers(axes, line)
    if with_band:
        low, high = zip(*map(_interval, points), strict=True)
        axes.fill_between(steps, low, high, color=style["color"], alpha=0.16, linewidth=0)


def _draw_markers(axes: Axes, line: _Line) -> None:
    """Draws markers, hollow where some arms of the group have no value at the step."""
    every = math.ceil(len(line.points) / _MARKERS)
    for point in (*line.points[:-1:every], line.points[-1]):
        is_whole = point.statistics.n == len(line.curve.arms)
        axes.plot(
            point.step,
            _mean(point),
            line.style["marker"],
            markersize=4,
            color=line.style["color"],
            markerfacecolor=line.style["color"] if is_whole else "white",
        )


def _frame(axes: Axes, lines: Sequence[_Line], metric: str, plot_size: tuple[float, float]) -> None:
    """Sets the limits and ticks of the axes so that they fit the means of all curves.

    Cuts off intervals that are very wide, because these would flatten all curves.
    """
    from matplotlib import ticker  # noqa: PLC0415 - optional, and slow to load

    means = [_mean(point) for line in lines for point in line.points]
    low, high = min(means), max(means)
    room = 0.5 * (high - low) or 0.05 * abs(high) or 1.0
    drawn = [line.points if len(lines) <= _BANDS else line.points[-1:] for line in lines]
    bounds = [bound for points in drawn for point in points for bound in _interval(point)]
    inside = [min(max(bound, low - room), high + room) for bound in bounds if not math.isnan(bound)]
    low, high = min([low, *inside]), max([high, *inside])
    margin = 0.04 * (high - low or 2 * room)
    axes.set_ylim(low - margin, high + margin)
    axes.margins(x=0.02)
    axes.grid(axis="y")
    steps = {point.step for line in lines for point in line.points}
    greatest = max(map(abs, steps))
    count = max(min(int(plot_size[0] / (width_of(f"{greatest:,}", FONT_SIZE) + 0.2)), 6), 1)
    locator = (
        ticker.FixedLocator(list(steps))
        if len(steps) == 1
        else ticker.MaxNLocator(count, integer=True)
    )
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("training step")
    axes.set_ylabel(shortened_to_fit([metric], FONT_SIZE, plot_size[1])[0])
    number_ticks(axes.yaxis, axes.get_ylim(), plot_size[1])


# ---- Beside the plot -----------------------------------------------------------------------


def _name_lines(axes: Axes, beside: _Beside, distance: float, *, has_bars: bool) -> None:
    """Writes each curve's name beside the end of the curve, so that no names overlap."""
    with_bar = [line for line in beside.lines if has_bars and line.curve.is_group]
    for index, line in enumerate(with_bar):
        _draw_bar(axes, line, (index + 1) * _BAR_DISTANCE)
    left = (len(with_bar) + 1) * _BAR_DISTANCE + _LEADER
    low, high = axes.get_ylim()
    wanted = [(line.last[1] - low) / (high - low) for line in beside.lines]
    places = apart(wanted, distance)
    for line, name, place in zip(beside.lines, beside.names, places, strict=True):
        bar = (with_bar.index(line) + 1) * _BAR_DISTANCE if line in with_bar else None
        _name_line(axes, line, name, (left, place), bar)


def _draw_bar(axes: Axes, line: _Line, left: float) -> None:
    """Draws the last interval of a curve as a bar, `left` points to the right of the plot."""
    low, high = axes.get_ylim()
    color = line.style["color"]
    beside: dict[str, Any] = {"transform": _beside(axes, left, is_value=True), "clip_on": False}
    ends = [min(max(end, low), high) for end in _interval(line.points[-1])]
    axes.plot([1, 1], ends, color=color, linewidth=1.2, **beside)
    axes.plot(1, line.last[1], line.style["marker"], color=color, markersize=3, **beside)


def _name_line(
    axes: Axes, line: _Line, name: str, place: tuple[float, float], bar: float | None
) -> None:
    """Writes a name beside the plot, after a short piece of the curve's line.

    A thin line connects the name with the end of the curve, or with its bar.

    Args:
        axes: The plot.
        line: The curve.
        name: The text of the name.
        place: The distance of the name from the plot in points, and its height as a share of the
            plot's height.
        bar: The distance from the plot, in points, of the bar that shows the interval of the
            curve's last point. None if the curve has no bar.
    """
    from matplotlib import lines, offsetbox  # noqa: PLC0415 - optional, and slow to load

    marker = {"marker": line.style["marker"], "markersize": 4, "markevery": [1]}
    piece = lines.Line2D([0, 10, 20], [4, 4, 4], linewidth=1.4, **{**line.style, **marker})
    sample = offsetbox.DrawingArea(20, 8)
    sample.add_artist(piece)
    text = offsetbox.TextArea(name)
    box = offsetbox.AnnotationBbox(
        offsetbox.HPacker(children=[sample, text], align="center", pad=0, sep=4),
        line.last if bar is None else (1, line.last[1]),
        xycoords="data" if bar is None else _beside(axes, bar, is_value=True),
        xybox=(1, place[1]),
        boxcoords=_beside(axes, place[0]),
        box_alignment=(0, 0.5),
        frameon=False,
        pad=0,
        annotation_clip=False,
        arrowprops=dict(_THIN),
    )
    axes.add_artist(box)


def _beside(axes: Axes, points: float, *, is_value: bool = False) -> Transform:
    """Returns a transform that places x = 1 the given number of points to the right of the plot.

    A y coordinate is a share of the plot's height, or with `is_value` a value of the vertical axis.
    """
    from matplotlib.transforms import ScaledTranslation  # noqa: PLC0415 - as matplotlib itself

    frame = axes.get_yaxis_transform() if is_value else axes.transAxes
    return frame + ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)


def _notes(found: Curves, lines: Sequence[_Line], most_named: int) -> Iterator[str]:
    groups = [line for line in lines if line.curve.is_group]
    if groups:
        counts = {len(line.curve.arms) for line in groups}
        number = f" (n = {counts.pop()})" if len(counts) == 1 else ""
        hollow = "; hollow markers: fewer arms" if any(map(_is_partly_there, groups)) else ""
        yield f"mean over seeds{number}{_intervals(lines, most_named)}{hollow}"
    if len(lines) > most_named:
        yield f"{len(lines)} curves"
    infinite = [curve.name for curve in found.curves if not any(map(_is_finite, curve.points))]
    if infinite:
        yield f"not drawn, without finite values: {listed(shorten_names(infinite))}"
    if found.left_out:
        names = zip(shorten_names(list(found.left_out)), found.left_out.values(), strict=True)
        yield f"left out: {listed([f'{name} ({why})' for name, why in names])}"
    if found.without:
        yield f"not drawn, without values: {listed(shorten_names(found.without))}"


def _intervals(lines: Sequence[_Line], most_named: int) -> str:
    if len(lines) <= _BANDS:
        return "; bands: 95 % intervals (Student's t)"
    if len(lines) <= most_named:
        return "; bars: 95 % intervals at the last step (Student's t)"
    return ""


def _is_finite(point: CurvePoint) -> bool:
    return is_drawable(_mean(point))


def _is_partly_there(line: _Line) -> bool:
    return any(point.statistics.n < len(line.curve.arms) for point in line.points)
