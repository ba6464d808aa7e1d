"""Curves as a picture."""

from __future__ import annotations

import math
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple

from podium.plots._figure import (
    GREY,
    LINE_HEIGHT,
    apart,
    caption,
    check_suffix,
    listed,
    new_figure,
    plain_numbers,
    save,
    settings,
    shortened,
    styles,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

    from podium.curves import Curve, CurvePoint, Curves

__all__ = ["curves_figure", "save_curves"]

_HEIGHT, _AROUND = 4.2, 1.2
_NAMED = 24
"""More curves than that are thin and grey, without names."""
_BANDS = 4
"""More bands than that hide each other: intervals are those of the last points then."""
_MARKERS = 12
"""Curves of more points have a marker at every so many of them, and at the last one."""
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
_BAR_DISTANCE, _LEADER = 5, 14
"""Points."""


class _Line(NamedTuple):
    """A curve as it is drawn."""

    curve: Curve
    points: Sequence[CurvePoint]
    style: Mapping[str, Any]

    @property
    def last(self) -> tuple[int, float]:
        """Where it ends."""
        return self.points[-1].step, _mean(self.points[-1])


def save_curves(found: Curves, path: str | os.PathLike[str], *, title: str | None = None) -> None:
    """Draws curves into a file.

    Args:
        found: What `experiment.curve()` returned.
        path: The file: a .png, .svg or .pdf. What was there is replaced.
        title: What stands above it; the metric if not given, nothing if empty.

    Raises:
        ValueError: It is another kind of file, or there is nothing to draw.
        ImportError: matplotlib is not installed.
    """
    check_suffix(path)
    save(curves_figure(found, title=title), path)


def curves_figure(found: Curves, *, title: str | None = None) -> Figure:
    """Draws curves: lines of arms, or means of groups with their 95 % intervals.

    The intervals of up to four groups are bands, those of more groups are bars at the last steps.

    Args:
        found: What `experiment.curve()` returned.
        title: What stands above it; the metric if not given, nothing if empty.

    Raises:
        ValueError: There is nothing to draw.
        ImportError: matplotlib is not installed.
    """
    lines = list(_lines(found.curves))
    if not lines:
        raise ValueError(f"there is no in-loop value of {found.metric!r} to draw")
    with settings():
        named = len(lines) if len(lines) <= _NAMED else 0
        height = max(_HEIGHT, _AROUND + LINE_HEIGHT * named)
        figure, axes = new_figure(height)
        for line in lines:
            _draw(axes, line, with_band=len(lines) <= _BANDS)
        _frame(axes, lines, found.metric)
        _name_lines(axes, lines, LINE_HEIGHT / (height - _AROUND))
        text = f"{found.metric} by training step" if title is None else title
        caption(axes, text, _notes(found, lines))
    return figure


def _lines(curves: Sequence[Curve]) -> Iterator[_Line]:
    looks = styles() if len(curves) <= _NAMED else cycle([_UNNAMED])
    for curve, style in zip(curves, looks, strict=False):
        points = [point for point in curve.points if math.isfinite(_mean(point))]
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
    means = [mean if math.isfinite(mean := _mean(point)) else math.nan for point in points]
    marker = style.pop("marker")
    width = 1.4 if marker else 0.6
    axes.plot(steps, means, linewidth=width, **style)
    if marker:
        _draw_markers(axes, line)
    if with_band:
        low, high = zip(*map(_interval, points), strict=True)
        axes.fill_between(steps, low, high, color=style["color"], alpha=0.16, linewidth=0)


def _draw_markers(axes: Axes, line: _Line) -> None:
    """Marks points: full ones of all arms of a group, hollow ones of fewer."""
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


def _frame(axes: Axes, lines: Sequence[_Line], metric: str) -> None:
    """Fits the axes to the means: a band of two arms may be so wide that nothing else is seen."""
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
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("training step")
    axes.set_ylabel(metric)
    plain_numbers(axes.yaxis, axes.get_ylim())


# ---- Beside the plot -----------------------------------------------------------------------


def _name_lines(axes: Axes, lines: Sequence[_Line], distance: float) -> None:
    """Writes each curve's name beside its end, in the same order, and so far apart."""
    if len(lines) > _NAMED:
        return
    ordered = sorted(lines, key=lambda line: line.last[1])
    with_bar = [line for line in ordered if len(lines) > _BANDS and line.curve.is_group]
    for index, line in enumerate(with_bar):
        _draw_bar(axes, line, (index + 1) * _BAR_DISTANCE)
    left = (len(with_bar) + 1) * _BAR_DISTANCE
    low, high = axes.get_ylim()
    wanted = [(line.last[1] - low) / (high - low) for line in ordered]
    left = (len(with_bar) + 1) * _BAR_DISTANCE + _LEADER
    names = shortened([_name(line.curve, lines) for line in ordered])
    for line, name, place in zip(ordered, names, apart(wanted, distance), strict=True):
        bar = (with_bar.index(line) + 1) * _BAR_DISTANCE if line in with_bar else None
        _name_line(axes, line, name, (left, place), bar)


def _draw_bar(axes: Axes, line: _Line, left: float) -> None:
    """Draws the last point's interval, `left` points to the right of the plot."""
    low, high = axes.get_ylim()
    color = line.style["color"]
    beside: dict[str, Any] = {"transform": _beside(axes, left, is_value=True), "clip_on": False}
    ends = [min(max(end, low), high) for end in _interval(line.points[-1])]
    axes.plot([1, 1], ends, color=color, linewidth=1.2, **beside)
    axes.plot(1, line.last[1], line.style["marker"], color=color, markersize=3, **beside)


def _name_line(
    axes: Axes, line: _Line, name: str, place: tuple[float, float], bar: float | None
) -> None:
    """Writes a name behind a piece of its line; something thin leads there from the curve's end.

    Args:
        axes: The plot.
        line: The curve.
        name: What to call it.
        place: Where: points to the right of the plot, and share of its height.
        bar: Where its bar is, in points to the right of the plot.
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
    """Where x = 1 is so many points to the right of the plot, and y a share of it, or a value."""
    from matplotlib.transforms import ScaledTranslation  # noqa: PLC0415 - as matplotlib itself

    frame = axes.get_yaxis_transform() if is_value else axes.transAxes
    return frame + ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)


def _name(curve: Curve, lines: Sequence[_Line]) -> str:
    counts = {len(line.curve.arms) for line in lines}
    return f"{curve.name} (n = {len(curve.arms)})" if len(counts) > 1 else curve.name


def _notes(found: Curves, lines: Sequence[_Line]) -> Iterator[str]:
    groups = [line for line in lines if line.curve.is_group]
    if groups:
        counts = {len(line.curve.arms) for line in groups}
        number = f" (n = {counts.pop()})" if len(counts) == 1 else ""
        intervals = (
            "bands: 95 % intervals (Student's t)"
            if len(lines) <= _BANDS
            else "bars: 95 % intervals at the last step (Student's t)"
        )
        hollow = "; hollow: fewer arms" if any(map(_is_partly_there, groups)) else ""
        yield f"mean over seeds{number}; {intervals}{hollow}"
    if len(lines) > _NAMED:
        yield f"{len(lines)} curves"
    if found.left_out:
        yield f"left out: {listed([f'{name} ({why})' for name, why in found.left_out.items()])}"
    if found.without:
        yield f"without values: {listed(found.without)}"


def _is_partly_there(line: _Line) -> bool:
    return any(point.statistics.n < len(line.curve.arms) for point in line.points)
