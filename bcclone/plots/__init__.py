"""Draw pictures of a model, its training and its drives: `draw_all(PlotSettings(Path("model.h5")))`.

Each picture has a function of its own in the modules of this package, which load matplotlib.
"""

from bcclone.plots.run import PlotResult, PlotSettings, draw_all

__all__ = ["PlotResult", "PlotSettings", "draw_all"]
