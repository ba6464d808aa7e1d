"""What pictures share: their size, colours and letters, what stands above them, their files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = [
    "COLOR",
    "DARK",
    "GREY",
    "LINE_HEIGHT",
    "apart",
    "caption",
    "check_suffix",
    "listed",
    "new_figure",
    "plain_numbers",
    "save",
    "settings",
    "shortened",
    "styles",
]

GREY, DARK = "#8C8C8C", "#4D4D4D"
LINE_HEIGHT = 0.165
"""Inches from one line of small text to the next."""

_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
COLOR = _COLORS[0]
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LINES = ("-", "--", ":", "-.")
_WIDTH = 6.8
"""Inches: as wide as the text of a page."""
_LEAST, _GREATEST = 1e-3, 1e6
_LONGEST, _LISTED = 40, 3
_SUFFIXES = (".png", ".svg", ".pdf")
_SETTINGS: Any = {
    "font.size": 9.0,
    "text.parse_math": False,  # names may hold dollar signs
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": DARK,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "xtick.color": DARK,
    "ytick.color": DARK,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "savefig.dpi": 300,
    "svg.hashsalt": "podium",  # the same results are the same file
    "pdf.fonttype": 42,
}


def settings() -> Any:
    """A context in which figures are made and saved.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - optional, and slow to load
    except ModuleNotFoundError as error:
        raise ImportError("a picture needs matplotlib: pip install 'podium[plot]'") from error
    return mpl.rc_context(_SETTINGS)


def new_figure(height: float) -> tuple[Figure, Axes]:
    """A figure of one plot, `height` inches high."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - optional, and slow to load

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def styles() -> Iterator[Mapping[str, Any]]:
    """Yields looks of lines: first by colour and marker, then by the kind of line."""
    for line in _LINES:
        for color, marker in zip(_COLORS, _MARKERS, strict=True):
            yield {"color": color, "marker": marker, "linestyle": line}


def plain_numbers(axis: Axis, limits: tuple[float, float]) -> None:
    """Writes numbers that are very small or great with their power of ten, each by itself."""
    from matplotlib import ticker  # noqa: PLC0415 - optional, and slow to load

    if not _LEAST <= max(map(abs, limits)) < _GREATEST:
        axis.set_major_formatter(ticker.StrMethodFormatter("{x:.4g}"))


def caption(axes: Axes, title: str, notes: Iterable[str]) -> None:
    """Writes a title above a plot, and notes below it."""
    lines = list(notes)
    above: dict[str, Any] = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "horizontalalignment": "left",
        "verticalalignment": "bottom",
        "annotation_clip": False,
    }
    height = 11 * len(lines)
    axes.annotate("\n".join(lines), (0, 1), (0, 9), fontsize=8, color=DARK, **above)
    axes.annotate(title, (0, 1), (0, 13 + height), fontsize=10, fontweight="bold", **above)


def shortened(names: Sequence[str]) -> list[str]:
    """Names that leave room for the plot, unless two of them would be the same."""
    shorter = [
        name if len(name) <= _LONGEST else f"{name[: _LONGEST // 2]}…{name[-_LONGEST // 2 :]}"
        for name in names
    ]
    return shorter if len(set(shorter)) == len(set(names)) else list(names)


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def apart(wanted: Sequence[float], distance: float) -> list[float]:
    """Moves places in ascending order apart, between 0 and 1 as far as there is room.

    Places that would stand too close become a block around their own middle; blocks that meet
    become one (pool adjacent violators).
    """
    blocks: list[list[float]] = []
    for place in wanted:
        blocks.append([place])
        while len(blocks) > 1 and _bottom(blocks[-1], distance) < _top(blocks[-2], distance):
            last = blocks.pop()
            blocks[-1] += last
    return [
        _bottom(block, distance) + (index + 0.5) * distance
        for block in blocks
        for index in range(len(block))
    ]


def _bottom(block: Sequence[float], distance: float) -> float:
    size = len(block) * distance
    return max(min(sum(block) / len(block) - size / 2, 1 - size), 0)


def _top(block: Sequence[float], distance: float) -> float:
    return _bottom(block, distance) + len(block) * distance


def check_suffix(path: str | os.PathLike[str]) -> None:
    """Refuses a file that no picture can be written to."""
    if Path(path).suffix.lower() not in _SUFFIXES:
        raise ValueError(f"a picture is a .png, .svg or .pdf file, not {Path(path).name!r}")


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure to a file, in place of what was there."""
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": None}
    with settings():
        figure.savefig(path, metadata=metadata[Path(path).suffix.lower()])
