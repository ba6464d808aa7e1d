"""Helpers for tests of pictures: every visible text of a figure, and its place."""

from itertools import combinations
from typing import TYPE_CHECKING, Any

from tests.lazy import Lazy

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

__all__ = ["axes_of", "check_texts", "texts"]

_agg: Any = Lazy("matplotlib.backends.backend_agg")
_text: Any = Lazy("matplotlib.text")


def texts(figure: "Figure") -> list[str]:
    """Draws a figure and returns every visible text in it."""
    return [text.get_text() for text in _shown(figure)]


def check_texts(figure: "Figure") -> None:
    """Checks that no text of a figure overlaps another one or extends beyond the figure."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in _shown(figure)]
    for name, box in boxes:
        assert _within(box, figure.bbox), f"{name!r} reaches out of the figure"
    for (one, first), (other, second) in combinations(boxes, 2):
        assert not _overlap(first, second), f"{one!r} lies on {other!r}"


def axes_of(figure: "Figure") -> Any:
    """Returns the axes of a figure, as Any, because tests do not check their types."""
    return figure.axes[0]


def _shown(figure: "Figure") -> "list[Text]":
    canvas: Any = _agg.FigureCanvasAgg(figure)
    canvas.draw()
    axes = axes_of(figure)
    hidden = [*_beyond_limits(axes.xaxis), *_beyond_limits(axes.yaxis)]
    found = [text for text in figure.findobj(_text.Text) if text.get_visible()]
    return [text for text in found if text.get_text().strip() and text not in hidden]


def _beyond_limits(axis: Any) -> "list[Text]":
    """Returns the labels of ticks that exist but are not drawn."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]


def _within(inner: Any, outer: Any) -> bool:
    return bool(
        inner.x0 >= outer.x0 - 1
        and inner.y0 >= outer.y0 - 1
        and inner.x1 <= outer.x1 + 1
        and inner.y1 <= outer.y1 + 1
    )


def _overlap(one: Any, other: Any) -> bool:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return bool(width > 1 and height > 1)
