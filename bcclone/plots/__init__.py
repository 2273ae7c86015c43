"""History, model, samples, driven line -> pictures, one file each; matplotlib loads only here.

`whole` draws all that a trained model and its samples give; the others can be called one by one.
"""

from bcclone.plots.driven import plot_drive, plot_views
from bcclone.plots.history import plot_history

__all__ = ["plot_drive", "plot_history", "plot_views"]
