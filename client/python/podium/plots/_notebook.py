"""A figure that notebooks show. Importing this module loads matplotlib."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

__all__ = ["NotebookFigure"]

_DPI, _SCREEN_DPI = 160, 96


class NotebookFigure(Figure):
    """A figure that a notebook cell can show, even if pyplot was never imported."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Returns the picture as PNG, and the size at which a notebook shows it."""
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=_DPI)
        width, height = (round(inches * _SCREEN_DPI) for inches in self.get_size_inches())
        return file.getvalue(), {"width": width, "height": height}
