"""The parts that all pictures share: size, colours, fonts, the texts above a plot, and files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from podium.plots._labels import wrapped

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = [
    "COLOR",
    "DARK",
    "FONT_SIZE",
    "GREATEST",
    "GREY",
    "LINE_HEIGHT",
    "PLOT_WIDTH",
    "WIDTH",
    "Header",
    "apart",
    "check_size",
    "check_suffix",
    "digits_of",
    "header",
    "is_drawable",
    "new_figure",
    "number_ticks",
    "save",
    "settings",
    "styles",
]

GREY, DARK = "#8C8C8C", "#4D4D4D"
LINE_HEIGHT = 0.165
"""In inches: the distance from one line of small text to the next."""

_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
COLOR = _COLORS[0]
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LINES = ("-", "--", ":", "-.")
WIDTH, PLOT_WIDTH = 6.8, 3.4
"""The default least widths in inches: of a figure (as wide as a page's text) and of its plot."""
FONT_SIZE = 9.0
_TITLE_SIZE, _NOTE_SIZE = 10, 8
_TITLE_LINE, _NOTE_LINE, _MARGIN = 0.2, 0.155, 0.08
"""In inches: the height of a title line, the height of a note line, and the margin."""
_LEAST_SIZE = (3.0, 2.0)
_LEAST, _GREATEST = 1e-3, 1e6
GREATEST = 1e300
"""The greatest value that is drawn. The difference of two greater values may be infinite."""
_DIGITS = (4, 15)
_DIGIT, _TICK_ROW, _MOST_TICKS = 0.1, 0.35, 8
"""In inches: the width of a digit and the height of a number. The most numbers at an axis."""
_SUFFIXES = (".png", ".svg", ".pdf")
_SETTINGS: Any = {
    "font.size": FONT_SIZE,
    "text.parse_math": False,  # names may have dollar signs
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
    "svg.hashsalt": "podium",  # the same results give the same file
    "pdf.fonttype": 42,
}


def is_drawable(value: float) -> bool:
    """Returns whether matplotlib can draw a value: a number that is not too large."""
    return abs(value) <= GREATEST


def settings() -> Any:
    """Returns a context manager that sets matplotlib's options for making and saving figures."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - optional, and slow to load
    except ModuleNotFoundError as error:
        raise ImportError("a picture needs matplotlib: pip install 'podium[plot]'") from error
    return mpl.rc_context(_SETTINGS)


class Header(NamedTuple):
    """The texts above a plot, in lines that fit the figure."""

    title: Sequence[str]
    notes: Sequence[str]

    @property
    def height(self) -> float:
        """The height of all lines in inches."""
        return _TITLE_LINE * len(self.title) + _NOTE_LINE * len(self.notes) + 2 * _MARGIN


def header(title: str, notes: Iterable[str], width: float) -> Header:
    """Breaks a title and notes into lines that fit the width of a figure in inches."""
    room = width - 2 * _MARGIN
    lines = [line for note in notes for line in wrapped(note, _NOTE_SIZE, room)]
    return Header(wrapped(title, _TITLE_SIZE, room, is_bold=True), lines)


def new_figure(above: Header, width: float, height: float) -> tuple[Figure, Axes]:
    """Creates a figure with a header and one plot below it. The size is in inches."""
    from podium.plots._notebook import NotebookFigure  # noqa: PLC0415 - it loads matplotlib

    figure = NotebookFigure(figsize=(width, height), layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(rect=(0, 0, 1, 1 - above.height / height))
    top = height - _MARGIN
    for line in above.title:
        place = (_MARGIN / width, top / height)
        figure.text(*place, line, size=_TITLE_SIZE, weight="bold", verticalalignment="top")
        top -= _TITLE_LINE
    for line in above.notes:
        place = (_MARGIN / width, top / height)
        figure.text(*place, line, size=_NOTE_SIZE, color=DARK, verticalalignment="top")
        top -= _NOTE_LINE
    return figure, figure.subplots()


def check_size(size: tuple[float, float] | None) -> None:
    """Raises a ValueError if the size in inches is too small for a plot with its texts."""
    if size is not None and not (size[0] >= _LEAST_SIZE[0] and size[1] >= _LEAST_SIZE[1]):
        least = f"{_LEAST_SIZE[0]:g} by {_LEAST_SIZE[1]:g}"
        raise ValueError(f"figsize must be at least {least} inches, not {size[0]:g} by {size[1]:g}")


def styles() -> Iterator[Mapping[str, Any]]:
    """Yields distinct line styles: each colour with a solid line, then with each other line."""
    for line in _LINES:
        for color, marker in zip(_COLORS, _MARKERS, strict=True):
            yield {"color": color, "marker": marker, "linestyle": line}


def number_ticks(axis: Axis, limits: tuple[float, float], inches: float) -> None:
    """Sets ticks whose numbers differ and do not overlap, on an axis that is `inches` long."""
    from matplotlib import ticker  # noqa: PLC0415 - optional, and slow to load

    digits = digits_of(limits)
    is_plain = _LEAST <= max(map(abs, limits)) < _GREATEST
    if not is_plain:
        axis.set_major_formatter(ticker.StrMethodFormatter(f"{{x:.{digits}g}}"))
    is_wide = axis is axis.axes.xaxis
    width = _DIGIT * (digits + (1 if is_plain else 5))
    count = int(inches / (width if is_wide else _TICK_ROW))
    least = 2 if is_wide else 3
    bins = max(min(count, _MOST_TICKS), least)
    axis.set_major_locator(ticker.MaxNLocator(bins, steps=[1, 2, 2.5, 5, 10]))


def digits_of(values: Sequence[float]) -> int:
    """Returns how many significant digits, from 4 to 15, show the differences between values."""
    greatest, spread = (
        max(map(abs, values), default=0),
        max(values, default=0) - min(values, default=0),
    )
    if not spread or not math.isfinite(spread):
        return _DIGITS[0]
    digits = 3 + math.ceil(math.log10(greatest / spread))
    return min(max(digits, _DIGITS[0]), _DIGITS[1])


def apart(wanted: Sequence[float], distance: float) -> list[float]:
    """Returns sorted positions of labels, moved to be at least `distance` apart.

    All positions stay between 0 and 1 if there is room. Labels that are too close to each other are
    placed side by side around the mean of their wanted positions (pool adjacent violators).
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
    """Raises a ValueError if the suffix of a file is not .png, .svg or .pdf."""
    if Path(path).suffix.lower() not in _SUFFIXES:
        raise ValueError(f"a picture is a .png, .svg or .pdf file, not {Path(path).name!r}")


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure to a file, and replaces an existing file."""
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": None}
    with settings():
        figure.savefig(path, metadata=metadata[Path(path).suffix.lower()])
