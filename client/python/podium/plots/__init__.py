"""Pictures for papers and slides, with matplotlib: `pip install 'podium[plot]'`.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color), which can be distinguished
with any kind of colour vision. Curves also have different markers and lines, so that they can be
printed without colour. A figure can be changed before it is saved:
`curves_figure(found).axes[0].set_ylim(0, 1)`.
"""

from podium.plots._curves import curves_figure, save_curves
from podium.plots._ranking import ranking_figure, save_ranking

__all__ = ["curves_figure", "ranking_figure", "save_curves", "save_ranking"]
