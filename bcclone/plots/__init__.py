"""Draw pictures of a model, its training and its drives: `draw_all(PlotSettings(Path("model.h5")))`.

Each picture has a function of its own in the modules of this package, which load matplotlib.
"""

from typing import TYPE_CHECKING

from bcclone.lazy import lazy_attributes
from bcclone.plots.settings import Picture, PlotResult, PlotSettings

if TYPE_CHECKING:
    from bcclone.plots.all_pictures import draw_all

__all__ = ["Picture", "PlotResult", "PlotSettings", "draw_all"]

__getattr__ = lazy_attributes(__name__, {"draw_all": "all_pictures"})
